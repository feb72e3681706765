package access_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

const (
	account = "111122223333"
	root    = "arn:aws:iam::" + account + ":root"
	alice   = "arn:aws:iam::" + account + ":user/alice"
	bob     = "arn:aws:iam::" + account + ":user/division/bob"
	admin   = "arn:aws:iam::" + account + ":role/admin"
	keyID   = "1234abcd-12ab-34cd-56ef-1234567890ab"
	keyARN  = "arn:aws:kms:us-west-2:" + account + ":key/" + keyID
)

// grants is a directory that knows grants and nothing else.
type grants struct {
	keystore.Directory
	list []*keystore.Grant
	err  error
}

func (g grants) LookupGrants(_ context.Context, _ string, _ keystore.KeyID, grantee string) ([]*keystore.Grant, error) {
	var to []*keystore.Grant
	for _, one := range g.list {
		if one.Grantee == grantee {
			to = append(to, one)
		}
	}
	return to, g.err
}

func gate(list ...*keystore.Grant) *access.Gate {
	return access.New(access.Config{Directory: grants{list: list}})
}

func caller(arn string, policies ...string) *keystore.Caller {
	return &keystore.Caller{
		Account: account, Region: "us-west-2", Principal: arn, Root: strings.HasSuffix(arn, ":root"), Policies: policies,
		SourceIP: "192.0.2.7", UserAgent: "aws-cli/2", Secure: true, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
}

func key(policy string) *keystore.Key {
	return &keystore.Key{
		ID: keyID, Account: account, Region: "us-west-2", Origin: keystore.OriginKMS, Spec: keystore.SymmetricDefault,
		Usage: keystore.UsageEncryptDecrypt, State: keystore.Enabled, Policy: policy,
		Tags: []keystore.Tag{{Key: "Dept", Value: "HR"}, {Key: "Stage", Value: "prod"}},
	}
}

// statement writes a policy of one statement from its members.
func policy(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func allow(principal, actions string) string {
	return fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":%q},"Action":%s,"Resource":"*"}`, principal, actions)
}

func own(effect, actions, resource string) string {
	return policy(fmt.Sprintf(`{"Effect":%q,"Action":%s,"Resource":%q}`, effect, actions, resource))
}

func TestAuthorizeCombinesPolicies(t *testing.T) {
	denyAlice := fmt.Sprintf(`{"Sid":"NoAlice","Effect":"Deny","Principal":{"AWS":%q},"Action":"kms:*","Resource":"*"}`, alice)
	denyAccount := fmt.Sprintf(`{"Effect":"Deny","Principal":{"AWS":%q},"Action":"kms:Encrypt","Resource":"*"}`, account)
	def := access.DefaultPolicy(account)
	tests := []struct {
		name   string
		key    string // key policy
		caller *keystore.Caller
		want   access.Reason
	}{
		{"root by the default policy", def, caller(root), access.AllowedToRoot},
		{"user without policies", def, caller(alice), access.NotInIdentityPolicy},
		{"user with a policy", def, caller(alice, own("Allow", `"kms:Encrypt"`, "*")), access.AllowedByIdentityPolicy},
		{"user with a policy for this key", def, caller(alice, own("Allow", `"kms:*"`, keyARN)), access.AllowedByIdentityPolicy},
		{"user with a policy for another key", def, caller(alice, own("Allow", `"kms:*"`, keyARN[:len(keyARN)-1]+"c")), access.NotInIdentityPolicy},
		{"user with a policy for another action", def, caller(alice, own("Allow", `["kms:Decrypt","kms:List*"]`, "*")), access.NotInIdentityPolicy},
		{"second of two policies", def, caller(alice, own("Allow", `"kms:Decrypt"`, "*"), own("Allow", `"kms:Enc*"`, "*")), access.AllowedByIdentityPolicy},
		{"own deny wins over own allow", def, caller(alice, own("Allow", `"*"`, "*"), own("Deny", `"kms:Encrypt"`, "*")), access.DeniedByIdentityPolicy},
		{"role with a policy", def, caller(admin, own("Allow", `"KMS:encrypt"`, "*")), access.AllowedByIdentityPolicy},
		{"account by its id", policy(allow(account, `"kms:*"`)), caller(root), access.AllowedToRoot},
		{"named user", policy(allow(alice, `"kms:Encrypt"`)), caller(alice), access.AllowedByKeyPolicy},
		{"user with a path", policy(allow(bob, `"kms:Encrypt"`)), caller(bob), access.AllowedByKeyPolicy},
		{"another user named", policy(allow(bob, `"kms:Encrypt"`)), caller(alice), access.NotInKeyPolicy},
		{"own policy is not enough", policy(allow(bob, `"kms:Encrypt"`)), caller(alice, own("Allow", `"kms:*"`, "*")), access.NotInKeyPolicy},
		{"root not named", policy(allow(alice, `"kms:*"`)), caller(root), access.NotInKeyPolicy},
		{"everyone", policy(allow("*", `"kms:Encrypt"`)), caller(alice), access.AllowedByKeyPolicy},
		{"everyone, as root", policy(allow("*", `"kms:Encrypt"`)), caller(root), access.AllowedToRoot},
		{"named user, own deny", policy(allow(alice, `"kms:Encrypt"`)), caller(alice, own("Deny", `"*"`, "*")), access.DeniedByIdentityPolicy},
		{"key policy denies", policy(allow("*", `"kms:*"`), denyAlice), caller(alice, own("Allow", `"*"`, "*")), access.DeniedByKeyPolicy},
		{"key policy denies another", policy(allow("*", `"kms:*"`), denyAlice), caller(bob), access.AllowedByKeyPolicy},
		{"key policy denies the account", policy(allow(alice, `"kms:*"`), denyAccount), caller(alice), access.DeniedByKeyPolicy},
		{"key policy denies the account's root", policy(allow(root, `"kms:*"`), denyAccount), caller(root), access.DeniedByKeyPolicy},
		{"another account named", policy(allow("444455556666", `"kms:*"`)), caller(root), access.NotInKeyPolicy},
		{"service named", policy(`{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"kms:*","Resource":"*"}`), caller(root), access.NotInKeyPolicy},
		{"statement without a resource does nothing", policy(fmt.Sprintf(`{"Effect":"Allow","Principal":{"AWS":%q},"Action":"kms:*"}`, root)), caller(root), access.NotInKeyPolicy},
		{"policy that is none", "{", caller(root), access.UnreadablePolicy},
		{"own policy that is none", def, caller(alice, own("Allow", `"kms:*"`, "*"), `{"Statement":3}`), access.UnreadablePolicy},
		{"own policy with a principal", def, caller(alice, policy(allow(alice, `"kms:*"`))), access.NotInIdentityPolicy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := gate().Authorize(t.Context(), &access.Request{Caller: tt.caller, Action: keystore.ActionEncrypt, Key: key(tt.key)})
			require.NoError(t, err)
			assert.Equal(t, tt.want, d.Reason)
			assert.Equal(t, strings.HasPrefix(string(tt.want), "allowed"), d.Allowed)
		})
	}
}

func TestAuthorizeWithoutKey(t *testing.T) {
	aliasARN := "arn:aws:kms:us-west-2:" + account + ":alias/app"
	tests := []struct {
		name     string
		caller   *keystore.Caller
		action   keystore.Action
		resource string
		want     access.Reason
	}{
		{"root", caller(root), "CreateKey", "*", access.AllowedToRoot},
		{"user without policies", caller(alice), "CreateKey", "*", access.NotInIdentityPolicy},
		{"user with policy", caller(alice, own("Allow", `"kms:CreateKey"`, "*")), "CreateKey", "", access.AllowedByIdentityPolicy},
		{"resource must be the star", caller(alice, own("Allow", `"kms:CreateKey"`, keyARN)), "CreateKey", "*", access.NotInIdentityPolicy},
		{"alias", caller(alice, own("Allow", `"kms:CreateAlias"`, "arn:aws:kms:*:*:alias/a*")), "CreateAlias", aliasARN, access.AllowedByIdentityPolicy},
		{"other alias", caller(alice, own("Allow", `"kms:CreateAlias"`, "arn:aws:kms:*:*:alias/b*")), "CreateAlias", aliasARN, access.NotInIdentityPolicy},
		{"denied", caller(alice, own("Allow", `"*"`, "*"), own("Deny", `"kms:Create*"`, "*")), "CreateKey", "*", access.DeniedByIdentityPolicy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := gate().Authorize(t.Context(), &access.Request{Caller: tt.caller, Action: tt.action, Resource: tt.resource})
			require.NoError(t, err)
			assert.Equal(t, tt.want, d.Reason)
		})
	}
}

