package shape

import (
	"regexp"
	"strconv"
	"strings"
)

// Rule is the constraint of one shape of the service model. Lengths are in characters for strings, bytes for blobs,
// elements for lists; for integers Min and Max bound the value. The zero Rule constrains nothing.
type Rule struct {
	Min, Max  int
	bounded   bool
	pattern   *regexp.Regexp // anchored; nil for none
	Pattern   string         // as the model writes it
	Enum      []string
	Sensitive bool // the value is shown neither in an answer nor in a record
	Unlogged  bool // the value is not written into audit records, though an answer may show it
	BlankOK   bool // the empty string is accepted in spite of the rest
}

// bounds makes a rule with a least and a greatest length or value.
func bounds(least, most int) Rule { return Rule{Min: least, Max: most, bounded: true} }

// oneOf makes a rule that is an enumeration.
func oneOf(values ...string) Rule { return Rule{Enum: values} }

// matching adds a pattern of the model. The whole value has to match, anchored in the model or not.
func (r Rule) matching(pattern string) Rule {
	r.Pattern = pattern
	// RE2 writes a character by its number in braces, where the model's patterns have \u and four digits.
	r.pattern = regexp.MustCompile(`^(?:` + unicodeEscape.ReplaceAllString(pattern, `\x{$1}`) + `)$`)
	return r
}

var unicodeEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

func (r Rule) sensitive() Rule { r.Sensitive = true; return r }
func (r Rule) unlogged() Rule  { r.Unlogged = true; return r }
func (r Rule) blankOK() Rule   { r.BlankOK = true; return r }

func tooLong(n int) string { return "Member must have length less than or equal to " + strconv.Itoa(n) }
func tooShort(n int) string {
	return "Member must have length greater than or equal to " + strconv.Itoa(n)
}
func tooBig(n int) string { return "Member must have value less than or equal to " + strconv.Itoa(n) }
func tooSmall(n int) string {
	return "Member must have value greater than or equal to " + strconv.Itoa(n)
}

func (r *Rule) enumText() string {
	return "Member must satisfy enum value set: [" + strings.Join(r.Enum, ", ") + "]"
}

func (r *Rule) patternText() string {
	return "Member must satisfy regular expression pattern: " + r.Pattern
}

// texts lists every constraint of a string rule, as AWS shows them for the elements of a list.
func (r *Rule) texts() string {
	var all []string
	if r.bounded {
		all = append(all, tooLong(r.Max), tooShort(r.Min))
	}
	if r.Pattern != "" {
		all = append(all, r.patternText())
	}
	if r.Enum != nil {
		all = append(all, r.enumText())
	}
	return "Member must satisfy constraint: [" + strings.Join(all, ", ") + "]"
}
