package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/principals"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// routes adds what the admin socket can do.
func (a *Appliance) routes(s *admin.Server) {
	admin.Handle(s, "GET "+admin.PathStatus, func(ctx context.Context, _ admin.Request, _ admin.Empty) (*admin.Status, error) {
		return a.Status(ctx)
	})
	admin.Handle(s, "GET "+admin.PathTokens, func(ctx context.Context, _ admin.Request, _ admin.Empty) ([]admin.Token, error) {
		return a.tokenStates(ctx)
	})
	a.backupRoutes(s)
	a.orphanRoutes(s)
	a.principalRoutes(s)
	a.accessRoutes(s)
	a.realmRoutes(s)
	a.faultRoutes(s)
	a.devRoutes(s)
}

// errNotDev refuses what would let an operator move time on keys that matter.
var errNotDev = errors.New("only strongroom dev can move its clock and hold transitions")

func (a *Appliance) orphanRoutes(s *admin.Server) {
	admin.Handle(s, "GET "+admin.PathOrphans, func(ctx context.Context, r admin.Request, _ admin.Empty) ([]*lifecycle.Orphan, error) {
		f := lifecycle.OrphanFilter{States: []keystore.MaterialState{keystore.MaterialOrphaned}}
		if r.Query("resolved") == "true" {
			f.States = nil
		}
		return a.orphans.List(ctx, f)
	})
	admin.Handle(s, "POST "+admin.PathScan, func(ctx context.Context, r admin.Request, _ admin.Empty) (*lifecycle.ScanReport, error) {
		return a.orphans.Scan(ctx, lifecycle.ScanFilter{StoreID: keystore.StoreID(r.Query("store"))})
	})
	admin.Handle(s, "GET "+admin.PathOrphans+"/{id}", func(ctx context.Context, r admin.Request, _ admin.Empty) (*lifecycle.Orphan, error) {
		o, err := a.orphans.Show(ctx, r.Path("id"))
		return o, orphanError(err)
	})
	admin.Handle(s, "POST "+admin.PathOrphans+"/{id}/destroy", func(ctx context.Context, r admin.Request, _ admin.Empty) (*lifecycle.Orphan, error) {
		o, err := a.orphans.Destroy(ctx, r.Path("id"))
		return o, orphanError(err)
	})
	admin.Handle(s, "POST "+admin.PathOrphans+"/{id}/resolve", func(ctx context.Context, r admin.Request, in admin.Resolution) (*lifecycle.Orphan, error) {
		o, err := a.orphans.Resolve(ctx, r.Path("id"), in.Note)
		return o, orphanError(err)
	})
}

func orphanError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, lifecycle.ErrNotOrphan):
		return admin.NotFound(err)
	}
	return admin.Conflict(err)
}

func (a *Appliance) principalRoutes(s *admin.Server) {
	const one = admin.PathPrincipals + "/{name}"
	type registry = *principals.Registry
	admin.Handle(s, "GET "+admin.PathPrincipals, func(ctx context.Context, _ admin.Request, _ admin.Empty) ([]admin.Principal, error) {
		all, err := a.principals.List(ctx)
		out := make([]admin.Principal, len(all))
		for i, v := range all {
			out[i] = principalOf(v)
		}
		return out, err
	})
	admin.Handle(s, "POST "+admin.PathPrincipals, func(ctx context.Context, _ admin.Request, in admin.NewPrincipal) (admin.Principal, error) {
		var policies []keystore.NamedPolicy
		for _, p := range in.Policies {
			policies = append(policies, keystore.NamedPolicy(p))
		}
		if in.Kind != string(keystore.PrincipalUser) && in.Kind != string(keystore.PrincipalRole) {
			return admin.Principal{}, admin.BadRequest(fmt.Errorf("%q is no kind of principal; say user or role", in.Kind))
		}
		return a.changed(ctx, eventPrincipalCreated, "", func() (admin.Principal, error) {
			v, key, err := a.principals.Create(ctx, keystore.PrincipalKind(in.Kind), in.Name, policies)
			if err != nil {
				return admin.Principal{}, principalError(err)
			}
			p := principalOf(v)
			p.AccessKeys[0].Secret = key.Secret
			return p, nil
		})
	})
	do := func(pattern, event string, fn func(ctx context.Context, p registry, r admin.Request) (*principals.View, error)) {
		admin.Handle(s, pattern, func(ctx context.Context, r admin.Request, _ admin.Empty) (admin.Principal, error) {
			return a.changed(ctx, event, cmp.Or(r.Path("key"), r.Path("policy")), func() (admin.Principal, error) {
				v, err := fn(ctx, a.principals, r)
				if err != nil {
					return admin.Principal{}, principalError(err)
				}
				return principalOf(v), nil
			})
		})
	}
	do("GET "+one, "", func(ctx context.Context, p registry, r admin.Request) (*principals.View, error) {
		return p.Show(ctx, r.Path("name"))
	})
	do("DELETE "+one, eventPrincipalDeleted, func(ctx context.Context, p registry, r admin.Request) (*principals.View, error) {
		return p.Delete(ctx, r.Path("name"))
	})
	do("POST "+one+"/disable", eventPrincipalDisabled, func(ctx context.Context, p registry, r admin.Request) (*principals.View, error) {
		return p.SetDisabled(ctx, r.Path("name"), true)
	})
	do("POST "+one+"/enable", eventPrincipalEnabled, func(ctx context.Context, p registry, r admin.Request) (*principals.View, error) {
		return p.SetDisabled(ctx, r.Path("name"), false)
	})
	do("DELETE "+one+"/policies/{policy}", eventPolicyDetached, func(ctx context.Context, p registry, r admin.Request) (*principals.View, error) {
		return p.Detach(ctx, r.Path("name"), r.Path("policy"))
	})
	do("DELETE "+one+"/keys/{key}", eventAccessKeyDeleted, func(ctx context.Context, p registry, r admin.Request) (*principals.View, error) {
		return p.DeleteKey(ctx, r.Path("name"), r.Path("key"))
	})
	do("POST "+one+"/keys/{key}/disable", eventAccessKeyDisabled, func(ctx context.Context, p registry, r admin.Request) (*principals.View, error) {
		return p.SetKeyDisabled(ctx, r.Path("name"), r.Path("key"), true)
	})
	do("POST "+one+"/keys/{key}/enable", eventAccessKeyEnabled, func(ctx context.Context, p registry, r admin.Request) (*principals.View, error) {
		return p.SetKeyDisabled(ctx, r.Path("name"), r.Path("key"), false)
	})
	admin.Handle(s, "POST "+one+"/keys", func(ctx context.Context, r admin.Request, _ admin.Empty) (admin.Principal, error) {
		return a.changed(ctx, eventAccessKeyCreated, "", func() (admin.Principal, error) {
			v, key, err := a.principals.AddKey(ctx, r.Path("name"))
			if err != nil {
				return admin.Principal{}, principalError(err)
			}
			p := principalOf(v)
			for i := range p.AccessKeys {
				if p.AccessKeys[i].AccessKeyID == key.AccessKeyID {
					p.AccessKeys[i].Secret = key.Secret
				}
			}
			return p, nil
		})
	})
	admin.Handle(s, "PUT "+one+"/policies/{policy}", func(ctx context.Context, r admin.Request, in admin.Policy) (admin.Principal, error) {
		return a.changed(ctx, eventPolicyAttached, r.Path("policy"), func() (admin.Principal, error) {
			v, err := a.principals.Attach(ctx, r.Path("name"), keystore.NamedPolicy{Name: r.Path("policy"), Document: in.Document})
			if err != nil {
				return admin.Principal{}, principalError(err)
			}
			return principalOf(v), nil
		})
	})
}

