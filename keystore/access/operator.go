package access

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// operator is a condition operator without its prefix and suffix.
type operator struct {
	compile func(value string, vars bool) (operand, error)
	negated bool
}

// operand is a value of a policy's condition, ready to be compared.
type operand interface {
	// equals compares one value of the request. A value that cannot be read as the operator's type equals nothing.
	equals(e *evaluation, value string) bool
}

// operators is the table of condition operators (IAM user guide, "IAM JSON policy elements: Condition operators"). Null
// stands apart: see condition.holds.
var operators = map[string]operator{
	"StringEquals":              {compileText(options{}), false},
	"StringNotEquals":           {compileText(options{}), true},
	"StringEqualsIgnoreCase":    {compileText(options{fold: true}), false},
	"StringNotEqualsIgnoreCase": {compileText(options{fold: true}), true},
	"StringLike":                {compileText(options{wild: true}), false},
	"StringNotLike":             {compileText(options{wild: true}), true},

	"NumericEquals":            {compileNumber(func(v, p float64) bool { return v == p }), false},
	"NumericNotEquals":         {compileNumber(func(v, p float64) bool { return v == p }), true},
	"NumericLessThan":          {compileNumber(func(v, p float64) bool { return v < p }), false},
	"NumericLessThanEquals":    {compileNumber(func(v, p float64) bool { return v <= p }), false},
	"NumericGreaterThan":       {compileNumber(func(v, p float64) bool { return v > p }), false},
	"NumericGreaterThanEquals": {compileNumber(func(v, p float64) bool { return v >= p }), false},

	"DateEquals":            {compileDate(func(c int) bool { return c == 0 }), false},
	"DateNotEquals":         {compileDate(func(c int) bool { return c == 0 }), true},
	"DateLessThan":          {compileDate(func(c int) bool { return c < 0 }), false},
	"DateLessThanEquals":    {compileDate(func(c int) bool { return c <= 0 }), false},
	"DateGreaterThan":       {compileDate(func(c int) bool { return c > 0 }), false},
	"DateGreaterThanEquals": {compileDate(func(c int) bool { return c >= 0 }), false},

	"Bool":         {compileBool, false},
	"BinaryEquals": {compileBinary, false},
	"IpAddress":    {compileNet, false},
	"NotIpAddress": {compileNet, true},
	"ArnEquals":    {compileARN, false},
	"ArnLike":      {compileARN, false},
	"ArnNotEquals": {compileARN, true},
	"ArnNotLike":   {compileARN, true},
}

type textOperand struct {
	p    pattern
	fold bool
}

func compileText(o options) func(string, bool) (operand, error) {
	return func(value string, vars bool) (operand, error) {
		o := o
		o.vars = vars
		return &textOperand{p: compile(value, o), fold: o.fold}, nil
	}
}

func (t *textOperand) equals(e *evaluation, value string) bool { return t.p.matches(e, value, t.fold) }

type numberOperand struct {
	number  float64
	compare func(value, policy float64) bool
}

func compileNumber(compare func(v, p float64) bool) func(string, bool) (operand, error) {
	return func(value string, _ bool) (operand, error) {
		n, ok := parseNumber(value)
		if !ok {
			return nil, fmt.Errorf("%q is not a number", value)
		}
		return &numberOperand{n, compare}, nil
	}
}

func (o *numberOperand) equals(_ *evaluation, value string) bool {
	n, ok := parseNumber(value)
	return ok && o.compare(n, o.number)
}

