package shape

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/strongroom/strongroom/keystore"
)

// Check compares the decoded request with the constraints of the model. It answers nil, or a fault of
// keystore.KindValidation that names every violation in AWS's form (api-errors.md, section 5), in the order of the model.
func (m *Members) Check() error {
	c := checker{}
	c.members(m)
	if len(c.found) == 0 {
		return nil
	}
	head := strconv.Itoa(len(c.found)) + " validation errors detected: "
	if len(c.found) == 1 {
		head = "1 validation error detected: "
	}
	return &keystore.Fault{Kind: keystore.KindValidation, Text: head + strings.Join(c.found, "; ")}
}

// checker collects violations.
type checker struct {
	path  string // of the structure that is looked at, with its dot; "" at the top
	found []string
}

// violation notes one; value is left out where hidden.
func (c *checker) violation(path, value string, hidden bool, constraint string) {
	head := "Value '" + value + "' at '"
	if hidden {
		head = "Value at '"
	}
	c.found = append(c.found, head+path+"' failed to satisfy constraint: "+constraint)
}

func (c *checker) members(m *Members) {
	for i := range m.list {
		f := &m.list[i]
		switch {
		case f.set && (f.rule != nil || f.inner != nil || f.nest != nil):
			c.member(f)
		case !f.set && f.need == required:
			c.found = append(c.found, "Value null at '"+c.path+lowerFirst(f.name)+
				"' failed to satisfy constraint: Member must not be null")
		}
	}
}

// noRule is for members without a constraint of their own.
var noRule Rule

func (c *checker) member(f *member) {
	rule := f.rule
	if rule == nil {
		rule = &noRule
	}
	switch at := f.at.(type) {
	case *string:
		c.text(f, rule, *at)
	case *[]byte:
		if n := len(*at); rule.bounded && (n < rule.Min || n > rule.Max) {
			c.length(c.path+lowerFirst(f.name), "", true, n, rule)
		}
	case **int32:
		c.integer(f, rule, int(**at))
	case *[]string:
		c.list(f, rule, *at)
	case *[]keystore.Tag:
		c.nested(f, func(i int) string { return "." + strconv.Itoa(i+1) + ".member." })
	case Structure:
		c.nested(f, func(int) string { return "." })
	}
}

func (c *checker) length(path, value string, hidden bool, n int, rule *Rule) {
	switch {
	case !rule.bounded:
	case n > rule.Max:
		c.violation(path, value, hidden, tooLong(rule.Max))
	case n < rule.Min:
		c.violation(path, value, hidden, tooShort(rule.Min))
	}
}

func (c *checker) text(f *member, rule *Rule, v string) {
	if v == "" && rule.BlankOK || rule.admits(v) {
		return
	}
	path := c.path + lowerFirst(f.name)
	c.length(path, v, rule.Sensitive, utf8.RuneCountInString(v), rule)
	if rule.pattern != nil && !rule.pattern.MatchString(v) {
		c.violation(path, v, rule.Sensitive, rule.patternText())
	}
	if rule.Enum != nil && !slices.Contains(rule.Enum, v) {
		c.violation(path, v, rule.Sensitive, rule.enumText())
	}
}

// admits tells whether a string satisfies the rule.
func (r *Rule) admits(v string) bool {
	// A string has at most as many characters as bytes, and at least a quarter of them.
	if r.bounded && (len(v) > r.Max || len(v) < 4*r.Min) {
		if n := utf8.RuneCountInString(v); n < r.Min || n > r.Max {
			return false
		}
	}
	return (r.pattern == nil || r.pattern.MatchString(v)) && (r.Enum == nil || slices.Contains(r.Enum, v))
}

func (c *checker) integer(f *member, rule *Rule, v int) {
	path := c.path + lowerFirst(f.name)
	switch {
	case !rule.bounded:
	case v > rule.Max:
		c.violation(path, strconv.Itoa(v), rule.Sensitive, tooBig(rule.Max))
	case v < rule.Min:
		c.violation(path, strconv.Itoa(v), rule.Sensitive, tooSmall(rule.Min))
	}
}

func (c *checker) list(f *member, rule *Rule, values []string) {
	path, shown := c.path+lowerFirst(f.name), func() string { return "[" + strings.Join(values, ", ") + "]" }
	if rule.bounded && (len(values) > rule.Max || len(values) < rule.Min) {
		c.length(path, shown(), rule.Sensitive, len(values), rule)
	}
	if f.inner != nil && slices.ContainsFunc(values, func(v string) bool { return !f.inner.admits(v) }) {
		c.violation(path, shown(), rule.Sensitive || f.inner.Sensitive, f.inner.texts())
	}
}

// nested checks structures inside the request; suffix makes the path of the i-th.
func (c *checker) nested(f *member, suffix func(i int) string) {
	outer := c.path
	for i := range f.nest {
		c.path = outer + lowerFirst(f.name) + suffix(i)
		c.members(&f.nest[i])
	}
	c.path = outer
}

// lowerFirst spells a member as constraint texts and CloudTrail do.
func lowerFirst(name string) string {
	if name == "" || name[0] < 'A' || name[0] > 'Z' {
		return name
	}
	return string(name[0]+'a'-'A') + name[1:]
}

// AppendParameters appends the request as CloudTrail's requestParameters: a JSON object with the members that were
// there, never with blobs, sensitive values or grant tokens; "null" where nothing is left.
func (m *Members) AppendParameters(dst []byte) []byte {
	w := Writer{b: append(dst, '{'), record: true}
	wrote := m.parameters(&w)
	w.close('}')
	if !wrote {
		return append(w.b[:len(dst)], "null"...)
	}
	return w.b
}

func (m *Members) parameters(w *Writer) (wrote bool) {
	for i := range m.list {
		f := &m.list[i]
		if !f.set || f.rule != nil && (f.rule.Sensitive || f.rule.Unlogged) {
			continue
		}
		before := len(w.b)
		f.parameter(w)
		wrote = wrote || len(w.b) > before
	}
	return wrote
}

func (f *member) parameter(w *Writer) {
	switch at := f.at.(type) {
	case *string:
		w.Text(f.name, *at)
	case *bool:
		w.Bool(f.name, *at)
	case **int32:
		w.Int(f.name, *at)
	case *time.Time:
		w.Time(f.name, *at)
	case *map[string]string:
		w.Map(f.name, *at)
	case *[]string:
		w.Strings(f.name, *at)
	case *[]keystore.Tag:
		w.Tags(f.name, *at)
	case Structure:
		mark := len(w.b)
		w.open(f.name, '{')
		if !f.nest[0].parameters(w) {
			w.b = w.b[:mark] // nothing in it may be recorded
			return
		}
		w.close('}')
	}
}
