package shape

import (
	"bytes"
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Decode reads body into r. Members that r does not have are checked for syntax and dropped; null members count as
// absent; of members that come twice the last counts. Errors are *SyntaxError (SerializationException). Nothing in r
// points into body.
func (m *Members) Decode(body []byte, r Request) error {
	m.Reset()
	m.blobs = slices.Grow(m.blobs, base64.StdEncoding.DecodedLen(len(body))) // so that it never moves
	r.Members(m)
	s := scanner{b: body}
	switch s.peek() {
	case '{':
	case '[':
		return &SyntaxError{listUnexpected}
	default:
		return errSyntax
	}
	if err := m.structure(&s); err != nil {
		return err
	}
	if s.peek(); s.i < len(s.b) {
		return errSyntax
	}
	return nil
}

// structure reads the object that comes next into the members.
func (m *Members) structure(s *scanner) error {
	return s.object(func(name []byte, escaped bool) error {
		if escaped {
			plain, err := appendUnescaped(nil, name)
			if err != nil {
				return err
			}
			name = plain
		}
		for i := range m.list {
			if string(name) == m.list[i].name {
				return m.value(s, &m.list[i])
			}
		}
		return s.skip()
	})
}

// value reads the value that comes next into a member.
func (m *Members) value(s *scanner, f *member) (err error) {
	f.set, f.nest = false, nil
	if null, err := s.null(); null || err != nil {
		f.clear()
		return err
	}
	switch at := f.at.(type) {
	case *string:
		*at, err = s.stringValue()
	case *[]byte:
		*at, err = m.blobValue(s)
	case *bool:
		*at, err = s.boolValue()
	case **int32:
		*at, err = s.intValue()
	case *time.Time:
		*at, err = s.timeValue()
	case *map[string]string:
		*at, err = s.mapValue()
	case *[]string:
		*at, err = s.stringsValue()
	case *[]keystore.Tag:
		*at, err = f.tagsValue(m, s)
	case Structure:
		err = f.structValue(m, s, at)
	}
	f.set = err == nil
	return err
}

// clear makes the member absent again, after a null that follows a value.
func (f *member) clear() {
	switch at := f.at.(type) {
	case *string:
		*at = ""
	case *[]byte:
		*at = nil
	case *bool:
		*at = false
	case **int32:
		*at = nil
	case *time.Time:
		*at = time.Time{}
	case *map[string]string:
		*at = nil
	case *[]string:
		*at = nil
	case *[]keystore.Tag:
		*at = nil
	}
}

func (s *scanner) stringValue() (string, error) {
	if s.peek() != '"' {
		return "", s.mismatch("a String")
	}
	return s.text()
}

func (s *scanner) boolValue() (bool, error) {
	switch s.peek() {
	case 't':
		return true, s.literal("true")
	case 'f':
		return false, s.literal("false")
	}
	return false, s.mismatch("a Boolean")
}

func (s *scanner) isNumber() bool {
	c := s.peek()
	return c == '-' || c >= '0' && c <= '9'
}

// intValue cuts a fraction off, as AWS does.
func (s *scanner) intValue() (*int32, error) {
	if !s.isNumber() {
		return nil, s.mismatch("an Integer")
	}
	raw, err := s.number()
	if err != nil {
		return nil, err
	}
	v, err := strconv.ParseFloat(string(raw), 64)
	if v = math.Trunc(v); err != nil || v < math.MinInt32 || v > math.MaxInt32 {
		return nil, &SyntaxError{"NUMBER_VALUE can not be converted to an Integer"}
	}
	n := int32(v)
	return &n, nil
}

// maxEpoch is the end of the year 9999.
const maxEpoch = 253402300799

func (s *scanner) timeValue() (time.Time, error) {
	if !s.isNumber() {
		return time.Time{}, s.mismatch("milliseconds since epoch")
	}
	raw, err := s.number()
	if err != nil {
		return time.Time{}, err
	}
	v, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.Abs(v) > maxEpoch {
		return time.Time{}, &SyntaxError{"NUMBER_VALUE can not be converted to milliseconds since epoch"}
	}
	return time.UnixMilli(int64(math.Round(v * 1000))).UTC(), nil
}

// blobValue decodes base64 (RFC 4648 section 4, with padding) into the members' own memory.
func (m *Members) blobValue(s *scanner) ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.mismatch("a Blob")
	}
	raw, escaped, err := s.rawString()
	if err != nil {
		return nil, err
	}
	if escaped {
		plain, err := appendUnescaped(make([]byte, 0, len(raw)), raw)
		defer clear(plain)
		if err != nil {
			return nil, err
		}
		raw = plain
	}
	// encoding/base64 would pass over line breaks.
	if bytes.ContainsAny(raw, "\r\n") {
		return nil, &SyntaxError{"STRING_VALUE can not be converted to a Blob: Invalid Base64 character"}
	}
	if len(raw)%4 != 0 {
		return nil, &SyntaxError{"STRING_VALUE can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: " +
			strconv.Itoa(len(raw))}
	}
	start := len(m.blobs)
	m.blobs = slices.Grow(m.blobs, base64.StdEncoding.DecodedLen(len(raw)))
	n, err := strictBase64.Decode(m.blobs[start:cap(m.blobs)], raw)
	if err != nil {
		clear(m.blobs[start:cap(m.blobs)])
		return nil, &SyntaxError{"STRING_VALUE can not be converted to a Blob: Invalid Base64 character"}
	}
	m.blobs = m.blobs[:start+n]
	return m.blobs[start : start+n : start+n], nil
}

