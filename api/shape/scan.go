package shape

import (
	"bytes"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a request. The deepest shape of the service has three levels.
const maxDepth = 32

// maxElements bounds the elements of one list or map; the model's own limits are far lower.
const maxElements = 4096

// SyntaxError says that a body is not JSON, or not JSON of the request's types. Text is in AWS's words and never holds a
// value of the request; it is empty where AWS sends no message.
type SyntaxError struct{ Text string }

// Error implements error.
func (e *SyntaxError) Error() string {
	if e.Text == "" {
		return "malformed request body"
	}
	return e.Text
}

// Texts of real answers to wrong types (measured by others on JSON 1.1 services; the wording with and without a full
// stop is theirs).
const (
	listUnexpected   = "Start of list found where not expected"
	objectUnexpected = "Start of structure or map found where not expected."
	listExpected     = "Expected list or null"
	mapExpected      = "Expected map or null"
	nullExpected     = "Expected null"
)

var errSyntax = &SyntaxError{}

// scanner reads one JSON text (RFC 8259) and nothing beside it. Every method stops at the first fault.
type scanner struct {
	b     []byte
	i     int
	depth int
}

// peek skips white space and gives the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return c
		}
	}
	return 0
}

// take consumes c, if it comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.i >= len(s.b) {
		return false
	}
	s.i++
	return true
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.b[s.i:], []byte(word)) {
		return errSyntax
	}
	s.i += len(word)
	return nil
}

// enter and leave count the nesting.
func (s *scanner) enter() error {
	if s.depth++; s.depth > maxDepth {
		return &SyntaxError{"Nesting of the request body is too deep."}
	}
	s.i++
	return nil
}

func (s *scanner) leave() { s.depth-- }

// null consumes a null, if it comes next.
func (s *scanner) null() (bool, error) {
	if s.peek() != 'n' {
		return false, nil
	}
	return true, s.literal("null")
}

// rawString reads a string and gives what stands between its quotes, and whether that has escapes. The bytes are valid
// UTF-8 and belong to the input.
func (s *scanner) rawString() (raw []byte, escaped bool, err error) {
	s.i++ // the opening quote
	start, ascii := s.i, true
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			raw = s.b[start:s.i]
			s.i++
			if !ascii && !utf8.Valid(raw) {
				return nil, false, errSyntax
			}
			return raw, escaped, nil
		case c < ' ':
			return nil, false, errSyntax
		case c == '\\':
			escaped = true
			s.i++ // whatever is escaped cannot end the string
		case c >= utf8.RuneSelf:
			ascii = false
		}
		s.i++
	}
	return nil, false, errSyntax
}

// text reads a string value.
func (s *scanner) text() (string, error) {
	raw, escaped, err := s.rawString()
	if err != nil || !escaped {
		return string(raw), err
	}
	plain, err := appendUnescaped(make([]byte, 0, len(raw)), raw)
	return string(plain), err
}

// number reads a number by JSON's grammar and gives its text.
func (s *scanner) number() ([]byte, error) {
	start := s.i
	if s.at('-') {
		s.i++
	}
	switch {
	case s.at('0'):
		s.i++
	case s.digits() == 0:
		return nil, errSyntax
	}
	if s.at('.') {
		s.i++
		if s.digits() == 0 {
			return nil, errSyntax
		}
	}
	if s.at('e') || s.at('E') {
		s.i++
		if s.at('+') || s.at('-') {
			s.i++
		}
		if s.digits() == 0 {
			return nil, errSyntax
		}
	}
	return s.b[start:s.i], nil
}

func (s *scanner) at(c byte) bool { return s.i < len(s.b) && s.b[s.i] == c }

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - start
}

// skip reads and drops one value of any type, checking it as strictly as one that is kept.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(func([]byte, bool) error { return s.skip() })
	case c == '[':
		return s.list(s.skip)
	case c == '"':
		raw, escaped, err := s.rawString()
		if err == nil && escaped {
			_, err = appendUnescaped(nil, raw)
		}
		return err
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	default:
		_, err := s.number()
		return err
	}
}

// object reads an object whose brace comes next; each is called with the raw name, the scanner before the value.
func (s *scanner) object(each func(name []byte, escaped bool) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if s.take('}') {
		return nil
	}
	for n := 0; ; n++ {
		if s.peek() != '"' || n >= maxElements {
			return errSyntax
		}
		name, escaped, err := s.rawString()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return errSyntax
		}
		if err := each(name, escaped); err != nil {
			return err
		}
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return errSyntax
		}
	}
}

// list reads an array whose bracket comes next; each is called with the scanner before an element.
func (s *scanner) list(each func() error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if s.take(']') {
		return nil
	}
	for n := 0; ; n++ {
		if n >= maxElements {
			return errSyntax
		}
		if err := each(); err != nil {
			return err
		}
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return errSyntax
		}
	}
}

// mismatch tells that the value that comes next is not of the wanted type; scalar is the text for a scalar value, or the
// type with its article ("a String") that a scalar cannot be converted to.
func (s *scanner) mismatch(scalar string) error {
	token := ""
	switch c := s.peek(); {
	case c == '{':
		return &SyntaxError{objectUnexpected}
	case c == '[':
		return &SyntaxError{listUnexpected}
	case c == '"':
		token = "STRING_VALUE"
	case c == 't':
		token = "TRUE_VALUE"
	case c == 'f':
		token = "FALSE_VALUE"
	case c == '-' || c >= '0' && c <= '9':
		token = "NUMBER_VALUE"
	default:
		return errSyntax
	}
	if scalar == listExpected || scalar == mapExpected || scalar == nullExpected {
		return &SyntaxError{scalar}
	}
	return &SyntaxError{token + " can not be converted to " + scalar}
}
