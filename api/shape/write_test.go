package shape_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
)

const (
	account = "111122223333"
	keyUUID = "1234abcd-12ab-34cd-56ef-1234567890ab"
	keyARN  = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
)

var created = time.Date(2026, 11, 22, 5, 0, 0, 123456789, time.UTC)

func key() *keystore.Key {
	return &keystore.Key{
		ID: keyUUID, Account: account, Region: "us-east-1", Origin: keystore.OriginKMS, Spec: keystore.SymmetricDefault,
		Usage: keystore.UsageEncryptDecrypt, Created: created, State: keystore.Enabled,
		Materials: []keystore.KeyMaterial{{ID: keystore.MaterialID{1}, State: keystore.MaterialCurrent}},
	}
}

// members decodes an answer, so that order does not matter.
func members(t *testing.T, r shape.Response) map[string]any {
	t.Helper()
	body := shape.Append(nil, r)
	assert.NotContains(t, string(body), "null")
	var m map[string]any
	require.NoError(t, json.Unmarshal(body, &m), "%s", body)
	return m
}

func TestKeyMetadata(t *testing.T) {
	// The member set of a default key was recorded from AWS (key-lifecycle.md, section 2).
	plain := map[string]any{
		"AWSAccountId": account, "Arn": keyARN, "CreationDate": 1795323600.123, "CurrentKeyMaterialId": keystore.MaterialID{1}.KMSID(),
		"CustomerMasterKeySpec": "SYMMETRIC_DEFAULT", "Description": "", "Enabled": true,
		"EncryptionAlgorithms": []any{"SYMMETRIC_DEFAULT"}, "KeyId": keyUUID, "KeyManager": "CUSTOMER", "KeySpec": "SYMMETRIC_DEFAULT",
		"KeyState": "Enabled", "KeyUsage": "ENCRYPT_DECRYPT", "MultiRegion": false, "Origin": "AWS_KMS",
	}
	type change map[string]any // a nil value takes a member away
	for name, c := range map[string]struct {
		key    func(*keystore.Key)
		state  keystore.State
		change change
	}{
		"recorded: a default key": {func(*keystore.Key) {}, keystore.Enabled, nil},
		"disabled":                {func(*keystore.Key) {}, keystore.Disabled, change{"Enabled": false, "KeyState": "Disabled"}},
		"unavailable, in a CloudHSM store": {func(k *keystore.Key) {
			k.Origin, k.StoreID, k.ClusterID = keystore.OriginCloudHSM, "cks-12345678901234567", "cluster-12345678901"
		}, keystore.Unavailable, change{"Enabled": false, "KeyState": "Unavailable", "Origin": "AWS_CLOUDHSM",
			"CustomKeyStoreId": "cks-12345678901234567", "CloudHsmClusterId": "cluster-12345678901", "CurrentKeyMaterialId": nil}},
		"in an external store": {func(k *keystore.Key) {
			k.Origin, k.StoreID, k.XksKeyID = keystore.OriginXKS, "cks-12345678901234567", "bb8562717f809024"
		}, keystore.Enabled, change{"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": "cks-12345678901234567",
			"XksKeyConfiguration": map[string]any{"Id": "bb8562717f809024"}, "CurrentKeyMaterialId": nil}},
		"pending deletion": {func(k *keystore.Key) { k.DeletionDate, k.WindowDays = created.Add(time.Hour), 7 }, keystore.PendingDeletion,
			change{"Enabled": false, "KeyState": "PendingDeletion", "DeletionDate": 1795327200.123}},
		"pending deletion of replicas": {func(k *keystore.Key) {
			k.WindowDays, k.MultiRegion = 9, &keystore.MultiRegion{Primary: true, PrimaryRegion: "us-east-1", ReplicaRegions: []string{"eu-west-1"}}
		}, keystore.PendingReplicaDeletion, change{"Enabled": false, "KeyState": "PendingReplicaDeletion", "PendingDeletionWindowInDays": 9.0,
			"MultiRegion": true, "MultiRegionConfiguration": map[string]any{"MultiRegionKeyType": "PRIMARY",
				"PrimaryKey":  map[string]any{"Arn": keyARN, "Region": "us-east-1"},
				"ReplicaKeys": []any{map[string]any{"Arn": strings.Replace(keyARN, "us-east-1", "eu-west-1", 1), "Region": "eu-west-1"}}}}},
		"recorded: a lone primary lists no replicas": {func(k *keystore.Key) {
			k.MultiRegion = &keystore.MultiRegion{Primary: true, PrimaryRegion: "us-east-1"}
		}, keystore.Enabled, change{"MultiRegion": true, "MultiRegionConfiguration": map[string]any{"MultiRegionKeyType": "PRIMARY",
			"PrimaryKey": map[string]any{"Arn": keyARN, "Region": "us-east-1"}, "ReplicaKeys": []any{}}}},
		"waiting for import": {func(k *keystore.Key) {
			k.Origin, k.Materials, k.Import = keystore.OriginExternal, nil, &keystore.ImportState{}
		}, keystore.PendingImport, change{"Enabled": false, "KeyState": "PendingImport", "Origin": "EXTERNAL", "CurrentKeyMaterialId": nil}},
		"imported": {func(k *keystore.Key) {
			k.Origin, k.Import = keystore.OriginExternal, &keystore.ImportState{ExpirationModel: "KEY_MATERIAL_EXPIRES", ValidTo: created}
		}, keystore.Enabled, change{"Origin": "EXTERNAL", "ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": 1795323600.123}},
		"a spec that the old name does not have": {func(k *keystore.Key) {
			k.Spec, k.Usage = keystore.MLDSA65, keystore.UsageSignVerify
		}, keystore.Enabled, change{"KeySpec": "ML_DSA_65", "KeyUsage": "SIGN_VERIFY", "CustomerMasterKeySpec": nil,
			"EncryptionAlgorithms": nil, "SigningAlgorithms": []any{"ML_DSA_SHAKE_256"}, "CurrentKeyMaterialId": nil}},
		"a MAC key": {func(k *keystore.Key) { k.Spec, k.Usage = keystore.HMAC384, keystore.UsageMAC }, keystore.Enabled,
			change{"KeySpec": "HMAC_384", "KeyUsage": "GENERATE_VERIFY_MAC", "CustomerMasterKeySpec": "HMAC_384",
				"EncryptionAlgorithms": nil, "MacAlgorithms": []any{"HMAC_SHA_384"}, "CurrentKeyMaterialId": nil}},
	} {
		t.Run(name, func(t *testing.T) {
			k := key()
			c.key(k)
			want := map[string]any{}
			for member, value := range plain {
				want[member] = value
			}
			for member, value := range c.change {
				if want[member] = value; value == nil {
					delete(want, member)
				}
			}
			got := members(t, &shape.KeyMetadataResponse{KeyMetadata: &shape.KeyMetadata{Key: k, State: c.state}})
			assert.Equal(t, map[string]any{"KeyMetadata": want}, got)
		})
	}
}