func principalError(err error) error {
	switch {
	case errors.Is(err, principals.ErrUnknown):
		return admin.NotFound(err)
	case errors.Is(err, principals.ErrInvalid):
		return admin.BadRequest(err)
	}
	return err
}

func principalOf(v *principals.View) admin.Principal {
	p := admin.Principal{ARN: v.ARN, ID: v.ID, Kind: string(v.Kind), Name: v.Name, Disabled: v.Disabled, Created: v.Created,
		Policies: []admin.Policy{}, AccessKeys: []admin.AccessKey{}}
	for _, pol := range v.Policies {
		p.Policies = append(p.Policies, admin.Policy(pol))
	}
	for _, k := range v.Keys {
		p.AccessKeys = append(p.AccessKeys, admin.AccessKey{AccessKeyID: k.AccessKeyID, Disabled: k.Disabled, Created: k.Created})
	}
	return p
}

func (a *Appliance) devRoutes(s *admin.Server) {
	admin.Handle(s, "POST "+admin.PathAdvance, func(ctx context.Context, _ admin.Request, in admin.Advance) (admin.Advanced, error) {
		if a.opts.Mover == nil {
			return admin.Advanced{}, admin.Conflict(errNotDev)
		}
		return a.advance(ctx, time.Duration(in.Seconds)*time.Second)
	})
	admin.Handle(s, "POST "+admin.PathHold, func(context.Context, admin.Request, admin.Empty) (admin.Empty, error) {
		if a.opts.Mover == nil {
			return admin.Empty{}, admin.Conflict(errNotDev)
		}
		a.manager.Hold()
		a.transitions.Hold()
		return admin.Empty{}, nil
	})
	admin.Handle(s, "POST "+admin.PathRelease, func(ctx context.Context, _ admin.Request, _ admin.Empty) (admin.Empty, error) {
		if a.opts.Mover == nil {
			return admin.Empty{}, admin.Conflict(errNotDev)
		}
		a.manager.Release()
		a.transitions.Release()
		_, err := a.transitions.TransitOnce(ctx)
		return admin.Empty{}, errors.Join(a.manager.Wait(ctx), err)
	})
}

// advance moves the clock and does all that has become due before it answers. The loops of sweeper, rotator and expirer rest
// meanwhile, so that what became due is this call's to do and to report. A jump over several rotation periods rotates a key
// once, as AWS does with a key whose dates were missed, and its next date is one period on.
func (a *Appliance) advance(ctx context.Context, d time.Duration) (admin.Advanced, error) {
	for _, loop := range []interface {
		Pause(context.Context) (resume func(), err error)
	}{a.sweeper, a.rotator, a.expirer} {
		resume, err := loop.Pause(ctx)
		if err != nil {
			return admin.Advanced{}, err
		}
		defer resume()
	}
	if err := a.opts.Mover.Advance(d); err != nil {
		return admin.Advanced{}, admin.BadRequest(err)
	}
	now := a.clock.Now()
	report, err := a.sweeper.SweepOnce(ctx, now)
	a.sweeper.Wake()
	rotated, rerr := a.rotator.RotateOnce(ctx, now)
	expired, xerr := a.expirer.ExpireOnce(ctx, now)
	return admin.Advanced{Now: now, Deleted: report.Deleted, Orphaned: report.Orphaned, Rotated: rotated, Expired: expired.Materials},
		errors.Join(err, rerr, xerr)
}
