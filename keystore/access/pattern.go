package access

import (
	"strings"
	"unicode/utf8"
)

// pattern is a compiled string of a policy: literal text, "*" for any run of characters, "?" for one character, and
// policy variables, whose values are literal text.
type pattern struct {
	text  string // as written
	shape shape
	lit   string // shapes exact and prefix
	parts []part // shape general
	vars  bool   // has variables: expanded per request
}

type shape uint8

const (
	shapeExact  shape = iota
	shapeAny          // "*"
	shapePrefix       // "abc*"
	shapeGeneral
)

// part is one piece of a pattern.
type part struct {
	kind     partKind
	text     string // literal, or the name of the variable
	fallback string // of a variable: ${name, 'fallback'}
	falls    bool
	key      condKey // of a variable
}

type partKind uint8

const (
	partText partKind = iota
	partMany          // *
	partOne           // ?
	partVar
)

// options says what a string of a policy may contain.
type options struct {
	wild bool // "*" and "?" are wildcards
	vars bool // "${…}" are variables (Version 2012-10-17)
	fold bool // compared without regard to case: text is kept in lower case
}

// compile takes a string of a policy apart.
func compile(text string, o options) pattern {
	p := pattern{text: text}
	lit := text
	if o.fold {
		lit = strings.ToLower(text)
	}
	p.parts = split(lit, o)
	for _, q := range p.parts {
		p.vars = p.vars || q.kind == partVar
	}
	switch {
	case p.vars:
		p.shape = shapeGeneral
	case len(p.parts) == 0:
		p.shape = shapeExact
	case len(p.parts) == 1 && p.parts[0].kind == partText:
		p.shape, p.lit = shapeExact, p.parts[0].text
	case len(p.parts) == 1 && p.parts[0].kind == partMany:
		p.shape = shapeAny
	case len(p.parts) == 2 && p.parts[0].kind == partText && p.parts[1].kind == partMany:
		p.shape, p.lit = shapePrefix, p.parts[0].text
	default:
		p.shape = shapeGeneral
	}
	return p
}

func split(s string, o options) []part {
	var parts []part
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			parts = append(parts, part{kind: partText, text: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case o.wild && c == '*':
			flush()
			if len(parts) == 0 || parts[len(parts)-1].kind != partMany {
				parts = append(parts, part{kind: partMany})
			}
		case o.wild && c == '?':
			flush()
			parts = append(parts, part{kind: partOne})
		case o.vars && strings.HasPrefix(s[i:], "${"):
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				lit.WriteByte(c)
				continue
			}
			v := variable(s[i+2 : i+end])
			i += end
			if v.kind == partText {
				lit.WriteString(v.text)
				continue
			}
			flush()
			parts = append(parts, v)
		default:
			lit.WriteByte(c)
		}
	}
	flush()
	return parts
}

// variable reads the inside of "${…}": a condition key, perhaps with a default, or one of the characters * ? $ as itself.
func variable(inside string) part {
	if inside == "*" || inside == "?" || inside == "$" {
		return part{kind: partText, text: inside}
	}
	name, rest, falls := strings.Cut(inside, ",")
	p := part{kind: partVar, text: strings.TrimSpace(name)}
	p.key = lookupCondKey(p.text)
	if falls {
		rest = strings.TrimSpace(rest)
		if n := len(rest); n >= 2 && rest[0] == '\'' && rest[n-1] == '\'' {
			p.fallback, p.falls = rest[1:n-1], true
		}
	}
	return p
}

// match compares a value that needs no variables.
func match[T string | []byte](p *pattern, s T) bool {
	switch p.shape {
	case shapeAny:
		return true
	case shapeExact:
		return string(s) == p.lit
	case shapePrefix:
		return len(s) >= len(p.lit) && string(s[:len(p.lit)]) == p.lit
	default:
		return matchParts(p.parts, s)
	}
}

// matchParts walks the parts with one point to come back to: the last "*". It goes by characters, never into one.
func matchParts[T string | []byte](parts []part, s T) bool {
	at, i := 0, 0
	starPart, starAt := -1, 0
	for {
		if i < len(parts) && parts[i].kind == partMany {
			if i == len(parts)-1 {
				return true
			}
			starPart, starAt = i, at
			i++
			continue
		}
		if i == len(parts) && at == len(s) {
			return true
		}
		if i < len(parts) {
			if n := step(&parts[i], s, at); n > 0 {
				at += n
				i++
				continue
			}
		}
		if starPart < 0 || starAt >= len(s) {
			return false
		}
		starAt += step(&oneCharacter, s, starAt)
		at, i = starAt, starPart+1
	}
}

var oneCharacter = part{kind: partOne}

// step gives the number of bytes of s, from at on, that a part takes; 0 where it does not fit.
func step[T string | []byte](p *part, s T, at int) int {
	if p.kind == partOne {
		if at == len(s) {
			return 0
		}
		if s[at] < utf8.RuneSelf {
			return 1
		}
		_, n := utf8.DecodeRuneInString(string(s[at:min(len(s), at+utf8.UTFMax)]))
		return n
	}
	end := at + len(p.text)
	if end <= len(s) && string(s[at:end]) == p.text {
		return len(p.text)
	}
	return 0
}

// expand puts values in the place of variables; false where one has no value and no default. A value is literal text:
// wildcards in it are none.
func (p *pattern) expand(e *evaluation) ([]part, bool) {
	out := make([]part, 0, len(p.parts))
	for _, q := range p.parts {
		if q.kind != partVar {
			out = append(out, q)
			continue
		}
		var room [1]string
		values := e.values(&q.key, room[:0])
		switch {
		case len(values) == 1:
			q.text = values[0]
		case q.falls:
			q.text = q.fallback
		default:
			return nil, false
		}
		if q.text != "" {
			out = append(out, part{kind: partText, text: q.text})
		}
	}
	return out, true
}

// matches compares a value, with variables where the pattern has them. foldCase compares without regard to case; the
// pattern must have been compiled so.
func (p *pattern) matches(e *evaluation, s string, foldCase bool) bool {
	if foldCase {
		s = strings.ToLower(s)
	}
	if !p.vars {
		return match(p, s)
	}
	parts, ok := p.expand(e)
	if !ok {
		return false
	}
	if foldCase {
		for i := range parts {
			parts[i].text = strings.ToLower(parts[i].text)
		}
	}
	return matchParts(parts, s)
}
