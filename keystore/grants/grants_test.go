package grants_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/grants"
	"github.com/strongroom/strongroom/state/statetest"
)

const (
	region  = "us-east-1"
	account = "000000000000"
	alice   = "arn:aws:iam::000000000000:user/alice"
	bob     = "arn:aws:iam::000000000000:user/bob"
	carol   = "arn:aws:iam::000000000000:user/carol"
)

type fixedClock struct{}

func (fixedClock) Now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

type connected struct{}

func (connected) Resolve(string, keystore.StoreID) (backend.Backend, keystore.ConnState) {
	return nil, keystore.Connected
}

// bench is a service on a real database with one key.
type bench struct {
	*grants.Service
	db   keystore.DB
	gate *access.Gate
	key  *keystore.Key
}

func newBench(t *testing.T, change func(k *keystore.Key), limit int) *bench {
	t.Helper()
	db := statetest.Open(t)
	id, err := keystore.NewKeyID(rand.Reader, false)
	require.NoError(t, err)
	k := &keystore.Key{ID: id, Account: account, Region: region, Origin: keystore.OriginKMS, Spec: keystore.SymmetricDefault,
		Usage: keystore.UsageEncryptDecrypt, State: keystore.Enabled, Created: fixedClock{}.Now(), Policy: access.DefaultPolicy(account)}
	if change != nil {
		change(k)
	}
	require.NoError(t, db.Update(t.Context(), func(tx keystore.Tx) error { return tx.InsertKey(k) }))
	gate := access.New(access.Config{Directory: db})
	known := []string{alice, bob, carol}
	s := grants.New(grants.Config{DB: db, Resolver: connected{}, Gate: gate, Clock: fixedClock{}, Random: rand.Reader, PerKey: limit,
		PrincipalExists: func(_ keystore.Tx, arn string) (bool, error) {
			for _, k := range known {
				if k == arn {
					return true, nil
				}
			}
			return false, nil
		}})
	return &bench{Service: s, db: db, gate: gate, key: k}
}

func caller(arn string, policies ...string) *keystore.Caller {
	return &keystore.Caller{Account: account, Region: region, Principal: arn, Root: strings.HasSuffix(arn, ":root"), Policies: policies}
}

func root() *keystore.Caller { return caller(keystore.RootARN(account)) }

func (b *bench) may(t *testing.T, c *keystore.Caller, a keystore.Action, ctx map[string]string) bool {
	t.Helper()
	d, err := b.gate.Authorize(t.Context(), &access.Request{Caller: c, Action: a, Key: b.key, EncryptionContext: ctx, Now: fixedClock{}.Now()})
	require.NoError(t, err)
	return d.Allowed
}

func TestGrantAuthorisesUntilItEnds(t *testing.T) {
	b := newBench(t, nil, 0)
	assert.False(t, b.may(t, caller(alice), keystore.ActionEncrypt, nil))

	out, err := b.CreateGrant(t.Context(), root(), &grants.CreateInput{KeyID: string(b.key.ID), GranteePrincipal: alice,
		RetiringPrincipal: bob, Operations: []string{"Encrypt"}, EncryptionContextSubset: map[string]string{"team": "a"}})
	require.NoError(t, err)
	assert.False(t, b.may(t, caller(alice), keystore.ActionEncrypt, nil), "the constraint holds")
	assert.True(t, b.may(t, caller(alice), keystore.ActionEncrypt, map[string]string{"team": "a", "more": "b"}))
	assert.False(t, b.may(t, caller(bob), keystore.ActionEncrypt, map[string]string{"team": "a"}))

	_, err = b.RetireGrant(t.Context(), caller(carol), &grants.RetireInput{GrantToken: out.GrantToken})
	require.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err))
	_, err = b.RetireGrant(t.Context(), caller(alice), &grants.RetireInput{GrantToken: out.GrantToken})
	require.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err), "the grantee may only with RetireGrant among the operations")
	_, err = b.RetireGrant(t.Context(), caller(bob), &grants.RetireInput{GrantToken: out.GrantToken, DryRun: true})
	require.Equal(t, keystore.KindDryRunOperation, keystore.KindOf(err))
	_, err = b.RetireGrant(t.Context(), caller(bob), &grants.RetireInput{GrantToken: out.GrantToken})
	require.NoError(t, err)
	assert.False(t, b.may(t, caller(alice), keystore.ActionEncrypt, map[string]string{"team": "a"}))
	_, err = b.RetireGrant(t.Context(), caller(bob), &grants.RetireInput{GrantToken: out.GrantToken})
	require.Equal(t, keystore.KindNotFound, keystore.KindOf(err))
}

