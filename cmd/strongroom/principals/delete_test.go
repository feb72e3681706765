package principals_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/principals"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/grants"
	"github.com/strongroom/strongroom/state"
	"github.com/strongroom/strongroom/state/statetest"
)

const account, region, other = "000000000000", "us-east-1", "eu-west-1"

type clock struct{}

func (clock) Now() time.Time { return time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC) }

type connected struct{}

func (connected) Resolve(string, keystore.StoreID) (backend.Backend, keystore.ConnState) {
	return nil, keystore.Connected
}

// house is principals, keys and grants on a real database.
type house struct {
	*principals.Registry
	t      *testing.T
	db     *state.DB
	cfg    principals.Config
	gate   *access.Gate
	grants *grants.Service
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, db: statetest.Open(t)}
	token := hsmstore.NewDefault(hsmtest.SoftHSM(t, "here").Open("here"))
	vault, err := hsmstore.EnsureVault(t.Context(), hsmstore.VaultConfig{DB: h.db, Backend: token, Region: region, Clock: clock{}})
	require.NoError(t, err)
	h.cfg = principals.Config{DB: h.db, Vault: vault, Clock: clock{}, Random: rand.Reader, Account: account,
		CheckPolicy: func(text string) error { _, err := access.ValidateIdentityPolicy(text); return err }}
	h.open(h.db)
	h.gate = access.New(access.Config{Directory: h.db})
	h.grants = grants.New(grants.Config{DB: h.db, Resolver: connected{}, Gate: h.gate, Clock: clock{}, Random: rand.Reader, PrincipalExists: grants.Known})
	return h
}

func (h *house) open(db keystore.DB) {
	h.t.Helper()
	cfg := h.cfg
	cfg.DB = db
	var err error
	h.Registry, err = principals.Open(h.t.Context(), cfg)
	require.NoError(h.t, err)
}

// user makes a user and gives the caller that it is.
func (h *house) user(name string) *keystore.Caller {
	h.t.Helper()
	v, _, err := h.Create(h.t.Context(), keystore.PrincipalUser, name, nil)
	require.NoError(h.t, err)
	return &keystore.Caller{Account: account, Region: region, Principal: v.ARN, PrincipalID: v.ID}
}

// key makes a key with a policy.
func (h *house) key(in, policy string) *keystore.Key {
	h.t.Helper()
	id, err := keystore.NewKeyID(rand.Reader, false)
	require.NoError(h.t, err)
	k := &keystore.Key{ID: id, Account: account, Region: in, Origin: keystore.OriginKMS, Spec: keystore.SymmetricDefault,
		Usage: keystore.UsageEncryptDecrypt, State: keystore.Enabled, Created: clock{}.Now(), Policy: policy}
	require.NoError(h.t, h.db.Update(h.t.Context(), func(tx keystore.Tx) error { return tx.InsertKey(k) }))
	return k
}

func (h *house) may(c *keystore.Caller, k *keystore.Key) bool {
	h.t.Helper()
	now, err := h.db.LookupKey(h.t.Context(), k.Region, k.ID)
	require.NoError(h.t, err)
	d, err := h.gate.Authorize(h.t.Context(), &access.Request{Caller: c, Action: keystore.ActionEncrypt, Key: now})
	require.NoError(h.t, err)
	return d.Allowed
}

// names lets a user encrypt; the slash is written with an escape where escaped.
func names(c *keystore.Caller, escaped bool) string {
	arn := c.Principal
	if escaped {
		arn = strings.ReplaceAll(arn, "/", "\\/")
	}
	return `{"Version":"2012-10-17","Statement":[{"Sid":"Kept as it is","Effect":"Allow","Principal":{"AWS":"` + arn +
		`"},"Action":"kms:Encrypt","Resource":"*"}]}`
}

