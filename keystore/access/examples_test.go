package access_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// teamPolicy has the shape of the key policy that AWS's console makes: the account, administrators, users, and users' grants
// for AWS services (developer guide, "Default key policy").
const teamPolicy = `{"Version":"2012-10-17","Id":"team","Statement":[
 {"Sid":"Account","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},"Action":"kms:*","Resource":"*"},
 {"Sid":"Administrators","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/admin"},"Action":[
  "kms:Create*","kms:Describe*","kms:Enable*","kms:List*","kms:Put*","kms:Update*","kms:Revoke*","kms:Disable*","kms:Get*",
  "kms:Delete*","kms:TagResource","kms:UntagResource","kms:ScheduleKeyDeletion","kms:CancelKeyDeletion","kms:RotateKeyOnDemand"],
  "Resource":"*"},
 {"Sid":"Users","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/alice"]},"Action":[
  "kms:Encrypt","kms:Decrypt","kms:ReEncrypt*","kms:GenerateDataKey*","kms:DescribeKey"],"Resource":"*"},
 {"Sid":"Attach","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:user/alice"]},"Action":[
  "kms:CreateGrant","kms:ListGrants","kms:RevokeGrant"],"Resource":"*",
  "Condition":{"Bool":{"kms:GrantIsForAWSResource":"true"}}}]}`

// keysOf limits to keys of one account's alias or Region, and other forms, in principals' own policies.
func TestPoliciesAsAWSDocumentsThem(t *testing.T) {
	def := access.DefaultPolicy(account)
	onlyReport := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + admin + `"},"Action":["kms:Decrypt","kms:GenerateDataKey*"],` +
		`"Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:report":"q1"},"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["report"]}}}}`
	fromOffice := policy(allow("*", `"kms:*"`), `{"Effect":"Deny","Principal":"*","Action":"kms:*","Resource":"*","Condition":`+
		`{"NotIpAddress":{"aws:SourceIp":["198.51.100.0/24","2001:db8::/32"]}}}`)
	onlyTLS := policy(allow("*", `"kms:*"`), `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`)
	longWindow := policy(allow("*", `"kms:*"`), `{"Effect":"Deny","Principal":"*","Action":"kms:ScheduleKeyDeletion","Resource":"*","Condition":`+
		`{"NumericLessThan":{"kms:ScheduleKeyDeletionPendingWindowInDays":"30"}}}`)
	hrOnly := policy(`{"Effect":"Allow","Action":"kms:*","Resource":"arn:aws:kms:*:111122223333:key/*","Condition":{"StringEquals":{"aws:ResourceTag/Dept":"HR"}}}`)
	itOnly := policy(`{"Effect":"Allow","Action":"kms:*","Resource":"arn:aws:kms:*:111122223333:key/*","Condition":{"StringEquals":{"aws:ResourceTag/Dept":"IT"}}}`)
	twoRegions := policy(`{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":["arn:aws:kms:us-west-2:111122223333:key/*","arn:aws:kms:us-east-1:111122223333:key/*"]}`)
	readOnly := policy(`{"Effect":"Allow","Action":["kms:ListKeys","kms:ListAliases","kms:Describe*","kms:GetKeyPolicy"],"Resource":"*"}`)
	insecure := caller(alice)
	insecure.Secure = false
	office := caller(alice)
	office.SourceIP = "198.51.100.77"
	window := func(days string) map[string][]string {
		return map[string][]string{"kms:ScheduleKeyDeletionPendingWindowInDays": {days}}
	}
	tests := []struct {
		name string
		req  access.Request
		want bool
	}{
		{"administrator disables", access.Request{Caller: caller(admin), Action: "DisableKey", Key: key(teamPolicy)}, true},
		{"administrator does not encrypt", access.Request{Caller: caller(admin), Action: "Encrypt", Key: key(teamPolicy)}, false},
		{"user encrypts", access.Request{Caller: caller(alice), Action: "Encrypt", Key: key(teamPolicy)}, true},
		{"user re-encrypts", access.Request{Caller: caller(alice), Action: "ReEncrypt", Permission: "kms:ReEncryptTo", Key: key(teamPolicy)}, true},
		{"user does not delete", access.Request{Caller: caller(alice), Action: "ScheduleKeyDeletion", Key: key(teamPolicy)}, false},
		{"user grants for a service only", access.Request{Caller: caller(alice), Action: "CreateGrant", Key: key(teamPolicy)}, false},
		{"user grants for a service", access.Request{Caller: caller(alice), Action: "CreateGrant", Key: key(teamPolicy),
			Conditions: map[string][]string{"kms:GrantIsForAWSResource": {"true"}}}, true},
		{"others by their own policies", access.Request{Caller: caller(bob, own("Allow", `"kms:Encrypt"`, "*")), Action: "Encrypt", Key: key(teamPolicy)}, true},

		{"the context asked for", access.Request{Caller: caller(admin), Action: "Decrypt", Key: key(onlyReport), EncryptionContext: map[string]string{"report": "q1"}}, true},
		{"another value", access.Request{Caller: caller(admin), Action: "Decrypt", Key: key(onlyReport), EncryptionContext: map[string]string{"report": "q2"}}, false},
		{"another member besides", access.Request{Caller: caller(admin), Action: "Decrypt", Key: key(onlyReport), EncryptionContext: map[string]string{"report": "q1", "x": "y"}}, false},

		{"from the office", access.Request{Caller: office, Action: "Encrypt", Key: key(fromOffice)}, true},
		{"from elsewhere", access.Request{Caller: caller(alice), Action: "Encrypt", Key: key(fromOffice)}, false},
		{"over TLS", access.Request{Caller: caller(alice), Action: "Encrypt", Key: key(onlyTLS)}, true},
		{"in the clear", access.Request{Caller: insecure, Action: "Encrypt", Key: key(onlyTLS)}, false},
		{"short window", access.Request{Caller: caller(alice), Action: "ScheduleKeyDeletion", Key: key(longWindow), Conditions: window("7")}, false},
		{"long window", access.Request{Caller: caller(alice), Action: "ScheduleKeyDeletion", Key: key(longWindow), Conditions: window("30")}, true},

		{"the key's tag", access.Request{Caller: caller(alice, hrOnly), Action: "Encrypt", Key: key(def)}, true},
		{"another tag", access.Request{Caller: caller(alice, itOnly), Action: "Encrypt", Key: key(def)}, false},
		{"a listed Region", access.Request{Caller: caller(alice, twoRegions), Action: "Encrypt", Key: key(def)}, true},
		{"an action not listed", access.Request{Caller: caller(alice, twoRegions), Action: "DisableKey", Key: key(def)}, false},
		{"read only reads", access.Request{Caller: caller(alice, readOnly), Action: "DescribeKey", Key: key(def)}, true},
		{"read only lists", access.Request{Caller: caller(alice, readOnly), Action: "ListKeys"}, true},
		{"read only writes nothing", access.Request{Caller: caller(alice, readOnly), Action: "CreateKey"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.req.Key != nil {
				_, err := access.ValidatePolicy(tt.req.Key.Policy, account, nil)
				require.NoError(t, err)
			}
			d, err := gate().Authorize(t.Context(), &tt.req)
			require.NoError(t, err)
			assert.Equal(t, tt.want, d.Allowed, d.String())
		})
	}
}