func TestAnotherAccountsKeyNeedsBothSides(t *testing.T) {
	const stranger = "arn:aws:iam::444455556666:user/eve"
	open := policy(allow("444455556666", `"kms:Encrypt"`))
	named := policy(allow(stranger, `"kms:Encrypt"`))
	for name, tt := range map[string]struct {
		key  string
		own  []string
		want access.Reason
	}{
		"account, no own policy": {open, nil, access.NotInIdentityPolicy},
		"account and own policy": {open, []string{own("Allow", `"kms:*"`, "*")}, access.AllowedByIdentityPolicy},
		"named, no own policy":   {named, nil, access.NotInIdentityPolicy},
		"named and own policy":   {named, []string{own("Allow", `"kms:*"`, "*")}, access.AllowedByIdentityPolicy},
		"own policy alone":       {access.DefaultPolicy(account), []string{own("Allow", `"kms:*"`, "*")}, access.NotInKeyPolicy},
	} {
		t.Run(name, func(t *testing.T) {
			c := caller(stranger, tt.own...)
			c.Account = "444455556666"
			d, err := gate().Authorize(t.Context(), &access.Request{Caller: c, Action: keystore.ActionEncrypt, Key: key(tt.key)})
			require.NoError(t, err)
			assert.Equal(t, tt.want, d.Reason)
		})
	}
}

