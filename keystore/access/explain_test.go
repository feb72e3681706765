package access_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

func TestExplain(t *testing.T) {
	k := key(policy(
		allow(root, `"kms:*"`),
		allow(bob, `"kms:*"`),
		`{"Sid":"Old","Effect":"Allow","Principal":"*","Action":"kms:*"}`,
		`{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringNotEquals":{"aws:ResourceTag/Dept":"HR"}}}`,
		`{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"s3"}}}`,
	))
	k.State = keystore.Disabled
	c := caller(alice, own("Allow", `"kms:Encrypt"`, "*"), own("Allow", `"kms:Decrypt"`, "*"), own("Allow", `"*"`, keyARN+"0"), policy(allow("*", `"*"`)))
	g := gate(grant(nil), grant(func(g *keystore.Grant) { g.ID, g.Grantee = "g2", bob }),
		grant(func(g *keystore.Grant) { g.ID, g.Operations = "g3", []string{"Sign"} }),
		grant(func(g *keystore.Grant) { g.ID, g.ContextSubset = "g4", map[string]string{"a": "b"} }))
	x, err := g.Explain(t.Context(), &access.Request{Caller: c, Action: "Encrypt", Key: k})
	require.NoError(t, err)
	assert.Equal(t, access.AllowedByIdentityPolicy, x.Decision.Reason)
	assert.Equal(t, "kms:Encrypt", x.Permission)
	assert.Equal(t, keyARN, x.Resource)
	assert.Equal(t, keystore.KindDisabled, keystore.KindOf(x.State))
	assert.Equal(t, []access.Step{
		{"key policy", "statement 1", access.Allow, true, "applies to the caller's account, whose own policies decide further"},
		{"key policy", "statement 2", access.Allow, false, "does not name the caller"},
		{"key policy", `statement 3 "Old"`, access.Allow, false, "has no Action or no Resource"},
		{"key policy", "statement 4", access.Deny, false, "condition StringNotEquals: aws:ResourceTag/Dept is HR"},
		{"key policy", "statement 5", access.Allow, false, "condition StringEquals: kms:ViaService is not in the request"},
		{"policy 1 of the principal", "statement 1", access.Allow, true, "applies"},
		{"policy 2 of the principal", "statement 1", access.Allow, false, "is not about kms:Encrypt"},
		{"policy 3 of the principal", "statement 1", access.Allow, false, "is not about " + keyARN},
		{"policy 4 of the principal", "statement 1", access.Allow, false, "a principal's own policy has no Principal"},
		{"grants", "grant g1", access.Allow, true, "applies"},
		{"grants", "grant g3", access.Allow, false, "is not for kms:Encrypt"},
		{"grants", "grant g4", access.Allow, false, "its constraints want another encryption context"},
	}, x.Steps)
}

func TestExplainWithoutKeyAndFailures(t *testing.T) {
	x, err := gate().Explain(t.Context(), &access.Request{Caller: caller(root), Action: "CreateKey"})
	require.NoError(t, err)
	assert.True(t, x.Decision.Allowed)
	require.Len(t, x.Steps, 1)
	assert.Equal(t, "account root", x.Steps[0].What)

	x, err = gate().Explain(t.Context(), &access.Request{Caller: caller(root), Action: "Encrypt", Key: key("{}")})
	require.NoError(t, err)
	assert.Equal(t, access.UnreadablePolicy, x.Decision.Reason)
	assert.Contains(t, x.Steps[0].Why, "there is no Statement")

	_, err = gate().Explain(t.Context(), &access.Request{Action: "Encrypt"})
	assert.Error(t, err)
	broken := errors.New("disk gone")
	_, err = access.New(access.Config{Directory: grants{err: broken}}).Explain(t.Context(),
		&access.Request{Caller: caller(root), Action: "Encrypt", Key: key(access.DefaultPolicy(account))})
	assert.ErrorIs(t, err, broken)
}
