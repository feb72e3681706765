package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

func existing(arn string) bool { return arn == alice || arn == admin }

func TestValidatePolicy(t *testing.T) {
	const syntax = "Syntax errors in policy: "
	principal := func(p string) string {
		return `{"Statement":{"Effect":"Allow","Principal":` + p + `,"Action":"kms:*","Resource":"*"}}`
	}
	with := func(members string) string {
		return `{"Statement":[{"Effect":"Allow","Principal":"*",` + members + `}]}`
	}
	const badPrincipal = "Policy contains a statement with one or more invalid principals."
	tests := []struct {
		name string
		text string
		want string // "" means valid; else the text, or its beginning
	}{
		{"default", access.DefaultPolicy(account), ""},
		{"as the console makes it", teamPolicy, ""},
		{"old version", `{"Version":"2008-10-17","Statement":` + `{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}`, ""},
		{"without resource", with(`"Action":"kms:*"`), ""},
		{"without action", with(`"Resource":"*"`), ""},
		{"no action in the list", with(`"Action":[],"Resource":"*"`), ""},
		{"no resource in the list", with(`"Action":"kms:*","Resource":[]`), ""},
		{"NotAction and NotResource", with(`"NotAction":"kms:Delete*","NotResource":"x"`), ""},
		{"Latin-1", with(`"Sid":"Schlüssel","Action":"kms:*","Resource":"*"`), ""},

		{"nothing", "", syntax + "the text ends too early."},
		{"cut off", `{"Statement":[{"Effect":`, syntax + "the text ends too early."},
		{"no JSON", "hello", syntax + "at byte "},
		{"no object", `[]`, syntax + "a policy must be an object."},
		{"something behind", access.DefaultPolicy(account) + "}", syntax + "something follows the policy's closing brace."},
		{"comma too many", `{"Statement":[],}`, syntax + "at byte "},
		{"member twice", `{"Statement":{},"Statement":{}}`, syntax + `"Statement" is there twice.`},
		{"no statement", `{"Version":"2012-10-17"}`, syntax + "there is no Statement."},
		{"no statements", `{"Statement":[]}`, syntax + "there is no Statement."},
		{"version", `{"Version":"2012-10-18","Statement":[]}`, syntax + `Version must be "2012-10-17" or "2008-10-17".`},
		{"version as a number", `{"Version":2012,"Statement":[]}`, syntax + "Version must be"},
		{"id", `{"Id":1,"Statement":[]}`, syntax + "Id must be a string."},
		{"unknown element", `{"Statements":[]}`, syntax + `unknown element "Statements".`},
		{"statement is no object", `{"Statement":["x"]}`, syntax + "statement 1: must be an object."},
		{"element in lower case", with(`"action":"kms:*"`), syntax + `statement 1: unknown element "action".`},
		{"no effect", `{"Statement":{"Principal":"*","Action":"kms:*","Resource":"*"}}`, syntax + "statement 1: the Effect is missing."},
		{"effect in lower case", `{"Statement":{"Effect":"allow"}}`, syntax + "statement 1: Effect must be Allow or Deny."},
		{"sid", with(`"Sid":7`), syntax + "statement 1: Sid must be a string."},
		{"no principal", `{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}`, syntax + "statement 1: Principal is missing."},
		{"no principal in the list", principal(`{"AWS":[]}`), syntax + "statement 1: Principal is missing."},
		{"no principal in the object", principal(`{}`), syntax + "statement 1: Principal is missing."},
		{"no principal to spare", `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":[]},"Action":"kms:*","Resource":"*"}}`, syntax + "statement 1: Principal is missing."},
		{"both principals", `{"Statement":{"Effect":"Deny","Principal":"*","NotPrincipal":"*"}}`, syntax + "statement 1: Principal and NotPrincipal exclude each other."},
		{"both actions", with(`"Action":"*","NotAction":"*"`), syntax + "statement 1: Action and NotAction exclude each other."},
		{"both resources", with(`"Resource":"*","NotResource":"*"`), syntax + "statement 1: Resource and NotResource exclude each other."},
		{"NotPrincipal allows", `{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"` + alice + `"},"Action":"*","Resource":"*"}}`, syntax + "statement 1: a NotPrincipal needs Effect Deny."},
		{"principal in short", principal(`"` + alice + `"`), syntax + `statement 1: Principal must be "*" or an object.`},
		{"kind of principal", principal(`{"aws":"*"}`), syntax + `statement 1: Principal "aws" is not a kind of principal.`},
		{"principal as a number", principal(`{"AWS":111122223333}`), syntax + "statement 1: Principal AWS must be a string or a list of strings."},
		{"action", with(`"Action":"Encrypt"`), syntax + `statement 1: Action "Encrypt" is not an action.`},
		{"action's service", with(`"Action":"k*:Encrypt"`), syntax + `statement 1: Action "k*:Encrypt" is not an action.`},
		{"action as an object", with(`"Action":{}`), syntax + "statement 1: Action must be a string or a list of strings."},
		{"resource as a number", with(`"Resource":1`), syntax + "statement 1: Resource must be a string or a list of strings."},
		{"operator", with(`"Condition":{"StringIs":{"aws:x":"y"}}`), syntax + "statement 1: condition StringIs on aws:x: there is no such operator."},
		{"operator in lower case", with(`"Condition":{"stringequals":{"aws:x":"y"}}`), syntax + "statement 1: condition stringequals on aws:x"},
		{"quantifier", with(`"Condition":{"ForMostValues:StringEquals":{"aws:x":"y"}}`), syntax + "statement 1: condition ForMostValues"},
		{"NullIfExists", with(`"Condition":{"NullIfExists":{"aws:x":"true"}}`), syntax + "statement 1: condition NullIfExists"},
		{"condition", with(`"Condition":"x"`), syntax + "statement 1: condition must be an object."},
		{"condition operator", with(`"Condition":{"Bool":"x"}`), syntax + "statement 1: condition operator Bool must hold an object."},
		{"condition key", with(`"Condition":{"Bool":{"x":"true"}}`), syntax + `statement 1: condition Bool on x: "x" is not a condition key.`},
		{"condition value", with(`"Condition":{"StringEquals":{"aws:x":{}}}`), syntax + "statement 1: condition StringEquals on aws:x: must be"},
		{"number", with(`"Condition":{"NumericEquals":{"aws:x":"ten"}}`), syntax + `statement 1: condition NumericEquals on aws:x: "ten" is not a number.`},
		{"date", with(`"Condition":{"DateEquals":{"aws:x":"tomorrow"}}`), syntax + "statement 1: condition DateEquals"},
		{"boolean", with(`"Condition":{"Bool":{"aws:x":"yes"}}`), syntax + "statement 1: condition Bool"},
		{"null", with(`"Condition":{"Null":{"aws:x":"yes"}}`), syntax + "statement 1: condition Null"},
		{"address", with(`"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/40"}}`), syntax + "statement 1: condition IpAddress"},
		{"binary", with(`"Condition":{"BinaryEquals":{"aws:x":"%"}}`), syntax + "statement 1: condition BinaryEquals"},
		{"arn", with(`"Condition":{"ArnEquals":{"aws:x":"alice"}}`), syntax + "statement 1: condition ArnEquals"},
		{"too deep", `{"Statement":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, syntax + "nested too deeply."},

		{"existing user", principal(`{"AWS":"` + alice + `"}`), ""},
		{"everyone", principal(`{"AWS":"*"}`), ""},
		{"service", principal(`{"Service":["ec2.amazonaws.com","logs.us-west-2.amazonaws.com"]}`), ""},
		{"federated", principal(`{"Federated":"cognito-identity.amazonaws.com"}`), ""},
		{"user who is not", principal(`{"AWS":"` + bob + `"}`), badPrincipal},
		{"one of two", principal(`{"AWS":["` + alice + `","` + bob + `"]}`), badPrincipal},
		{"NotPrincipal who is not", `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"` + bob + `"},"Action":"*","Resource":"*"}}`, badPrincipal},
		{"another account", principal(`{"AWS":"444455556666"}`), badPrincipal},
		{"wildcard in a name", principal(`{"AWS":"arn:aws:iam::111122223333:user/*"}`), badPrincipal},
		{"group", principal(`{"AWS":"arn:aws:iam::111122223333:group/x"}`), badPrincipal},
		{"no ARN", principal(`{"AWS":"alice"}`), badPrincipal},
		{"no service", principal(`{"Service":"ec2"}`), badPrincipal},
		{"empty", principal(`{"AWS":""}`), badPrincipal},

		{"beyond Latin-1", with(`"Sid":"鍵"`), "Policy contains a character that is not allowed, at byte 55."},
		{"control character", with("\"Sid\":\"\x01\""), "Policy contains a character that is not allowed"},
		{"broken UTF-8", with("\"Sid\":\"\xff\""), "Policy contains a character that is not allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := access.ValidatePolicy(tt.text, account, existing)
			if tt.want == "" {
				require.NoError(t, err)
				assert.NotEmpty(t, p.Statements)
				return
			}
			var f *keystore.Fault
			require.ErrorAs(t, err, &f)
			assert.Equal(t, keystore.KindMalformedPolicyDocument, f.Kind)
			assert.True(t, strings.HasPrefix(f.Text, tt.want), "%q should begin %q", f.Text, tt.want)
		})
	}
}

func TestValidatePolicySize(t *testing.T) {
	def := access.DefaultPolicy(account)
	text := def + strings.Repeat(" ", access.MaxKeyPolicy-len(def))
	_, err := access.ValidatePolicy(text, account, nil)
	require.NoError(t, err)
	_, err = access.ValidatePolicy(text+" ", account, nil)
	assert.Equal(t, keystore.KindLimitExceeded, keystore.KindOf(err))
}

func TestValidateIdentityPolicy(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		kind keystore.Kind
	}{
		"fine":        {own("Allow", `"kms:*"`, "*"), ""},
		"principal":   {policy(allow("*", `"kms:*"`)), keystore.KindMalformedPolicyDocument},
		"no resource": {`{"Statement":{"Effect":"Allow","Action":"kms:*"}}`, keystore.KindMalformedPolicyDocument},
		"no action":   {`{"Statement":{"Effect":"Allow","NotAction":[],"Resource":"*"}}`, keystore.KindMalformedPolicyDocument},
		"no JSON":     {`x`, keystore.KindMalformedPolicyDocument},
		"too long":    {strings.Repeat(" ", access.MaxKeyPolicy+1), keystore.KindLimitExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := access.ValidateIdentityPolicy(tt.text)
			assert.Equal(t, tt.kind, keystore.KindOf(err))
		})
	}
}

func TestLockoutCheck(t *testing.T) {
	deny := `{"Effect":"Deny","Principal":{"AWS":"` + alice + `"},"Action":"kms:PutKeyPolicy","Resource":"*"}`
	when := func(condition string) string {
		return `{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":` + condition + `}`
	}
	unless := func(condition string) string { return strings.Replace(when(condition), "Allow", "Deny", 1) }
	var unlisted error
	g := access.New(access.Config{Directory: grants{}, Aliases: func(context.Context, string, keystore.KeyID) ([]string, error) {
		return []string{"alias/app"}, unlisted
	}})
	tests := []struct {
		name   string
		policy string
		caller string
		want   bool
	}{
		{"default, as root", access.DefaultPolicy(account), root, true},
		{"default, as user", access.DefaultPolicy(account), alice, true},
		{"named", policy(allow(alice, `"kms:Put*"`)), alice, true},
		{"another named", policy(allow(bob, `"kms:*"`)), alice, false},
		{"root, who is not named", policy(allow(bob, `"kms:*"`)), root, false},
		{"other actions", policy(allow(alice, `["kms:Encrypt","kms:GetKeyPolicy"]`)), alice, false},
		{"denied", policy(allow("*", `"kms:*"`), deny), alice, false},
		{"somebody else denied", policy(allow("*", `"kms:*"`), deny), bob, true},
		{"another key", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"` + keyARN + `x"}}`, alice, false},
		{"this key", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"` + keyARN + `"}}`, alice, true},
		{"without resource", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*"}}`, alice, false},
		{"for its spec", policy(when(`{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT","kms:KeyUsage":"ENCRYPT_DECRYPT","kms:KeyOrigin":"AWS_KMS"}}`)), alice, true},
		{"for another spec", policy(when(`{"StringEquals":{"kms:KeySpec":"RSA_2048"}}`)), alice, false},
		{"unless it is of another spec", policy(allow("*", `"kms:*"`), unless(`{"StringNotEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT"}}`)), alice, true},
		{"for its tag", policy(when(`{"StringEquals":{"aws:ResourceTag/Dept":"HR"}}`)), alice, true},
		{"for another tag", policy(when(`{"StringEquals":{"aws:ResourceTag/Dept":"IT"}}`)), alice, false},
		{"denied for its tag", policy(allow("*", `"kms:*"`), unless(`{"StringEquals":{"aws:ResourceTag/Dept":"HR"}}`)), alice, false},
		{"for its alias", policy(when(`{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/app"}}`)), alice, true},
		{"for another alias", policy(when(`{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/other"}}`)), alice, false},
		{"for requests that ask for the check", policy(when(`{"Bool":{"kms:BypassPolicyLockoutSafetyCheck":"false"}}`)), alice, true},
		{"for requests that do not", policy(when(`{"Bool":{"kms:BypassPolicyLockoutSafetyCheck":"true"}}`)), alice, false},
		{"under a condition that fails", policy(`{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`), alice, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := access.ValidatePolicy(tt.policy, account, nil)
			require.NoError(t, err)
			got, err := g.AllowsPutKeyPolicy(t.Context(), caller(tt.caller), key("the policy before"), p)
			require.NoError(t, err)
			assert.Equal(t, tt.want, got)
		})
	}
	unlisted = errors.New("the disk is gone")
	p, err := access.ValidatePolicy(policy(when(`{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/app"}}`)), account, nil)
	require.NoError(t, err)
	_, err = g.AllowsPutKeyPolicy(t.Context(), caller(alice), key(""), p)
	require.ErrorIs(t, err, unlisted)
	assert.Equal(t, "The new key policy will not allow you to update the key policy in the future.", access.Lockout().Text)
	assert.Equal(t, keystore.KindMalformedPolicyDocument, access.Lockout().Kind)
}

// TestDefaultPolicyIsTheRecordedOne compares with what AWS was seen to send, but for white space.
func TestDefaultPolicyIsTheRecordedOne(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "testdata", "spec", "default-key-policy.json"))
	require.NoError(t, err)
	require.True(t, json.Valid(raw))
	assert.JSONEq(t, string(raw), access.DefaultPolicy(account))
}
