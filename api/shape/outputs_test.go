package shape_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
)

// full are answers with every member in them.
func full() map[keystore.Action]shape.Response {
	b, k := []byte{1}, key()
	md := &shape.KeyMetadata{Key: k, State: keystore.Enabled}
	next := shape.Next{NextMarker: "m"}
	store := &keystore.Store{ID: "cks-1", Type: keystore.StoreCloudHSM}
	alias := &keystore.Alias{Name: "alias/a", Target: keyUUID, Created: created, Updated: created}
	empty := shape.Empty{}
	dataKey := func(plain []byte) shape.Response {
		return &shape.DataKeyResponse{CiphertextBlob: b, Plaintext: plain, KeyID: keyARN, KeyMaterialID: "m"}
	}
	pair := func(plain []byte) shape.Response {
		return &shape.DataKeyPairResponse{PrivateKeyCiphertextBlob: b, PrivateKeyPlaintext: plain, PublicKey: b, KeyID: keyARN, KeyPairSpec: "RSA_2048", KeyMaterialID: "m"}
	}
	material := &shape.KeyMaterialResponse{KeyID: keyARN, KeyMaterialID: "m"}
	grants := &shape.ListGrantsResponse{Grants: []shape.GrantEntry{{Grant: &keystore.Grant{ID: "g"}}}, Next: next}
	return map[keystore.Action]shape.Response{
		"CancelKeyDeletion": &shape.KeyIDResponse{KeyID: keyARN}, "ConnectCustomKeyStore": empty, "CreateAlias": empty,
		"CreateCustomKeyStore": &shape.StoreIDResponse{CustomKeyStoreID: "cks-1"},
		"CreateGrant":          &shape.CreateGrantResponse{GrantToken: "t", GrantID: "g"},
		"CreateKey":            &shape.KeyMetadataResponse{KeyMetadata: md},
		"Decapsulate":          &shape.EncapsulateResponse{KeyID: keyARN, SharedSecret: b, EncapsulationAlgorithm: "ML_KEM"},
		"Decrypt":              &shape.DecryptResponse{KeyID: keyARN, Plaintext: b, EncryptionAlgorithm: "SYMMETRIC_DEFAULT", KeyMaterialID: "m"},
		"DeleteAlias":          empty, "DeleteCustomKeyStore": empty, "DeleteImportedKeyMaterial": material,
		"DeriveSharedSecret":      &shape.DeriveSharedSecretResponse{KeyID: keyARN, SharedSecret: b, KeyAgreementAlgorithm: "ECDH", KeyOrigin: "AWS_KMS"},
		"DescribeCustomKeyStores": &shape.DescribeCustomKeyStoresResponse{CustomKeyStores: []shape.StoreEntry{{Store: store}}, Next: next},
		"DescribeKey":             &shape.KeyMetadataResponse{KeyMetadata: md}, "DisableKey": empty, "DisableKeyRotation": empty,
		"DisconnectCustomKeyStore": empty, "EnableKey": empty, "EnableKeyRotation": empty,
		"Encapsulate":         &shape.EncapsulateResponse{KeyID: keyARN, SharedSecret: b, SharedSecretCiphertextBlob: b, EncapsulationAlgorithm: "ML_KEM"},
		"Encrypt":             &shape.EncryptResponse{CiphertextBlob: b, KeyID: keyARN, EncryptionAlgorithm: "SYMMETRIC_DEFAULT"},
		"GenerateDataKey":     dataKey(b),
		"GenerateDataKeyPair": pair(b), "GenerateDataKeyPairWithoutPlaintext": pair(nil), "GenerateDataKeyWithoutPlaintext": dataKey(nil),
		"GenerateMac": &shape.GenerateMacResponse{Mac: b, MacAlgorithm: "HMAC_SHA_256", KeyID: keyARN}, "GenerateRandom": &shape.RandomResponse{Plaintext: b},
		"GetKeyLastUsage":        &shape.KeyLastUsageResponse{KeyID: keyUUID, Created: created, Tracking: created},
		"GetKeyPolicy":           &shape.GetKeyPolicyResponse{Policy: "{}", PolicyName: "default"},
		"GetKeyRotationStatus":   &shape.RotationStatusResponse{KeyID: keyUUID, Rotation: keystore.Rotation{Enabled: true, PeriodDays: 90, Next: created}, OnDemandStart: created},
		"GetParametersForImport": &shape.ImportParametersResponse{KeyID: keyARN, ImportToken: b, PublicKey: b, ValidTo: created},
		"GetPublicKey":           &shape.GetPublicKeyResponse{Key: k, PublicKey: b}, "ImportKeyMaterial": material,
		"ListAliases": &shape.ListAliasesResponse{Aliases: []shape.AliasEntry{{Alias: alias}}, Next: next}, "ListGrants": grants,
		"ListKeyPolicies":  &shape.ListKeyPoliciesResponse{PolicyNames: []string{"default"}, Next: next},
		"ListKeyRotations": &shape.ListKeyRotationsResponse{Rotations: []shape.RotationEntry{{Key: k, Material: &k.Materials[0]}}, Next: next},
		"ListKeys":         &shape.ListKeysResponse{Keys: []shape.KeyListEntry{{KeyID: keyUUID, KeyARN: keyARN}}, Next: next},
		"ListResourceTags": &shape.ListResourceTagsResponse{Tags: []keystore.Tag{{Key: "k"}}, Next: next}, "ListRetirableGrants": grants,
		"PutKeyPolicy": empty, "ReEncrypt": &shape.ReEncryptResponse{CiphertextBlob: b, SourceKeyID: keyARN, KeyID: keyARN,
			SourceEncryptionAlgorithm: "a", DestinationEncryptionAlgorithm: "a", SourceKeyMaterialID: "m", DestinationKeyMaterialID: "m"},
		"ReplicateKey": &shape.ReplicateKeyResponse{Replica: md, Policy: "{}"}, "RetireGrant": empty, "RevokeGrant": empty,
		"RotateKeyOnDemand":   &shape.KeyIDResponse{KeyID: keyARN},
		"ScheduleKeyDeletion": &shape.ScheduleKeyDeletionResponse{KeyID: keyARN, DeletionDate: created, KeyState: keystore.PendingDeletion, PendingWindowInDays: 7},
		"Sign":                &shape.SignResponse{KeyID: keyARN, Signature: b, SigningAlgorithm: "ECDSA_SHA_256"},
		"TagResource":         empty, "UntagResource": empty, "UpdateAlias": empty, "UpdateCustomKeyStore": empty, "UpdateKeyDescription": empty,
		"UpdatePrimaryRegion": empty, "Verify": &shape.VerifyResponse{KeyID: keyARN, SigningAlgorithm: "ECDSA_SHA_256"},
		"VerifyMac": &shape.VerifyMacResponse{KeyID: keyARN, MacAlgorithm: "HMAC_SHA_256"},
	}
}

