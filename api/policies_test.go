package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

// document makes a policy of statements.
func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// own is a statement of a principal's own policy.
func own(effect, action, resource, condition string) string {
	return statement(effect, "", action, resource, condition)
}

// statement makes one; principal and condition may be "".
func statement(effect, principal, action, resource, condition string) string {
	s := fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q`, effect, action, resource)
	if principal != "" {
		s += fmt.Sprintf(`,"Principal":{"AWS":%q}`, principal)
	}
	if condition != "" {
		s += `,"Condition":` + condition
	}
	return s + "}"
}

// everything lets the account do all, and hands over to its principals' policies, as the default key policy does.
func everything() string { return statement("Allow", keystore.RootARN(account), "kms:*", "*", "") }

// administration lets the account look after a key, and nobody use it.
func administration() string {
	return statement("Allow", keystore.RootARN(account), "kms:PutKeyPolicy", "*", "") + "," +
		statement("Allow", keystore.RootARN(account), "kms:Get*", "*", "")
}

const (
	noIdentity  = " because no identity-based policy allows the kms:Encrypt action"
	noResource  = " because no resource-based policy allows the kms:Encrypt action"
	denyKey     = " with an explicit deny in a resource-based policy"
	denyOwn     = " with an explicit deny in an identity-based policy"
	worker      = "arn:aws:iam::" + account + ":user/worker"
	workerRole  = "arn:aws:iam::" + account + ":role/worker"
	encryptOnly = "kms:Encrypt"
)

// TestPoliciesDecide asks for Encrypt as a user and as a role under key policies and policies of their own.
func TestPoliciesDecide(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	other := root.newKey(t, "")
	allow := own("Allow", encryptOnly, "*", "")
	person, role := a.user(t, "worker"), a.principal(t, keystore.PrincipalRole, "worker")
	app := func(operator, value string) string {
		return fmt.Sprintf(`{%q:{"kms:EncryptionContext:app":%q}}`, operator, value)
	}
	for name, c := range map[string]struct {
		who     *user
		key     []string // statements of the key policy
		own     []string // statements of the principal's policy
		context map[string]string
		want    string // the end of the message; "" is allowed
	}{
		"nothing allows":                     {person, []string{everything()}, nil, nil, noIdentity},
		"the user's policy allows":           {person, []string{everything()}, []string{allow}, nil, ""},
		"the role's policy allows":           {role, []string{everything()}, []string{allow}, nil, ""},
		"a policy about another key":         {person, []string{everything()}, []string{own("Allow", encryptOnly, *other.Arn, "")}, nil, noIdentity},
		"a policy about all keys":            {person, []string{everything()}, []string{own("Allow", "kms:Enc*", "arn:aws:kms:*:"+account+":key/*", "")}, nil, ""},
		"a policy about another action":      {person, []string{everything()}, []string{own("Allow", "kms:Decrypt", "*", "")}, nil, noIdentity},
		"the account is not let use it":      {person, []string{administration()}, []string{allow}, nil, noResource},
		"the key policy names the user":      {person, []string{administration(), statement("Allow", worker, encryptOnly, "*", "")}, nil, nil, ""},
		"the key policy names the role":      {role, []string{administration(), statement("Allow", workerRole, encryptOnly, "*", "")}, nil, nil, ""},
		"a user is no role of that name":     {person, []string{administration(), statement("Allow", workerRole, encryptOnly, "*", "")}, []string{allow}, nil, noResource},
		"the key policy names everyone":      {role, []string{administration(), statement("Allow", "*", encryptOnly, "*", "")}, nil, nil, ""},
		"denied by the key":                  {person, []string{everything(), statement("Deny", worker, encryptOnly, "*", "")}, []string{allow}, nil, denyKey},
		"the key denies somebody else":       {role, []string{everything(), statement("Deny", worker, encryptOnly, "*", "")}, []string{allow}, nil, ""},
		"denied by the own policy":           {person, []string{everything(), statement("Allow", worker, "kms:*", "*", "")}, []string{own("Deny", "kms:*", "*", "")}, nil, denyOwn},
		"both allow, one denies":             {person, []string{everything()}, []string{allow, own("Deny", encryptOnly, "*", app("StringEquals", "pay"))}, map[string]string{"app": "pay"}, denyOwn},
		"the denial is about other contexts": {person, []string{everything()}, []string{allow, own("Deny", encryptOnly, "*", app("StringEquals", "pay"))}, map[string]string{"app": "tax"}, ""},
		"the context fits":                   {person, []string{administration(), statement("Allow", worker, encryptOnly, "*", app("StringEquals", "pay"))}, nil, map[string]string{"app": "pay", "n": "1"}, ""},
		"the context does not":               {person, []string{administration(), statement("Allow", worker, encryptOnly, "*", app("StringEquals", "pay"))}, nil, map[string]string{"app": "Pay"}, noResource},
		"there is no context":                {person, []string{administration(), statement("Allow", worker, encryptOnly, "*", app("StringEquals", "pay"))}, nil, nil, noResource},
		"a context like it":                  {person, []string{administration(), statement("Allow", worker, encryptOnly, "*", app("StringLike", "p?y*"))}, nil, map[string]string{"app": "pays"}, ""},
		"the names of the context": {person, []string{everything()}, []string{own("Allow", encryptOnly, "*",
			`{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["app","n"]},"Null":{"kms:EncryptionContextKeys":"false"}}`)}, map[string]string{"app": "x"}, ""},
		"one name too many": {person, []string{everything()}, []string{own("Allow", encryptOnly, "*",
			`{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["app","n"]}}`)}, map[string]string{"app": "x", "o": "1"}, noIdentity},
		"through a service":         {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", `{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}}`)}, nil, noIdentity},
		"through any service":       {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", `{"StringLike":{"kms:ViaService":"*"}}`)}, nil, noIdentity},
		"not through a service":     {person, []string{everything()}, []string{allow, own("Deny", "kms:*", "*", `{"StringNotEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}}`)}, nil, denyOwn},
		"if through a service":      {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", `{"StringEqualsIfExists":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}}`)}, nil, ""},
		"the caller's account":      {person, []string{administration(), statement("Allow", "*", encryptOnly, "*", `{"StringEquals":{"kms:CallerAccount":"`+account+`"}}`)}, nil, nil, ""},
		"another account's":         {person, []string{administration(), statement("Allow", "*", encryptOnly, "*", `{"StringEquals":{"kms:CallerAccount":"999999999999"}}`)}, nil, nil, noResource},
		"its own name":              {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", app("StringEquals", "${aws:username}"))}, map[string]string{"app": "worker"}, ""},
		"not its own name":          {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", app("StringEquals", "${aws:username}"))}, map[string]string{"app": "boss"}, noIdentity},
		"the principal's ARN":       {role, []string{everything()}, []string{own("Allow", encryptOnly, "*", `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/work*"}}`)}, nil, ""},
		"from this machine":         {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", `{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`)}, nil, ""},
		"from elsewhere":            {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", `{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`)}, nil, noIdentity},
		"over TLS alone":            {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", `{"Bool":{"aws:SecureTransport":"true"}}`)}, nil, noIdentity},
		"the algorithm":             {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", `{"StringEquals":{"kms:EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}}`)}, nil, ""},
		"the key's spec and origin": {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", `{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT","kms:KeyOrigin":"AWS_KMS","kms:KeyUsage":"ENCRYPT_DECRYPT"},"Bool":{"kms:MultiRegion":"false"}}`)}, nil, ""},
		"another Region":            {person, []string{everything()}, []string{own("Allow", encryptOnly, "*", `{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}`)}, nil, noIdentity},
	} {
		t.Run(name, func(t *testing.T) {
			k := root.newKey(t, document(c.key...))
			view, err := a.principals.Show(t.Context(), c.who.arn)
			require.NoError(t, err)
			for _, p := range view.Policies {
				_, err := a.principals.Detach(t.Context(), c.who.arn, p.Name)
				require.NoError(t, err)
			}
			if c.own != nil {
				_, err := a.principals.Attach(t.Context(), c.who.arn, keystore.NamedPolicy{Name: "own", Document: document(c.own...)})
				require.NoError(t, err)
			}
			err = c.who.encrypt(t, *k.KeyId, c.context)
			if c.want == "" {
				assert.NoError(t, err)
				return
			}
			isException(t, err, "AccessDeniedException",
				"User: "+c.who.arn+" is not authorized to perform: kms:Encrypt on resource: "+*k.Arn+c.want)
			record := a.lastRecord(t, "Encrypt")
			assert.Equal(t, "AccessDeniedException", record["errorCode"])
			assert.Equal(t, *k.Arn, record["resources"].([]any)[0].(map[string]any)["ARN"])
		})
	}
}

// TestTagsAndAliasesDecide changes what conditions ask about, and expects the next request to feel it.
func TestTagsAndAliasesDecide(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	k := root.newKey(t, "")
	tagged := a.user(t, "tagged", document(own("Allow", encryptOnly, "*", `{"StringEquals":{"aws:ResourceTag/team":"a"}}`)))
	asked := a.user(t, "asked", document(own("Allow", "kms:*", "*", `{"StringEquals":{"kms:RequestAlias":"alias/app"}}`)))
	named := a.user(t, "named", document(own("Allow", encryptOnly, "*", `{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/app"}}`)))
	tag := func(value string) {
		t.Helper()
		_, err := root.TagResource(t.Context(), &kms.TagResourceInput{KeyId: k.KeyId, Tags: []types.Tag{{TagKey: aws.String("team"), TagValue: &value}}})
		require.NoError(t, err)
	}
	denied(t, tagged.encrypt(t, *k.KeyId, nil), tagged, "Encrypt", *k.Arn)
	tag("a")
	assert.NoError(t, tagged.encrypt(t, *k.KeyId, nil))
	tag("b")
	denied(t, tagged.encrypt(t, *k.KeyId, nil), tagged, "Encrypt", *k.Arn)

	denied(t, named.encrypt(t, *k.KeyId, nil), named, "Encrypt", *k.Arn)
	_, err := root.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: k.KeyId})
	require.NoError(t, err)
	_, err = root.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/other"), TargetKeyId: k.KeyId})
	require.NoError(t, err)
	assert.NoError(t, named.encrypt(t, *k.KeyId, nil), "whatever name the request uses")
	assert.NoError(t, asked.encrypt(t, "alias/app", nil))
	assert.NoError(t, asked.encrypt(t, keystore.AliasARN(region, account, "alias/app"), nil))
	_, err = asked.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/app")})
	assert.NoError(t, err)
	denied(t, asked.encrypt(t, "alias/other", nil), asked, "Encrypt", *k.Arn)
	denied(t, asked.encrypt(t, *k.KeyId, nil), asked, "Encrypt", *k.Arn)
	_, err = root.DeleteAlias(t.Context(), &kms.DeleteAliasInput{AliasName: aws.String("alias/app")})
	require.NoError(t, err)
	denied(t, named.encrypt(t, *k.KeyId, nil), named, "Encrypt", *k.Arn)
}

// TestConditionsOfRequests holds condition keys that only one operation brings.
func TestConditionsOfRequests(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	k := root.newKey(t, "")
	id := *k.KeyId
	maker := a.user(t, "maker", document(own("Allow", "kms:CreateKey", "*", `{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT"}}`),
		own("Allow", "kms:TagResource", "arn:aws:kms:"+region+":"+account+":key/*", `{"StringEquals":{"aws:RequestTag/team":"a"}}`)))
	ender := a.user(t, "ender", document(own("Allow", "kms:ScheduleKeyDeletion", "*", `{"NumericGreaterThanEquals":{"kms:ScheduleKeyDeletionPendingWindowInDays":"14"}}`)))
	turner := a.user(t, "turner", document(own("Allow", "kms:EnableKeyRotation", "*", `{"NumericLessThanEquals":{"kms:RotationPeriodInDays":"180"}}`)))
	giver := a.user(t, "giver", document(own("Allow", "kms:CreateGrant", "*",
		`{"ForAllValues:StringEquals":{"kms:GrantOperations":["Encrypt"]},"StringEquals":{"kms:GranteePrincipal":"`+keystore.RootARN(account)+`","kms:GrantConstraintType":"EncryptionContextSubset"}}`)))

	tags := func(value string) []types.Tag { return []types.Tag{{TagKey: aws.String("team"), TagValue: &value}} }
	_, err := maker.CreateKey(t.Context(), &kms.CreateKeyInput{Tags: tags("a")})
	require.NoError(t, err)
	_, err = maker.CreateKey(t.Context(), &kms.CreateKeyInput{Tags: tags("b")})
	isException(t, err, "AccessDeniedException", "*")
	assert.Regexp(t, `not authorized to perform: kms:TagResource on resource: arn:aws:kms:`+region+`:`+account+`:key/[0-9a-f-]{36} because no identity-based policy`, err)
	_, err = maker.CreateKey(t.Context(), &kms.CreateKeyInput{KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
	isException(t, err, "AccessDeniedException", "User: "+maker.arn+" is not authorized to perform: kms:CreateKey on resource: * because no identity-based policy allows the kms:CreateKey action")

	_, err = turner.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: &id})
	denied(t, err, turner, "EnableKeyRotation", *k.Arn)
	_, err = turner.EnableKeyRotation(t.Context(), &kms.EnableKeyRotationInput{KeyId: &id, RotationPeriodInDays: aws.Int32(180)})
	assert.NoError(t, err)

	grant := kms.CreateGrantInput{KeyId: &id, GranteePrincipal: aws.String(keystore.RootARN(account)), Operations: []types.GrantOperation{"Encrypt"},
		Constraints: &types.GrantConstraints{EncryptionContextSubset: map[string]string{"a": "b"}}}
	_, err = giver.CreateGrant(t.Context(), &grant)
	assert.NoError(t, err)
	wider := grant
	wider.Operations = append(wider.Operations, "Decrypt")
	_, err = giver.CreateGrant(t.Context(), &wider)
	denied(t, err, giver, "CreateGrant", *k.Arn)
	loose := grant
	loose.Constraints = nil
	_, err = giver.CreateGrant(t.Context(), &loose)
	denied(t, err, giver, "CreateGrant", *k.Arn)

	_, err = ender.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(13)})
	denied(t, err, ender, "ScheduleKeyDeletion", *k.Arn)
	_, err = ender.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(14)})
	assert.NoError(t, err)
}

