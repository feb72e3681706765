package access

import (
	"context"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/keystore"
)

// evaluation is one decision under way.
type evaluation struct {
	ctx        context.Context // of the call that the evaluation lives in
	req        *Request
	permission permission
	resource   []byte // the ARN that Resource elements are compared with
	aliasesOf  AliasLister
	err        error // of aliasesOf: there is no decision then
	room       [160]byte
}

// begin sets up a decision.
func (e *evaluation) begin(ctx context.Context, r *Request, aliases AliasLister) {
	e.ctx, e.req, e.permission, e.aliasesOf = ctx, r, permissionOf(r), aliases
	e.setResource()
}

// permission is a kms: permission in the two forms that evaluation needs.
type permission struct {
	name  string // "kms:Encrypt"
	lower string // "kms:encrypt"
}

const permissionPrefix = "kms:"

// permissions holds the permissions of the API, so that a decision builds no strings: every action, and the two halves of
// ReEncrypt. It is made once and never changed.
var permissions = func() map[string]permission {
	all := map[string]permission{}
	add := func(name string) {
		p := permission{permissionPrefix + name, strings.ToLower(permissionPrefix + name)}
		all[name], all[p.name] = p, p
	}
	for _, a := range keystore.Actions() {
		add(string(a))
	}
	add("ReEncryptFrom")
	add("ReEncryptTo")
	return all
}()

// permissionOf is what a request needs: kms:<Action> where it names no permission.
func permissionOf(r *Request) permission {
	name := r.Permission
	if name == "" {
		name = string(r.Action)
	}
	if p, found := permissions[name]; found {
		return p
	}
	if !strings.HasPrefix(name, permissionPrefix) {
		name = permissionPrefix + name
	}
	return permission{name, strings.ToLower(name)}
}

// setResource puts the ARN of the request's resource where patterns are compared with it.
func (e *evaluation) setResource() {
	k := e.req.Key
	if k == nil {
		e.resource = append(e.room[:0], e.req.resource()...)
		return
	}
	b := append(e.room[:0], "arn:aws:kms:"...)
	b = append(b, k.Region...)
	b = append(b, ':')
	b = append(b, k.Account...)
	b = append(b, ":key/"...)
	e.resource = append(b, k.ID...)
}

func (e *evaluation) aliases(k *keystore.Key) []string {
	if e.aliasesOf == nil {
		return nil
	}
	names, err := e.aliasesOf(e.ctx, k.Region, k.ID)
	if err != nil {
		e.err = fmt.Errorf("list aliases of %s: %w", k.ARN(), err)
	}
	return names
}

// Miss says why a statement does not apply to a request.
type Miss uint8

// The reasons, in the order in which they are looked for.
const (
	Applies Miss = iota
	MissInert
	MissPrincipal
	MissAction
	MissResource
	MissCondition
)

// applies tells whether a statement applies but for its principals; for MissCondition also which condition fails.
func (s *Statement) applies(e *evaluation) (Miss, int) {
	switch {
	case s.inert:
		return MissInert, 0
	case !s.takesAction(e):
		return MissAction, 0
	case !s.takesResource(e):
		return MissResource, 0
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(e) {
			return MissCondition, i
		}
	}
	return Applies, 0
}

func (s *Statement) takesAction(e *evaluation) bool {
	if s.allActions {
		return !s.notAction
	}
	for i := range s.actions {
		if match(&s.actions[i], e.permission.lower) {
			return !s.notAction
		}
	}
	return s.notAction
}

func (s *Statement) takesResource(e *evaluation) bool {
	if s.allResources {
		return !s.notResource
	}
	for i := range s.resources {
		if s.resources[i].matchesResource(e) {
			return !s.notResource
		}
	}
	return s.notResource
}

func (p *pattern) matchesResource(e *evaluation) bool {
	if !p.vars {
		return match(p, e.resource)
	}
	parts, ok := p.expand(e)
	return ok && matchParts(parts, e.resource)
}

// keyFindings is what a key policy says about a request: the first statement of each sort that applies.
type keyFindings struct {
	deny    *Statement
	allow   *Statement // names the caller
	account *Statement // hands over to the caller's account
}

func (p *Policy) asKeyPolicy(e *evaluation) keyFindings {
	var f keyFindings
	for _, s := range p.Statements {
		r := s.reaches(e.req.Caller)
		if r == notReached {
			continue
		}
		if miss, _ := s.applies(e); miss != Applies {
			continue
		}
		switch {
		case s.Effect == Deny:
			f.deny = s
			return f
		case r == directly && f.allow == nil:
			f.allow = s
		case r == byAccount && f.account == nil:
			f.account = s
		}
	}
	return f
}

// asIdentityPolicy gives the first statement that denies, or else the first that allows; nil where none applies. A
// statement with a principal has no place in such a policy and applies to nobody.
func (p *Policy) asIdentityPolicy(e *evaluation) *Statement {
	var allow *Statement
	for _, s := range p.Statements {
		if s.hasPrincipal || s.Effect == Allow && allow != nil {
			continue
		}
		if miss, _ := s.applies(e); miss != Applies {
			continue
		}
		if s.Effect == Deny {
			return s
		}
		allow = s
	}
	return allow
}
