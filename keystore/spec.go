package keystore

import "slices"

// Spec is a KeySpec of the AWS KMS API.
type Spec string

// Usage is a KeyUsage of the AWS KMS API.
type Usage string

// The key usages (API reference, CreateKey.KeyUsage).
const (
	UsageEncryptDecrypt  Usage = "ENCRYPT_DECRYPT"
	UsageSignVerify      Usage = "SIGN_VERIFY"
	UsageMAC             Usage = "GENERATE_VERIFY_MAC"
	UsageKeyAgreement    Usage = "KEY_AGREEMENT"
	UsageEncapsulateDecp Usage = "ENCAPSULATE_DECAPSULATE"
)

// The key specs (API reference, CreateKey.KeySpec).
const (
	SymmetricDefault Spec = "SYMMETRIC_DEFAULT"
	RSA2048          Spec = "RSA_2048"
	RSA3072          Spec = "RSA_3072"
	RSA4096          Spec = "RSA_4096"
	ECCP256          Spec = "ECC_NIST_P256"
	ECCP384          Spec = "ECC_NIST_P384"
	ECCP521          Spec = "ECC_NIST_P521"
	ECCSecp256k1     Spec = "ECC_SECG_P256K1"
	ECCEd25519       Spec = "ECC_NIST_EDWARDS25519"
	HMAC224          Spec = "HMAC_224"
	HMAC256          Spec = "HMAC_256"
	HMAC384          Spec = "HMAC_384"
	HMAC512          Spec = "HMAC_512"
	MLDSA44          Spec = "ML_DSA_44"
	MLDSA65          Spec = "ML_DSA_65"
	MLDSA87          Spec = "ML_DSA_87"
	MLKEM512         Spec = "ML_KEM_512"
	MLKEM768         Spec = "ML_KEM_768"
	MLKEM1024        Spec = "ML_KEM_1024"
	SM2              Spec = "SM2"
)

// Family groups specs that AWS treats as one type of key (symmetric, asymmetric or HMAC).
type Family string

// The families.
const (
	FamilySymmetric Family = "symmetric"
	FamilyRSA       Family = "rsa"
	FamilyECC       Family = "ecc"
	FamilyEdwards   Family = "edwards"
	FamilyHMAC      Family = "hmac"
	FamilyMLDSA     Family = "ml-dsa"
	FamilyMLKEM     Family = "ml-kem"
	FamilySM2       Family = "sm2"
)

// SpecInfo is a row of the key spec table (fact: API reference and the developer guide's "Key spec reference").
type SpecInfo struct {
	Spec       Spec
	Family     Family
	Usages     map[Usage][]string // usage to algorithms
	Default    Usage              // usage when none is asked; "" where it must be given
	Bits       int                // modulus, field or key length
	Importable bool               // Origin EXTERNAL
	Custom     bool               // custom key stores
	Legacy     bool               // a value of the deprecated CustomerMasterKeySpec
	China      bool               // exists in AWS's China Regions only
}

var (
	rsaEncrypt = []string{"RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"}
	rsaSign    = []string{
		"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PKCS1_V1_5_SHA_384", "RSASSA_PKCS1_V1_5_SHA_512",
		"RSASSA_PSS_SHA_256", "RSASSA_PSS_SHA_384", "RSASSA_PSS_SHA_512",
	}
	ecdh = []string{"ECDH"}
)

func rsaRow(s Spec, bits int) SpecInfo {
	return SpecInfo{Spec: s, Family: FamilyRSA, Bits: bits, Importable: true, Legacy: true,
		Usages: map[Usage][]string{UsageEncryptDecrypt: rsaEncrypt, UsageSignVerify: rsaSign}}
}

func hmacRow(s Spec, bits int, alg string) SpecInfo {
	return SpecInfo{Spec: s, Family: FamilyHMAC, Bits: bits, Importable: true, Legacy: true,
		Usages: map[Usage][]string{UsageMAC: {alg}}}
}

func mlRow(s Spec, f Family, u Usage, alg string) SpecInfo {
	return SpecInfo{Spec: s, Family: f, Usages: map[Usage][]string{u: {alg}}}
}