// TestAuthorisationComesBeforeState: who may not use a key is not told its state.
func TestAuthorisationComesBeforeState(t *testing.T) {
	a := start(t)
	root, nobody := a.rootUser(), a.user(t, "nobody")
	k := root.newKey(t, "")
	_, err := root.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: k.KeyId})
	require.NoError(t, err)
	denied(t, nobody.encrypt(t, *k.KeyId, nil), nobody, "Encrypt", *k.Arn)
	isException(t, root.encrypt(t, *k.KeyId, nil), "DisabledException", *k.Arn+" is disabled.")
}

// TestPutKeyPolicyThatIsNone sends policies that AWS refuses, and expects the key's own to stay.
func TestPutKeyPolicyThatIsNone(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	k := root.newKey(t, "")
	a.user(t, "worker")
	keeper := a.user(t, "keeper", document(own("Allow", "kms:PutKeyPolicy", "*", "")))
	before, err := root.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: k.KeyId})
	require.NoError(t, err)
	const lockout = "The new key policy will not allow you to update the key policy in the future."
	const principals = "Policy contains a statement with one or more invalid principals."
	for name, c := range map[string]struct{ policy, exception, message string }{
		"no JSON":             {"{", "MalformedPolicyDocumentException", "*"},
		"no statement":        {`{"Version":"2012-10-17"}`, "MalformedPolicyDocumentException", "*"},
		"unknown version":     {`{"Version":"2020-01-01","Statement":[` + everything() + `]}`, "MalformedPolicyDocumentException", "*"},
		"unknown effect":      {document(strings.Replace(everything(), "Allow", "Permit", 1)), "MalformedPolicyDocumentException", "*"},
		"unknown operator":    {document(everything(), statement("Allow", worker, "kms:*", "*", `{"StringAlmost":{"kms:ViaService":"x"}}`)), "MalformedPolicyDocumentException", "*"},
		"no principal":        {document(everything(), own("Allow", "kms:*", "*", "")), "MalformedPolicyDocumentException", "*"},
		"unknown user":        {document(everything(), statement("Allow", worker+"2", "kms:*", "*", "")), "MalformedPolicyDocumentException", principals},
		"a principal's group": {document(everything(), statement("Allow", "arn:aws:iam::"+account+":group/x", "kms:*", "*", "")), "MalformedPolicyDocumentException", principals},
		"lock-out":            {document(statement("Allow", worker, "kms:*", "*", "")), "MalformedPolicyDocumentException", lockout},
		"lock-out by denial":  {document(everything(), statement("Deny", "*", "kms:Put*", "*", "")), "MalformedPolicyDocumentException", lockout},
		"too long":            {document(everything() + strings.Repeat(" ", 32768)), "LimitExceededException", "*"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := root.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: k.KeyId, Policy: &c.policy})
			isException(t, err, c.exception, c.message)
			_, err = root.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: &c.policy})
			isException(t, err, c.exception, c.message)
			after, err := root.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: k.KeyId})
			require.NoError(t, err)
			assert.Equal(t, *before.Policy, *after.Policy)
		})
	}
	t.Run("32 KB", func(t *testing.T) {
		text := document(everything())
		text += strings.Repeat(" ", 32768-len(text))
		_, err := keeper.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: k.KeyId, Policy: &text})
		require.NoError(t, err)
	})
	t.Run("lock-out, and wanted", func(t *testing.T) {
		alone := document(statement("Allow", worker, "kms:*", "*", ""))
		_, err := keeper.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: k.KeyId, Policy: &alone})
		isException(t, err, "MalformedPolicyDocumentException", lockout)
		_, err = root.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: k.KeyId, Policy: &alone, BypassPolicyLockoutSafetyCheck: true})
		require.NoError(t, err)
		_, err = root.GetKeyPolicy(t.Context(), &kms.GetKeyPolicyInput{KeyId: k.KeyId})
		isException(t, err, "AccessDeniedException", "User: "+root.arn+" is not authorized to perform: kms:GetKeyPolicy on resource: "+*k.Arn+
			" because no resource-based policy allows the kms:GetKeyPolicy action")
	})
}