func TestPrincipalElements(t *testing.T) {
	everyoneBut := func(arns string) string {
		return policy(allow("*", `"kms:*"`), fmt.Sprintf(`{"Effect":"Deny","NotPrincipal":{"AWS":%s},"Action":"kms:*","Resource":"*"}`, arns))
	}
	tests := []struct {
		name   string
		policy string
		caller string
		want   bool
	}{
		{"bare star", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}`, alice, true},
		{"list", policy(`{"Effect":"Allow","Principal":{"AWS":["` + bob + `","` + alice + `"]},"Action":"kms:*","Resource":"*"}`), alice, true},
		{"case matters", policy(allow(strings.ToUpper(alice), `"kms:*"`)), alice, false},
		{"no wildcard in a name", policy(allow("arn:aws:iam::"+account+":user/*", `"kms:*"`)), alice, false},
		{"NotPrincipal exempts whom it names", everyoneBut(`["` + alice + `","` + root + `"]`), alice, true},
		{"NotPrincipal denies the rest", everyoneBut(`["` + alice + `","` + root + `"]`), bob, false},
		{"an account in NotPrincipal is its root", everyoneBut(`"` + account + `"`), root, true},
		{"and not its users", everyoneBut(`"` + account + `"`), alice, false},
		{"federated is nobody here", policy(`{"Effect":"Allow","Principal":{"Federated":"cognito-identity.amazonaws.com","CanonicalUser":"79a5"},"Action":"kms:*","Resource":"*"}`), alice, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := gate().Authorize(t.Context(), &access.Request{Caller: caller(tt.caller), Action: keystore.ActionDecrypt, Key: key(tt.policy)})
			require.NoError(t, err)
			require.Empty(t, d.Cause)
			assert.Equal(t, tt.want, d.Allowed, d.String())
		})
	}
}

func TestActionAndResourceElements(t *testing.T) {
	tests := []struct {
		name      string
		statement string
		perm      string
		want      bool
	}{
		{"star", `"Action":"*","Resource":"*"`, "kms:Encrypt", true},
		{"service star", `"Action":"kms:*","Resource":"*"`, "kms:Encrypt", true},
		{"any case", `"Action":"KMS:eNCRYPT","Resource":"*"`, "kms:Encrypt", true},
		{"question mark", `"Action":"kms:?ncrypt","Resource":"*"`, "kms:Encrypt", true},
		{"question mark is one", `"Action":"kms:?Encrypt","Resource":"*"`, "kms:Encrypt", false},
		{"middle star", `"Action":"kms:Generate*Plaintext","Resource":"*"`, "kms:GenerateDataKeyPairWithoutPlaintext", true},
		{"middle star, other", `"Action":"kms:Generate*Plaintext","Resource":"*"`, "kms:GenerateDataKey", false},
		{"other service", `"Action":"s3:*","Resource":"*"`, "kms:Encrypt", false},
		{"both halves", `"Action":"kms:ReEncrypt*","Resource":"*"`, "kms:ReEncryptFrom", true},
		{"one half", `"Action":"kms:ReEncryptTo","Resource":"*"`, "kms:ReEncryptFrom", false},
		{"NotAction", `"NotAction":"kms:Delete*","Resource":"*"`, "kms:Encrypt", true},
		{"NotAction names it", `"NotAction":["kms:Delete*","kms:Encrypt"],"Resource":"*"`, "kms:Encrypt", false},
		{"NotAction of all", `"NotAction":"*","Resource":"*"`, "kms:Encrypt", false},
		{"key ARN", `"Action":"kms:*","Resource":"` + keyARN + `"`, "kms:Encrypt", true},
		{"keys of the account", `"Action":"kms:*","Resource":"arn:aws:kms:*:111122223333:key/*"`, "kms:Encrypt", true},
		{"keys of another", `"Action":"kms:*","Resource":"arn:aws:kms:*:444455556666:key/*"`, "kms:Encrypt", false},
		{"a region", `"Action":"kms:*","Resource":["arn:aws:kms:eu-west-?:*:key/*","arn:aws:kms:us-*-2:*:key/*"]`, "kms:Encrypt", true},
		{"an alias is no key", `"Action":"kms:*","Resource":"arn:aws:kms:us-west-2:111122223333:alias/*"`, "kms:Encrypt", false},
		{"NotResource", `"Action":"kms:*","NotResource":"arn:aws:kms:us-west-2:111122223333:key/0*"`, "kms:Encrypt", true},
		{"NotResource names it", `"Action":"kms:*","NotResource":"*"`, "kms:Encrypt", false},
		{"multi-Region keys only", `"Action":"kms:*","Resource":"arn:aws:kms:*:*:key/mrk-*"`, "kms:Encrypt", false},
		{"no resource", `"Action":"kms:*"`, "kms:Encrypt", false},
		{"no action", `"Resource":"*"`, "kms:Encrypt", false},
		{"an empty NotAction is none", `"NotAction":[],"Resource":"*"`, "kms:Encrypt", false},
		{"an empty NotResource is none", `"Action":"kms:*","NotResource":[]`, "kms:Encrypt", false},
		{"variable", `"Action":"kms:*","Resource":"arn:aws:kms:${aws:RequestedRegion}:${aws:PrincipalAccount}:key/*"`, "kms:Encrypt", true},
		{"variable without a value", `"Action":"kms:*","Resource":"*${aws:PrincipalTag/team}*"`, "kms:Encrypt", false},
		{"variable with a default", `"Action":"kms:*","Resource":"arn:aws:kms:${aws:PrincipalTag/region, 'us-west-2'}:*"`, "kms:Encrypt", true},
		{"unknown permission", `"Action":"kms:Frobnicate","Resource":"*"`, "kms:Frobnicate", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := key(policy(`{"Effect":"Allow","Principal":"*",` + tt.statement + `}`))
			d, err := gate().Authorize(t.Context(), &access.Request{Caller: caller(alice), Action: "x", Permission: tt.perm, Key: k})
			require.NoError(t, err)
			require.NoError(t, d.Cause)
			assert.Equal(t, tt.want, d.Allowed)
		})
	}
}

func TestAccessDeniedTexts(t *testing.T) {
	deny := own("Deny", `"kms:*"`, "*")
	def := access.DefaultPolicy(account)
	stem := "User: " + alice + " is not authorized to perform: "
	tests := []struct {
		name string
		req  access.Request
		text string
	}{
		{"resource policy", access.Request{Action: "Decrypt", Key: key(policy(allow(bob, `"kms:*"`))), Caller: caller(alice)},
			stem + "kms:Decrypt on resource: " + keyARN + " because no resource-based policy allows the kms:Decrypt action"},
		{"identity policy", access.Request{Action: "Decrypt", Key: key(def), Caller: caller(alice)},
			stem + "kms:Decrypt on resource: " + keyARN + " because no identity-based policy allows the kms:Decrypt action"},
		{"identity deny", access.Request{Action: "Decrypt", Key: key(def), Caller: caller(alice, deny)},
			stem + "kms:Decrypt on resource: " + keyARN + " with an explicit deny in an identity-based policy"},
		{"resource deny", access.Request{Action: "Decrypt", Caller: caller(alice),
			Key: key(policy(`{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`))},
			stem + "kms:Decrypt on resource: " + keyARN + " with an explicit deny in a resource-based policy"},
		{"half of ReEncrypt", access.Request{Action: "ReEncrypt", Permission: "kms:ReEncryptFrom", Key: key(def), Caller: caller(alice)},
			stem + "kms:ReEncryptFrom on resource: " + keyARN + " because no identity-based policy allows the kms:ReEncryptFrom action"},
		{"no key", access.Request{Action: "CreateKey", Caller: caller(alice)},
			stem + "kms:CreateKey on resource: * because no identity-based policy allows the kms:CreateKey action"},
		{"unreadable", access.Request{Action: "Decrypt", Key: key("no policy"), Caller: caller(alice)},
			stem + "kms:Decrypt on resource: " + keyARN},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var f *keystore.Fault
			require.ErrorAs(t, gate().Admit(t.Context(), &tt.req), &f)
			assert.Equal(t, keystore.KindAccessDenied, f.Kind)
			assert.Equal(t, tt.text, f.Text)
		})
	}
}

func TestAdmitAuthorisesBeforeItLooksAtTheState(t *testing.T) {
	k := key(access.DefaultPolicy(account))
	k.State = keystore.Disabled
	g := gate()
	err := g.Admit(t.Context(), &access.Request{Caller: caller(alice), Action: "Encrypt", Key: k})
	assert.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err))
	err = g.Admit(t.Context(), &access.Request{Caller: caller(root), Action: "Encrypt", Key: k})
	assert.Equal(t, keystore.KindDisabled, keystore.KindOf(err))
	err = g.Admit(t.Context(), &access.Request{Caller: caller(root), Action: "Encrypt", Key: k, NoStateCheck: true})
	assert.NoError(t, err)
	assert.NoError(t, g.Admit(t.Context(), &access.Request{Caller: caller(root), Action: "DescribeKey", Key: k}))
	assert.NoError(t, g.Admit(t.Context(), &access.Request{Caller: caller(root), Action: "ListKeys"}))
	k.State, k.StoreID, k.Origin = keystore.Enabled, "cks-1", keystore.OriginCloudHSM
	err = g.Admit(t.Context(), &access.Request{Caller: caller(root), Action: "Encrypt", Key: k, Conn: keystore.Failed})
	assert.Equal(t, keystore.KindInvalidState, keystore.KindOf(err))
}

func TestAuthorizeFailures(t *testing.T) {
	_, err := gate().Authorize(t.Context(), &access.Request{Action: "Encrypt", Key: key("")})
	assert.Equal(t, keystore.KindInternal, keystore.KindOf(err), "no caller")
	_, err = gate().Authorize(t.Context(), &access.Request{Action: "Encrypt", Caller: &keystore.Caller{}})
	assert.Equal(t, keystore.KindInternal, keystore.KindOf(err), "nobody")

	broken := errors.New("disk gone")
	g := access.New(access.Config{Directory: grants{err: broken}})
	r := &access.Request{Caller: caller(alice), Action: "Encrypt", Key: key(access.DefaultPolicy(account))}
	assert.ErrorIs(t, g.Admit(t.Context(), r), broken)
	r.Caller = caller(root)
	assert.NoError(t, g.Admit(t.Context(), r), "grants are not looked up where policies allow")

	r.GrantTokens = []string{"AQpAM2RhZ…"}
	assert.Equal(t, keystore.KindInvalidGrantToken, keystore.KindOf(g.Admit(t.Context(), r)))
}

func TestUnreadablePoliciesAreLogged(t *testing.T) {
	var log bytes.Buffer
	g := access.New(access.Config{Directory: grants{}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	err := g.Admit(t.Context(), &access.Request{Caller: caller(root), Action: "Encrypt", Key: key(`{"Statement":[]}`)})
	assert.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err))
	assert.Contains(t, log.String(), "there is no Statement")
}

func TestDecisionNamesItsStatements(t *testing.T) {
	def := access.DefaultPolicy(account)
	d, err := gate().Authorize(t.Context(), &access.Request{
		Caller: caller(alice, own("Allow", `"s3:*"`, "*"), own("Allow", `"kms:*"`, "*")), Action: "Encrypt", Key: key(def)})
	require.NoError(t, err)
	assert.Equal(t, "Enable IAM User Permissions", d.Key.Sid)
	assert.Equal(t, 1, d.Policy)
	assert.Equal(t, `allowed by the principal's policy; key policy, statement 1 "Enable IAM User Permissions"; policy 2 of the principal, statement 1`, d.String())
}

// TestChangedPoliciesDecideAtOnce: compiled policies are kept by their text, many at once, and never mixed up.
func TestChangedPoliciesDecideAtOnce(t *testing.T) {
	g := gate()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 4000 {
				name := fmt.Sprintf("arn:aws:iam::%s:user/u%d-%d", account, worker, i)
				k := key(policy(allow(name, `"kms:*"`)))
				for _, c := range []string{name, alice} {
					d, err := g.Authorize(context.Background(), &access.Request{Caller: caller(c), Action: "Encrypt", Key: k})
					if err != nil || d.Allowed != (c == name) {
						t.Errorf("%s: %v %v", c, d, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}