// Whoever is made under the ARN of a principal that was deleted is somebody else.
func TestNothingIsInherited(t *testing.T) {
	h := newHouse(t)
	ann, bob := h.user("ann"), h.user("bob")
	assert.Regexp(t, "^AIDA[A-Z2-7]{17}$", ann.PrincipalID)
	named, escaped := h.key(region, names(ann, false)), h.key(other, names(ann, true))
	theirs := h.key(region, names(bob, false))
	granted := h.key(region, access.DefaultPolicy(account))
	root := &keystore.Caller{Account: account, Region: region, Principal: keystore.RootARN(account), Root: true}
	in := &grants.CreateInput{KeyID: string(granted.ID), GranteePrincipal: ann.Principal, RetiringPrincipal: bob.Principal, Operations: []string{"Encrypt"}, Name: "n"}
	first, err := h.grants.CreateGrant(t.Context(), root, in)
	require.NoError(t, err)
	for _, k := range []*keystore.Key{named, escaped, granted} {
		require.True(t, h.may(ann, k))
	}

	_, err = h.Delete(t.Context(), "ann")
	require.NoError(t, err)
	again := h.user("ann")
	require.Equal(t, ann.Principal, again.Principal)
	assert.NotEqual(t, ann.PrincipalID, again.PrincipalID)
	for _, k := range []*keystore.Key{named, escaped, granted} {
		assert.False(t, h.may(again, k))
	}
	assert.True(t, h.may(bob, theirs), "others keep what is theirs")
	for _, k := range []*keystore.Key{named, escaped} {
		now, err := h.db.LookupKey(t.Context(), k.Region, k.ID)
		require.NoError(t, err)
		assert.Equal(t, strings.Replace(names(ann, false), ann.Principal, ann.PrincipalID, 1), now.Policy)
	}
	_, list, _, err := h.grants.ListGrants(t.Context(), root, &grants.ListInput{KeyID: string(granted.ID)})
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, ann.PrincipalID, list[0].Grantee)
	assert.Equal(t, bob.Principal, list[0].Retiring)
	second, err := h.grants.CreateGrant(t.Context(), root, in)
	require.NoError(t, err)
	assert.NotEqual(t, first.GrantID, second.GrantID, "the same words mean another principal")
	assert.True(t, h.may(again, granted))
}

// stopping lets some changes through and no more, as a crash would.
type stopping struct {
	keystore.DB
	left int
}

func (s *stopping) Update(ctx context.Context, fn func(tx keystore.Tx) error) error {
	if s.left == 0 {
		return errors.New("the appliance stops")
	}
	s.left--
	return s.DB.Update(ctx, fn)
}

// A deletion that stops between any two of its changes is finished by the next start, and the principal does nothing meanwhile.
func TestDeletionThatIsCutShort(t *testing.T) {
	for changes := 1; ; changes++ {
		h := newHouse(t)
		ann := h.user("ann")
		k := h.key(region, names(ann, false))
		granted := h.key(region, access.DefaultPolicy(account))
		require.NoError(t, h.db.Update(t.Context(), func(tx keystore.Tx) error {
			return tx.InsertGrant(&keystore.Grant{ID: "g", KeyID: granted.ID, Region: region, Grantee: ann.Principal, Operations: []string{"Encrypt"}})
		}))
		stop := &stopping{h.db, changes}
		h.open(stop)
		_, err := h.Delete(t.Context(), "ann")
		if err == nil {
			assert.Equal(t, 4, changes, "begun, policies, grants, gone")
			break
		}
		stop.left = 100
		v, err := h.Show(t.Context(), "ann")
		require.NoError(t, err)
		assert.True(t, v.Disabled)
		assert.Empty(t, v.Keys)
		_, err = h.SetDisabled(t.Context(), "ann", false)
		require.ErrorContains(t, err, "is being deleted")
		_, _, err = h.AddKey(t.Context(), "ann")
		require.Error(t, err)
		known := true
		require.NoError(t, h.db.View(t.Context(), func(tx keystore.Tx) (err error) {
			known, err = grants.Known(tx, ann.Principal)
			return err
		}))
		assert.False(t, known, "nothing new may name it")

		h.open(h.db)
		_, err = h.Show(t.Context(), "ann")
		require.ErrorIs(t, err, principals.ErrUnknown)
		again := h.user("ann")
		assert.False(t, h.may(again, k))
		assert.False(t, h.may(again, granted))
	}
}