func TestCreateGrantWithANameIsIdempotent(t *testing.T) {
	b := newBench(t, nil, 0)
	in := grants.CreateInput{KeyID: string(b.key.ID), GranteePrincipal: alice, Operations: []string{"Decrypt", "Encrypt"}, Name: "n"}
	first, err := b.CreateGrant(t.Context(), root(), &in)
	require.NoError(t, err)
	again := in
	again.Operations = []string{"Encrypt", "Decrypt"}
	second, err := b.CreateGrant(t.Context(), root(), &again)
	require.NoError(t, err)
	assert.Equal(t, first.GrantID, second.GrantID)
	assert.NotEqual(t, first.GrantToken, second.GrantToken)

	other := in
	other.Operations = []string{"Decrypt"}
	third, err := b.CreateGrant(t.Context(), root(), &other)
	require.NoError(t, err)
	assert.NotEqual(t, first.GrantID, third.GrantID, "other parameters make another grant")
	nameless := in
	nameless.Name = ""
	for range 2 {
		_, err = b.CreateGrant(t.Context(), root(), &nameless)
		require.NoError(t, err)
	}
	_, list, _, err := b.ListGrants(t.Context(), root(), &grants.ListInput{KeyID: string(b.key.ID)})
	require.NoError(t, err)
	assert.Len(t, list, 4)
}

func TestCreateGrantRefusals(t *testing.T) {
	nine := map[string]string{}
	for i := range 9 {
		nine[fmt.Sprint(i)] = "v"
	}
	base := func(change func(in *grants.CreateInput)) grants.CreateInput {
		in := grants.CreateInput{GranteePrincipal: alice, Operations: []string{"Encrypt"}}
		change(&in)
		return in
	}
	cases := map[string]struct {
		in   grants.CreateInput
		kind keystore.Kind
	}{
		"no grantee":          {base(func(in *grants.CreateInput) { in.GranteePrincipal = "" }), keystore.KindValidation},
		"two grantees":        {base(func(in *grants.CreateInput) { in.GranteeServicePrincipal = "s3.amazonaws.com" }), keystore.KindValidation},
		"two retiring":        {base(func(in *grants.CreateInput) { in.RetiringPrincipal, in.RetiringServicePrincipal = bob, "x" }), keystore.KindValidation},
		"service without ARN": {base(func(in *grants.CreateInput) { in.GranteePrincipal, in.GranteeServicePrincipal = "", "x" }), keystore.KindValidation},
		"no principal":        {base(func(in *grants.CreateInput) { in.GranteePrincipal = "alice" }), keystore.KindInvalidArn},
		"unknown principal":   {base(func(in *grants.CreateInput) { in.GranteePrincipal = "arn:aws:iam::000000000000:user/nobody" }), keystore.KindInvalidArn},
		"foreign principal":   {base(func(in *grants.CreateInput) { in.GranteePrincipal = "arn:aws:iam::111111111111:user/alice" }), keystore.KindInvalidArn},
		"operation of others": {base(func(in *grants.CreateInput) { in.Operations = []string{"Sign"} }), keystore.KindValidation},
		"too many pairs":      {base(func(in *grants.CreateInput) { in.EncryptionContextEquals = nine }), keystore.KindValidation},
		"value too long": {base(func(in *grants.CreateInput) {
			in.EncryptionContextEquals = map[string]string{"a": strings.Repeat("x", 385)}
		}), keystore.KindValidation},
		"bad grant token":       {base(func(in *grants.CreateInput) { in.GrantTokens = []string{"nonsense"} }), keystore.KindInvalidGrantToken},
		"dry run would succeed": {base(func(in *grants.CreateInput) { in.DryRun = true }), keystore.KindDryRunOperation},
	}
	b := newBench(t, nil, 0)
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			in := c.in
			in.KeyID = string(b.key.ID)
			_, err := b.CreateGrant(t.Context(), root(), &in)
			require.Error(t, err)
			assert.Equal(t, c.kind, keystore.KindOf(err), "%v", err)
		})
	}
	_, list, _, err := b.ListGrants(t.Context(), root(), &grants.ListInput{KeyID: string(b.key.ID)})
	require.NoError(t, err)
	assert.Empty(t, list, "a refused request changes nothing")
}

