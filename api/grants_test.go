package api_test

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/grants"
)

// grantsPerKey is small enough for a test to reach.
const grantsPerKey = 60

func (a *appliance) grants(gate *access.Gate) *grants.Service {
	return grants.New(grants.Config{DB: a.db, Resolver: a.manager, Gate: gate, Clock: a.clock, Random: rand.Reader,
		PrincipalExists: grants.Known, PerKey: grantsPerKey})
}

// user is a principal with a client of its own.
type user struct {
	*kms.Client
	arn string
}

// principal makes a user or a role ("user/alice") with the given policies of its own.
func (a *appliance) principal(t testing.TB, kind keystore.PrincipalKind, name string, policies ...string) *user {
	t.Helper()
	var named []keystore.NamedPolicy
	for i, p := range policies {
		named = append(named, keystore.NamedPolicy{Name: string(rune('a' + i)), Document: p})
	}
	v, key, err := a.principals.Create(t.Context(), kind, name, named)
	require.NoError(t, err)
	return &user{a.client(key), v.ARN}
}

func (a *appliance) user(t testing.TB, name string, policies ...string) *user {
	t.Helper()
	return a.principal(t, keystore.PrincipalUser, name, policies...)
}

func (a *appliance) rootUser() *user { return &user{a.client(a.root), keystore.RootARN(account)} }

// newKey makes a key; policy "" is the default.
func (u *user) newKey(t testing.TB, policy string) *types.KeyMetadata {
	t.Helper()
	in := &kms.CreateKeyInput{}
	if policy != "" {
		in.Policy = &policy
	}
	out, err := u.CreateKey(t.Context(), in)
	require.NoError(t, err)
	return out.KeyMetadata
}

func (u *user) encrypt(t testing.TB, key string, context map[string]string, tokens ...string) error {
	t.Helper()
	_, err := u.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &key, Plaintext: []byte("gold"), EncryptionContext: context, GrantTokens: tokens})
	return err
}

func (u *user) decrypt(t testing.TB, blob []byte, context map[string]string) error {
	t.Helper()
	_, err := u.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: context})
	return err
}

// denied asserts AWS's words for a request that nothing allows.
func denied(t *testing.T, err error, u *user, permission, keyARN string) {
	t.Helper()
	isException(t, err, "AccessDeniedException", "User: "+u.arn+" is not authorized to perform: kms:"+permission+" on resource: "+keyARN+
		" because no identity-based policy allows the kms:"+permission+" action")
}

func TestAGrantGivesAndTakesEncrypt(t *testing.T) {
	a := start(t)
	root, alice := a.rootUser(), a.user(t, "alice")
	k := root.newKey(t, "")
	denied(t, alice.encrypt(t, *k.KeyId, nil), alice, "Encrypt", *k.Arn)

	out, err := root.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: k.KeyId, GranteePrincipal: &alice.arn,
		Operations: []types.GrantOperation{"Encrypt"}})
	require.NoError(t, err)
	assert.Regexp(t, "^[0-9a-f]{64}$", *out.GrantId)
	assert.NoError(t, alice.encrypt(t, *k.KeyId, nil), "at once")
	assert.NoError(t, alice.encrypt(t, *k.KeyId, nil, *out.GrantToken))
	_, err = alice.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: k.KeyId, KeySpec: types.DataKeySpecAes256})
	denied(t, err, alice, "GenerateDataKey", *k.Arn)
	isException(t, alice.encrypt(t, *k.KeyId, nil, "bm9uc2Vuc2U="), "InvalidGrantTokenException", "")

	record := a.lastRecord(t, "CreateGrant")
	assert.Equal(t, map[string]any{"keyId": *k.KeyId, "granteePrincipal": alice.arn, "operations": []any{"Encrypt"}}, record["requestParameters"])
	assert.Equal(t, map[string]any{"grantId": *out.GrantId}, record["responseElements"])
	assert.Equal(t, false, record["readOnly"])

	_, err = root.RevokeGrant(t.Context(), &kms.RevokeGrantInput{KeyId: k.KeyId, GrantId: out.GrantId})
	require.NoError(t, err)
	denied(t, alice.encrypt(t, *k.KeyId, nil), alice, "Encrypt", *k.Arn)
	denied(t, alice.encrypt(t, *k.KeyId, nil, *out.GrantToken), alice, "Encrypt", *k.Arn)
	record = a.lastRecord(t, "RevokeGrant")
	assert.Equal(t, map[string]any{"grantId": *out.GrantId}, record["additionalEventData"])
	assert.Equal(t, *k.Arn, record["resources"].([]any)[0].(map[string]any)["ARN"])
	_, err = root.RevokeGrant(t.Context(), &kms.RevokeGrantInput{KeyId: k.KeyId, GrantId: out.GrantId})
	isException(t, err, "NotFoundException", "Grant ID "+*out.GrantId+" not found")
}

