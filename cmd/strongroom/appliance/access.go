package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/principals"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

func (a *Appliance) accessRoutes(s *admin.Server) {
	admin.Handle(s, "POST "+admin.PathExplain, func(ctx context.Context, _ admin.Request, in admin.AccessQuestion) (*admin.AccessAnswer, error) {
		return a.explain(ctx, &in)
	})
	admin.Handle(s, "POST "+admin.PathWho, func(ctx context.Context, _ admin.Request, in admin.WhoQuestion) (*admin.WhoAnswer, error) {
		return a.who(ctx, &in)
	})
}

// permission is a kms: permission with the action that asks for it.
type permission struct {
	action keystore.Action
	name   string // "" is that of the action
}

// halves are the permissions that ReEncrypt asks for in place of its own.
var halves = []string{"ReEncryptFrom", "ReEncryptTo"}

// permissionNamed reads "Encrypt", "kms:Encrypt" or "ReEncryptFrom", in any letter case, as policies take it.
func permissionNamed(text string) (permission, error) {
	name := text
	if i := len("kms:"); len(name) > i && strings.EqualFold(name[:i], "kms:") {
		name = name[i:]
	}
	for _, half := range halves {
		if strings.EqualFold(half, name) {
			return permission{keystore.ActionReEncrypt, "kms:" + half}, nil
		}
	}
	for _, a := range keystore.Actions() {
		switch {
		case !strings.EqualFold(string(a), name):
		case a == keystore.ActionReEncrypt:
			return permission{}, admin.BadRequest(errors.New("ReEncrypt asks for two permissions: say ReEncryptFrom or ReEncryptTo"))
		default:
			return permission{action: a}, nil
		}
	}
	return permission{}, admin.BadRequest(fmt.Errorf("there is no action %q", text))
}

func (p permission) String() string {
	if p.name != "" {
		return p.name
	}
	return "kms:" + string(p.action)
}

// permissionsOf lists what there is to ask about a key: what its usage can't do is left out.
func permissionsOf(k *keystore.Key) []permission {
	var all []permission
	for _, action := range keystore.KeyActions() {
		if u := keystore.RequiredUsage(action); u != "" && u != k.Usage {
			continue
		}
		if action == keystore.ActionReEncrypt {
			for _, half := range halves {
				all = append(all, permission{action, "kms:" + half})
			}
			continue
		}
		all = append(all, permission{action: action})
	}
	return all
}

// caller makes the caller that a principal's request would have.
func (a *Appliance) caller(v *principals.View, region, sourceIP string) *keystore.Caller {
	c := &keystore.Caller{Account: a.cfg.Account, Region: region, Principal: v.ARN, PrincipalID: v.ID, Root: v.Kind == keystore.PrincipalRoot,
		SourceIP: sourceIP, Secure: a.cfg.KMS.TLS != nil, Time: a.clock.Now()}
	for _, p := range v.Policies {
		c.Policies = append(c.Policies, p.Document)
	}
	return c
}

// subject finds the key of a question, and its alias where the question names one.
func (a *Appliance) subject(ctx context.Context, region, given string) (k *keystore.Key, alias string, err error) {
	if region == "" {
		region = a.cfg.Regions[0]
		if parts := strings.SplitN(given, ":", 5); len(parts) == 5 && parts[3] != "" {
			region = parts[3]
		}
	}
	if !slices.Contains(a.cfg.Regions, region) {
		return nil, "", admin.BadRequest(fmt.Errorf("the appliance has no Region %q; it has %s", region, strings.Join(a.cfg.Regions, ", ")))
	}
	c := &keystore.Caller{Account: a.cfg.Account, Region: region}
	ref, err := keystore.ParseRef(given, region, a.cfg.Account, keystore.RefKeyOrAlias)
	if err == nil {
		k, err = keystore.ResolveKey(ctx, a.db, c, given, keystore.RefKeyOrAlias)
	}
	if f := (*keystore.Fault)(nil); errors.As(err, &f) {
		return nil, "", admin.NotFound(errors.New(f.Text))
	}
	return k, ref.Alias, err
}