func TestCreateGrantByKeyState(t *testing.T) {
	for state, kind := range map[keystore.State]keystore.Kind{
		keystore.Disabled: keystore.KindDisabled, keystore.PendingDeletion: keystore.KindInvalidState,
		keystore.PendingImport: keystore.KindInvalidState, keystore.Creating: keystore.KindInvalidState,
	} {
		t.Run(string(state), func(t *testing.T) {
			b := newBench(t, func(k *keystore.Key) { k.State = state }, 0)
			_, err := b.CreateGrant(t.Context(), root(), &grants.CreateInput{KeyID: b.key.ARN(), GranteePrincipal: alice, Operations: []string{"Encrypt"}})
			assert.Equal(t, kind, keystore.KindOf(err))
		})
	}
}

func TestGrantsHandOnNoMoreThanTheyHave(t *testing.T) {
	b := newBench(t, nil, 0)
	parent, err := b.CreateGrant(t.Context(), root(), &grants.CreateInput{KeyID: string(b.key.ID), GranteePrincipal: alice,
		Operations: []string{"CreateGrant", "Decrypt"}, EncryptionContextSubset: map[string]string{"team": "a"}})
	require.NoError(t, err)

	child := grants.CreateInput{KeyID: string(b.key.ID), GranteePrincipal: bob, Operations: []string{"Decrypt"},
		EncryptionContextSubset: map[string]string{"team": "a", "file": "x"}}
	out, err := b.CreateGrant(t.Context(), caller(alice), &child)
	require.NoError(t, err)
	_, list, _, err := b.ListGrants(t.Context(), root(), &grants.ListInput{KeyID: string(b.key.ID), GrantID: out.GrantID})
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, parent.GrantID, list[0].ParentGrant)
	assert.Equal(t, alice, list[0].IssuingPrincipal)
	assert.Equal(t, keystore.RootARN(account), list[0].Issuer)

	wider := child
	wider.EncryptionContextSubset = nil
	_, err = b.CreateGrant(t.Context(), caller(alice), &wider)
	assert.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err), "constraints may not be dropped")
	more := child
	more.Operations = []string{"Decrypt", "Encrypt"}
	_, err = b.CreateGrant(t.Context(), caller(alice), &more)
	assert.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err), "operations may not be added")
}

func TestRevokeGrantFollowsPolicies(t *testing.T) {
	b := newBench(t, nil, 0)
	out, err := b.CreateGrant(t.Context(), root(), &grants.CreateInput{KeyID: string(b.key.ID), GranteePrincipal: alice, Operations: []string{"Encrypt"}})
	require.NoError(t, err)
	_, err = b.RevokeGrant(t.Context(), caller(alice), &grants.RevokeInput{KeyID: string(b.key.ID), GrantID: out.GrantID})
	require.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err))
	allow := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:RevokeGrant","Resource":"*"}]}`
	_, err = b.RevokeGrant(t.Context(), caller(carol, allow), &grants.RevokeInput{KeyID: string(b.key.ID), GrantID: out.GrantID, DryRun: true})
	require.Equal(t, keystore.KindDryRunOperation, keystore.KindOf(err))
	_, err = b.RevokeGrant(t.Context(), caller(carol, allow), &grants.RevokeInput{KeyID: string(b.key.ID), GrantID: out.GrantID})
	require.NoError(t, err)
	_, err = b.RevokeGrant(t.Context(), root(), &grants.RevokeInput{KeyID: string(b.key.ID), GrantID: out.GrantID})
	require.Equal(t, keystore.KindNotFound, keystore.KindOf(err))
}

