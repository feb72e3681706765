package api

import "github.com/strongroom/strongroom/keystore"

// Body limits in bytes, before anything is parsed. The largest legitimate requests hold a policy of 131,072 characters,
// or an attestation document of 262,144 bytes.
const (
	bodyUsual = 256 << 10
	bodyLarge = 1 << 20
)

// operation is a row of the operations table.
type operation struct {
	name     keystore.Action
	limit    int64   // bytes of a request body
	readOnly bool    // changes nothing: recorded in order; all others are on disk before they are answered
	noOutput bool    // modelled without an output shape: success is an empty body, not "{}"
	handle   handler // nil: UnsupportedOperationException
	quota    quotaOf // that its requests count against, from the table in quotas.go
}

// operations is the table of all operations of the API (AWS SDK for Go v2, service/kms v1.62.4).
var operations = []operation{
	{name: keystore.ActionCancelKeyDeletion, limit: bodyUsual, handle: handle(cancelKeyDeletion)},
	{name: keystore.ActionConnectCustomKeyStore, limit: bodyUsual, handle: handle(connectCustomKeyStore)},
	{name: keystore.ActionCreateAlias, limit: bodyUsual, noOutput: true, handle: handle(createAlias)},
	{name: keystore.ActionCreateCustomKeyStore, limit: bodyUsual, handle: handle(createCustomKeyStore)},
	{name: keystore.ActionCreateGrant, limit: bodyUsual, handle: handle(createGrant)},
	{name: keystore.ActionCreateKey, limit: bodyLarge, handle: handle(createKey)},
	{name: keystore.ActionDecapsulate, limit: bodyUsual, readOnly: true, handle: handle(decapsulate)},
	{name: keystore.ActionDecrypt, limit: bodyLarge, readOnly: true, handle: handle(decrypt)},
	{name: keystore.ActionDeleteAlias, limit: bodyUsual, noOutput: true, handle: handle(deleteAlias)},
	{name: keystore.ActionDeleteCustomKeyStore, limit: bodyUsual, handle: handle(deleteCustomKeyStore)},
	{name: keystore.ActionDeleteImportedKeyMaterial, limit: bodyUsual, handle: handle(deleteImportedKeyMaterial)},
	{name: keystore.ActionDeriveSharedSecret, limit: bodyLarge, readOnly: true, handle: handle(deriveSharedSecret)},
	{name: keystore.ActionDescribeCustomKeyStores, limit: bodyUsual, readOnly: true, handle: handle(describeCustomKeyStores)},
	{name: keystore.ActionDescribeKey, limit: bodyUsual, readOnly: true, handle: handle(describeKey)},
	{name: keystore.ActionDisableKey, limit: bodyUsual, noOutput: true, handle: handle(disableKey)},
	{name: keystore.ActionDisableKeyRotation, limit: bodyUsual, noOutput: true, handle: handle(disableKeyRotation)},
	{name: keystore.ActionDisconnectCustomKeyStore, limit: bodyUsual, handle: handle(disconnectCustomKeyStore)},
	{name: keystore.ActionEnableKey, limit: bodyUsual, noOutput: true, handle: handle(enableKey)},
	{name: keystore.ActionEnableKeyRotation, limit: bodyUsual, noOutput: true, handle: handle(enableKeyRotation)},
	{name: keystore.ActionEncapsulate, limit: bodyUsual, readOnly: true, handle: handle(encapsulate)},
	{name: keystore.ActionEncrypt, limit: bodyUsual, readOnly: true, handle: handle(encrypt)},
	{name: keystore.ActionGenerateDataKey, limit: bodyLarge, readOnly: true, handle: handle(generateDataKey)},
	{name: keystore.ActionGenerateDataKeyPair, limit: bodyLarge, readOnly: true, handle: handle(generateDataKeyPair)},
	{name: keystore.ActionGenerateDataKeyPairWithoutPlaintext, limit: bodyUsual, readOnly: true, handle: handle(generateDataKeyPairWithoutPlaintext)},
	{name: keystore.ActionGenerateDataKeyWithoutPlaintext, limit: bodyUsual, readOnly: true, handle: handle(generateDataKeyWithoutPlaintext)},
	{name: keystore.ActionGenerateMac, limit: bodyUsual, readOnly: true, handle: handle(generateMac)},
	{name: keystore.ActionGenerateRandom, limit: bodyLarge, readOnly: true, handle: handle(generateRandom)},
	{name: keystore.ActionGetKeyLastUsage, limit: bodyUsual, readOnly: true, handle: handle(getKeyLastUsage)},
	{name: keystore.ActionGetKeyPolicy, limit: bodyUsual, readOnly: true, handle: handle(getKeyPolicy)},
	{name: keystore.ActionGetKeyRotationStatus, limit: bodyUsual, readOnly: true, handle: handle(getKeyRotationStatus)},
	{name: keystore.ActionGetParametersForImport, limit: bodyUsual, readOnly: true, handle: handle(getParametersForImport)},
	{name: keystore.ActionGetPublicKey, limit: bodyUsual, readOnly: true, handle: handle(getPublicKey)},
	{name: keystore.ActionImportKeyMaterial, limit: bodyUsual, handle: handle(importKeyMaterial)},
	{name: keystore.ActionListAliases, limit: bodyUsual, readOnly: true, handle: handle(listAliases)},
	{name: keystore.ActionListGrants, limit: bodyUsual, readOnly: true, handle: handle(listGrants)},
	{name: keystore.ActionListKeyPolicies, limit: bodyUsual, readOnly: true, handle: handle(listKeyPolicies)},
	{name: keystore.ActionListKeyRotations, limit: bodyUsual, readOnly: true, handle: handle(listKeyRotations)},
	{name: keystore.ActionListKeys, limit: bodyUsual, readOnly: true, handle: handle(listKeys)},
	{name: keystore.ActionListResourceTags, limit: bodyUsual, readOnly: true, handle: handle(listResourceTags)},
	{name: keystore.ActionListRetirableGrants, limit: bodyUsual, readOnly: true, handle: handle(listRetirableGrants)},
	{name: keystore.ActionPutKeyPolicy, limit: bodyLarge, noOutput: true, handle: handle(putKeyPolicy)},
	{name: keystore.ActionReEncrypt, limit: bodyUsual, readOnly: true, handle: handle(reEncrypt)},
	{name: keystore.ActionReplicateKey, limit: bodyLarge, handle: handle(replicateKey)},
	{name: keystore.ActionRetireGrant, limit: bodyUsual, noOutput: true, handle: handle(retireGrant)},
	{name: keystore.ActionRevokeGrant, limit: bodyUsual, noOutput: true, handle: handle(revokeGrant)},
	{name: keystore.ActionRotateKeyOnDemand, limit: bodyUsual, handle: handle(rotateKeyOnDemand)},
	{name: keystore.ActionScheduleKeyDeletion, limit: bodyUsual, handle: handle(scheduleKeyDeletion)},
	{name: keystore.ActionSign, limit: bodyUsual, readOnly: true, handle: handle(sign)},
	{name: keystore.ActionTagResource, limit: bodyLarge, noOutput: true, handle: handle(tagResource)},
	{name: keystore.ActionUntagResource, limit: bodyUsual, noOutput: true, handle: handle(untagResource)},
	{name: keystore.ActionUpdateAlias, limit: bodyUsual, noOutput: true, handle: handle(updateAlias)},
	{name: keystore.ActionUpdateCustomKeyStore, limit: bodyUsual, handle: handle(updateCustomKeyStore)},
	{name: keystore.ActionUpdateKeyDescription, limit: bodyUsual, noOutput: true, handle: handle(updateKeyDescription)},
	{name: keystore.ActionUpdatePrimaryRegion, limit: bodyUsual, noOutput: true, handle: handle(updatePrimaryRegion)},
	{name: keystore.ActionVerify, limit: bodyUsual, readOnly: true, handle: handle(verify)},
	{name: keystore.ActionVerifyMac, limit: bodyUsual, readOnly: true, handle: handle(verifyMac)},
}

// targetPrefix stands before the operation in X-Amz-Target: the service's name in its model.
const targetPrefix = "TrentService."

// targets finds rows by the whole value of X-Amz-Target.
var targets = func() map[string]*operation {
	all := make(map[string]*operation, len(operations))
	for i := range operations {
		operations[i].quota = quotaFor(operations[i].name)
		all[targetPrefix+string(operations[i].name)] = &operations[i]
	}
	return all
}()
