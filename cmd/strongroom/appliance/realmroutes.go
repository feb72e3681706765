package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/proxy"
	"github.com/strongroom/strongroom/xks/tokenkeys"
)

// realmRoutes adds what an operator does with the realms of the XKS proxy and their keys.
func (a *Appliance) realmRoutes(s *admin.Server) {
	const (
		credentials = admin.PathRealms + "/{realm}/credentials"
		keys        = admin.PathRealms + "/{realm}/keys"
	)
	admin.Handle(s, "GET "+admin.PathRealms, func(context.Context, admin.Request, admin.Empty) ([]admin.Realm, error) {
		return a.listRealms(), nil
	})
	admin.Handle(s, "POST "+credentials, func(ctx context.Context, r admin.Request, in admin.NewRealmCredential) (admin.RealmSecret, error) {
		cred, err := givenCredential(in)
		if err != nil {
			return admin.RealmSecret{}, err
		}
		served, cred, err := a.addCredential(ctx, r.Path("realm"), cred)
		if err != nil {
			return admin.RealmSecret{}, realmError(err)
		}
		return secretOf(served.config.Name, served.uriPath(), cred), nil
	})
	admin.Handle(s, "DELETE "+credentials+"/{id}", func(ctx context.Context, r admin.Request, _ admin.Empty) (admin.Empty, error) {
		return admin.Empty{}, realmError(a.removeCredential(ctx, r.Path("realm"), r.Path("id"), r.Query("force") == "true"))
	})
	admin.Handle(s, "GET "+admin.PathRealms+"/{realm}/credential", func(_ context.Context, r admin.Request, _ admin.Empty) (admin.RealmSecret, error) {
		path, cred, err := a.XKSCredential(r.Path("realm"), r.Query("access_key_id"))
		if err != nil {
			return admin.RealmSecret{}, realmError(err)
		}
		return secretOf(r.Path("realm"), path, cred), nil
	})
	admin.Handle(s, "GET "+keys, func(ctx context.Context, r admin.Request, _ admin.Empty) ([]admin.ExternalKey, error) {
		return a.listExternalKeys(ctx, r.Path("realm"))
	})
	admin.Handle(s, "POST "+keys, func(ctx context.Context, r admin.Request, in admin.NewExternalKey) (admin.ExternalKey, error) {
		return a.createExternalKey(ctx, r.Path("realm"), in)
	})
	change := func(pattern string, fn func(ctx context.Context, keys *tokenkeys.Keys, id string) error) {
		admin.Handle(s, pattern, func(ctx context.Context, r admin.Request, _ admin.Empty) (admin.ExternalKey, error) {
			return a.changeExternalKey(ctx, r.Path("realm"), r.Path("id"), fn)
		})
	}
	change("POST "+keys+"/{id}/enable", func(ctx context.Context, k *tokenkeys.Keys, id string) error { return k.SetEnabled(ctx, id, true) })
	change("POST "+keys+"/{id}/disable", func(ctx context.Context, k *tokenkeys.Keys, id string) error { return k.SetEnabled(ctx, id, false) })
	admin.Handle(s, "POST "+keys+"/{id}/usage", func(ctx context.Context, r admin.Request, in admin.KeyUsage) (admin.ExternalKey, error) {
		usage, err := tokenkeys.ParseUsage(in.Usage)
		if err != nil {
			return admin.ExternalKey{}, admin.BadRequest(err)
		}
		return a.changeExternalKey(ctx, r.Path("realm"), r.Path("id"), func(ctx context.Context, k *tokenkeys.Keys, id string) error {
			return k.SetUsage(ctx, id, usage)
		})
	})
	admin.Handle(s, "DELETE "+keys+"/{id}", func(ctx context.Context, r admin.Request, _ admin.Empty) (admin.Empty, error) {
		return admin.Empty{}, a.deleteExternalKey(ctx, r.Path("realm"), r.Path("id"), r.Query("force") == "true")
	})
}

