package appliance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/proxy"
	"github.com/strongroom/strongroom/xks/tokenkeys"
)

// maxCredentials is how many credentials a realm may have at a time: one, and a second while KMS changes over.
const maxCredentials = 2

// What changes of credentials are refused for.
var (
	errNoRealm          = errors.New("there is no such realm; strongroom xks realms list shows them all")
	errNoCredential     = errors.New("the realm has no such credential")
	errTwoCredentials   = errors.New("the realm has two credentials already; remove one first")
	errLastCredential   = errors.New("it is the realm's only credential, without which nobody can use the realm; add another first")
	errSuccessorUnused  = errors.New("KMS has not used another credential of the realm after this one, so it may still sign with this one; give KMS the other one with UpdateCustomKeyStore, and wait until strongroom xks realms list shows its use, or say --force")
	errCredentialExists = errors.New("the realm has a credential with this access key id")
)

// realms are the realms of the XKS proxy as they are served: what the configuration says, with the credentials that came
// and went since.
type realms struct {
	mu   sync.Mutex // one change at a time
	list []*servedRealm
}

// servedRealm is a realm with its credentials, the oldest first.
type servedRealm struct {
	config      *config.Realm
	keys        *tokenkeys.Keys
	credentials []realmCredential
	used        map[string]time.Time // by access key id, as far as it is written
}

type realmCredential struct {
	proxy.Credential
	added time.Time // zero: it is of the configuration
}

// keptCredential is the row of a credential that was added, or of one of the configuration that was removed.
type keptCredential struct {
	Sealed  []byte    `json:"sealed,omitempty"`
	Added   time.Time `json:"added,omitzero"`
	Removed bool      `json:"removed,omitempty"`
}

// credentialRows is the prefix of a realm's rows. The name is escaped, so that no realm's rows are below another's.
func credentialRows(realm string) string { return "xks.credential/" + url.PathEscape(realm) + "/" }

func credentialPurpose(realm, accessKeyID string) string {
	return "xks-credential/" + url.PathEscape(realm) + "/" + accessKeyID
}

// openRealms makes every realm with the credentials that it has now.
func (a *Appliance) openRealms(ctx context.Context) error {
	for i := range a.cfg.XKS.Realms {
		c := &a.cfg.XKS.Realms[i]
		r := &servedRealm{config: c}
		err := errors.Join(a.loadCredentials(ctx, r), a.loadUses(ctx, r))
		if err == nil {
			r.keys, err = a.externalKeys(ctx, c.Token, tokenkeys.Addressing(c.Addressing))
		}
		if err != nil {
			return fmt.Errorf("realm %s: %w", c.Name, err)
		}
		a.realms.list = append(a.realms.list, r)
	}
	a.onClose(closerFunc(func() error { return a.writeUses(context.Background()) }))
	return a.proxy.Update(a.realms.proxyRealms())
}

