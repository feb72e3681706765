package xks

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// The protocol's JSON is stricter than encoding/json: names are case-sensitive, a repeated member is a fault, base64
// has one form. So encoding/json only judges the syntax; what follows walks text that is known to be valid.

var base64Strict = base64.StdEncoding.Strict()

func invalid(message string) *Error { return NewError(ValidationException, message) }

// checkDocument wants one JSON object in UTF-8.
func checkDocument(body []byte) ([]byte, error) {
	body = bytes.Trim(body, " \t\r\n")
	if len(body) == 0 || body[0] != '{' || !json.Valid(body) || !utf8.Valid(body) {
		return nil, invalid("the body is not a JSON object")
	}
	return body, nil
}

// scanObject finds the members of a valid object. values[i] is set to the raw value of names[i]; absent members and
// null leave nil. Members with other names are ignored, as the specification asks. where names the object in errors.
func scanObject(object []byte, where string, names []string, values [][]byte) error {
	rest := skipSpace(object[1:])
	for rest[0] != '}' {
		end := valueEnd(rest)
		name := rest[1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			var unescaped string
			if err := json.Unmarshal(rest[:end], &unescaped); err != nil {
				return invalid("the body is not a JSON object")
			}
			name = []byte(unescaped)
		}
		rest = skipSpace(skipSpace(rest[end:])[1:]) // the colon
		end = valueEnd(rest)
		for i := range names {
			if names[i] != string(name) {
				continue
			}
			if values[i] != nil {
				return invalid(where + names[i] + " appears twice")
			}
			values[i] = rest[:end]
		}
		rest = skipSpace(rest[end:])
		if rest[0] == ',' {
			rest = skipSpace(rest[1:])
		}
	}
	for i := range values {
		if values[i] != nil && values[i][0] == 'n' {
			values[i] = nil
		}
	}
	return nil
}

func skipSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == '\n' || b[0] == '\r') {
		b = b[1:]
	}
	return b
}

// valueEnd is the length of the value that valid JSON text begins with.
func valueEnd(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of a number or word, and of the object around it
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// rawString gives the content of a JSON string without escapes resolved; false for any other type.
func rawString(value []byte) ([]byte, bool) {
	if len(value) < 2 || value[0] != '"' {
		return nil, false
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner, true
	}
	var s string
	if json.Unmarshal(value, &s) != nil {
		return nil, false
	}
	return []byte(s), true
}

// textMember reads a string member into out. An absent optional member leaves it empty.
func textMember(value []byte, name string, required bool, out *string) error {
	if value == nil {
		if required {
			return invalid(name + " is missing")
		}
		return nil
	}
	s, ok := rawString(value)
	if !ok {
		return invalid(name + " is not a string")
	}
	*out = string(s)
	return nil
}

// bytesMember reads a base64 member of at most limit bytes into out. An absent optional member leaves it nil.
func bytesMember(value []byte, name string, required bool, limit int, out *[]byte) error {
	if value == nil {
		if required {
			return invalid(name + " is missing")
		}
		return nil
	}
	s, ok := rawString(value)
	if !ok {
		return invalid(name + " is not a string")
	}
	if len(s) > base64Strict.EncodedLen(limit) {
		return NewError(UnsupportedOperationException, name+" is longer than this proxy supports")
	}
	decoded := make([]byte, base64Strict.DecodedLen(len(s)))
	n, err := base64Strict.Decode(decoded, s)
	// The decoder skips line breaks, which RFC 4648 section 3.1 forbids; n tells.
	if err != nil || base64Strict.EncodedLen(n) != len(s) {
		return invalid(name + " is not base64")
	}
	if n > limit {
		return NewError(UnsupportedOperationException, name+" is longer than this proxy supports")
	}
	*out = decoded[:n]
	return nil
}

// appendText appends s as a JSON string.
func appendText(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...) // cannot happen: a string always marshals
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// members appends the members of an object, with commas between them.
type members struct {
	b    []byte
	more bool
}

func (m *members) name(name string) {
	if m.more {
		m.b = append(m.b, ',')
	}
	m.more = true
	m.b = append(m.b, '"')
	m.b = append(m.b, name...)
	m.b = append(m.b, '"', ':')
}

func (m *members) text(name, value string) {
	m.name(name)
	m.b = appendText(m.b, value)
}

func (m *members) optionalText(name, value string) {
	if value != "" {
		m.text(name, value)
	}
}

func (m *members) bytes(name string, value []byte) {
	m.name(name)
	m.b = append(m.b, '"')
	m.b = base64.StdEncoding.AppendEncode(m.b, value)
	m.b = append(m.b, '"')
}

func (m *members) optionalBytes(name string, value []byte) {
	if len(value) > 0 {
		m.bytes(name, value)
	}
}
