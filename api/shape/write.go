package shape

import (
	"encoding/base64"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/strongroom/strongroom/keystore"
)

// Response is an answer: Write writes its members.
type Response interface{ Write(w *Writer) }

// Writer writes one JSON object without nulls: what is absent is left out.
type Writer struct {
	b      []byte
	record bool // CloudTrail's spelling: lower first letters, dates as texts, no blobs
}

// Append appends r as AWS JSON 1.1.
func Append(dst []byte, r Response) []byte {
	w := Writer{b: append(dst, '{')}
	r.Write(&w)
	w.close('}')
	return w.b
}

// AppendElements appends r as CloudTrail's responseElements: without blobs.
func AppendElements(dst []byte, r Response) []byte {
	w := Writer{b: append(dst, '{'), record: true}
	r.Write(&w)
	w.close('}')
	return w.b
}

// separate writes the comma before a further member or element.
func (w *Writer) separate() {
	switch w.b[len(w.b)-1] {
	case '{', '[', ':':
	default:
		w.b = append(w.b, ',')
	}
}

// name writes a member's name; "" is for elements of lists.
func (w *Writer) name(name string) {
	w.separate()
	if name == "" {
		return
	}
	w.b = append(w.b, '"')
	if first := name[0]; w.record && first >= 'A' && first <= 'Z' {
		w.b = append(w.b, first+'a'-'A')
		name = name[1:]
	}
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *Writer) open(name string, bracket byte) {
	w.name(name)
	w.b = append(w.b, bracket)
}

func (w *Writer) close(bracket byte) { w.b = append(w.b, bracket) }

// String writes a string, if it is not empty.
func (w *Writer) String(name, v string) {
	if v != "" {
		w.Text(name, v)
	}
}

// Text writes a string, empty or not.
func (w *Writer) Text(name, v string) {
	w.name(name)
	w.b = AppendString(w.b, v)
}

// Blob writes bytes in base64, if there are any.
func (w *Writer) Blob(name string, v []byte) {
	if len(v) == 0 || w.record {
		return
	}
	w.name(name)
	w.b = append(w.b, '"')
	w.b = base64.StdEncoding.AppendEncode(w.b, v)
	w.b = append(w.b, '"')
}

// Bool writes a boolean.
func (w *Writer) Bool(name string, v bool) {
	w.name(name)
	w.b = strconv.AppendBool(w.b, v)
}

// Int writes an integer, if there is one.
func (w *Writer) Int(name string, v *int32) {
	if v != nil {
		w.name(name)
		w.b = strconv.AppendInt(w.b, int64(*v), 10)
	}
}

// recordTime is how CloudTrail writes dates inside requestParameters and responseElements.
const recordTime = "Jan 2, 2006, 3:04:05 PM"

// Time writes a date as seconds since the epoch with milliseconds, if it is not zero.
func (w *Writer) Time(name string, v time.Time) {
	if v.IsZero() {
		return
	}
	if w.record {
		w.Text(name, v.UTC().Format(recordTime))
		return
	}
	w.name(name)
	ms := v.UnixMilli()
	if ms < 0 { // before 1970 only in requests, which are not written here
		w.b = strconv.AppendFloat(w.b, float64(ms)/1000, 'f', -1, 64)
		return
	}
	w.b = strconv.AppendInt(w.b, ms/1000, 10)
	if ms %= 1000; ms != 0 {
		w.b = append(w.b, '.', byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10))
	}
}

// Strings writes a list of strings, if it is not nil.
func (w *Writer) Strings(name string, v []string) {
	if v == nil {
		return
	}
	w.open(name, '[')
	for _, s := range v {
		w.Text("", s)
	}
	w.close(']')
}

// Map writes a map of strings in the order of its keys, if it is not nil.
func (w *Writer) Map(name string, v map[string]string) {
	if v == nil {
		return
	}
	keys := make([]string, 0, len(v))
	for k := range v {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	w.open(name, '{')
	for i, k := range keys {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(AppendString(w.b, k), ':')
		w.b = AppendString(w.b, v[k])
	}
	w.close('}')
}

// Tags writes a list of tags, if it is not nil.
func (w *Writer) Tags(name string, v []keystore.Tag) {
	if v == nil {
		return
	}
	w.open(name, '[')
	for _, t := range v {
		w.open("", '{')
		w.Text("TagKey", t.Key)
		w.Text("TagValue", t.Value)
		w.close('}')
	}
	w.close(']')
}

// Object writes a structure.
func (w *Writer) Object(name string, r Response) {
	w.open(name, '{')
	r.Write(w)
	w.close('}')
}

// List writes a list of structures, empty or not.
func List[R Response](w *Writer, name string, v []R) {
	w.open(name, '[')
	for _, r := range v {
		w.Object("", r)
	}
	w.close(']')
}

// AppendString appends s as a JSON string. What is not UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size != 1 {
				i += size
				continue
			}
			dst = append(append(dst, s[start:i]...), "\uFFFD"...)
		} else {
			dst = append(dst, s[start:i]...)
			switch c {
			case '"', '\\':
				dst = append(dst, '\\', c)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
		}
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}
