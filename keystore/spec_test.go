package keystore_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

// list turns an enumeration of the SDK into words.
func list[T ~string](values []T) []string {
	out := words(values)
	slices.Sort(out)
	return out
}

// TestEnumerationsEqualTheSDK compares the vocabulary with the newest AWS SDK.
func TestEnumerationsEqualTheSDK(t *testing.T) {
	assert.Equal(t, list(types.KeySpec("").Values()), list(keystore.Specs()))
	assert.Equal(t, list(types.KeyState("").Values()), list(keystore.States()))
	assert.Equal(t, list(types.ConnectionStateType("").Values()), list(keystore.ConnStates()))
	assert.Equal(t, list(types.OriginType("").Values()),
		list([]keystore.Origin{keystore.OriginKMS, keystore.OriginExternal, keystore.OriginCloudHSM, keystore.OriginXKS}))
	assert.Equal(t, list(types.CustomKeyStoreType("").Values()), list([]keystore.StoreType{keystore.StoreCloudHSM, keystore.StoreXKS}))
	assert.Equal(t, list(types.KeyUsageType("").Values()), list([]keystore.Usage{keystore.UsageEncryptDecrypt, keystore.UsageSignVerify,
		keystore.UsageMAC, keystore.UsageKeyAgreement, keystore.UsageEncapsulateDecp}))
	assert.Equal(t, list(types.ConnectionErrorCodeType("").Values()), list([]keystore.ConnErrorCode{
		keystore.ConnInternalError, keystore.ConnNetworkErrors, keystore.ConnInvalidCredentials, keystore.ConnClusterNotFound,
		keystore.ConnInsufficientHSMs, keystore.ConnInsufficientFreeIPs, keystore.ConnSubnetNotFound, keystore.ConnUserLockedOut,
		keystore.ConnUserLoggedIn, keystore.ConnUserNotFound, keystore.ConnXksAccessDenied, keystore.ConnXksInvalidConfig,
		keystore.ConnXksInvalidResponse, keystore.ConnXksInvalidTLS, keystore.ConnXksNotReachable, keystore.ConnXksTimedOut,
		keystore.ConnXksVpcInvalidConfig, keystore.ConnXksVpcNotFound}))
	legacy := []string{}
	for _, s := range keystore.Specs() {
		if info, _ := keystore.LookupSpec(s); info.Legacy {
			legacy = append(legacy, string(s))
		}
	}
	slices.Sort(legacy)
	assert.Equal(t, list(types.CustomerMasterKeySpec("").Values()), legacy)
}

// TestSpecAlgorithmsEqualTheSDK: every algorithm of the SDK belongs to a spec, under the usage that its type says.
func TestSpecAlgorithmsEqualTheSDK(t *testing.T) {
	byUsage := map[keystore.Usage][]string{}
	for _, s := range keystore.Specs() {
		info, found := keystore.LookupSpec(s)
		require.True(t, found)
		for usage, algorithms := range info.Usages {
			assert.NotEmpty(t, algorithms, "%s %s", s, usage)
			assert.Equal(t, algorithms, info.Algorithms(usage))
			byUsage[usage] = append(byUsage[usage], algorithms...)
		}
	}
	unique := func(u keystore.Usage) []string {
		all := byUsage[u]
		slices.Sort(all)
		return slices.Compact(all)
	}
	assert.Equal(t, list(types.EncryptionAlgorithmSpec("").Values()), unique(keystore.UsageEncryptDecrypt))
	assert.Equal(t, list(types.SigningAlgorithmSpec("").Values()), unique(keystore.UsageSignVerify))
	assert.Equal(t, list(types.MacAlgorithmSpec("").Values()), unique(keystore.UsageMAC))
	assert.Equal(t, list(types.KeyAgreementAlgorithmSpec("").Values()), unique(keystore.UsageKeyAgreement))
}

// TestActionsEqualTheSDK compares with the operations of the newest AWS SDK.
func TestActionsEqualTheSDK(t *testing.T) {
	client := reflect.TypeFor[*kms.Client]()
	var operations []string
	for i := range client.NumMethod() {
		if m := client.Method(i); m.Type.NumIn() == 4 && m.Type.IsVariadic() { // client, context, input, options
			operations = append(operations, m.Name)
		}
	}
	assert.Equal(t, operations, words(keystore.Actions()))
}

func TestSpecRows(t *testing.T) {
	_, found := keystore.LookupSpec("AES_512")
	assert.False(t, found)
	for _, s := range keystore.Specs() {
		info, _ := keystore.LookupSpec(s)
		assert.Equal(t, s, info.Spec)
		assert.Equal(t, s == keystore.SymmetricDefault, info.Custom, "%s: custom key stores hold symmetric keys only", s)
		assert.Equal(t, s == keystore.SymmetricDefault, info.Default != "", "%s: other specs need a KeyUsage", s)
		secret := s == keystore.SymmetricDefault || strings.HasPrefix(string(s), "HMAC_")
		assert.Equal(t, !secret, info.Asymmetric(), string(s))
		want := "asymmetric"
		if secret {
			want = map[bool]string{true: "symmetric", false: "hmac"}[s == keystore.SymmetricDefault]
		}
		assert.Equal(t, want, info.KeyType(), string(s))
		assert.Nil(t, info.Algorithms("COUNT_SHEEP"))
	}
}
