package access

import "github.com/strongroom/strongroom/keystore"

// Verdict is what requests like the explained one can come to, when they differ in what conditions ask about.
type Verdict string

// The verdicts.
const (
	Allowed       Verdict = "allowed"
	AllowedUnless Verdict = "allowed unless" // this one is; a denial whose conditions it does not meet may hit others
	AllowedIf     Verdict = "allowed if"     // this one is not; others, for which conditions hold, may be
	NotAllowed    Verdict = "denied"
)

// parts are the parts of a decision that can say yes to a request like the explained one.
type parts struct {
	named   bool // a key policy's statement that names the caller
	account bool // one that hands over to the caller's account
	own     bool // the caller's own policies
	grant   bool
	denial  bool // a denial that has no conditions says no
	unless  bool // a denial says no on conditions that do not hold now
}

// statement takes in a statement that reaches the caller and applies, or would on conditions.
func (p *parts) statement(s *Statement, step *Step, how reach, ofKey bool) {
	switch {
	case !step.Taken && !step.Conditional:
	case s.Effect == Deny:
		p.denial = p.denial || step.Taken && len(s.conditions) == 0
		p.unless = p.unless || step.Conditional
	case !ofKey:
		p.own = true
	case how == directly:
		p.named = true
	case how == byAccount:
		p.account = true
	}
}

// Verdict gives what requests like the explained one can come to.
func (x *Explanation) Verdict() Verdict {
	p := x.parts
	root := x.caller.Root
	might := p.named || p.grant || p.account && (p.own || root)
	if x.key == nil {
		might = p.own || root
	}
	switch {
	case x.Decision.Allowed && p.unless:
		return AllowedUnless
	case x.Decision.Allowed:
		return Allowed
	case x.Decision.Reason != UnreadablePolicy && !p.denial && might:
		return AllowedIf
	default:
		return NotAllowed
	}
}

// about is what an explanation is about.
type about struct {
	caller *keystore.Caller
	key    *keystore.Key
}