func TestGrantConstraints(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	k := root.newKey(t, "")
	pairs := map[string]string{"team": "a", "file": "x"}
	sealed := func(context map[string]string) []byte {
		out, err := root.Encrypt(t.Context(), &kms.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("gold"), EncryptionContext: context})
		require.NoError(t, err)
		return out.CiphertextBlob
	}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range []map[string]string{pairs, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	cases := map[string]struct {
		constraint types.GrantConstraints
		context    map[string]string
		allowed    bool
	}{
		"equals, the same":          {types.GrantConstraints{EncryptionContextEquals: pairs}, pairs, true},
		"equals, one more":          {types.GrantConstraints{EncryptionContextEquals: pairs}, with(map[string]string{"n": "1"}), false},
		"equals, one less":          {types.GrantConstraints{EncryptionContextEquals: pairs}, map[string]string{"team": "a"}, false},
		"equals, another value":     {types.GrantConstraints{EncryptionContextEquals: pairs}, with(map[string]string{"team": "A"}), false},
		"equals, none":              {types.GrantConstraints{EncryptionContextEquals: pairs}, nil, false},
		"subset, the same":          {types.GrantConstraints{EncryptionContextSubset: pairs}, pairs, true},
		"subset, one more":          {types.GrantConstraints{EncryptionContextSubset: pairs}, with(map[string]string{"n": "1"}), true},
		"subset, one less":          {types.GrantConstraints{EncryptionContextSubset: pairs}, map[string]string{"team": "a"}, false},
		"subset, another value":     {types.GrantConstraints{EncryptionContextSubset: pairs}, with(map[string]string{"file": "y"}), false},
		"subset, none":              {types.GrantConstraints{EncryptionContextSubset: pairs}, nil, false},
		"both, and both hold":       {types.GrantConstraints{EncryptionContextSubset: map[string]string{"team": "a"}, EncryptionContextEquals: pairs}, pairs, true},
		"an empty one binds nobody": {types.GrantConstraints{}, nil, true},
	}
	n := 0
	for name, c := range cases {
		n++
		u := a.user(t, "user"+string(rune('a'+n)))
		t.Run(name, func(t *testing.T) {
			out, err := root.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: k.KeyId, GranteePrincipal: &u.arn, Constraints: &c.constraint,
				Operations: []types.GrantOperation{"Encrypt", "Decrypt", "DescribeKey", "ReEncryptFrom", "ReEncryptTo"}})
			require.NoError(t, err)
			blob := sealed(c.context)
			both := kms.ReEncryptInput{CiphertextBlob: blob, SourceEncryptionContext: c.context, DestinationEncryptionContext: c.context, DestinationKeyId: k.KeyId}
			_, reErr := u.ReEncrypt(t.Context(), &both)
			if c.allowed {
				assert.NoError(t, u.encrypt(t, *k.KeyId, c.context))
				assert.NoError(t, u.decrypt(t, blob, c.context))
				assert.NoError(t, reErr)
			} else {
				denied(t, u.encrypt(t, *k.KeyId, c.context), u, "Encrypt", *k.Arn)
				assert.Error(t, u.decrypt(t, blob, c.context))
				assert.Error(t, reErr)
			}
			_, err = u.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: k.KeyId})
			assert.NoError(t, err, "DescribeKey has no encryption context that a constraint could bind")

			list, err := root.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: k.KeyId, GrantId: out.GrantId})
			require.NoError(t, err)
			require.Len(t, list.Grants, 1)
			assert.Equal(t, c.constraint, *list.Grants[0].Constraints)
		})
	}
}

