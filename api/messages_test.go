package api_test

import (
	"strings"
	"testing"
)

// The literal messages of api-errors.md, section 6, as far as operations that are served can provoke them.
func TestMessages(t *testing.T) {
	a := start(t)
	id, arn := a.newKey(t)
	disabled, disabledARN := a.newKey(t)
	pending, pendingARN := a.newKey(t)
	for _, call := range [][2]string{
		{"DisableKey", `{"KeyId":"` + disabled + `"}`}, {"ScheduleKeyDeletion", `{"KeyId":"` + pending + `","PendingWindowInDays":7}`},
		{"CreateAlias", `{"AliasName":"alias/taken","TargetKeyId":"` + id + `"}`},
	} {
		if got := a.post(t, call[0], call[1]); got.status != 200 {
			t.Fatal(got.body)
		}
	}
	sealed := strings.Split(a.post(t, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"AAAA"}`).body, `"`)[3]
	const absent = "1234abcd-12ab-34cd-56ef-1234567890ab"
	const root = "arn:aws:kms:us-east-1:111122223333:"
	tags := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, `{"TagKey":"k`+strings.Repeat("x", i)+`","TagValue":""}`)
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	for name, c := range map[string]struct{ operation, body, exception, message string }{
		"no key id":          {"DescribeKey", `{"KeyId":"fake"}`, "NotFoundException", "Invalid keyId 'fake'"},
		"no dashes":          {"DescribeKey", `{"KeyId":"1234abcd12ab34cd56ef1234567890ab"}`, "NotFoundException", "Invalid keyId '1234abcd12ab34cd56ef1234567890ab'"},
		"no mrk id":          {"DescribeKey", `{"KeyId":"mrk-junk"}`, "NotFoundException", "Invalid keyId 'mrk-junk'"},
		"absent":             {"Encrypt", `{"KeyId":"` + absent + `","Plaintext":"AAAA"}`, "NotFoundException", "Key '" + root + "key/" + absent + "' does not exist"},
		"absent by ARN":      {"GetKeyPolicy", `{"KeyId":"` + root + "key/" + absent + `"}`, "NotFoundException", "Key '" + root + "key/" + absent + "' does not exist"},
		"another Region":     {"DescribeKey", `{"KeyId":"arn:aws:kms:eu-west-1:111122223333:key/` + absent + `"}`, "NotFoundException", "Invalid arn eu-west-1"},
		"unknown alias":      {"Encrypt", `{"KeyId":"alias/none","Plaintext":"AAAA"}`, "NotFoundException", "Alias " + root + "alias/none is not found."},
		"disabled":           {"Encrypt", `{"KeyId":"` + disabled + `","Plaintext":"AAAA"}`, "DisabledException", disabledARN + " is disabled."},
		"pending deletion":   {"GenerateDataKey", `{"KeyId":"` + pending + `","KeySpec":"AES_256"}`, "KMSInvalidStateException", pendingARN + " is pending deletion."},
		"scheduled twice":    {"ScheduleKeyDeletion", `{"KeyId":"` + pending + `"}`, "KMSInvalidStateException", pendingARN + " is pending deletion."},
		"not pending":        {"CancelKeyDeletion", `{"KeyId":"` + id + `"}`, "KMSInvalidStateException", arn + " is not pending deletion."},
		"plaintext too long": {"Encrypt", `{"KeyId":"` + id + `","Plaintext":"` + strings.Repeat("AAAA", 1366) + `"}`, "ValidationException", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"},
		"wrong context":      {"Decrypt", `{"CiphertextBlob":"` + sealed + `","EncryptionContext":{"a":"b"}}`, "InvalidCiphertextException", ""},
		"no blob of ours":    {"Decrypt", `{"CiphertextBlob":"AAAA"}`, "InvalidCiphertextException", ""},
		"another key":        {"Decrypt", `{"CiphertextBlob":"` + sealed + `","KeyId":"` + disabled + `"}`, "IncorrectKeyException", "The key ID in the request does not identify a CMK that can perform this operation."},
		"random of nothing":  {"GenerateRandom", `{}`, "ValidationException", "NumberOfBytes is required."},
		"two key sizes":      {"GenerateDataKey", `{"KeyId":"` + id + `","KeySpec":"AES_256","NumberOfBytes":32}`, "ValidationException", "Please specify either number of bytes or key spec."},
		"no key size":        {"GenerateDataKeyWithoutPlaintext", `{"KeyId":"` + id + `"}`, "ValidationException", "Please specify either number of bytes or key spec."},
		"dry run":            {"Encrypt", `{"KeyId":"` + id + `","Plaintext":"AAAA","DryRun":true}`, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."},
		"usage is needed":    {"CreateKey", `{"KeySpec":"RSA_2048"}`, "ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		"bad pair":           {"CreateKey", `{"KeySpec":"RSA_2048","KeyUsage":"KEY_AGREEMENT"}`, "ValidationException", "KeyUsage KEY_AGREEMENT is not compatible with KeySpec RSA_2048"},
		"two spec names":     {"CreateKey", `{"KeySpec":"RSA_2048","CustomerMasterKeySpec":"RSA_2048","KeyUsage":"SIGN_VERIFY"}`, "ValidationException", "You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated."},
		"many tags":          {"CreateKey", `{"Tags":` + tags(51) + `}`, "TagException", "Too many tags"},
		"AWS's tags":         {"TagResource", `{"KeyId":"` + id + `","Tags":[{"TagKey":"AwS:x","TagValue":""}]}`, "TagException", "Tags beginning with aws: are reserved"},
		"tags twice":         {"TagResource", `{"KeyId":"` + id + `","Tags":[{"TagKey":"x","TagValue":""},{"TagKey":"x","TagValue":""}]}`, "TagException", "Duplicate tag keys"},
		"alias prefix":       {"CreateAlias", `{"AliasName":"one","TargetKeyId":"` + id + `"}`, "ValidationException", `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		"alias taken":        {"CreateAlias", `{"AliasName":"alias/taken","TargetKeyId":"` + id + `"}`, "AlreadyExistsException", "An alias with the name " + root + "alias/taken already exists"},
		"AWS's aliases":      {"CreateAlias", `{"AliasName":"alias/aws/ebs","TargetKeyId":"` + id + `"}`, "NotAuthorizedException", ""},
		"policy of a name":   {"PutKeyPolicy", `{"KeyId":"` + id + `","PolicyName":"other","Policy":"{}"}`, "UnsupportedOperationException", "Only default policy is supported"},
		"policy not there":   {"GetKeyPolicy", `{"KeyId":"` + id + `","PolicyName":"other"}`, "NotFoundException", "No such policy exists"},
		"lock-out": {"PutKeyPolicy", `{"KeyId":"` + id + `","Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:root\"},\"Action\":\"kms:Encrypt\",\"Resource\":\"*\"}]}"}`,
			"MalformedPolicyDocumentException", "The new key policy will not allow you to update the key policy in the future."},
		"unknown principal": {"PutKeyPolicy", `{"KeyId":"` + id + `","Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:user/nobody\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}"}`,
			"MalformedPolicyDocumentException", "Policy contains a statement with one or more invalid principals."},
		"bad marker":    {"ListKeys", `{"Marker":"bad"}`, "InvalidMarkerException", ""},
		"unknown store": {"ConnectCustomKeyStore", `{"CustomKeyStoreId":"cks-12345678901234567"}`, "CustomKeyStoreNotFoundException", "The custom key store cks-12345678901234567 does not exist."},
		"enclaves":      {"GenerateRandom", `{"NumberOfBytes":8,"Recipient":{}}`, "UnsupportedOperationException", "Recipient is not supported."},
	} {
		t.Run(name, func(t *testing.T) {
			requireError(t, a.post(t, c.operation, c.body), 400, c.exception, c.message)
		})
	}
}