// givenCredential checks a credential that is to be imported; nothing given means that one is to be made.
func givenCredential(in admin.NewRealmCredential) (proxy.Credential, error) {
	cred := proxy.Credential{AccessKeyID: in.AccessKeyID, Secret: []byte(in.Secret)}
	if in.AccessKeyID == "" && in.Secret == "" {
		return cred, nil
	}
	if err := errors.Join(xks.CheckAccessKeyID(cred.AccessKeyID), xks.CheckSecret(cred.Secret)); err != nil {
		return cred, admin.BadRequest(err)
	}
	return cred, nil
}

func secretOf(realm, path string, c proxy.Credential) admin.RealmSecret {
	return admin.RealmSecret{Realm: realm, URIPath: path, AccessKeyID: c.AccessKeyID, Secret: string(c.Secret)}
}

// realmError gives what is refused the status that it has over HTTP.
func realmError(err error) error {
	switch {
	case errors.Is(err, errNoRealm), errors.Is(err, errNoCredential), errors.Is(err, tokenkeys.ErrNotFound):
		return admin.NotFound(err)
	case errors.Is(err, errTwoCredentials), errors.Is(err, errLastCredential), errors.Is(err, errSuccessorUnused),
		errors.Is(err, errCredentialExists), errors.Is(err, tokenkeys.ErrExists):
		return admin.Conflict(err)
	case errors.Is(err, xks.ErrKeyID):
		return admin.BadRequest(err)
	}
	return err
}

func (a *Appliance) listRealms() []admin.Realm {
	a.realms.mu.Lock()
	defer a.realms.mu.Unlock()
	health := map[string]string{}
	if a.proxy != nil {
		for _, status := range a.proxy.Realms() {
			health[status.URIPath] = string(status.Health)
		}
	}
	all := []admin.Realm{}
	for _, r := range a.realms.list {
		c := r.config
		v := admin.Realm{
			Name: c.Name, URIPath: r.uriPath(), Token: c.Token, Addressing: string(r.addressing()), AllKeys: c.AllKeys,
			Keys: append([]string{}, c.Keys...), Quota: c.Quota, Blocked: c.Blocked, Health: health[r.uriPath()],
			Credentials: []admin.RealmCredential{},
		}
		uses := a.lastUses(r)
		for _, cred := range r.credentials {
			shown := admin.RealmCredential{AccessKeyID: cred.AccessKeyID, Source: "configuration", LastUsed: moment(uses[cred.AccessKeyID])}
			if !cred.added.IsZero() {
				shown.Source, shown.Added = "command", moment(cred.added)
			}
			v.Credentials = append(v.Credentials, shown)
		}
		all = append(all, v)
	}
	return all
}

// moment is a time for JSON: null for none.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// realmNamed gives a realm without holding the lock: its configuration and keys never change.
func (a *Appliance) realmNamed(name string) (*servedRealm, error) {
	a.realms.mu.Lock()
	defer a.realms.mu.Unlock()
	r, err := a.realms.find(name)
	return r, realmError(err)
}

func (r *servedRealm) externalKey(k tokenkeys.Key) admin.ExternalKey {
	return admin.ExternalKey{
		ID: k.ID, Realm: r.config.Name, Served: r.config.AllKeys || slices.Contains(r.config.Keys, k.ID), Label: k.Label,
		CKAID: k.CKAID, Spec: k.Spec, Usage: k.Usage.String(), Enabled: k.Enabled, Made: k.Made, Created: moment(k.Created),
		CheckValue: k.CheckValue, Problem: k.Problem,
	}
}

// listExternalKeys lists all keys on the realm's token, those of other realms on it included.
func (a *Appliance) listExternalKeys(ctx context.Context, realm string) ([]admin.ExternalKey, error) {
	r, err := a.realmNamed(realm)
	if err != nil {
		return nil, err
	}
	found, err := r.keys.List(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]admin.ExternalKey, len(found))
	for i, k := range found {
		out[i] = r.externalKey(k)
	}
	return out, nil
}

func (a *Appliance) createExternalKey(ctx context.Context, realm string, in admin.NewExternalKey) (admin.ExternalKey, error) {
	r, err := a.realmNamed(realm)
	if err != nil {
		return admin.ExternalKey{}, err
	}
	usage, err := tokenkeys.ParseUsage(in.Usage)
	if err != nil {
		return admin.ExternalKey{}, admin.BadRequest(err)
	}
	k, err := r.keys.Create(ctx, in.ID, usage)
	if err != nil {
		return admin.ExternalKey{}, realmError(err)
	}
	return r.externalKey(k), a.recordRealm(ctx, "XksKeyCreated", realm, "keyId", k.ID)
}