// explain answers why a request is allowed or denied.
func (a *Appliance) explain(ctx context.Context, q *admin.AccessQuestion) (*admin.AccessAnswer, error) {
	p, err := permissionNamed(q.Action)
	if err != nil {
		return nil, err
	}
	v, err := a.principals.Show(ctx, q.Principal)
	if err != nil {
		return nil, principalError(err)
	}
	r := &access.Request{Action: p.action, Permission: p.name, EncryptionContext: q.EncryptionContext, GrantTokens: q.GrantTokens,
		Conditions: map[string][]string{}, Now: a.clock.Now()}
	region, alias := q.Region, ""
	switch withKey := slices.Contains(keystore.KeyActions(), p.action); {
	case withKey && q.Key == "":
		return nil, admin.BadRequest(fmt.Errorf("%s is about a key: name one", p))
	case !withKey && q.Key != "":
		return nil, admin.BadRequest(fmt.Errorf("%s is about no key: name none", p))
	case withKey:
		if r.Key, alias, err = a.subject(ctx, q.Region, q.Key); err != nil {
			return nil, err
		}
		region = r.Key.Region
		_, r.Conn = a.manager.Resolve(region, r.Key.StoreID)
	case region == "":
		region = a.cfg.Regions[0]
	}
	r.Caller = a.caller(v, region, q.SourceIP)
	if alias != "" {
		r.Conditions["kms:RequestAlias"] = []string{alias}
	}
	for name, values := range q.Conditions {
		r.Conditions[name] = values
	}
	x, err := a.gate.Explain(ctx, r)
	if f := (*keystore.Fault)(nil); errors.As(err, &f) {
		return nil, admin.BadRequest(errors.New("a grant token is none"))
	}
	if err != nil {
		return nil, err
	}
	return answerOf(v, r, x), nil
}

func answerOf(v *principals.View, r *access.Request, x *access.Explanation) *admin.AccessAnswer {
	out := &admin.AccessAnswer{Principal: v.ARN, Disabled: v.Disabled, Permission: x.Permission, Resource: x.Resource,
		Allowed: x.Decision.Allowed, Verdict: x.Verdict(), Reason: x.Decision.String(), Steps: x.Steps}
	if out.Steps == nil {
		out.Steps = []access.Step{}
	}
	var f *keystore.Fault
	if x.Decision.Allowed {
		errors.As(x.State, &f)
	} else {
		f = x.Decision.Fault(r)
	}
	if f != nil {
		out.Exception, out.Message = string(f.Kind)+"Exception", f.Text
	}
	return out
}

// who answers who may do what on a key: every principal and every permission. Requests that differ in encryption context,
// address and the like may come to something else, which the verdict says.
func (a *Appliance) who(ctx context.Context, q *admin.WhoQuestion) (*admin.WhoAnswer, error) {
	k, _, err := a.subject(ctx, q.Region, q.Key)
	if err != nil {
		return nil, err
	}
	asked := permissionsOf(k)
	if len(q.Actions) > 0 {
		asked = nil
		for _, text := range q.Actions {
			p, err := permissionNamed(text)
			if err != nil {
				return nil, err
			}
			asked = append(asked, p)
		}
	}
	all, err := a.principals.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &admin.WhoAnswer{Key: k.ARN(), Principals: make([]admin.WhoEntry, len(all))}
	for i, v := range all {
		c := a.caller(v, k.Region, "")
		e := admin.WhoEntry{Principal: v.ARN, Disabled: v.Disabled, Permissions: make([]admin.Permission, len(asked))}
		for n, p := range asked {
			x, err := a.gate.Explain(ctx, &access.Request{Caller: c, Action: p.action, Permission: p.name, Key: k, Now: c.Time, NoStateCheck: true})
			if err != nil {
				return nil, err
			}
			e.Permissions[n] = admin.Permission{Permission: x.Permission, Verdict: x.Verdict(), Reason: x.Decision.String()}
		}
		out.Principals[i] = e
	}
	return out, nil
}
