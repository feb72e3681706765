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
		{"key policy", "statement 1", access.Allow, true, "applies to the caller's account, whose own policies decide further", false},
		{"key policy", "statement 2", access.Allow, false, "does not name the caller", false},
		{"key policy", `statement 3 "Old"`, access.Allow, false, "has no Action or no Resource", false},
		{"key policy", "statement 4", access.Deny, false, "condition StringNotEquals: aws:ResourceTag/Dept is HR", true},
		{"key policy", "statement 5", access.Allow, false, "condition StringEquals: kms:ViaService is not in the request", true},
		{"policy 1 of the principal", "statement 1", access.Allow, true, "applies", false},
		{"policy 2 of the principal", "statement 1", access.Allow, false, "is not about kms:Encrypt", false},
		{"policy 3 of the principal", "statement 1", access.Allow, false, "is not about " + keyARN, false},
		{"policy 4 of the principal", "statement 1", access.Allow, false, "a principal's own policy has no Principal", false},
		{"grants", "grant g1", access.Allow, true, "applies", false},
		{"grants", "grant g3", access.Allow, false, "is not for kms:Encrypt", false},
		{"grants", "grant g4", access.Allow, false, "its constraints want another encryption context", true},
	}, x.Steps)
}

// TestVerdicts asks what requests without an encryption context, and those that differ from them, can come to.
func TestVerdicts(t *testing.T) {
	ifPay := `{"StringEquals":{"kms:EncryptionContext:app":"pay"}}`
	statement := func(effect, principal, action, condition string) string {
		s := `{"Effect":"` + effect + `","Action":"` + action + `","Resource":"*"`
		if principal != "" {
			s += `,"Principal":{"AWS":"` + principal + `"}`
		}
		if condition != "" {
			s += `,"Condition":` + condition
		}
		return s + "}"
	}
	account := statement("Allow", root, "kms:*", "")
	none := statement("Allow", bob, "kms:*", "")
	for name, c := range map[string]struct {
		key, own []string
		grant    *keystore.Grant
		want     access.Verdict
	}{
		"nothing":                            {[]string{account}, nil, nil, access.NotAllowed},
		"own":                                {[]string{account}, []string{statement("Allow", "", "kms:*", "")}, nil, access.Allowed},
		"own, if":                            {[]string{account}, []string{statement("Allow", "", "kms:*", ifPay)}, nil, access.AllowedIf},
		"own, if, and the account is not in": {[]string{none}, []string{statement("Allow", "", "kms:*", ifPay)}, nil, access.NotAllowed},
		"the account, if":                    {[]string{statement("Allow", root, "kms:*", ifPay)}, []string{statement("Allow", "", "kms:*", "")}, nil, access.AllowedIf},
		"the account, if, and nothing own":   {[]string{statement("Allow", root, "kms:*", ifPay)}, nil, nil, access.NotAllowed},
		"named":                              {[]string{statement("Allow", alice, "kms:*", "")}, nil, nil, access.Allowed},
		"named, if":                          {[]string{statement("Allow", alice, "kms:*", ifPay)}, nil, nil, access.AllowedIf},
		"named for another action":           {[]string{statement("Allow", alice, "kms:Sign", "")}, nil, nil, access.NotAllowed},
		"denied":                             {[]string{account, statement("Deny", alice, "kms:*", "")}, []string{statement("Allow", "", "kms:*", ifPay)}, nil, access.NotAllowed},
		"denied, if":                         {[]string{account, statement("Deny", alice, "kms:*", ifPay)}, []string{statement("Allow", "", "kms:*", "")}, nil, access.AllowedUnless},
		"denied, if not": {[]string{account, statement("Deny", alice, "kms:*", `{"StringNotEquals":{"kms:EncryptionContext:app":"pay"}}`)},
			[]string{statement("Allow", "", "kms:*", "")}, nil, access.AllowedIf},
		"a grant":                      {[]string{none}, nil, grant(nil), access.Allowed},
		"a grant, if":                  {[]string{none}, nil, grant(func(g *keystore.Grant) { g.ContextSubset = map[string]string{"a": "b"} }), access.AllowedIf},
		"a grant of another operation": {[]string{none}, nil, grant(func(g *keystore.Grant) { g.Operations = []string{"Decrypt"} }), access.NotAllowed},
		"a grant to another":           {[]string{none}, nil, grant(func(g *keystore.Grant) { g.Grantee = bob }), access.NotAllowed},
		"unreadable":                   {[]string{"?"}, nil, grant(nil), access.NotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			g := gate()
			if c.grant != nil {
				g = gate(c.grant)
			}
			who := caller(alice)
			if c.own != nil {
				who = caller(alice, policy(c.own...))
			}
			x, err := g.Explain(t.Context(), &access.Request{Caller: who, Action: "Encrypt", Key: key(policy(c.key...))})
			require.NoError(t, err)
			assert.Equal(t, c.want, x.Verdict())
		})
	}
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
