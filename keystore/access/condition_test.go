package access_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// holds decides a Condition element against a request.
func holds(t *testing.T, condition string, r *access.Request) bool {
	t.Helper()
	text := policy(fmt.Sprintf(`{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":%s}`, condition))
	_, err := access.Parse(text)
	require.NoError(t, err)
	if r.Key == nil {
		r.Key = key("")
	}
	r.Key.Policy = text
	if r.Caller == nil {
		r.Caller = caller(alice)
	}
	if r.Action == "" {
		r.Action = keystore.ActionEncrypt
	}
	g := access.New(access.Config{Directory: grants{}, Aliases: func(_ context.Context, region string, id keystore.KeyID) ([]string, error) {
		assert.Equal(t, "us-west-2/"+keyID, region+"/"+string(id))
		return []string{"alias/app", "alias/test-1"}, nil
	}})
	d, err := g.Authorize(t.Context(), r)
	require.NoError(t, err)
	return d.Allowed
}

func TestOperators(t *testing.T) {
	// x:text, x:list and so on are brought by the request; x:none is absent.
	brought := map[string][]string{
		"x:text": {"Apple"}, "x:number": {"10"}, "x:date": {"2026-03-01T12:00:00Z"}, "x:bool": {"true"}, "x:binary": {"QmluCg=="},
		"x:ip": {"203.0.113.9"}, "x:ip6": {"2001:db8::1"}, "x:arn": {"arn:aws:sns:us-west-2:111122223333:topic:a:b"},
		"x:list": {"red", "green"}, "x:one": {"red"}, "x:star": {"a*c"}, "x:user": {"alice"}, "x:word": {"ten"}, "x:empty": {},
		"x:Two": {"red"}, "x:TWO": {"green"}, "x:endless": {"-Inf"}, "x:epoch": {"1772366400.5"}, "x:blank": {""},
	}
	tests := []struct {
		condition string
		want      bool
	}{
		{`{"StringEquals":{"x:text":"Apple"}}`, true},
		{`{"StringEquals":{"x:text":"apple"}}`, false},
		{`{"StringEquals":{"X:TEXT":"Apple"}}`, true},
		{`{"StringEquals":{"x:text":["Pear","Apple"]}}`, true},
		{`{"StringEquals":{"x:text":"App*"}}`, false},
		{`{"StringEquals":{"x:star":"a*c"}}`, true},
		{`{"StringEquals":{"x:none":"Apple"}}`, false},
		{`{"StringEquals":{"x:empty":"Apple"}}`, false},
		{`{"StringEquals":{"x:number":10}}`, true},
		{`{"StringEquals":{"x:bool":true}}`, true},
		{`{"StringNotEquals":{"x:text":"Pear"}}`, true},
		{`{"StringNotEquals":{"x:text":["Pear","Apple"]}}`, false},
		{`{"StringNotEquals":{"x:none":"Apple"}}`, true},
		{`{"StringEqualsIgnoreCase":{"x:text":"aPPLE"}}`, true},
		{`{"StringNotEqualsIgnoreCase":{"x:text":"aPPLE"}}`, false},
		{`{"StringLike":{"x:text":"A??le"}}`, true},
		{`{"StringLike":{"x:text":"*pp*"}}`, true},
		{`{"StringLike":{"x:text":"pp*"}}`, false},
		{`{"StringLike":{"x:text":""}}`, false},
		{`{"StringLike":{"x:text":"${*}"}}`, false},
		{`{"StringLike":{"x:star":"a${*}c"}}`, true},
		{`{"StringNotLike":{"x:text":"A*"}}`, false},
		{`{"StringNotLike":{"x:text":"B*"}}`, true},
		{`{"NumericEquals":{"x:number":"10.0"}}`, true},
		{`{"NumericEquals":{"x:word":"10"}}`, false},
		{`{"NumericNotEquals":{"x:number":11}}`, true},
		{`{"NumericNotEquals":{"x:word":11}}`, true},
		{`{"NumericLessThan":{"x:number":10}}`, false},
		{`{"NumericLessThanEquals":{"x:number":10}}`, true},
		{`{"NumericGreaterThan":{"x:number":9}}`, true},
		{`{"NumericGreaterThanEquals":{"x:number":"1e1"}}`, true},
		{`{"NumericLessThan":{"x:none":10}}`, false},
		{`{"NumericLessThan":{"x:endless":10}}`, false}, // no number of JSON's
		{`{"NumericLessThanEquals":{"x:epoch":"1772366400.5"}}`, true},
		{`{"NumericLessThan":{"x:epoch":"1772366400.5"}}`, false},
		{`{"DateGreaterThan":{"x:epoch":"2026-03-01T12:00:00Z"}}`, true},
		{`{"DateLessThan":{"x:epoch":"2026-03-01T12:00:01Z"}}`, true},
		{`{"DateEquals":{"x:date":"2026-03-01T12:00:00Z"}}`, true},
		{`{"DateEquals":{"x:date":"2026-03-01T13:00:00+01:00"}}`, true},
		{`{"DateEquals":{"x:date":"1772366400"}}`, true},
		{`{"DateNotEquals":{"x:date":"2026-03-01"}}`, true},
		{`{"DateLessThan":{"x:date":"2026-03-01T12:00:01Z"}}`, true},
		{`{"DateLessThanEquals":{"x:date":"2026-03-01T12:00Z"}}`, true},
		{`{"DateGreaterThan":{"x:date":"2026"}}`, true},
		{`{"DateGreaterThanEquals":{"x:date":"2026-04"}}`, false},
		{`{"DateGreaterThan":{"x:text":"2000"}}`, false},
		{`{"Bool":{"x:bool":"true"}}`, true},
		{`{"Bool":{"x:bool":false}}`, false},
		{`{"Bool":{"x:bool":["false","TRUE"]}}`, true},
		{`{"Bool":{"x:none":"false"}}`, false},
		{`{"BinaryEquals":{"x:binary":"QmluCg=="}}`, true},
		{`{"BinaryEquals":{"x:binary":"QmluCh=="}}`, true}, // the same bytes
		{`{"BinaryEquals":{"x:binary":"Qmlu"}}`, false},
		{`{"BinaryEquals":{"x:text":"Qmlu"}}`, false},
		{`{"IpAddress":{"x:ip":"203.0.113.0/24"}}`, true},
		{`{"IpAddress":{"x:ip":"203.0.113.9"}}`, true},
		{`{"IpAddress":{"x:ip":["10.0.0.0/8","203.0.113.9/32"]}}`, true},
		{`{"IpAddress":{"x:ip":"2001:db8::/32"}}`, false},
		{`{"IpAddress":{"x:ip6":"2001:db8::/32"}}`, true},
		{`{"IpAddress":{"x:text":"0.0.0.0/0"}}`, false},
		{`{"NotIpAddress":{"x:ip":"203.0.113.0/24"}}`, false},
		{`{"NotIpAddress":{"x:ip":"10.0.0.0/8"}}`, true},
		{`{"ArnEquals":{"x:arn":"arn:aws:sns:*:111122223333:topic:*"}}`, true},
		{`{"ArnLike":{"x:arn":"arn:aws:sns:us-west-?:*:topic:a:b"}}`, true},
		{`{"ArnLike":{"x:arn":"arn:aws:s*:topic:a:b"}}`, false}, // a wildcard reaches no further than its part
		{`{"ArnLike":{"x:arn":"arn:aws:sns:*:*:*"}}`, true},
		{`{"ArnLike":{"x:arn":"*"}}`, true},
		{`{"ArnLike":{"x:text":"arn:aws:sns:*:*:*"}}`, false},
		{`{"ArnNotEquals":{"x:arn":"arn:aws:sqs:*:*:*"}}`, true},
		{`{"ArnNotLike":{"x:arn":"arn:aws:sns:*:*:*"}}`, false},
		{`{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:PrincipalAccount}:user/*"}}`, true},
		{`{"ArnLike":{"x:arn":"arn:aws:*:${aws:PrincipalAccount}:topic:*"}}`, false}, // with variables neither
		{`{"ArnLike":{"x:arn":"arn:aws:*:*:${aws:PrincipalAccount}:topic:*"}}`, true},
		{`{"ArnEquals":{"aws:PrincipalArn":"${aws:PrincipalArn}"}}`, true},
		{`{"Null":{"x:none":"true"}}`, true},
		{`{"Null":{"x:none":"false"}}`, false},
		{`{"Null":{"x:text":"false"}}`, true},
		{`{"Null":{"x:text":true}}`, false},
		{`{"StringEqualsIfExists":{"x:none":"Apple"}}`, true},
		{`{"StringEqualsIfExists":{"x:text":"Pear"}}`, false},
		{`{"BoolIfExists":{"x:none":"true"}}`, true},
		{`{"NumericLessThanIfExists":{"x:number":5}}`, false},
		{`{"ForAllValues:StringEquals":{"x:list":["red","green","blue"]}}`, true},
		{`{"ForAllValues:StringEquals":{"x:list":["red"]}}`, false},
		{`{"ForAllValues:StringEquals":{"x:none":["red"]}}`, true},
		{`{"ForAllValues:StringNotEquals":{"x:list":["blue"]}}`, true},
		{`{"ForAllValues:StringNotEquals":{"x:list":["red"]}}`, false},
		{`{"ForAllValues:StringEquals":{"x:blank":["red"]}}`, true}, // a null dataset
		{`{"ForAnyValue:StringEquals":{"x:blank":["red"]}}`, false},
		{`{"ForAnyValue:StringEquals":{"x:list":["green","blue"]}}`, true},
		{`{"ForAnyValue:StringEquals":{"x:list":["blue"]}}`, false},
		{`{"ForAnyValue:StringEquals":{"x:none":["blue"]}}`, false},
		{`{"ForAnyValue:StringEqualsIfExists":{"x:none":["blue"]}}`, true},
		{`{"ForAnyValue:StringNotEquals":{"x:list":["red"]}}`, true},
		{`{"ForAnyValue:StringNotEquals":{"x:one":["red"]}}`, false},
		{`{"ForAnyValue:StringNotEquals":{"x:none":["red"]}}`, false},
		{`{"StringEquals":{"x:list":"green"}}`, true},
		{`{"StringEquals":{"x:two":"green"}}`, true}, // names that differ in case alone are one key with several values
		{`{"StringEquals":{"x:two":"red"}}`, true},
		{`{"ForAllValues:StringEquals":{"x:two":"red"}}`, false},
		{`{"ForAllValues:StringEquals":{"x:two":"green"}}`, false},
		{`{"StringNotEquals":{"x:list":"green"}}`, false},
		{`{"StringEquals":{"x:user":"${aws:username}"}}`, true},
		{`{"StringEqualsIgnoreCase":{"x:user":"${aws:username}"}}`, true},
		{`{"StringLike":{"x:text":"${x:none}*"}}`, false},
		{`{"StringLike":{"x:text":"${x:none, 'App'}*"}}`, true},
		{`{"StringLike":{"x:text":"${x:star}"}}`, false},   // the value's own star is no wildcard
		{`{"StringEquals":{"x:text":"${x:list}"}}`, false}, // a key with several values gives none
		{`{"StringEquals":{"x:text":"Apple","x:number":"10"}}`, true},
		{`{"StringEquals":{"x:text":"Apple","x:number":"11"}}`, false},
		{`{"StringEquals":{"x:text":"Apple"},"Bool":{"x:bool":"false"}}`, false},
		{`{}`, true},
		{`{"StringEquals":{"x:text":[]}}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.condition, func(t *testing.T) {
			assert.Equal(t, tt.want, holds(t, tt.condition, &access.Request{Conditions: brought}))
		})
	}
}

func TestConditionKeys(t *testing.T) {
	primary := key("")
	primary.MultiRegion = &keystore.MultiRegion{Primary: true}
	context := map[string]string{"AppName": "ExampleApp", "FilePath": "/var/opt/secrets/"}
	aliasOnly := map[string][]string{"kms:RequestAlias": {"alias/app"}}
	tests := []struct {
		name      string
		condition string
		req       access.Request
		want      bool
	}{
		{"context member", `{"StringEquals":{"kms:EncryptionContext:AppName":"ExampleApp"}}`, access.Request{EncryptionContext: context}, true},
		{"its name in any case", `{"StringEquals":{"kms:encryptioncontext:appname":"ExampleApp"}}`, access.Request{EncryptionContext: context}, true},
		{"its value in this case", `{"StringEquals":{"kms:EncryptionContext:AppName":"exampleapp"}}`, access.Request{EncryptionContext: context}, false},
		{"no context", `{"StringEquals":{"kms:EncryptionContext:AppName":"ExampleApp"}}`, access.Request{}, false},
		{"context required", `{"Null":{"kms:EncryptionContext:AppName":"false"}}`, access.Request{EncryptionContext: context}, true},
		{"context keys, all of them", `{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["AppName","FilePath"]}}`, access.Request{EncryptionContext: context}, true},
		{"context keys, one too many", `{"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["AppName"]}}`, access.Request{EncryptionContext: context}, false},
		{"context keys, any", `{"ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":["FilePath"]}}`, access.Request{EncryptionContext: context}, true},
		{"context keys in this case", `{"ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":["filepath"]}}`, access.Request{EncryptionContext: context}, false},
		{"any context", `{"Null":{"kms:EncryptionContextKeys":"true"}}`, access.Request{EncryptionContext: context}, false},
		{"no context keys", `{"Null":{"kms:EncryptionContextKeys":"true"}}`, access.Request{}, true},
		{"caller account", `{"StringEquals":{"kms:CallerAccount":"111122223333"}}`, access.Request{}, true},
		{"via service", `{"StringEquals":{"kms:ViaService":"ec2.us-west-2.amazonaws.com"}}`, access.Request{}, false},
		{"not via service", `{"StringNotEquals":{"kms:ViaService":"ec2.us-west-2.amazonaws.com"}}`, access.Request{}, true},
		{"key spec", `{"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT"}}`, access.Request{}, true},
		{"old name of key spec", `{"StringEquals":{"kms:CustomerMasterKeySpec":"SYMMETRIC_DEFAULT"}}`, access.Request{}, true},
		{"key usage", `{"StringEquals":{"kms:KeyUsage":"SIGN_VERIFY"}}`, access.Request{}, false},
		{"key origin", `{"StringEquals":{"kms:KeyOrigin":"AWS_KMS"}}`, access.Request{}, true},
		{"single-Region", `{"Bool":{"kms:MultiRegion":"false"}}`, access.Request{}, true},
		{"multi-Region", `{"Bool":{"kms:MultiRegion":"true"}}`, access.Request{Key: primary}, true},
		{"multi-Region type", `{"StringEquals":{"kms:MultiRegionKeyType":"PRIMARY"}}`, access.Request{Key: primary}, true},
		{"no multi-Region type", `{"Null":{"kms:MultiRegionKeyType":"true"}}`, access.Request{}, true},
		{"request alias", `{"StringEquals":{"kms:RequestAlias":"alias/app"}}`, access.Request{Conditions: aliasOnly}, true},
		{"no request alias", `{"StringEquals":{"kms:RequestAlias":"alias/app"}}`, access.Request{}, false},
		{"resource aliases", `{"ForAnyValue:StringLike":{"kms:ResourceAliases":"alias/test*"}}`, access.Request{}, true},
		{"resource aliases, none", `{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/x"}}`, access.Request{}, false},
		{"deletion window", `{"NumericLessThan":{"kms:ScheduleKeyDeletionPendingWindowInDays":"8"}}`,
			access.Request{Conditions: map[string][]string{"kms:ScheduleKeyDeletionPendingWindowInDays": {"7"}}}, true},
		{"grant operations", `{"ForAllValues:StringEquals":{"kms:GrantOperations":["Encrypt","Decrypt"]}}`,
			access.Request{Conditions: map[string][]string{"kms:GrantOperations": {"Encrypt", "Sign"}}}, false},
		{"grant for a resource", `{"Bool":{"kms:GrantIsForAWSResource":true}}`, access.Request{}, false},
		{"bypass", `{"Bool":{"kms:BypassPolicyLockoutSafetyCheck":"false"}}`,
			access.Request{Conditions: map[string][]string{"kms:BypassPolicyLockoutSafetyCheck": {"true"}}}, false},
		{"algorithm", `{"StringLike":{"kms:SigningAlgorithm":"RSASSA_PSS*"}}`,
			access.Request{Conditions: map[string][]string{"kms:SigningAlgorithm": {"RSASSA_PSS_SHA_256"}}}, true},
		{"request tag", `{"StringEquals":{"aws:RequestTag/Project":"Alpha"}}`,
			access.Request{Conditions: map[string][]string{"aws:RequestTag/Project": {"Alpha"}}}, true},
		{"tag keys", `{"ForAllValues:StringEquals":{"aws:TagKeys":["Project"]}}`,
			access.Request{Conditions: map[string][]string{"aws:TagKeys": {"Project", "Owner"}}}, false},
		{"resource tag", `{"StringEquals":{"aws:ResourceTag/Dept":"HR"}}`, access.Request{}, true},
		{"resource tag's name in any case", `{"StringEquals":{"AWS:resourcetag/dept":"HR"}}`, access.Request{}, true},
		{"no such tag", `{"StringEquals":{"aws:ResourceTag/Owner":"HR"}}`, access.Request{}, false},
		{"principal", `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/ali*"}}`, access.Request{}, true},
		{"principal's account", `{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}`, access.Request{}, true},
		{"type of a user", `{"StringEquals":{"aws:PrincipalType":"User"}}`, access.Request{}, true},
		{"type of a role", `{"StringEquals":{"aws:PrincipalType":"AssumedRole"}}`, access.Request{Caller: caller(admin)}, true},
		{"type of the root", `{"StringEquals":{"aws:PrincipalType":"Account","aws:userid":"111122223333"}}`, access.Request{Caller: caller(root)}, true},
		{"user name behind a path", `{"StringEquals":{"aws:username":"bob"}}`, access.Request{Caller: caller(bob)}, true},
		{"roles have no user name", `{"Null":{"aws:username":"true"}}`, access.Request{Caller: caller(admin)}, true},
		{"address", `{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, access.Request{}, true},
		{"user agent", `{"StringLike":{"aws:UserAgent":"aws-cli/*"}}`, access.Request{}, true},
		{"before", `{"DateLessThan":{"aws:CurrentTime":"2026-03-01T12:00:01Z"}}`, access.Request{}, true},
		{"the request's time counts", `{"DateLessThan":{"aws:CurrentTime":"2026-03-01T12:00:01Z"}}`,
			access.Request{Now: time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)}, false},
		{"epoch", `{"NumericGreaterThan":{"aws:EpochTime":"1772366399"},"DateGreaterThan":{"aws:EpochTime":"1772366399"}}`, access.Request{}, true},
		{"transport", `{"Bool":{"aws:SecureTransport":"true"}}`, access.Request{}, true},
		{"region", `{"StringEquals":{"aws:RequestedRegion":["us-west-2","eu-west-1"]}}`, access.Request{}, true},
		{"resource account", `{"StringEquals":{"aws:ResourceAccount":"${aws:PrincipalAccount}"}}`, access.Request{}, true},
		{"no service calls", `{"Bool":{"aws:ViaAWSService":"false","aws:PrincipalIsAWSService":"false"}}`, access.Request{}, true},
		{"no second factor", `{"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}}`, access.Request{}, true},
		{"what is known cannot be brought", `{"StringEquals":{"kms:KeySpec":"RSA_2048"}}`,
			access.Request{Conditions: map[string][]string{"kms:KeySpec": {"RSA_2048"}}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, holds(t, tt.condition, &tt.req))
		})
	}
}

// TestConditionKeysOfNewKeys: without a key, what the request brings counts.
func TestConditionKeysOfNewKeys(t *testing.T) {
	text := policy(`{"Effect":"Allow","Action":"kms:CreateKey","Resource":"*","Condition":{"StringLike":{"kms:KeySpec":"RSA_*"},` +
		`"StringEquals":{"kms:KeyUsage":"ENCRYPT_DECRYPT"}}}`)
	for spec, want := range map[string]bool{"RSA_4096": true, "SYMMETRIC_DEFAULT": false} {
		d, err := gate().Authorize(t.Context(), &access.Request{Caller: caller(alice, text), Action: keystore.ActionCreateKey,
			Conditions: map[string][]string{"kms:KeySpec": {spec}, "kms:KeyUsage": {"ENCRYPT_DECRYPT"}}})
		require.NoError(t, err)
		assert.Equal(t, want, d.Allowed, spec)
	}
}

func TestOldVersionHasNoVariables(t *testing.T) {
	text := `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*",` +
		`"Condition":{"StringEquals":{"x:a":"${aws:username}"}}}}`
	for value, want := range map[string]bool{"alice": false, "${aws:username}": true} {
		d, err := gate().Authorize(t.Context(), &access.Request{Caller: caller(alice), Action: "Encrypt", Key: key(text),
			Conditions: map[string][]string{"x:a": {value}}})
		require.NoError(t, err)
		assert.Equal(t, want, d.Allowed)
	}
}

func TestFailureToListAliasesIsNoDecision(t *testing.T) {
	broken := errors.New("disk gone")
	g := access.New(access.Config{Directory: grants{}, Aliases: func(context.Context, string, keystore.KeyID) ([]string, error) {
		return nil, broken
	}})
	text := policy(allow("*", `"kms:*"`),
		`{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/x"}}}`)
	err := g.Admit(t.Context(), &access.Request{Caller: caller(alice), Action: "Encrypt", Key: key(text)})
	assert.ErrorIs(t, err, broken)
}