func grant(change func(g *keystore.Grant)) *keystore.Grant {
	g := &keystore.Grant{ID: "g1", KeyID: keyID, Region: "us-west-2", Grantee: alice, Operations: []string{"Encrypt", "DescribeKey", "ReEncryptFrom"}}
	if change != nil {
		change(g)
	}
	return g
}

func TestGrants(t *testing.T) {
	closed := policy(allow(bob, `"kms:*"`))
	equals := func(g *keystore.Grant) { g.ContextEquals = map[string]string{"a": "1"} }
	subset := func(g *keystore.Grant) { g.ContextSubset = map[string]string{"a": "1"} }
	one, two := map[string]string{"a": "1"}, map[string]string{"a": "1", "b": "2"}
	tests := []struct {
		name    string
		change  func(g *keystore.Grant)
		action  keystore.Action
		perm    string
		context map[string]string
		caller  string
		want    access.Reason
	}{
		{"grantee", nil, "Encrypt", "", nil, alice, access.AllowedByGrant},
		{"somebody else", nil, "Encrypt", "", nil, admin, access.NotInKeyPolicy},
		{"an operation not granted", nil, "Decrypt", "", nil, alice, access.NotInKeyPolicy},
		{"half of ReEncrypt", nil, "ReEncrypt", "kms:ReEncryptFrom", nil, alice, access.AllowedByGrant},
		{"other half", nil, "ReEncrypt", "kms:ReEncryptTo", nil, alice, access.NotInKeyPolicy},
		{"equals", equals, "Encrypt", "", one, alice, access.AllowedByGrant},
		{"equals, more", equals, "Encrypt", "", two, alice, access.NotInKeyPolicy},
		{"equals, none", equals, "Encrypt", "", nil, alice, access.NotInKeyPolicy},
		{"equals, other value", equals, "Encrypt", "", map[string]string{"a": "2"}, alice, access.NotInKeyPolicy},
		{"equals, other case", equals, "Encrypt", "", map[string]string{"A": "1"}, alice, access.NotInKeyPolicy},
		{"subset", subset, "Encrypt", "", two, alice, access.AllowedByGrant},
		{"subset, missing", subset, "Encrypt", "", map[string]string{"b": "2"}, alice, access.NotInKeyPolicy},
		{"constraints do not count for DescribeKey", equals, "DescribeKey", "", nil, alice, access.AllowedByGrant},
		{"account as grantee is its root", func(g *keystore.Grant) { g.Grantee = root }, "Encrypt", "", nil, root, access.AllowedByGrant},
		{"and not its users", func(g *keystore.Grant) { g.Grantee = root }, "Encrypt", "", nil, alice, access.NotInKeyPolicy},
		{"a service", func(g *keystore.Grant) { g.Grantee, g.GranteeService = "", "ec2.amazonaws.com" }, "Encrypt", "", nil, alice, access.NotInKeyPolicy},
		{"for a service's resource", func(g *keystore.Grant) { g.SourceARN = keyARN }, "Encrypt", "", nil, alice, access.NotInKeyPolicy},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := grant(tt.change)
			d, err := gate(g).Authorize(t.Context(), &access.Request{
				Caller: caller(tt.caller), Action: tt.action, Permission: tt.perm, Key: key(closed), EncryptionContext: tt.context})
			require.NoError(t, err)
			assert.Equal(t, tt.want, d.Reason)
			if d.Allowed {
				assert.Same(t, g, d.Grant)
			}
		})
	}
}

