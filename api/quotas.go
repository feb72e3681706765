package api

import (
	"maps"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/keystore"
)

// Names of request quotas that several operations share. All other quotas have the name of their operation.
const (
	QuotaSymmetric = "CryptographicSymmetric"
	QuotaRSA       = "CryptographicRSA"
	QuotaECC       = "CryptographicECC"
	QuotaMLDSA     = "CryptographicMLDSA"
	// QuotaCustomKeyStore is that of each custom key store by itself. Cryptographic operations with the keys in it count against
	// it besides the quota of all symmetric ones.
	QuotaCustomKeyStore = "CustomKeyStore"
	// quotaPair and a key pair spec behind it are the quotas of GenerateDataKeyPair and its sister.
	quotaPair = "GenerateDataKeyPair/"
)

// defaultRates are AWS's default request quotas, in requests a second (developer guide, "Request quotas"; its table of 2026).
// ML-KEM is in no row of it: its operations and pairs are held to those of ML-DSA.
var defaultRates = map[string]float64{
	QuotaSymmetric: 10_000,
	QuotaRSA:       1_000,
	QuotaECC:       1_000,
	QuotaMLDSA:     1_000,

	QuotaCustomKeyStore: 1_800,

	quotaPair + "ECC_NIST_P256":         100,
	quotaPair + "ECC_NIST_P384":         100,
	quotaPair + "ECC_NIST_P521":         100,
	quotaPair + "ECC_SECG_P256K1":       100,
	quotaPair + "ECC_NIST_EDWARDS25519": 100,
	quotaPair + "RSA_2048":              20,
	quotaPair + "RSA_3072":              4,
	quotaPair + "RSA_4096":              1,
	quotaPair + "SM2":                   25,

	"CancelKeyDeletion":         5,
	"ConnectCustomKeyStore":     5,
	"CreateAlias":               5,
	"CreateCustomKeyStore":      5,
	"CreateGrant":               50,
	"CreateKey":                 5,
	"DeleteAlias":               15,
	"DeleteCustomKeyStore":      5,
	"DeleteImportedKeyMaterial": 15,
	"DescribeCustomKeyStores":   5,
	"DescribeKey":               2_000,
	"DisableKey":                5,
	"DisableKeyRotation":        5,
	"DisconnectCustomKeyStore":  5,
	"EnableKey":                 5,
	"EnableKeyRotation":         15,
	"GetKeyLastUsage":           5,
	"GetKeyPolicy":              1_000,
	"GetKeyRotationStatus":      1_000,
	"GetParametersForImport":    1,
	"GetPublicKey":              2_000,
	"ImportKeyMaterial":         15,
	"ListAliases":               500,
	"ListGrants":                100,
	"ListKeyPolicies":           100,
	"ListKeyRotations":          100,
	"ListKeys":                  500,
	"ListResourceTags":          2_000,
	"ListRetirableGrants":       100,
	"PutKeyPolicy":              15,
	"ReplicateKey":              5,
	"RetireGrant":               50,
	"RevokeGrant":               50,
	"RotateKeyOnDemand":         5,
	"ScheduleKeyDeletion":       15,
	"TagResource":               10,
	"UntagResource":             5,
	"UpdateAlias":               5,
	"UpdateCustomKeyStore":      5,
	"UpdateKeyDescription":      5,
	"UpdatePrimaryRegion":       5,
}

// symmetricRates are the Regions with another quota of symmetric operations.
var symmetricRates = map[string]float64{
	"us-east-2": 20_000, "ap-southeast-1": 20_000, "ap-southeast-2": 20_000, "ap-northeast-1": 20_000, "eu-central-1": 20_000,
	"eu-west-2": 20_000, "us-east-1": 100_000, "us-west-2": 100_000, "eu-west-1": 100_000,
}

// DefaultRates gives AWS's default request quotas of a Region by name, in requests a second.
func DefaultRates(region string) map[string]float64 {
	rates := maps.Clone(defaultRates)
	if r, other := symmetricRates[region]; other {
		rates[QuotaSymmetric] = r
	}
	return rates
}

// QuotaNames lists the names of request quotas.
func QuotaNames() []string { return slices.Sorted(maps.Keys(defaultRates)) }

// quotaOf is a row of the table from operations to quotas.
type quotaOf struct {
	fixed string   // the quota, where all requests have the same one
	keys  []string // members of the request whose keys decide, by their spec; no key, or an unknown one, is QuotaSymmetric
	pair  string   // member with the spec of a key pair
	// stored are members that may name keys in custom key stores; blob is the one with a ciphertext, which names its key where
	// the first of them does not.
	stored []string
	blob   string
}

var oneKey, twoKeys = []string{"KeyId"}, []string{"SourceKeyId", "DestinationKeyId"}

// quotas says which quota the requests of an operation count against; other operations have a quota of their own.
var quotas = map[keystore.Action]quotaOf{
	keystore.ActionEncrypt:                             {keys: oneKey, stored: oneKey},
	keystore.ActionDecrypt:                             {keys: oneKey, stored: oneKey, blob: "CiphertextBlob"},
	keystore.ActionReEncrypt:                           {keys: twoKeys, stored: twoKeys, blob: "CiphertextBlob"},
	keystore.ActionSign:                                {keys: oneKey},
	keystore.ActionVerify:                              {keys: oneKey},
	keystore.ActionDeriveSharedSecret:                  {fixed: QuotaECC},
	keystore.ActionEncapsulate:                         {fixed: QuotaMLDSA},
	keystore.ActionDecapsulate:                         {fixed: QuotaMLDSA},
	keystore.ActionGenerateDataKey:                     {fixed: QuotaSymmetric, stored: oneKey},
	keystore.ActionGenerateDataKeyWithoutPlaintext:     {fixed: QuotaSymmetric, stored: oneKey},
	keystore.ActionGenerateMac:                         {fixed: QuotaSymmetric},
	keystore.ActionVerifyMac:                           {fixed: QuotaSymmetric},
	keystore.ActionGenerateRandom:                      {fixed: QuotaSymmetric},
	keystore.ActionGenerateDataKeyPair:                 {pair: "KeyPairSpec"},
	keystore.ActionGenerateDataKeyPairWithoutPlaintext: {pair: "KeyPairSpec"},
}

func quotaFor(a keystore.Action) quotaOf {
	if q, shared := quotas[a]; shared {
		return q
	}
	return quotaOf{fixed: string(a)}
}

// specQuotas are the quotas of cryptographic operations by the beginning of the key's spec.
var specQuotas = []struct{ prefix, quota string }{
	{"RSA_", QuotaRSA}, {"ECC_", QuotaECC}, {"SM2", QuotaECC}, {"ML_", QuotaMLDSA},
}

func quotaOfSpec(s keystore.Spec) string {
	for _, row := range specQuotas {
		if strings.HasPrefix(string(s), row.prefix) {
			return row.quota
		}
	}
	return QuotaSymmetric
}

// quotaOfPair is the quota of a key pair spec.
func quotaOfPair(spec string) string {
	if strings.HasPrefix(spec, "ML_") {
		return QuotaMLDSA
	}
	return quotaPair + spec
}
