package grants

import (
	"slices"

	"github.com/strongroom/strongroom/keystore"
)

// anyKey are the grant operations that every type of key takes (developer guide, "Grant operations").
var anyKey = []string{"CreateGrant", "DescribeKey", "RetireGrant"}

// withContext are the grant operations whose requests carry an encryption context.
var withContext = []string{
	"Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
	"GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo",
}

// byUsage are the grant operations of asymmetric and HMAC keys by key usage.
var byUsage = map[keystore.Usage][]string{
	keystore.UsageEncryptDecrypt:  {"Decrypt", "Encrypt", "GetPublicKey", "ReEncryptFrom", "ReEncryptTo"},
	keystore.UsageSignVerify:      {"GetPublicKey", "Sign", "Verify"},
	keystore.UsageKeyAgreement:    {"DeriveSharedSecret", "GetPublicKey"},
	keystore.UsageMAC:             {"GenerateMac", "VerifyMac"},
	keystore.UsageEncapsulateDecp: {"Decapsulate", "Encapsulate", "GetPublicKey"},
}

// pairMakers are the operations that custom key stores lack.
var pairMakers = []string{"GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"}

// Grantable tells whether a grant on the key may permit the operation.
func Grantable(k *keystore.Key, operation string) bool {
	if slices.Contains(anyKey, operation) {
		return true
	}
	if k.Spec == keystore.SymmetricDefault {
		return slices.Contains(withContext, operation) && (k.StoreID == "" || !slices.Contains(pairMakers, operation))
	}
	return slices.Contains(byUsage[k.Usage], operation)
}
