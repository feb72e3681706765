package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/keystore"
)

// Explanation is a decision with all that was looked at, for people who ask why.
type Explanation struct {
	Decision   Decision
	Permission string // "kms:Encrypt"
	Resource   string
	Steps      []Step
	// State is what the key state table answers to an allowed request; nil where it has no objection, or was not asked.
	State error

	about
	parts parts
}

// Step is one statement or grant that was looked at.
type Step struct {
	Where  string `json:"where"`  // "key policy", "policy 1 of the principal", "grants"
	What   string `json:"what"`   // "statement 2 \"Users\"", "grant …"
	Effect Effect `json:"effect"` // of a statement; Allow for grants
	Taken  bool   `json:"taken"`  // whether it applies to the request
	Why    string `json:"why"`    // why it does not apply, or in which way it does
	// Conditional: it would apply, but for a condition or constraint that this request does not meet.
	Conditional bool `json:"conditional"`
}

// maxGrantSteps bounds the grants that an explanation shows; those that apply come first.
const maxGrantSteps = 100

// Explain decides like Admit and tells of every statement, and every grant to the caller, whether it applies, and why not. It is for commands, not
// for the path of requests.
func (g *Gate) Explain(ctx context.Context, r *Request) (*Explanation, error) {
	d, err := g.Authorize(ctx, r)
	if err != nil {
		return nil, err
	}
	x := &Explanation{Decision: d, Permission: permissionOf(r).name, Resource: r.resource(), about: about{r.Caller, r.Key}}
	var e evaluation
	e.begin(ctx, r, g.cfg.Aliases)
	if r.Key != nil {
		x.policy(&e, g.cache, "key policy", r.Key.Policy, true)
	}
	if r.Caller.Root {
		x.Steps = append(x.Steps, Step{Where: "principal", What: "account root", Effect: Allow, Taken: d.Allowed,
			Why: "the root has no policies of its own: it may do what key policies allow the account, and all that needs no key"})
	} else {
		for i, text := range r.Caller.Policies {
			x.policy(&e, g.cache, fmt.Sprintf("policy %d of the principal", i+1), text, false)
		}
	}
	if r.Key != nil {
		if err := x.grants(ctx, g.cfg.Directory, &e); err != nil {
			return nil, err
		}
		if d.Allowed && !r.NoStateCheck {
			x.State = keystore.Admit(r.Action, r.Key, r.Conn)
		}
	}
	return x, e.err
}

// grants adds the steps of the grants to the caller; those to others can't matter, and may be fifty thousand.
func (x *Explanation) grants(ctx context.Context, d keystore.Directory, e *evaluation) error {
	k := e.req.Key
	for _, grantee := range grantees(e.req.Caller) {
		if grantee == "" {
			continue
		}
		list, err := d.LookupGrants(ctx, k.Region, k.ID, grantee)
		if err != nil {
			return fmt.Errorf("look up grants of %s: %w", k.ARN(), err)
		}
		var others []Step
		for _, grant := range list {
			step := e.grantStep(grant)
			x.parts.grant = x.parts.grant || step.Taken || step.Conditional
			if !step.Taken {
				others = append(others, step)
			} else if len(x.Steps) < maxGrantSteps {
				x.Steps = append(x.Steps, step)
			}
		}
		x.Steps = append(x.Steps, others[:min(len(others), maxGrantSteps)]...)
	}
	return nil
}

// policy adds the steps of one policy.
func (x *Explanation) policy(e *evaluation, c *cache, where, text string, ofKey bool) {
	p, err := c.get(text)
	if err != nil {
		x.Steps = append(x.Steps, Step{Where: where, What: "the whole policy", Effect: Deny, Taken: true, Why: "cannot be read: " + err.Error()})
		return
	}
	for _, s := range p.Statements {
		step := Step{Where: where, What: s.String(), Effect: s.Effect}
		how := directly
		if ofKey {
			how = s.reaches(e.req.Caller)
		}
		s.explain(e, ofKey, how, &step)
		x.parts.statement(s, &step, how, ofKey)
		x.Steps = append(x.Steps, step)
	}
}

// explain says whether a statement applies, and why not.
func (s *Statement) explain(e *evaluation, ofKey bool, how reach, step *Step) {
	switch {
	case !ofKey && s.hasPrincipal:
		step.Why = "a principal's own policy has no Principal"
		return
	case how == notReached:
		step.Why = "does not name the caller"
		return
	}
	switch miss, at := s.applies(e); miss {
	case Applies:
		step.Taken, step.Why = true, "applies"
		if how == byAccount {
			step.Why = "applies to the caller's account"
			if s.Effect == Allow {
				step.Why += ", whose own policies decide further"
			}
		}
	case MissInert:
		step.Why = "has no Action or no Resource"
	case MissAction:
		step.Why = "is not about " + e.permission.name
	case MissResource:
		step.Why = "is not about " + string(e.resource)
	default:
		step.Conditional, step.Why = true, s.conditions[at].explain(e)
	}
}

// explain tells why a condition is not fulfilled.
func (c *condition) explain(e *evaluation) string {
	var room [4]string
	values := e.values(&c.key, room[:0])
	if len(values) == 0 {
		return fmt.Sprintf("condition %s: %s is not in the request", c.name, c.key.name)
	}
	return fmt.Sprintf("condition %s: %s is %s", c.name, c.key.name, strings.Join(values, ", "))
}

func (e *evaluation) grantStep(g *keystore.Grant) Step {
	step := Step{Where: "grants", What: "grant " + g.ID, Effect: Allow, Taken: e.grantAllows(g), Why: "applies"}
	operation := e.permission.name[len(permissionPrefix):]
	switch {
	case step.Taken:
	case g.SourceARN != "":
		step.Why = "its SourceArn constraint is for AWS services, which call no appliance"
	case !slices.Contains(g.Operations, operation):
		step.Why = "is not for " + e.permission.name
	default:
		step.Conditional, step.Why = true, "its constraints want another encryption context"
	}
	return step
}
