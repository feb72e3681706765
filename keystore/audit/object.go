package audit

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Object is a JSON object for an event, built without reflection. The zero Object is none (null, or left out). Build with
// the methods, in the order in which the members shall stand; they return the longer object, as append does:
//
//	audit.Object{}.String("keyId", id).Int("numberOfBytes", n)
type Object struct {
	b []byte // members without the braces' end: "{…" ; nil where there is none
}

// ObjectOf makes an Object of any value that marshals to a JSON object. It is for what is not on the hot path.
func ObjectOf(v any) (Object, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return Object{}, fmt.Errorf("audit object: %w", err)
	}
	return RawObject(b)
}

// RawObject makes an Object of JSON text, which it checks and compacts.
func RawObject(text []byte) (Object, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(text, &m); err != nil {
		return Object{}, fmt.Errorf("audit object: %w", err)
	}
	if m == nil {
		return Object{}, nil
	}
	return Object{b: trimEnd(compact(text))}, nil
}

// WrittenObject makes an Object of text that the caller has written as one JSON object without white space between its
// tokens. It is not checked, and kept as it is: the text must not change before the event is appended. "null" is none.
func WrittenObject(text []byte) Object {
	if len(text) == 0 || text[0] != '{' {
		return Object{}
	}
	return Object{b: text[: len(text)-1 : len(text)-1]}
}

// IsZero tells whether there is no object.
func (o Object) IsZero() bool { return o.b == nil }

// Empty gives an object without members, where the zero Object would be null.
func (o Object) Empty() Object { return Object{b: o.open()} }

// String adds a string member.
func (o Object) String(name, value string) Object {
	return Object{b: appendString(o.name(name), value)}
}

// Int adds a number.
func (o Object) Int(name string, value int64) Object {
	return Object{b: strconv.AppendInt(o.name(name), value, 10)}
}

// Bool adds a truth value.
func (o Object) Bool(name string, value bool) Object {
	return Object{b: strconv.AppendBool(o.name(name), value)}
}

// Null adds a member without a value.
func (o Object) Null(name string) Object {
	return Object{b: append(o.name(name), "null"...)}
}

// Time adds a time as CloudTrail writes times in parameters ("Nov 22, 2026, 5:06:19 AM"), in UTC.
func (o Object) Time(name string, value time.Time) Object {
	b := append(o.name(name), '"')
	b = value.UTC().AppendFormat(b, "Jan 2, 2006, 3:04:05 PM")
	return Object{b: append(b, '"')}
}

// Strings adds an array of strings.
func (o Object) Strings(name string, values []string) Object {
	b := append(o.name(name), '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, v)
	}
	return Object{b: append(b, ']')}
}

// Map adds an object of strings, its members in the order of their names. An encryption context is written this way.
func (o Object) Map(name string, values map[string]string) Object {
	var few [8]string
	keys := few[:0]
	for k := range values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b := append(o.name(name), '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k), ':')
		b = appendString(b, values[k])
	}
	return Object{b: append(b, '}')}
}

// Object adds an object as a member; null for the zero Object.
func (o Object) Object(name string, value Object) Object {
	return Object{b: value.appendTo(o.name(name))}
}

// JSON gives the object as text, "null" for the zero Object.
func (o Object) JSON() []byte { return o.appendTo(nil) }

func (o Object) appendTo(dst []byte) []byte {
	if o.b == nil {
		return append(dst, "null"...)
	}
	return append(append(dst, o.b...), '}')
}

func (o Object) open() []byte {
	if o.b == nil {
		return append(make([]byte, 0, 128), '{')
	}
	return o.b
}

func (o Object) name(name string) []byte {
	b := o.open()
	if len(b) > 1 {
		b = append(b, ',')
	}
	return append(appendString(b, name), ':')
}