func TestGrantsAndDenials(t *testing.T) {
	g := gate(grant(nil))
	deny := policy(`{"Effect":"Deny","Principal":{"AWS":"` + alice + `"},"Action":"kms:Encrypt","Resource":"*"}`)
	d, err := g.Authorize(t.Context(), &access.Request{Caller: caller(alice), Action: "Encrypt", Key: key(deny)})
	require.NoError(t, err)
	assert.Equal(t, access.DeniedByKeyPolicy, d.Reason, "a grant does not lift a denial")
	d, err = g.Authorize(t.Context(), &access.Request{Caller: caller(alice, own("Deny", `"*"`, "*")), Action: "Encrypt", Key: key(teamPolicy)})
	require.NoError(t, err)
	assert.Equal(t, access.DeniedByIdentityPolicy, d.Reason)
	d, err = g.Authorize(t.Context(), &access.Request{Caller: caller(alice), Action: "Encrypt", Key: key(access.DefaultPolicy(account))})
	require.NoError(t, err)
	assert.Equal(t, access.AllowedByGrant, d.Reason, "a grant needs no policy besides")
	assert.Contains(t, d.String(), "grant g1")
	d, err = g.Authorize(t.Context(), &access.Request{Caller: caller(alice), Action: "Encrypt", Key: key(access.DefaultPolicy(account)),
		AcceptGrant: func(*keystore.Grant) bool { return false }})
	require.NoError(t, err)
	assert.False(t, d.Allowed, "the service may refuse a grant")
}

func TestGrantCovers(t *testing.T) {
	one, two, other := map[string]string{"a": "1"}, map[string]string{"a": "1", "b": "2"}, map[string]string{"a": "2"}
	tests := []struct {
		name          string
		parent, child keystore.Grant
		want          bool
	}{
		{"same", keystore.Grant{Operations: []string{"Encrypt"}}, keystore.Grant{Operations: []string{"Encrypt"}}, true},
		{"fewer operations", keystore.Grant{Operations: []string{"Encrypt", "Decrypt"}}, keystore.Grant{Operations: []string{"Decrypt"}}, true},
		{"more operations", keystore.Grant{Operations: []string{"Encrypt"}}, keystore.Grant{Operations: []string{"Encrypt", "Decrypt"}}, false},
		{"new constraint", keystore.Grant{}, keystore.Grant{ContextSubset: one}, true},
		{"lost equals", keystore.Grant{ContextEquals: one}, keystore.Grant{}, false},
		{"equals kept", keystore.Grant{ContextEquals: one}, keystore.Grant{ContextEquals: one}, true},
		{"equals changed", keystore.Grant{ContextEquals: one}, keystore.Grant{ContextEquals: two}, false},
		{"lost subset", keystore.Grant{ContextSubset: one}, keystore.Grant{}, false},
		{"subset narrowed", keystore.Grant{ContextSubset: one}, keystore.Grant{ContextSubset: two}, true},
		{"subset made equals", keystore.Grant{ContextSubset: one}, keystore.Grant{ContextEquals: two}, true},
		{"subset widened", keystore.Grant{ContextSubset: two}, keystore.Grant{ContextSubset: one}, false},
		{"subset changed", keystore.Grant{ContextSubset: one}, keystore.Grant{ContextSubset: other}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, access.GrantCovers(&tt.parent, &tt.child))
		})
	}
}