// loadCredentials reads the credentials of the configuration that were not removed, and those that were added.
func (a *Appliance) loadCredentials(ctx context.Context, r *servedRealm) error {
	rows := map[string]keptCredential{}
	prefix := credentialRows(r.config.Name)
	err := a.db.View(ctx, func(tx keystore.Tx) error {
		names, err := tx.Settings(prefix)
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := tx.Setting(name)
			if err != nil {
				return err
			}
			var row keptCredential
			if err := json.Unmarshal(text, &row); err != nil {
				return fmt.Errorf("setting %s: %w", name, err)
			}
			rows[strings.TrimPrefix(name, prefix)] = row
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, c := range r.config.Credentials {
		if _, changed := rows[c.AccessKeyID]; changed {
			continue // removed, or added again with a secret of its own
		}
		secret, err := c.Secret.Resolve()
		if err != nil {
			return fmt.Errorf("secret of %s: %w", c.AccessKeyID, err)
		}
		r.credentials = append(r.credentials, realmCredential{Credential: proxy.Credential{AccessKeyID: c.AccessKeyID, Secret: []byte(secret)}})
	}
	for id, row := range rows {
		if row.Removed {
			continue
		}
		secret, err := a.vault.Open(ctx, credentialPurpose(r.config.Name, id), row.Sealed)
		if err != nil {
			return fmt.Errorf("secret of %s: %w", id, err)
		}
		r.credentials = append(r.credentials, realmCredential{proxy.Credential{AccessKeyID: id, Secret: secret}, row.Added})
	}
	slices.SortStableFunc(r.credentials, func(a, b realmCredential) int { return a.added.Compare(b.added) })
	return nil
}

// proxyRealms is what the proxy serves. A realm without a credential is not served: nobody could be let in.
func (rs *realms) proxyRealms() []proxy.Realm {
	all := []proxy.Realm{}
	for _, r := range rs.list {
		if len(r.credentials) > 0 {
			all = append(all, r.proxyRealm())
		}
	}
	return all
}

func (r *servedRealm) uriPath() string { return r.config.PathPrefix + xks.BasePath }

func (r *servedRealm) proxyRealm() proxy.Realm {
	c := r.config
	p := proxy.Realm{
		Name: c.Name, URIPath: r.uriPath(), AllowedKeys: c.Keys, Keys: r.keys, Regions: c.Regions, Blocked: c.Blocked,
		Quota: proxy.Quota{PerSecond: float64(c.Quota)}, Policy: proxy.Policy{DryRun: c.Policy.DryRun},
	}
	if c.AllKeys {
		p.AllowedKeys = nil
	}
	for _, rule := range c.Policy.Rules {
		p.Policy.Rules = append(p.Policy.Rules, proxy.Rule{
			Name: rule.Name, Effect: proxy.Effect(rule.Effect), Principals: rule.Principals, KMSKeys: rule.KMSKeys,
			ViaServices: rule.ViaServices, KMSOperations: rule.KMSOperations, SourceVPCs: rule.SourceVPCs,
			SourceVPCEs: rule.SourceVPCEs, Keys: rule.Keys, Operations: rule.Operations,
		})
	}
	for _, cred := range r.credentials {
		p.Credentials = append(p.Credentials, cred.Credential)
	}
	return p
}

// find gives a realm by name. The caller holds the lock.
func (rs *realms) find(name string) (*servedRealm, error) {
	for _, r := range rs.list {
		if r.config.Name == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("realm %q: %w", name, errNoRealm)
}

// pathsTo lists the paths of all realms with these keys.
func (rs *realms) pathsTo(keys *tokenkeys.Keys) []string {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var paths []string
	for _, r := range rs.list {
		if r.keys == keys {
			paths = append(paths, r.uriPath())
		}
	}
	return paths
}

// has gives the place of a credential, -1 where there is none.
func (r *servedRealm) has(accessKeyID string) int {
	return slices.IndexFunc(r.credentials, func(c realmCredential) bool { return c.AccessKeyID == accessKeyID })
}

// addCredential makes a credential, or takes one that is given whole, and lets KMS sign with it at once.
func (a *Appliance) addCredential(ctx context.Context, realm string, cred proxy.Credential) (*servedRealm, proxy.Credential, error) {
	a.realms.mu.Lock()
	defer a.realms.mu.Unlock()
	r, err := a.realms.find(realm)
	switch {
	case err != nil:
		return nil, cred, err
	case len(r.credentials) >= maxCredentials:
		return nil, cred, errTwoCredentials
	case r.has(cred.AccessKeyID) >= 0:
		return nil, cred, errCredentialExists
	case cred.AccessKeyID == "":
		if cred, err = proxy.NewCredential(random()); err != nil {
			return nil, cred, err
		}
	}
	sealed, err := a.vault.Seal(ctx, credentialPurpose(realm, cred.AccessKeyID), cred.Secret)
	if err != nil {
		return nil, cred, err
	}
	added := a.clock.Now().UTC()
	if err := a.putCredential(ctx, realm, cred.AccessKeyID, keptCredential{Sealed: sealed, Added: added}); err != nil {
		return nil, cred, err
	}
	r.credentials = append(r.credentials, realmCredential{cred, added})
	if err := a.proxy.Update(a.realms.proxyRealms()); err != nil {
		return nil, cred, err
	}
	return r, cred, a.recordRealm(ctx, "XksCredentialAdded", realm, "accessKeyId", cred.AccessKeyID)
}

// removeCredential ends a credential for the requests that follow. Without force it keeps the one that KMS may still use.
func (a *Appliance) removeCredential(ctx context.Context, realm, accessKeyID string, force bool) error {
	a.realms.mu.Lock()
	defer a.realms.mu.Unlock()
	r, err := a.realms.find(realm)
	if err != nil {
		return err
	}
	at := r.has(accessKeyID)
	switch {
	case at < 0:
		return errNoCredential
	case len(r.credentials) == 1:
		return errLastCredential
	case !force && !a.successorUsed(r, accessKeyID):
		return errSuccessorUnused
	}
	// A row that says so keeps one of the configuration away; one that was added is gone with its row.
	if slices.ContainsFunc(r.config.Credentials, func(c config.Credential) bool { return c.AccessKeyID == accessKeyID }) {
		err = a.putCredential(ctx, realm, accessKeyID, keptCredential{Removed: true})
	} else {
		err = a.db.Update(ctx, func(tx keystore.Tx) error { return tx.DeleteSetting(credentialRows(realm) + accessKeyID) })
	}
	if err = errors.Join(err, a.forgetUse(ctx, r, accessKeyID)); err != nil {
		return fmt.Errorf("remove credential %s: %w", accessKeyID, err)
	}
	clear(r.credentials[at].Secret)
	r.credentials = slices.Delete(slices.Clone(r.credentials), at, at+1)
	if err := a.proxy.Update(a.realms.proxyRealms()); err != nil {
		return err
	}
	return a.recordRealm(ctx, "XksCredentialRemoved", realm, "accessKeyId", accessKeyID)
}

// successorUsed tells whether KMS signed with another credential after it signed with this one for the last time.
func (a *Appliance) successorUsed(r *servedRealm, accessKeyID string) bool {
	uses := a.lastUses(r)
	for id, at := range uses {
		if id != accessKeyID && at.After(uses[accessKeyID]) {
			return true
		}
	}
	return false
}

func (a *Appliance) putCredential(ctx context.Context, realm, accessKeyID string, row keptCredential) error {
	text, err := json.Marshal(row)
	if err != nil {
		return err
	}
	err = a.db.Update(ctx, func(tx keystore.Tx) error { return tx.PutSetting(credentialRows(realm)+accessKeyID, text) })
	if err != nil {
		return fmt.Errorf("keep credential %s: %w", accessKeyID, err)
	}
	return nil
}

// XKSCredential gives a credential of a realm with its secret: the one that is named, or the newest.
func (a *Appliance) XKSCredential(realm, accessKeyID string) (uriPath string, cred proxy.Credential, err error) {
	a.realms.mu.Lock()
	defer a.realms.mu.Unlock()
	r, err := a.realms.find(realm)
	if err != nil {
		return "", cred, err
	}
	at := len(r.credentials) - 1
	if accessKeyID != "" {
		at = r.has(accessKeyID)
	}
	if at < 0 {
		return "", cred, errNoCredential
	}
	cred = r.credentials[at].Credential
	cred.Secret = slices.Clone(cred.Secret)
	return r.uriPath(), cred, nil
}

// recordRealm writes what an operator changed about a realm to the audit log, on disk before it is answered.
func (a *Appliance) recordRealm(ctx context.Context, name, realm, what, value string) error {
	return a.recordAdmin(ctx, name, audit.Object{}.String("realm", realm).String(what, value))
}

// addressing is how a realm addresses keys, spelled out.
func (r *servedRealm) addressing() tokenkeys.Addressing {
	return cmp.Or(tokenkeys.Addressing(r.config.Addressing), tokenkeys.ByLabel)
}