// TestOutputsAreTheSDKs compares the members of full answers with the SDK's outputs.
func TestOutputsAreTheSDKs(t *testing.T) {
	client := reflect.TypeFor[*kms.Client]()
	answers := full()
	assert.Equal(t, keystore.Actions(), slices.Sorted(maps.Keys(answers)))
	// An answer for an enclave is refused; a public key has the one list of algorithms that its usage has.
	never := []string{"ResultMetadata", "CiphertextForRecipient", "SigningAlgorithms", "KeyAgreementAlgorithms", "EncapsulationAlgorithms"}
	for action, answer := range answers {
		method, ok := client.MethodByName(string(action))
		require.True(t, ok, action)
		want := slices.DeleteFunc(fields(method.Type.Out(0).Elem()), func(f string) bool { return slices.Contains(never, f) })
		assert.ElementsMatch(t, want, slices.Collect(maps.Keys(members(t, answer))), action)
	}
}

// TestEntriesAreTheSDKs compares the structures inside answers with the SDK's.
func TestEntriesAreTheSDKs(t *testing.T) {
	k := key()
	k.Origin = keystore.OriginExternal
	k.Materials[0] = keystore.KeyMaterial{Description: "d", Imported: true, ValidTo: created, Rotated: created, RotationType: "ON_DEMAND", State: keystore.MaterialCurrent}
	grant := &keystore.Grant{ID: "g", KeyID: keyUUID, Name: "n", Created: created, Grantee: "a", GranteeService: "s", Retiring: "r", RetiringService: "t",
		Issuer: "i", Operations: []string{"Encrypt"}, HasConstraints: true, ContextEquals: map[string]string{"a": "b"},
		ContextSubset: map[string]string{}, SourceARN: "arn"}
	xks := &keystore.XksConfig{Connectivity: "c", AccessKeyID: "a", URIEndpoint: "e", URIPath: "p", VpcServiceName: "n", VpcServiceOwner: "o"}
	for _, c := range []struct {
		entry shape.Response
		want  any
	}{
		{shape.RotationEntry{Key: k, Material: &k.Materials[0]}, types.RotationsListEntry{}},
		{shape.GrantEntry{Grant: grant, Account: account}, types.GrantListEntry{}},
		{&shape.LastUsage{Operation: "Encrypt", Time: created, EventID: "e", RequestID: "r"}, types.KeyLastUsageData{}},
		{shape.KeyListEntry{KeyID: "a", KeyARN: "b"}, types.KeyListEntry{}},
	} {
		assert.ElementsMatch(t, fields(reflect.TypeOf(c.want)), slices.Collect(maps.Keys(members(t, c.entry))))
	}
	constraints := members(t, shape.GrantEntry{Grant: grant})["Constraints"].(map[string]any)
	assert.ElementsMatch(t, fields(reflect.TypeFor[types.GrantConstraints]()), slices.Collect(maps.Keys(constraints)))
	store := members(t, shape.StoreEntry{Store: &keystore.Store{Type: keystore.StoreXKS, Xks: xks}})
	assert.ElementsMatch(t, fields(reflect.TypeFor[types.XksProxyConfigurationType]()),
		slices.Collect(maps.Keys(store["XksProxyConfiguration"].(map[string]any))))
	var record map[string]any
	require.NoError(t, json.Unmarshal(shape.AppendElements(nil, &shape.CreateGrantResponse{GrantToken: "t", GrantID: "g"}), &record))
	assert.Equal(t, map[string]any{"grantId": "g"}, record, "no token in a record")
}