func TestGrantsAsTheyAreListed(t *testing.T) {
	a := start(t)
	root, alice, bob := a.rootUser(), a.user(t, "alice"), a.principal(t, keystore.PrincipalRole, "bob")
	k := root.newKey(t, "")
	in := kms.CreateGrantInput{KeyId: k.Arn, GranteePrincipal: &alice.arn, RetiringPrincipal: &bob.arn, Name: aws.String("one"),
		Operations: []types.GrantOperation{"Encrypt", "Decrypt"}}
	first, err := root.CreateGrant(t.Context(), &in)
	require.NoError(t, err)
	in.KeyId, in.Operations = k.KeyId, []types.GrantOperation{"Decrypt", "Encrypt", "Decrypt"}
	again, err := root.CreateGrant(t.Context(), &in)
	require.NoError(t, err)
	assert.Equal(t, *first.GrantId, *again.GrantId, "the same name and parameters are the same grant")
	assert.NotEqual(t, *first.GrantToken, *again.GrantToken)
	in.RetiringPrincipal = nil
	other, err := root.CreateGrant(t.Context(), &in)
	require.NoError(t, err)
	assert.NotEqual(t, *first.GrantId, *other.GrantId)

	list, err := root.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.False(t, list.Truncated)
	assert.Nil(t, list.NextMarker)
	require.Len(t, list.Grants, 2)
	// It needs a permission, about the principal.
	_, err = bob.ListRetirableGrants(t.Context(), &kms.ListRetirableGrantsInput{RetiringPrincipal: &bob.arn})
	isException(t, err, "AccessDeniedException", "User: "+bob.arn+" is not authorized to perform: kms:ListRetirableGrants on resource: "+bob.arn+
		" because no identity-based policy allows the kms:ListRetirableGrants action")
	reader := a.user(t, "reader", document(own("Allow", "kms:ListRetirableGrants", bob.arn, "")))
	retirable, err := reader.ListRetirableGrants(t.Context(), &kms.ListRetirableGrantsInput{RetiringPrincipal: &bob.arn})
	require.NoError(t, err)
	assert.Len(t, retirable.Grants, 1)
	_, err = reader.ListRetirableGrants(t.Context(), &kms.ListRetirableGrantsInput{RetiringPrincipal: &alice.arn})
	isException(t, err, "AccessDeniedException", "*")
	_, err = reader.ListRetirableGrants(t.Context(), &kms.ListRetirableGrantsInput{RetiringPrincipal: aws.String(account)})
	isException(t, err, "AccessDeniedException", "User: "+reader.arn+" is not authorized to perform: kms:ListRetirableGrants on resource: "+
		keystore.RootARN(account)+" because no identity-based policy allows the kms:ListRetirableGrants action")
	retirable, err = root.ListRetirableGrants(t.Context(), &kms.ListRetirableGrantsInput{RetiringPrincipal: &bob.arn})
	require.NoError(t, err)
	require.Len(t, retirable.Grants, 1)
	g := retirable.Grants[0]
	require.NotNil(t, g.CreationDate)
	g.CreationDate = nil
	assert.Equal(t, types.GrantListEntry{KeyId: k.Arn, GrantId: first.GrantId, Name: aws.String("one"), GranteePrincipal: &alice.arn,
		RetiringPrincipal: &bob.arn, IssuingAccount: aws.String(keystore.RootARN(account)),
		Operations: []types.GrantOperation{"Decrypt", "Encrypt"}}, g)

	for name, in := range map[string]kms.ListGrantsInput{
		"another grantee":   {KeyId: k.KeyId, GranteePrincipal: &bob.arn},
		"a service":         {KeyId: k.KeyId, GranteeServicePrincipal: aws.String("s3.amazonaws.com")},
		"an unknown grant":  {KeyId: k.KeyId, GrantId: aws.String(strings.Repeat("0", 64))},
		"a grant and other": {KeyId: k.KeyId, GrantId: first.GrantId, GranteePrincipal: &bob.arn},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := root.ListGrants(t.Context(), &in)
			require.NoError(t, err)
			assert.Empty(t, list.Grants)
		})
	}
}