// parseNumber reads an integer or a decimal number, as JSON has it. What Go reads besides ("NaN", "Inf", hexadecimal, "_") is
// none.
func parseNumber(s string) (float64, bool) {
	if strings.Trim(s, "+-.0123456789eE") != "" {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

type dateOperand struct {
	date    time.Time
	compare func(order int) bool
}

func compileDate(compare func(int) bool) func(string, bool) (operand, error) {
	return func(value string, _ bool) (operand, error) {
		d, ok := parseDate(value)
		if !ok {
			return nil, fmt.Errorf("%q is not a date in an ISO 8601 form or in epoch seconds", value)
		}
		return &dateOperand{d, compare}, nil
	}
}

func (o *dateOperand) equals(_ *evaluation, value string) bool {
	d, ok := parseDate(value)
	return ok && o.compare(d.Compare(o.date))
}

// dateForms are the forms of W3C's profile of ISO 8601. Without a zone a date is in UTC.
var dateForms = []string{
	time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02", "2006-01",
}

func parseDate(s string) (time.Time, bool) {
	for _, form := range dateForms {
		if d, err := time.Parse(form, s); err == nil {
			return d, true
		}
	}
	if len(s) == 4 { // a year rather than a second of 1970
		d, err := time.Parse("2006", s)
		return d, err == nil
	}
	return parseEpoch(s)
}

// parseEpoch reads seconds since 1970, perhaps with a fraction as the API writes times ("1546257599.5").
func parseEpoch(s string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || len(fraction) > 9 {
		return time.Time{}, false
	}
	nanos := uint64(0)
	if fraction != "" {
		nanos, err = strconv.ParseUint(fraction+"000000000"[len(fraction):], 10, 64)
	}
	return time.Unix(seconds, int64(nanos)), err == nil
}

type boolOperand bool

func compileBool(value string, _ bool) (operand, error) {
	switch strings.ToLower(value) {
	case "true":
		return boolOperand(true), nil
	case "false":
		return boolOperand(false), nil
	default:
		return nil, fmt.Errorf("%q is neither true nor false", value)
	}
}

func (o boolOperand) equals(_ *evaluation, value string) bool {
	return strings.EqualFold(value, strconv.FormatBool(bool(o)))
}

type binaryOperand string

func compileBinary(value string, _ bool) (operand, error) {
	b, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil, fmt.Errorf("%q is not base64", value)
	}
	return binaryOperand(b), nil
}

func (o binaryOperand) equals(_ *evaluation, value string) bool {
	b, err := base64.StdEncoding.DecodeString(value)
	return err == nil && string(b) == string(o)
}

type netOperand netip.Prefix

func compileNet(value string, _ bool) (operand, error) {
	if addr, err := netip.ParseAddr(value); err == nil {
		addr = addr.Unmap().WithZone("")
		return netOperand(netip.PrefixFrom(addr, addr.BitLen())), nil
	}
	p, err := netip.ParsePrefix(value)
	if err != nil {
		return nil, fmt.Errorf("%q is not an IP address or a range in CIDR form", value)
	}
	return netOperand(p.Masked()), nil
}

func (o netOperand) equals(_ *evaluation, value string) bool {
	addr, err := netip.ParseAddr(value)
	return err == nil && netip.Prefix(o).Contains(addr.Unmap().WithZone(""))
}

// arnParts is the number of parts of an ARN that colons part: the last may hold more colons.
const arnParts = 6

// arnOperand compares part by part, so that neither a wildcard nor a variable's value reaches further than its part.
type arnOperand struct {
	parts []pattern // arnParts of them; one that takes everything for "*"
}

func compileARN(value string, vars bool) (operand, error) {
	texts := arnTexts(value, vars)
	if len(texts) < arnParts {
		whole := compile(value, options{wild: true, vars: vars})
		if !whole.vars && strings.Trim(value, "*") != "" {
			return nil, fmt.Errorf("%q is not an ARN", value)
		}
		return &arnOperand{parts: []pattern{whole}}, nil // "*", or a variable that holds a whole ARN
	}
	o := &arnOperand{parts: make([]pattern, arnParts)}
	for i, text := range texts {
		o.parts[i] = compile(text, options{wild: true, vars: vars})
	}
	return o, nil
}

// arnTexts parts an ARN of a policy at its colons, at most into arnParts. Those inside of variables ("${aws:username}") part
// nothing.
func arnTexts(value string, vars bool) []string {
	var out []string
	from := 0
	for i := 0; i < len(value) && len(out) < arnParts-1; i++ {
		switch {
		case vars && strings.HasPrefix(value[i:], "${"):
			if end := strings.IndexByte(value[i:], '}'); end > 0 {
				i += end
			}
		case value[i] == ':':
			out = append(out, value[from:i])
			from = i + 1
		}
	}
	return append(out, value[from:])
}

func (o *arnOperand) equals(e *evaluation, value string) bool {
	for i := range o.parts {
		piece := value
		if i < len(o.parts)-1 {
			var more bool
			if piece, value, more = strings.Cut(value, ":"); !more {
				return false
			}
		}
		if !o.parts[i].matches(e, piece, false) {
			return false
		}
	}
	return true
}