func (a *Appliance) changeExternalKey(ctx context.Context, realm, id string, change func(context.Context, *tokenkeys.Keys, string) error) (admin.ExternalKey, error) {
	r, err := a.realmNamed(realm)
	if err != nil {
		return admin.ExternalKey{}, err
	}
	if err := change(ctx, r.keys, id); err != nil {
		return admin.ExternalKey{}, realmError(err)
	}
	if err := a.recordRealm(ctx, "XksKeyChanged", realm, "keyId", id); err != nil {
		return admin.ExternalKey{}, err
	}
	k, err := r.key(ctx, id)
	return r.externalKey(k), err
}

// key describes one key.
func (r *servedRealm) key(ctx context.Context, id string) (tokenkeys.Key, error) {
	k, err := r.keys.Describe(ctx, id)
	if errors.Is(err, tokenkeys.ErrNotFound) {
		return k, admin.NotFound(err)
	}
	return k, err
}

// deleteExternalKey destroys a key for good. Without force it must be disabled, so that its loss has been tried out, and
// no KMS key of this appliance may rest on it.
func (a *Appliance) deleteExternalKey(ctx context.Context, realm, id string, force bool) error {
	r, err := a.realmNamed(realm)
	if err != nil {
		return err
	}
	k, err := r.key(ctx, id)
	if err != nil {
		return err
	}
	if !force {
		if k.Enabled && k.Problem == "" {
			return admin.Conflict(fmt.Errorf("external key %q is enabled; disable it, see that nobody misses it, then delete it, or say --force", id))
		}
		users, err := a.keysOn(ctx, r, id)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return admin.Conflict(fmt.Errorf("external key %q is what the KMS key %s rests on; delete that first, or say --force", id, users[0]))
		}
	}
	if err := r.keys.Delete(ctx, id); err != nil {
		return realmError(err)
	}
	return a.recordRealm(ctx, "XksKeyDeleted", realm, "keyId", id)
}

// keysOn lists the ARNs of this appliance's KMS keys that rest on an external key: their store leads to the path of the
// realm, or of another on the same token. The proxy's host is not compared: it has names that the appliance cannot know.
func (a *Appliance) keysOn(ctx context.Context, r *servedRealm, id string) ([]string, error) {
	paths := a.realms.pathsTo(r.keys)
	var users []string
	err := a.db.View(ctx, func(tx keystore.Tx) error {
		stores, err := tx.Stores("", "", maxStores)
		if err != nil {
			return err
		}
		for _, s := range stores {
			if s.Xks == nil || !slices.Contains(paths, s.Xks.URIPath) {
				continue
			}
			key, err := tx.KeyByXksID(s.Region, s.ID, id)
			switch {
			case errors.Is(err, keystore.ErrNoRow):
			case err != nil:
				return err
			default:
				users = append(users, key.ARN())
			}
		}
		return nil
	})
	return users, err
}

// errNoFaults refuses to spoil a proxy that other people's keys rest on.
var errNoFaults = errors.New("only strongroom dev can make its XKS proxy misbehave")

func (a *Appliance) faultRoutes(s *admin.Server) {
	admin.Handle(s, "GET "+admin.PathXKSFault, func(context.Context, admin.Request, admin.Empty) (admin.XKSFaults, error) {
		if a.opts.Faults == nil {
			return admin.XKSFaults{}, admin.Conflict(errNoFaults)
		}
		return admin.XKSFaults{Faults: a.opts.Faults.Faults()}, nil
	})
	admin.Handle(s, "POST "+admin.PathXKSFault, func(_ context.Context, _ admin.Request, in admin.XKSFault) (admin.XKSFaults, error) {
		if a.opts.Faults == nil {
			return admin.XKSFaults{}, admin.Conflict(errNoFaults)
		}
		if err := a.opts.Faults.Set(in.Realm, in.Fault); err != nil {
			return admin.XKSFaults{}, admin.BadRequest(err)
		}
		return admin.XKSFaults{Faults: a.opts.Faults.Faults()}, nil
	})
}