func TestResponses(t *testing.T) {
	hsm := &keystore.Store{ID: "cks-1", Name: "a", Type: keystore.StoreCloudHSM, Created: created, Conn: keystore.Failed,
		ConnError: keystore.ConnUserLockedOut, ConnCause: "CKR_PIN_LOCKED", ClusterID: "cluster-1", TrustAnchor: "pem",
		SealedPassword: []byte("sealed"), PasswordDigest: []byte("digest")}
	xks := &keystore.Store{ID: "cks-2", Name: "b", Type: keystore.StoreXKS, Created: created.Truncate(time.Second), Conn: keystore.Connected,
		ConnError: keystore.ConnInternalError, Xks: &keystore.XksConfig{Connectivity: "PUBLIC_ENDPOINT", AccessKeyID: "AAAA",
			SealedSecret: []byte("sealed"), URIEndpoint: "https://example.com", URIPath: "/kms/xks/v1"}}
	alias := &keystore.Alias{Name: "alias/a", Account: account, Region: "us-east-1", Target: keyUUID, Created: created, Updated: created}
	for name, c := range map[string]struct {
		r    shape.Response
		want string
	}{
		"empty":   {shape.Empty{}, `{}`},
		"encrypt": {&shape.EncryptResponse{CiphertextBlob: []byte{1, 2, 3}, KeyID: keyARN, EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}, `{"CiphertextBlob":"AQID","KeyId":"` + keyARN + `","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`},
		"decrypt of a custom store's key": {&shape.DecryptResponse{Plaintext: []byte("hello"), KeyID: keyARN, EncryptionAlgorithm: "SYMMETRIC_DEFAULT"},
			`{"KeyId":"` + keyARN + `","Plaintext":"aGVsbG8=","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`},
		"data key without plaintext": {&shape.DataKeyResponse{CiphertextBlob: []byte{1}, KeyID: keyARN, KeyMaterialID: "m"}, `{"CiphertextBlob":"AQ==","KeyId":"` + keyARN + `","KeyMaterialId":"m"}`},
		"last page":                  {&shape.ListKeysResponse{}, `{"Keys":[],"Truncated":false}`},
		"first page": {&shape.ListKeysResponse{Keys: []shape.KeyListEntry{{keyUUID, keyARN}}, Next: shape.Next{NextMarker: "m"}},
			`{"Keys":[{"KeyId":"` + keyUUID + `","KeyArn":"` + keyARN + `"}],"NextMarker":"m","Truncated":true}`},
		"deletion": {&shape.ScheduleKeyDeletionResponse{KeyID: keyARN, DeletionDate: created, KeyState: keystore.PendingDeletion, PendingWindowInDays: 7},
			`{"KeyId":"` + keyARN + `","DeletionDate":1795323600.123,"KeyState":"PendingDeletion","PendingWindowInDays":7}`},
		"deletion of a primary": {&shape.ScheduleKeyDeletionResponse{KeyID: keyARN, KeyState: keystore.PendingReplicaDeletion, PendingWindowInDays: 7},
			`{"KeyId":"` + keyARN + `","KeyState":"PendingReplicaDeletion","PendingWindowInDays":7}`},
		"aliases": {&shape.ListAliasesResponse{Aliases: []shape.AliasEntry{{Alias: alias}}},
			`{"Aliases":[{"AliasName":"alias/a","AliasArn":"arn:aws:kms:us-east-1:111122223333:alias/a","TargetKeyId":"` + keyUUID +
				`","CreationDate":1795323600.123,"LastUpdatedDate":1795323600.123}],"Truncated":false}`},
		"tags":     {&shape.ListResourceTagsResponse{Tags: []keystore.Tag{{Key: "k", Value: ""}}}, `{"Tags":[{"TagKey":"k","TagValue":""}],"Truncated":false}`},
		"no tags":  {&shape.ListResourceTagsResponse{}, `{"Tags":[],"Truncated":false}`},
		"policies": {&shape.ListKeyPoliciesResponse{PolicyNames: []string{"default"}}, `{"PolicyNames":["default"],"Truncated":false}`},
		"stores": {&shape.DescribeCustomKeyStoresResponse{CustomKeyStores: []shape.StoreEntry{{Store: hsm}, {Store: xks}}},
			`{"CustomKeyStores":[{"CustomKeyStoreId":"cks-1","CustomKeyStoreName":"a","CloudHsmClusterId":"cluster-1","TrustAnchorCertificate":"pem",` +
				`"ConnectionState":"FAILED","ConnectionErrorCode":"USER_LOCKED_OUT","CreationDate":1795323600.123,"CustomKeyStoreType":"AWS_CLOUDHSM"},` +
				`{"CustomKeyStoreId":"cks-2","CustomKeyStoreName":"b","ConnectionState":"CONNECTED","CreationDate":1795323600,` +
				`"CustomKeyStoreType":"EXTERNAL_KEY_STORE","XksProxyConfiguration":{"Connectivity":"PUBLIC_ENDPOINT","AccessKeyId":"AAAA",` +
				`"UriEndpoint":"https://example.com","UriPath":"/kms/xks/v1"}}],"Truncated":false}`},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, string(shape.Append(nil, c.r)))
			assert.Equal(t, "x"+c.want, string(shape.Append([]byte("x"), c.r)), "behind other text")
		})
	}
}

func TestElements(t *testing.T) {
	assert.Equal(t, `{"keyId":"`+keyARN+`","deletionDate":"Nov 22, 2026, 5:00:00 AM","keyState":"PendingDeletion","pendingWindowInDays":7}`,
		string(shape.AppendElements(nil, &shape.ScheduleKeyDeletionResponse{KeyID: keyARN, DeletionDate: created,
			KeyState: keystore.PendingDeletion, PendingWindowInDays: 7})))
	assert.Equal(t, `{"keyId":"`+keyARN+`"}`, string(shape.AppendElements(nil, &shape.DataKeyResponse{
		CiphertextBlob: []byte{1}, Plaintext: []byte{2}, KeyID: keyARN})), "no blobs")
}