// TestLockoutCheckSeesTheKey: conditions of a new policy are asked about the key that it is for, also one that is still to be made.
func TestLockoutCheckSeesTheKey(t *testing.T) {
	a := start(t)
	root := a.rootUser()
	const lockout = "The new key policy will not allow you to update the key policy in the future."
	only := func(condition string) string {
		return document(statement("Allow", keystore.RootARN(account), "kms:*", "*", condition))
	}
	const spec, tag, alias = `{"StringEquals":{"kms:KeySpec":"HMAC_256"}}`, `{"StringEquals":{"aws:ResourceTag/team":"a"}}`,
		`{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/app"}}`
	create := func(condition string, spec types.KeySpec, usage types.KeyUsageType, tags ...types.Tag) (*kms.CreateKeyOutput, error) {
		return root.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: aws.String(only(condition)), KeySpec: spec, KeyUsage: usage, Tags: tags})
	}
	team := func(value string) types.Tag { return types.Tag{TagKey: aws.String("team"), TagValue: &value} }
	_, err := create(spec, types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac)
	require.NoError(t, err)
	_, err = create(spec, types.KeySpecHmac384, types.KeyUsageTypeGenerateVerifyMac)
	isException(t, err, "MalformedPolicyDocumentException", lockout)
	made, err := create(tag, types.KeySpecSymmetricDefault, "", team("a"))
	require.NoError(t, err)
	_, err = create(tag, types.KeySpecSymmetricDefault, "", team("b"))
	isException(t, err, "MalformedPolicyDocumentException", lockout)
	_, err = create(alias, types.KeySpecSymmetricDefault, "")
	isException(t, err, "MalformedPolicyDocumentException", lockout)

	id := made.KeyMetadata.KeyId
	put := func(condition string) error {
		_, err := root.PutKeyPolicy(t.Context(), &kms.PutKeyPolicyInput{KeyId: id, Policy: aws.String(only(condition))})
		return err
	}
	isException(t, put(spec), "MalformedPolicyDocumentException", lockout)
	isException(t, put(alias), "MalformedPolicyDocumentException", lockout)
	_, err = root.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/app"), TargetKeyId: id})
	require.NoError(t, err)
	require.NoError(t, put(alias))
	require.NoError(t, put(tag))
}