var specs = []SpecInfo{
	{Spec: SymmetricDefault, Family: FamilySymmetric, Default: UsageEncryptDecrypt, Bits: 256, Importable: true, Custom: true, Legacy: true,
		Usages: map[Usage][]string{UsageEncryptDecrypt: {"SYMMETRIC_DEFAULT"}}},
	rsaRow(RSA2048, 2048),
	rsaRow(RSA3072, 3072),
	rsaRow(RSA4096, 4096),
	{Spec: ECCP256, Family: FamilyECC, Bits: 256, Importable: true, Legacy: true,
		Usages: map[Usage][]string{UsageSignVerify: {"ECDSA_SHA_256"}, UsageKeyAgreement: ecdh}},
	{Spec: ECCP384, Family: FamilyECC, Bits: 384, Importable: true, Legacy: true,
		Usages: map[Usage][]string{UsageSignVerify: {"ECDSA_SHA_384"}, UsageKeyAgreement: ecdh}},
	{Spec: ECCP521, Family: FamilyECC, Bits: 521, Importable: true, Legacy: true,
		Usages: map[Usage][]string{UsageSignVerify: {"ECDSA_SHA_512"}, UsageKeyAgreement: ecdh}},
	{Spec: ECCSecp256k1, Family: FamilyECC, Bits: 256, Importable: true, Legacy: true,
		Usages: map[Usage][]string{UsageSignVerify: {"ECDSA_SHA_256"}}},
	{Spec: ECCEd25519, Family: FamilyEdwards, Bits: 255, Importable: true,
		Usages: map[Usage][]string{UsageSignVerify: {"ED25519_SHA_512", "ED25519_PH_SHA_512"}}},
	hmacRow(HMAC224, 224, "HMAC_SHA_224"),
	hmacRow(HMAC256, 256, "HMAC_SHA_256"),
	hmacRow(HMAC384, 384, "HMAC_SHA_384"),
	hmacRow(HMAC512, 512, "HMAC_SHA_512"),
	mlRow(MLDSA44, FamilyMLDSA, UsageSignVerify, "ML_DSA_SHAKE_256"),
	mlRow(MLDSA65, FamilyMLDSA, UsageSignVerify, "ML_DSA_SHAKE_256"),
	mlRow(MLDSA87, FamilyMLDSA, UsageSignVerify, "ML_DSA_SHAKE_256"),
	mlRow(MLKEM512, FamilyMLKEM, UsageEncapsulateDecp, "ML_KEM"),
	mlRow(MLKEM768, FamilyMLKEM, UsageEncapsulateDecp, "ML_KEM"),
	mlRow(MLKEM1024, FamilyMLKEM, UsageEncapsulateDecp, "ML_KEM"),
	{Spec: SM2, Family: FamilySM2, Bits: 256, Legacy: true, China: true,
		Usages: map[Usage][]string{UsageEncryptDecrypt: {"SM2PKE"}, UsageSignVerify: {"SM2DSA"}, UsageKeyAgreement: ecdh}},
}

// LookupSpec gives the row of a spec. The row is shared and must not be changed.
func LookupSpec(s Spec) (*SpecInfo, bool) {
	i := slices.IndexFunc(specs, func(r SpecInfo) bool { return r.Spec == s })
	if i < 0 {
		return nil, false
	}
	return &specs[i], true
}

// Specs lists every key spec of the API, in the order of the reference.
func Specs() []Spec {
	out := make([]Spec, len(specs))
	for i := range specs {
		out[i] = specs[i].Spec
	}
	return out
}

// Algorithms gives the algorithms of a spec under a usage, nil where the pair does not exist.
func (i *SpecInfo) Algorithms(u Usage) []string { return i.Usages[u] }

// Asymmetric tells whether the spec has a public key.
func (i *SpecInfo) Asymmetric() bool { return i.Family != FamilySymmetric && i.Family != FamilyHMAC }

// KeyType is what AWS means when it says that an alias can move between keys of the same type.
func (i *SpecInfo) KeyType() string {
	switch {
	case i.Family == FamilySymmetric:
		return "symmetric"
	case i.Family == FamilyHMAC:
		return "hmac"
	default:
		return "asymmetric"
	}
}
