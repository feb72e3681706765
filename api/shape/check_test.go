package shape_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
)

func blob(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }

// The literal texts are those of api-errors.md, sections 5 and 6: recorded from AWS where it says so.
func TestCheck(t *testing.T) {
	const one = "1 validation error detected: "
	for name, c := range map[string]struct {
		action keystore.Action
		body   string
		text   string // "" means that the request is good
	}{
		"recorded: plaintext of 4097 bytes": {"Encrypt", `{"KeyId":"k","Plaintext":"` + blob(4097) + `"}`,
			one + "Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"},
		"plaintext of 4096 bytes": {"Encrypt", `{"KeyId":"k","Plaintext":"` + blob(4096) + `"}`, ""},
		"empty plaintext": {"Encrypt", `{"KeyId":"k","Plaintext":""}`,
			one + "Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		"missing members, in the order of the model": {"Encrypt", `{}`,
			"2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; " +
				"Value null at 'plaintext' failed to satisfy constraint: Member must not be null"},
		"order is the model's, not the request's": {"Encrypt", `{"EncryptionAlgorithm":"ROT13","Plaintext":"","KeyId":""}`,
			"3 validation errors detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value 'ROT13' at 'encryptionAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: " +
				"[SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]"},
		"recorded: too many random bytes": {"GenerateRandom", `{"NumberOfBytes":1025}`,
			one + "Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024"},
		"recorded: no random bytes": {"GenerateRandom", `{"NumberOfBytes":0}`,
			one + "Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		"random bytes not given are the service's matter": {"GenerateRandom", `{}`, ""},
		"recorded: enumeration": {"GenerateDataKey", `{"KeyId":"k","KeySpec":"AES_512"}`,
			one + "Value 'AES_512' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: [AES_256, AES_128]"},
		"recorded: path of a tag": {"TagResource", `{"KeyId":"k","Tags":[{"TagKey":"` + strings.Repeat("k", 129) + `","TagValue":"v"}]}`,
			one + "Value '" + strings.Repeat("k", 129) + "' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length less than or equal to 128"},
		"second tag": {"TagResource", `{"KeyId":"k","Tags":[{"TagKey":"a","TagValue":""},{"TagValue":"` + strings.Repeat("v", 257) + `"}]}`,
			"2 validation errors detected: Value null at 'tags.2.member.tagKey' failed to satisfy constraint: Member must not be null; " +
				"Value '" + strings.Repeat("v", 257) + "' at 'tags.2.member.tagValue' failed to satisfy constraint: Member must have length less than or equal to 256"},
		"lengths are in characters": {"TagResource", `{"KeyId":"k","Tags":[{"TagKey":"` + strings.Repeat("ü", 128) + `","TagValue":"` + strings.Repeat("😀", 256) + `"}]}`, ""},
		"one character too many": {"TagResource", `{"KeyId":"k","Tags":[{"TagKey":"` + strings.Repeat("ü", 129) + `","TagValue":""}]}`,
			one + "Value '" + strings.Repeat("ü", 129) + "' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length less than or equal to 128"},
		"pattern": {"CreateAlias", `{"AliasName":"alias/a b","TargetKeyId":"k"}`,
			one + "Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"},
		"length and pattern": {"CreateAlias", `{"AliasName":"","TargetKeyId":"k"}`,
			"2 validation errors detected: Value '' at 'aliasName' failed to satisfy constraint: Member must have length greater than or equal to 1; " +
				"Value '' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"},
		"a pattern holds to the end": {"CreateAlias", `{"AliasName":"alias/a\n","TargetKeyId":"k"}`,
			one + "Value 'alias/a\n' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"},
		"a pattern without anchors holds for the whole": {"CreateCustomKeyStore", `{"CustomKeyStoreName":"n","CloudHsmClusterId":"xcluster-22222222222"}`,
			one + "Value 'xcluster-22222222222' at 'cloudHsmClusterId' failed to satisfy constraint: Member must satisfy regular expression pattern: cluster-[2-7a-zA-Z]{11,16}"},
		"characters of a policy": {"PutKeyPolicy", `{"KeyId":"k","Policy":"{\u0100}"}`,
			one + `Value '{Ā}' at 'policy' failed to satisfy constraint: Member must satisfy regular expression pattern: [\u0009\u000A\u000D\u0020-\u00FF]+`},
		"a policy with line breaks": {"PutKeyPolicy", `{"KeyId":"k","Policy":"{\r\n\t\u00ff}"}`, ""},
		"a password is not shown": {"CreateCustomKeyStore", `{"CustomKeyStoreName":"n","KeyStorePassword":"secret"}`,
			one + "Value at 'keyStorePassword' failed to satisfy constraint: Member must have length greater than or equal to 7"},
		"nor is what a structure hides": {"CreateCustomKeyStore", `{"CustomKeyStoreName":"n","XksProxyAuthenticationCredential":{"AccessKeyId":"abc"}}`,
			"3 validation errors detected: Value at 'xksProxyAuthenticationCredential.accessKeyId' failed to satisfy constraint: Member must have length greater than or equal to 20; " +
				"Value at 'xksProxyAuthenticationCredential.accessKeyId' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[A-Z2-7]+$; " +
				"Value null at 'xksProxyAuthenticationCredential.rawSecretAccessKey' failed to satisfy constraint: Member must not be null"},
		"ciphertext too long": {"Decrypt", `{"CiphertextBlob":"` + blob(6145) + `"}`,
			one + "Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length less than or equal to 6144"},
		"too many grant tokens": {"DescribeKey", `{"KeyId":"k","GrantTokens":["1","2","3","4","5","6","7","8","9","10","11"]}`,
			one + "Value '[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]' at 'grantTokens' failed to satisfy constraint: Member must have length less than or equal to 10"},
		"elements of a list": {"UntagResource", `{"KeyId":"k","TagKeys":["a",""]}`,
			one + "Value '[a, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: " +
				"[Member must have length less than or equal to 128, Member must have length greater than or equal to 1]"},
		"elements of an enumeration": {"Decrypt", `{"CiphertextBlob":"AA==","DryRunModifiers":["X"]}`,
			one + "Value '[X]' at 'dryRunModifiers' failed to satisfy constraint: Member must satisfy constraint: " +
				"[Member must satisfy enum value set: [IGNORE_CIPHERTEXT]]"},
		"empty list":            {"UntagResource", `{"KeyId":"k","TagKeys":[]}`, ""},
		"empty description":     {"UpdateKeyDescription", `{"KeyId":"k","Description":""}`, ""},
		"no description":        {"UpdateKeyDescription", `{"KeyId":"k"}`, one + "Value null at 'description' failed to satisfy constraint: Member must not be null"},
		"windows of the shape":  {"ScheduleKeyDeletion", `{"KeyId":"k","PendingWindowInDays":365}`, ""},
		"windows beyond it":     {"ScheduleKeyDeletion", `{"KeyId":"k","PendingWindowInDays":366}`, one + "Value '366' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value less than or equal to 365"},
		"pages":                 {"ListKeys", `{"Limit":1001}`, one + "Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000"},
		"removing an endpoint":  {"UpdateCustomKeyStore", `{"CustomKeyStoreId":"c","XksProxyVpcEndpointServiceName":""}`, ""},
		"everything is allowed": {"CreateKey", `{}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var m shape.Members
			require.NoError(t, m.Decode([]byte(c.body), requests[c.action]()))
			err := m.Check()
			if c.text == "" {
				assert.NoError(t, err)
				return
			}
			var f *keystore.Fault
			require.ErrorAs(t, err, &f)
			assert.Equal(t, keystore.KindValidation, f.Kind)
			assert.Equal(t, c.text, f.Text)
		})
	}
}

func TestParameters(t *testing.T) {
	for name, c := range map[string]struct {
		action     keystore.Action
		body, want string
	}{
		"never plaintext or tokens": {"Encrypt", `{"KeyId":"k","Plaintext":"c2VjcmV0","GrantTokens":["t"],"EncryptionContext":{"b":"\"2","a":"1"},"DryRun":false}`,
			`{"keyId":"k","encryptionContext":{"a":"1","b":"\"2"},"dryRun":false}`},
		"never ciphertext":     {"Decrypt", `{"CiphertextBlob":"AAAA","Recipient":{"AttestationDocument":"AAAA"}}`, `null`},
		"structures":           {"Decrypt", `{"Recipient":{"KeyEncryptionAlgorithm":"RSAES_OAEP_SHA_256","AttestationDocument":"AAAA"},"KeyId":"k"}`, `{"keyId":"k","recipient":{"keyEncryptionAlgorithm":"RSAES_OAEP_SHA_256"}}`},
		"never passwords":      {"CreateCustomKeyStore", `{"CustomKeyStoreName":"n","KeyStorePassword":"secret77","TrustAnchorCertificate":"pem","CloudHsmClusterId":"c"}`, `{"customKeyStoreName":"n","cloudHsmClusterId":"c"}`},
		"never credentials":    {"UpdateCustomKeyStore", `{"CustomKeyStoreId":"c","XksProxyAuthenticationCredential":{"AccessKeyId":"AAA","RawSecretAccessKey":"s"}}`, `{"customKeyStoreId":"c"}`},
		"never a token":        {"RetireGrant", `{"GrantToken":"t"}`, `null`},
		"tags, numbers, dates": {"CreateKey", `{"Tags":[{"TagKey":"a","TagValue":"1"}],"Description":""}`, `{"description":"","tags":[{"tagKey":"a","tagValue":"1"}]}`},
		"dates":                {"ImportKeyMaterial", `{"ValidTo":1795328400,"KeyId":"k"}`, `{"keyId":"k","validTo":"Nov 22, 2026, 6:20:00 AM"}`},
		"numbers":              {"ScheduleKeyDeletion", `{"KeyId":"k","PendingWindowInDays":7}`, `{"keyId":"k","pendingWindowInDays":7}`},
		"nothing":              {"ListKeys", `{}`, `null`},
	} {
		t.Run(name, func(t *testing.T) {
			var m shape.Members
			require.NoError(t, m.Decode([]byte(c.body), requests[c.action]()))
			assert.Equal(t, "before"+c.want, string(m.AppendParameters([]byte("before"))))
		})
	}
}