func TestGrantsArePagedUpToTheirLimit(t *testing.T) {
	a := start(t)
	root, alice := a.rootUser(), a.user(t, "alice")
	k := root.newKey(t, "")
	in := kms.CreateGrantInput{KeyId: k.KeyId, GranteePrincipal: &alice.arn, RetiringPrincipal: &alice.arn, Operations: []types.GrantOperation{"Sign"}}
	_, err := root.CreateGrant(t.Context(), &in)
	isException(t, err, "ValidationException", "Operation Sign is not valid for KMS key "+*k.Arn+" with key spec SYMMETRIC_DEFAULT and key usage ENCRYPT_DECRYPT.")
	in.Operations = []types.GrantOperation{"Encrypt"}
	for range grantsPerKey {
		_, err := root.CreateGrant(t.Context(), &in)
		require.NoError(t, err)
	}
	_, err = root.CreateGrant(t.Context(), &in)
	isException(t, err, "LimitExceededException", "Key "+*k.Arn+" already has the maximum number of grants: 60.")

	seen := map[string]bool{}
	pages := kms.NewListGrantsPaginator(root, &kms.ListGrantsInput{KeyId: k.KeyId, Limit: aws.Int32(25)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		assert.LessOrEqual(t, len(page.Grants), 25)
		assert.Equal(t, page.Truncated, page.NextMarker != nil)
		for _, g := range page.Grants {
			assert.False(t, seen[*g.GrantId])
			seen[*g.GrantId] = true
		}
	}
	assert.Len(t, seen, grantsPerKey)
	usual, err := root.ListRetirableGrants(t.Context(), &kms.ListRetirableGrantsInput{RetiringPrincipal: &alice.arn})
	require.NoError(t, err)
	assert.Len(t, usual.Grants, 50)
	rest, err := root.ListRetirableGrants(t.Context(), &kms.ListRetirableGrantsInput{RetiringPrincipal: &alice.arn, Marker: usual.NextMarker})
	require.NoError(t, err)
	assert.Len(t, rest.Grants, grantsPerKey-50)
	_, err = root.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: k.KeyId, Marker: usual.NextMarker})
	isException(t, err, "InvalidMarkerException", "")
}

