package hsm

import "fmt"

// Kind is a kind of key that can be ordered from a token.
type Kind uint8

// The kinds. Their zero value is none.
const (
	NoKind Kind = iota
	AES256
	HMAC224
	HMAC256
	HMAC384
	HMAC512
	RSA2048
	RSA3072
	RSA4096
	ECP256
	ECP384
	ECP521
	ECSecp256k1
	Ed25519
	MLDSA44
	MLDSA65
	MLDSA87
	MLKEM512
	MLKEM768
	MLKEM1024
)

const lastKind = MLKEM1024

// kindRow is what PKCS#11 needs to know to make a key of a kind.
type kindRow struct {
	name     string
	keyType  uint
	bits     int    // of the key, the modulus or the curve
	generate uint   // CKM of C_GenerateKey or C_GenerateKeyPair
	params   []byte // CKA_EC_PARAMS: the curve's OID in DER
	mac      uint   // CKM of the HMAC

	lattice *latticeRow // of ML-DSA and ML-KEM, which have no number of bits
}

// ed25519Params is the PrintableString "edwards25519", the form of PKCS#11 3.0
// section 2.3.10 that SoftHSM2 takes.
var ed25519Params = append([]byte{0x13, 12}, "edwards25519"...)

// kinds has the row of every Kind. HMAC keys are as long as their digest, the
// length that AWS KMS gives them and the least that SoftHSM2 takes.
var kinds = map[Kind]kindRow{
	AES256:  {name: "AES_256", keyType: ckkAES, bits: 256, generate: ckmAESKeyGen},
	HMAC224: {name: "HMAC_224", keyType: ckkGenericSecret, bits: 224, generate: ckmGenericSecretGen, mac: ckmSHA224HMAC},
	HMAC256: {name: "HMAC_256", keyType: ckkGenericSecret, bits: 256, generate: ckmGenericSecretGen, mac: ckmSHA256HMAC},
	HMAC384: {name: "HMAC_384", keyType: ckkGenericSecret, bits: 384, generate: ckmGenericSecretGen, mac: ckmSHA384HMAC},
	HMAC512: {name: "HMAC_512", keyType: ckkGenericSecret, bits: 512, generate: ckmGenericSecretGen, mac: ckmSHA512HMAC},
	RSA2048: {name: "RSA_2048", keyType: ckkRSA, bits: 2048, generate: ckmRSAPairGen},
	RSA3072: {name: "RSA_3072", keyType: ckkRSA, bits: 3072, generate: ckmRSAPairGen},
	RSA4096: {name: "RSA_4096", keyType: ckkRSA, bits: 4096, generate: ckmRSAPairGen},
	ECP256: {name: "ECC_NIST_P256", keyType: ckkEC, bits: 256, generate: ckmECPairGen,
		params: []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}}, // 1.2.840.10045.3.1.7
	ECP384: {name: "ECC_NIST_P384", keyType: ckkEC, bits: 384, generate: ckmECPairGen,
		params: []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}}, // 1.3.132.0.34
	ECP521: {name: "ECC_NIST_P521", keyType: ckkEC, bits: 521, generate: ckmECPairGen,
		params: []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23}}, // 1.3.132.0.35
	ECSecp256k1: {name: "ECC_SECG_P256K1", keyType: ckkEC, bits: 256, generate: ckmECPairGen,
		params: []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a}}, // 1.3.132.0.10
	Ed25519: {name: "ECC_NIST_EDWARDS25519", keyType: ckkECEdwards, bits: 255, generate: ckmECEdwardsPairGen,
		params: ed25519Params},
	MLDSA44:   {name: "ML_DSA_44", keyType: ckkMLDSA, generate: ckmMLDSAPairGen, lattice: &latticeRows[0]},
	MLDSA65:   {name: "ML_DSA_65", keyType: ckkMLDSA, generate: ckmMLDSAPairGen, lattice: &latticeRows[1]},
	MLDSA87:   {name: "ML_DSA_87", keyType: ckkMLDSA, generate: ckmMLDSAPairGen, lattice: &latticeRows[2]},
	MLKEM512:  {name: "ML_KEM_512", keyType: ckkMLKEM, generate: ckmMLKEMPairGen, lattice: &latticeRows[3]},
	MLKEM768:  {name: "ML_KEM_768", keyType: ckkMLKEM, generate: ckmMLKEMPairGen, lattice: &latticeRows[4]},
	MLKEM1024: {name: "ML_KEM_1024", keyType: ckkMLKEM, generate: ckmMLKEMPairGen, lattice: &latticeRows[5]},
}

// String names the kind as AWS KMS names its key specs; AES256 is "AES_256".
func (k Kind) String() string {
	if row, ok := kinds[k]; ok {
		return row.name
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Symmetric reports whether a key of the kind is one secret object rather than
// a pair.
func (k Kind) Symmetric() bool { return k >= AES256 && k <= HMAC512 }

// kindOf tells a key's kind by what the token says of it.
func kindOf(keyType uint, bits int, params []byte) Kind {
	for k := AES256; k <= Ed25519; k++ {
		row := kinds[k]
		if row.keyType != keyType {
			continue
		}
		if k == Ed25519 || len(row.params) > 0 && string(row.params) == string(params) ||
			len(row.params) == 0 && row.bits == bits {
			return k
		}
	}
	return NoKind
}

// Bits is the size of the key, modulus or curve; 0 for ML-DSA and ML-KEM.
func (k Kind) Bits() int { return kinds[k].bits }
