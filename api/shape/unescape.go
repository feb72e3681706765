package shape

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// appendUnescaped appends raw with its escapes resolved. A half of a surrogate pair is a fault: it has no UTF-8 form, and
// a replacement would make different strings equal.
func appendUnescaped(dst, raw []byte) ([]byte, error) {
	for len(raw) > 0 {
		at := bytes.IndexByte(raw, '\\')
		if at < 0 {
			return append(dst, raw...), nil
		}
		dst = append(dst, raw[:at]...)
		if at+1 >= len(raw) {
			return dst, errSyntax
		}
		c := raw[at+1]
		raw = raw[at+2:]
		if c != 'u' {
			plain := unescapes[c]
			if plain == 0 {
				return dst, errSyntax
			}
			dst = append(dst, plain)
			continue
		}
		r, rest, err := unescapeRune(raw)
		if err != nil {
			return dst, err
		}
		dst, raw = utf8.AppendRune(dst, r), rest
	}
	return dst, nil
}

var unescapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// unescapeRune reads what follows \u: four hex digits, or two groups of them that are a surrogate pair.
func unescapeRune(raw []byte) (rune, []byte, error) {
	r, ok := hex4(raw)
	if !ok {
		return 0, nil, errSyntax
	}
	raw = raw[4:]
	if !utf16.IsSurrogate(r) {
		return r, raw, nil
	}
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, nil, errSyntax
	}
	low, ok := hex4(raw[2:])
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, nil, errSyntax
	}
	return r, raw[6:], nil
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