func TestWhoMayRetire(t *testing.T) {
	a := start(t)
	root, alice, bob := a.rootUser(), a.user(t, "alice"), a.user(t, "bob")
	carol := a.user(t, "carol", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"kms:RetireGrant","Resource":"*"}}`)
	stopped := a.user(t, "stopped", `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"kms:RetireGrant","Resource":"*"}}`)
	k := root.newKey(t, "")
	for name, c := range map[string]struct {
		who        *user
		operations []types.GrantOperation
		retiring   *string
		allowed    bool
	}{
		"the retiring principal":       {bob, []types.GrantOperation{"Encrypt"}, &bob.arn, true},
		"the grantee without":          {alice, []types.GrantOperation{"Encrypt"}, &bob.arn, false},
		"the grantee with RetireGrant": {alice, []types.GrantOperation{"Encrypt", "RetireGrant"}, nil, true},
		"the account":                  {root, []types.GrantOperation{"Encrypt"}, nil, true},
		"somebody else":                {bob, []types.GrantOperation{"Encrypt", "RetireGrant"}, nil, false},
		"who has the permission":       {carol, []types.GrantOperation{"Encrypt"}, nil, true},
		"who is denied":                {stopped, []types.GrantOperation{"Encrypt"}, &stopped.arn, false},
	} {
		for _, byToken := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				out, err := root.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: k.KeyId, GranteePrincipal: &alice.arn,
					RetiringPrincipal: c.retiring, Operations: c.operations})
				require.NoError(t, err)
				in := kms.RetireGrantInput{GrantToken: out.GrantToken}
				if !byToken {
					in = kms.RetireGrantInput{KeyId: k.Arn, GrantId: out.GrantId}
				}
				in.DryRun = aws.Bool(true)
				_, err = c.who.RetireGrant(t.Context(), &in)
				if c.allowed {
					isException(t, err, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
				} else {
					isException(t, err, "AccessDeniedException", "*")
				}
				in.DryRun = nil
				_, err = c.who.RetireGrant(t.Context(), &in)
				list, lerr := root.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: k.KeyId, GrantId: out.GrantId})
				require.NoError(t, lerr)
				if !c.allowed {
					isException(t, err, "AccessDeniedException", "*")
					assert.Len(t, list.Grants, 1)
					return
				}
				require.NoError(t, err)
				assert.Empty(t, list.Grants)
				record := a.lastRecord(t, "RetireGrant")
				assert.Equal(t, map[string]any{"grantId": *out.GrantId}, record["additionalEventData"])
				assert.NotContains(t, fmt.Sprint(record), *out.GrantToken, "a token is in no record")
				assert.Equal(t, *k.Arn, record["resources"].([]any)[0].(map[string]any)["ARN"])
				_, err = root.RetireGrant(t.Context(), &in)
				isException(t, err, "NotFoundException", "Grant ID "+*out.GrantId+" not found")
			})
		}
	}
}

func TestGrantsHandedOn(t *testing.T) {
	a := start(t)
	root, alice, bob := a.rootUser(), a.user(t, "alice"), a.user(t, "bob")
	k := root.newKey(t, "")
	team := &types.GrantConstraints{EncryptionContextSubset: map[string]string{"team": "a"}}
	_, err := root.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: k.KeyId, GranteePrincipal: &alice.arn, Constraints: team,
		Operations: []types.GrantOperation{"CreateGrant", "Decrypt", "Encrypt"}})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		operations []types.GrantOperation
		constraint *types.GrantConstraints
		allowed    bool
	}{
		"the same":          {[]types.GrantOperation{"Encrypt"}, team, true},
		"a stricter one":    {[]types.GrantOperation{"Encrypt"}, &types.GrantConstraints{EncryptionContextEquals: map[string]string{"team": "a", "n": "1"}}, true},
		"no constraint":     {[]types.GrantOperation{"Encrypt"}, nil, false},
		"another team":      {[]types.GrantOperation{"Encrypt"}, &types.GrantConstraints{EncryptionContextSubset: map[string]string{"team": "b"}}, false},
		"another operation": {[]types.GrantOperation{"Encrypt", "GenerateDataKey"}, team, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := alice.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: k.KeyId, GranteePrincipal: &bob.arn,
				Operations: c.operations, Constraints: c.constraint})
			if c.allowed {
				assert.NoError(t, err)
				return
			}
			denied(t, err, alice, "CreateGrant", *k.Arn)
		})
	}
}

// TestGrantsInStates holds the five operations against the key state table.
func TestGrantsInStates(t *testing.T) {
	a := start(t)
	root, alice := a.rootUser(), a.user(t, "alice")
	k := root.newKey(t, "")
	in := kms.CreateGrantInput{KeyId: k.KeyId, GranteePrincipal: &alice.arn, Operations: []types.GrantOperation{"Encrypt"}}
	var made []*kms.CreateGrantOutput
	for range 4 {
		out, err := root.CreateGrant(t.Context(), &in)
		require.NoError(t, err)
		made = append(made, out)
	}
	end := func(t *testing.T) {
		t.Helper()
		_, err := root.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: k.KeyId})
		require.NoError(t, err)
		_, err = root.RevokeGrant(t.Context(), &kms.RevokeGrantInput{KeyId: k.KeyId, GrantId: made[0].GrantId})
		require.NoError(t, err)
		_, err = root.RetireGrant(t.Context(), &kms.RetireGrantInput{GrantToken: made[1].GrantToken})
		require.NoError(t, err)
		made = made[2:]
	}
	_, err := root.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: k.KeyId})
	require.NoError(t, err)
	_, err = root.CreateGrant(t.Context(), &in)
	isException(t, err, "DisabledException", *k.Arn+" is disabled.")
	isException(t, alice.encrypt(t, *k.KeyId, nil), "DisabledException", *k.Arn+" is disabled.")
	end(t)
	_, err = root.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: k.KeyId, PendingWindowInDays: aws.Int32(7)})
	require.NoError(t, err)
	_, err = root.CreateGrant(t.Context(), &in)
	isException(t, err, "KMSInvalidStateException", *k.Arn+" is pending deletion.")
	end(t)
	isException(t, alice.encrypt(t, *k.KeyId, nil), "AccessDeniedException", "*")
}

// TestBadGrantRequests sends what no request should have.
func TestBadGrantRequests(t *testing.T) {
	a := start(t)
	root, alice := a.rootUser(), a.user(t, "alice")
	k := root.newKey(t, "")
	id := *k.KeyId
	_, err := root.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/it"), TargetKeyId: &id})
	require.NoError(t, err)
	out, err := root.CreateGrant(t.Context(), &kms.CreateGrantInput{KeyId: &id, GranteePrincipal: &alice.arn, Operations: []types.GrantOperation{"Encrypt"}})
	require.NoError(t, err)
	gone := "00000000-0000-4000-8000-000000000000"
	goneARN := keystore.KeyARN(region, account, keystore.KeyID(gone))
	principal := `"GranteePrincipal":"` + alice.arn + `"`
	one := func(text string) string { return "1 validation error detected: " + text }
	for name, c := range map[string]struct{ operation, body, exception, message string }{
		"no key":            {"CreateGrant", `{` + principal + `,"Operations":["Encrypt"]}`, "ValidationException", one("Value null at 'keyId' failed to satisfy constraint: Member must not be null")},
		"no operations":     {"CreateGrant", `{"KeyId":"` + id + `",` + principal + `}`, "ValidationException", one("Value null at 'operations' failed to satisfy constraint: Member must not be null")},
		"empty operations":  {"CreateGrant", `{"KeyId":"` + id + `",` + principal + `,"Operations":[]}`, "ValidationException", one("Value '[]' at 'operations' failed to satisfy constraint: Member must have length greater than or equal to 1")},
		"no such operation": {"CreateGrant", `{"KeyId":"` + id + `",` + principal + `,"Operations":["Fly"]}`, "ValidationException", "*"},
		"no grantee":        {"CreateGrant", `{"KeyId":"` + id + `","Operations":["Encrypt"]}`, "ValidationException", "You must specify either GranteePrincipal or GranteeServicePrincipal, but not both."},
		"a bad grantee":     {"CreateGrant", `{"KeyId":"` + id + `","GranteePrincipal":"alice","Operations":["Encrypt"]}`, "InvalidArnException", "ARN does not refer to a valid principal"},
		"no such user":      {"CreateGrant", `{"KeyId":"` + id + `","GranteePrincipal":"` + alice.arn + `2","Operations":["Encrypt"]}`, "InvalidArnException", "ARN does not refer to a valid principal"},
		"a bad retiring":    {"CreateGrant", `{"KeyId":"` + id + `",` + principal + `,"RetiringPrincipal":"arn:aws:iam::` + account + `:role/none","Operations":["Encrypt"]}`, "InvalidArnException", "ARN does not refer to a valid principal"},
		"a bad name":        {"CreateGrant", `{"KeyId":"` + id + `",` + principal + `,"Operations":["Encrypt"],"Name":"a b"}`, "ValidationException", one("Value 'a b' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$")},
		"11 tokens":         {"CreateGrant", `{"KeyId":"` + id + `",` + principal + `,"Operations":["Encrypt"],"GrantTokens":[` + strings.Repeat(`"a",`, 10) + `"a"]}`, "ValidationException", "*"},
		"a bad token":       {"CreateGrant", `{"KeyId":"` + id + `",` + principal + `,"Operations":["Encrypt"],"GrantTokens":["a"]}`, "InvalidGrantTokenException", ""},
		"an alias":          {"CreateGrant", `{"KeyId":"alias/it",` + principal + `,"Operations":["Encrypt"]}`, "*", "*"},
		"no such key":       {"CreateGrant", `{"KeyId":"` + gone + `",` + principal + `,"Operations":["Encrypt"]}`, "NotFoundException", "Key '" + goneARN + "' does not exist"},
		"context not a map": {"CreateGrant", `{"KeyId":"` + id + `",` + principal + `,"Operations":["Encrypt"],"Constraints":{"EncryptionContextEquals":"x"}}`, "SerializationException", "*"},
		"a long value":      {"CreateGrant", `{"KeyId":"` + id + `",` + principal + `,"Operations":["Encrypt"],"Constraints":{"EncryptionContextEquals":{"a":"` + strings.Repeat("x", 385) + `"}}}`, "ValidationException", "*"},
		"dry run":           {"CreateGrant", `{"KeyId":"` + id + `",` + principal + `,"Operations":["Encrypt"],"DryRun":true}`, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},

		"list: limit 0":      {"ListGrants", `{"KeyId":"` + id + `","Limit":0}`, "ValidationException", one("Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1")},
		"list: limit 1001":   {"ListGrants", `{"KeyId":"` + id + `","Limit":1001}`, "ValidationException", one("Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000")},
		"list: marker":       {"ListGrants", `{"KeyId":"` + id + `","Marker":"???"}`, "InvalidMarkerException", ""},
		"list: two filters":  {"ListGrants", `{"KeyId":"` + id + `",` + principal + `,"GranteeServicePrincipal":"s3.amazonaws.com"}`, "ValidationException", "You can specify either GranteePrincipal or GranteeServicePrincipal, but not both."},
		"retirable: nobody":  {"ListRetirableGrants", `{}`, "ValidationException", "You must specify either RetiringPrincipal or RetiringServicePrincipal, but not both."},
		"retirable: no ARN":  {"ListRetirableGrants", `{"RetiringPrincipal":"bob"}`, "InvalidArnException", "ARN does not refer to a valid principal"},
		"retire: nothing":    {"RetireGrant", `{}`, "ValidationException", "Grant token OR (grant ID, key ID) must be specified"},
		"retire: id alone":   {"RetireGrant", `{"GrantId":"` + *out.GrantId + `"}`, "ValidationException", "Grant token OR (grant ID, key ID) must be specified"},
		"retire: both":       {"RetireGrant", `{"GrantToken":"` + *out.GrantToken + `","KeyId":"` + id + `","GrantId":"` + *out.GrantId + `"}`, "ValidationException", "Grant token OR (grant ID, key ID) must be specified"},
		"retire: bad token":  {"RetireGrant", `{"GrantToken":"AAAA"}`, "InvalidGrantTokenException", ""},
		"retire: other key":  {"RetireGrant", `{"KeyId":"` + gone + `","GrantId":"` + *out.GrantId + `"}`, "NotFoundException", "Key '" + goneARN + "' does not exist"},
		"revoke: no id":      {"RevokeGrant", `{"KeyId":"` + id + `"}`, "ValidationException", one("Value null at 'grantId' failed to satisfy constraint: Member must not be null")},
		"revoke: unknown id": {"RevokeGrant", `{"KeyId":"` + id + `","GrantId":"x"}`, "NotFoundException", "Grant ID x not found"},
		"revoke: dry run":    {"RevokeGrant", `{"KeyId":"` + id + `","GrantId":"` + *out.GrantId + `","DryRun":true}`, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
	} {
		t.Run(name, func(t *testing.T) {
			got := a.post(t, c.operation, c.body)
			assert.Equal(t, 400, got.status)
			name, message := exceptionOf(t, got)
			agrees(t, name, message, c.exception, c.message)
		})
	}
	list, err := root.ListGrants(t.Context(), &kms.ListGrantsInput{KeyId: &id})
	require.NoError(t, err)
	assert.Len(t, list.Grants, 1, "nothing of it changed anything")
}
