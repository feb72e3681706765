package hsmstore

import (
	"crypto"

	"github.com/strongroom/strongroom/hsm"
)

// signTable says how a token makes the signatures of an AWS KMS signing algorithm. SM2DSA has no mechanism in PKCS#11.
var signTable = map[string]hsm.Signing{
	"RSASSA_PKCS1_V1_5_SHA_256": {Scheme: hsm.SignPKCS1, Hash: crypto.SHA256},
	"RSASSA_PKCS1_V1_5_SHA_384": {Scheme: hsm.SignPKCS1, Hash: crypto.SHA384},
	"RSASSA_PKCS1_V1_5_SHA_512": {Scheme: hsm.SignPKCS1, Hash: crypto.SHA512},
	"RSASSA_PSS_SHA_256":        {Scheme: hsm.SignPSS, Hash: crypto.SHA256},
	"RSASSA_PSS_SHA_384":        {Scheme: hsm.SignPSS, Hash: crypto.SHA384},
	"RSASSA_PSS_SHA_512":        {Scheme: hsm.SignPSS, Hash: crypto.SHA512},
	"ECDSA_SHA_256":             {Scheme: hsm.SignECDSA, Hash: crypto.SHA256},
	"ECDSA_SHA_384":             {Scheme: hsm.SignECDSA, Hash: crypto.SHA384},
	"ECDSA_SHA_512":             {Scheme: hsm.SignECDSA, Hash: crypto.SHA512},
	"ED25519_SHA_512":           {Scheme: hsm.SignEd25519},
	"ED25519_PH_SHA_512":        {Scheme: hsm.SignEd25519ph},
	"ML_DSA_SHAKE_256":          {Scheme: hsm.SignMLDSA},
}

// macTable has the hash of each HMAC algorithm.
var macTable = map[string]crypto.Hash{
	"HMAC_SHA_224": crypto.SHA224,
	"HMAC_SHA_256": crypto.SHA256,
	"HMAC_SHA_384": crypto.SHA384,
	"HMAC_SHA_512": crypto.SHA512,
}

// oaepTable has the hash of each OAEP algorithm, of its label and of its MGF1.
var oaepTable = map[string]crypto.Hash{
	"RSAES_OAEP_SHA_1":   crypto.SHA1,
	"RSAES_OAEP_SHA_256": crypto.SHA256,
}
