package hsmstore

import (
	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/keystore"
)

// kindTable says which kind of key a token makes for a key spec. A spec without a row has no mechanism in PKCS#11.
var kindTable = map[keystore.Spec]hsm.Kind{
	keystore.SymmetricDefault: hsm.AES256,
	keystore.HMAC224:          hsm.HMAC224,
	keystore.HMAC256:          hsm.HMAC256,
	keystore.HMAC384:          hsm.HMAC384,
	keystore.HMAC512:          hsm.HMAC512,
	keystore.RSA2048:          hsm.RSA2048,
	keystore.RSA3072:          hsm.RSA3072,
	keystore.RSA4096:          hsm.RSA4096,
	keystore.ECCP256:          hsm.ECP256,
	keystore.ECCP384:          hsm.ECP384,
	keystore.ECCP521:          hsm.ECP521,
	keystore.ECCSecp256k1:     hsm.ECSecp256k1,
	keystore.ECCEd25519:       hsm.Ed25519,
	keystore.MLDSA44:          hsm.MLDSA44,
	keystore.MLDSA65:          hsm.MLDSA65,
	keystore.MLDSA87:          hsm.MLDSA87,
	keystore.MLKEM512:         hsm.MLKEM512,
	keystore.MLKEM768:         hsm.MLKEM768,
	keystore.MLKEM1024:        hsm.MLKEM1024,
}

// usageTable says what an object may be used for, by the usage of its KMS key: nothing that the key does not need.
var usageTable = map[keystore.Usage]hsm.Usage{
	keystore.UsageEncryptDecrypt:  hsm.UseEncrypt | hsm.UseDecrypt,
	keystore.UsageSignVerify:      hsm.UseSign | hsm.UseVerify,
	keystore.UsageMAC:             hsm.UseSign | hsm.UseVerify,
	keystore.UsageKeyAgreement:    hsm.UseDerive,
	keystore.UsageEncapsulateDecp: hsm.UseEncapsulate | hsm.UseDecapsulate,
}