func TestListsArePaged(t *testing.T) {
	b := newBench(t, nil, 0)
	for range 7 {
		_, err := b.CreateGrant(t.Context(), root(), &grants.CreateInput{KeyID: string(b.key.ID), GranteePrincipal: alice,
			RetiringPrincipal: bob, Operations: []string{"Encrypt"}})
		require.NoError(t, err)
	}
	walk := func(list func(ctx context.Context, p keystore.Page) ([]*keystore.Grant, string, error)) map[string]bool {
		seen := map[string]bool{}
		for p := (keystore.Page{Limit: 3}); ; {
			found, next, err := list(t.Context(), p)
			require.NoError(t, err)
			require.LessOrEqual(t, len(found), 3)
			for _, g := range found {
				assert.False(t, seen[g.ID])
				seen[g.ID] = true
			}
			if p.Marker = next; next == "" {
				return seen
			}
		}
	}
	assert.Len(t, walk(func(ctx context.Context, p keystore.Page) ([]*keystore.Grant, string, error) {
		_, found, next, err := b.ListGrants(ctx, root(), &grants.ListInput{KeyID: string(b.key.ID), Page: p})
		return found, next, err
	}), 7)
	assert.Len(t, walk(func(ctx context.Context, p keystore.Page) ([]*keystore.Grant, string, error) {
		return b.ListRetirableGrants(ctx, root(), &grants.RetirableInput{RetiringPrincipal: bob, Page: p})
	}), 7)
	_, _, _, err := b.ListGrants(t.Context(), root(), &grants.ListInput{KeyID: string(b.key.ID), Page: keystore.Page{Marker: "bad"}})
	assert.Equal(t, keystore.KindInvalidMarker, keystore.KindOf(err))
	_, found, _, err := b.ListGrants(t.Context(), root(), &grants.ListInput{KeyID: string(b.key.ID), GranteePrincipal: carol})
	require.NoError(t, err)
	assert.Empty(t, found)
}

func TestQuotaOfGrants(t *testing.T) {
	b := newBench(t, nil, 2)
	in := grants.CreateInput{KeyID: string(b.key.ID), GranteePrincipal: alice, Operations: []string{"Encrypt"}, Name: "one"}
	for _, name := range []string{"one", "two"} {
		in.Name = name
		_, err := b.CreateGrant(t.Context(), root(), &in)
		require.NoError(t, err)
	}
	_, err := b.CreateGrant(t.Context(), root(), &in)
	require.NoError(t, err, "an existing grant is answered at the quota too")
	in.Name = "three"
	_, err = b.CreateGrant(t.Context(), root(), &in)
	assert.Equal(t, keystore.KindLimitExceeded, keystore.KindOf(err))
}

func TestGrantableFollowsTheKey(t *testing.T) {
	rsa := &keystore.Key{Spec: keystore.RSA2048, Usage: keystore.UsageSignVerify}
	mac := &keystore.Key{Spec: keystore.HMAC256, Usage: keystore.UsageMAC}
	store := &keystore.Key{Spec: keystore.SymmetricDefault, Usage: keystore.UsageEncryptDecrypt, StoreID: "cks-1"}
	for _, c := range []struct {
		key  *keystore.Key
		op   string
		want bool
	}{
		{rsa, "Sign", true}, {rsa, "GetPublicKey", true}, {rsa, "Encrypt", false}, {rsa, "DescribeKey", true},
		{mac, "VerifyMac", true}, {mac, "GetPublicKey", false}, {store, "Decrypt", true}, {store, "GenerateDataKeyPair", false},
	} {
		assert.Equal(t, c.want, grants.Grantable(c.key, c.op), "%s %s", c.key.Spec, c.op)
	}
}