var strictBase64 = base64.StdEncoding.Strict()

func (s *scanner) mapValue() (map[string]string, error) {
	switch s.peek() {
	case '{':
	case '[':
		return nil, &SyntaxError{listUnexpected}
	default:
		return nil, s.mismatch(mapExpected)
	}
	values := make(map[string]string)
	err := s.object(func(raw []byte, escaped bool) error {
		name := string(raw)
		if escaped {
			plain, err := appendUnescaped(nil, raw)
			if err != nil {
				return err
			}
			name = string(plain)
		}
		if null, err := s.null(); null || err != nil {
			return err
		}
		value, err := s.stringValue()
		values[name] = value
		return err
	})
	return values, err
}

func (s *scanner) stringsValue() ([]string, error) {
	if s.peek() != '[' {
		return nil, s.mismatch(listExpected)
	}
	values := []string{}
	err := s.list(func() error {
		if null, err := s.null(); null || err != nil {
			return err
		}
		value, err := s.stringValue()
		values = append(values, value)
		return err
	})
	return values, err
}

func (f *member) tagsValue(m *Members, s *scanner) ([]keystore.Tag, error) {
	if s.peek() != '[' {
		return nil, s.mismatch(listExpected)
	}
	tags := []keystore.Tag{}
	err := s.list(func() error {
		if null, err := s.null(); null || err != nil {
			return err
		}
		var t tag
		nest, err := m.nested(s, &t)
		f.nest = append(f.nest, nest)
		tags = append(tags, keystore.Tag(t))
		return err
	})
	return tags, err
}

func (f *member) structValue(m *Members, s *scanner, at Structure) error {
	nest, err := m.nested(s, at)
	f.nest = []Members{nest}
	at.Give()
	return err
}

// nested reads a structure inside the request. Its blobs live with the request's own.
func (m *Members) nested(s *scanner, r Request) (Members, error) {
	var nest Members
	if s.peek() != '{' {
		return nest, s.mismatch(nullExpected)
	}
	r.Members(&nest)
	nest.blobs = m.blobs
	err := nest.structure(s)
	m.blobs, nest.blobs = nest.blobs, nil
	return nest, err
}