// What a policy can ask of CreateGrant and RetireGrant (developer guide, "AWS KMS condition keys").
func TestConditionsOnGrants(t *testing.T) {
	const service = "us-east-1.supportauthz.amazonaws.com"
	for name, c := range map[string]struct {
		condition string
		in        grants.CreateInput
		want      bool
	}{
		"context of the constraints": {`{"StringEquals":{"kms:EncryptionContext:team":"a"}}`,
			grants.CreateInput{GranteePrincipal: alice, EncryptionContextSubset: map[string]string{"team": "a"}}, true},
		"another context": {`{"StringEquals":{"kms:EncryptionContext:team":"a"}}`,
			grants.CreateInput{GranteePrincipal: alice, EncryptionContextEquals: map[string]string{"team": "b"}}, false},
		"no constraint": {`{"StringEquals":{"kms:EncryptionContext:team":"a"}}`, grants.CreateInput{GranteePrincipal: alice}, false},
		"keys of both constraints": {`{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["team"]}}`, grants.CreateInput{GranteePrincipal: alice,
			EncryptionContextSubset: map[string]string{"team": "a"}, EncryptionContextEquals: map[string]string{"team": "a", "more": "b"}}, false},
		"grantee":             {`{"StringEquals":{"kms:GranteePrincipal":"` + alice + `"}}`, grants.CreateInput{GranteePrincipal: alice}, true},
		"no retiring service": {`{"Null":{"kms:RetiringServicePrincipal":"true"}}`, grants.CreateInput{GranteePrincipal: alice}, true},
		"a service has no ARN": {`{"Null":{"kms:GranteePrincipal":"true"}}`, grants.CreateInput{GranteeServicePrincipal: service,
			RetiringServicePrincipal: service, SourceARN: "arn:aws:rds:us-east-1:" + account + ":db:orders"}, true},
		"services and source": {`{"StringEquals":{"kms:GranteeServicePrincipal":"` + service + `","kms:RetiringServicePrincipal":"` + service +
			`"},"ArnLike":{"kms:GrantConstraintSourceArn":"arn:aws:rds:*:*:db:*"}}`, grants.CreateInput{GranteeServicePrincipal: service,
			RetiringServicePrincipal: service, SourceARN: "arn:aws:rds:us-east-1:" + account + ":db:orders"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil, 0)
			c.in.KeyID, c.in.Operations = string(b.key.ID), []string{"Encrypt"}
			may := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:CreateGrant","Resource":"*","Condition":` + c.condition + `}]}`
			_, err := b.CreateGrant(t.Context(), caller(carol, may), &c.in)
			if c.want {
				require.NoError(t, err)
			} else {
				require.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err), "%v", err)
			}
		})
	}
}

// Who may retire by their own policies may also where the key policy names them.
func TestRetireByOwnPolicyBesideTheKeyPolicy(t *testing.T) {
	b := newBench(t, func(k *keystore.Key) {
		k.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["` + keystore.RootARN(account) + `","` + carol +
			`"]},"Action":"kms:*","Resource":"*"}]}`
	}, 0)
	out, err := b.CreateGrant(t.Context(), root(), &grants.CreateInput{KeyID: string(b.key.ID), GranteePrincipal: alice, Operations: []string{"Encrypt"}})
	require.NoError(t, err)
	_, err = b.RetireGrant(t.Context(), caller(carol), &grants.RetireInput{GrantToken: out.GrantToken})
	require.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err), "a key policy alone gives no permission")
	may := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:RetireGrant","Resource":"*"}]}`
	_, err = b.RetireGrant(t.Context(), caller(carol, may), &grants.RetireInput{GrantToken: out.GrantToken})
	require.NoError(t, err)
}

// A key that is disabled after it was admitted gets no grant any more.
func TestKeyThatIsDisabledMeanwhile(t *testing.T) {
	b := newBench(t, nil, 0)
	late := &statetest.Before{DB: b.db}
	late.Do = func() {
		k := b.key.Clone()
		k.State = keystore.Disabled
		require.NoError(t, b.db.Update(t.Context(), func(tx keystore.Tx) error { return tx.UpdateKey(k) }))
	}
	s := grants.New(grants.Config{DB: late, Resolver: connected{}, Gate: b.gate, Clock: fixedClock{}, Random: rand.Reader})
	_, err := s.CreateGrant(t.Context(), root(), &grants.CreateInput{KeyID: string(b.key.ID), GranteePrincipal: alice, Operations: []string{"Encrypt"}})
	require.Equal(t, keystore.KindDisabled, keystore.KindOf(err), "%v", err)
}
