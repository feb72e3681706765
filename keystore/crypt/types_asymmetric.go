package crypt

import "github.com/strongroom/strongroom/keystore"

// SignInput is Sign's request. A MessageType of "" is RAW.
type SignInput struct {
	KeyID            string
	Message          []byte
	MessageType      string
	SigningAlgorithm string
	GrantTokens      []string
	DryRun           bool
}

// SignOutput is Sign's answer: ECDSA signatures in DER, Ed25519 in 64 bytes, RSA as long as the modulus.
type SignOutput struct {
	KeyARN           string
	Signature        []byte
	SigningAlgorithm string
}

// VerifyInput is Verify's request. A MessageType of "" is RAW.
type VerifyInput struct {
	KeyID            string
	Message          []byte
	MessageType      string
	Signature        []byte
	SigningAlgorithm string
	GrantTokens      []string
	DryRun           bool
}

// VerifyOutput is Verify's answer to a good signature.
type VerifyOutput struct {
	KeyARN           string
	SigningAlgorithm string
}

// MacInput is GenerateMac's request.
type MacInput struct {
	KeyID        string
	Message      []byte
	MacAlgorithm string
	GrantTokens  []string
	DryRun       bool
}

// MacOutput is GenerateMac's answer.
type MacOutput struct {
	KeyARN       string
	Mac          []byte
	MacAlgorithm string
}

// VerifyMacInput is VerifyMac's request.
type VerifyMacInput struct {
	MacInput
	Mac []byte
}

// VerifyMacOutput is VerifyMac's answer to a good MAC.
type VerifyMacOutput struct {
	KeyARN       string
	MacAlgorithm string
}

// PublicKeyInput is GetPublicKey's request.
type PublicKeyInput struct {
	KeyID       string
	GrantTokens []string
}

// PublicKeyOutput is GetPublicKey's answer: what the key is, and its SubjectPublicKeyInfo in DER, which is shared and must
// not be changed.
type PublicKeyOutput struct {
	Key       *keystore.Key
	PublicKey []byte
}

// DeriveSharedSecretInput is DeriveSharedSecret's request. PublicKey is the other side's SubjectPublicKeyInfo in DER.
type DeriveSharedSecretInput struct {
	KeyID                 string
	KeyAgreementAlgorithm string
	PublicKey             []byte
	GrantTokens           []string
	DryRun                bool
}

// DeriveSharedSecretOutput is its answer. SharedSecret belongs to the receiver, who zeroes it when it is written out.
type DeriveSharedSecretOutput struct {
	KeyARN                string
	SharedSecret          []byte
	KeyAgreementAlgorithm string
	KeyOrigin             keystore.Origin
}

// EncapsulateInput is Encapsulate's request.
type EncapsulateInput struct {
	KeyID                  string
	EncapsulationAlgorithm string
	GrantTokens            []string
	DryRun                 bool
}

// DecapsulateInput is Decapsulate's request.
type DecapsulateInput struct {
	EncapsulateInput
	Ciphertext []byte
}

// EncapsulateOutput is the answer of both. SharedSecret has 32 bytes and belongs to the receiver, who zeroes it when it is written
// out; Ciphertext is nil for Decapsulate.
type EncapsulateOutput struct {
	KeyARN                 string
	SharedSecret           []byte
	Ciphertext             []byte
	EncapsulationAlgorithm string
}

// DataKeyPairInput is the request of GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext.
type DataKeyPairInput struct {
	KeyID             string
	KeyPairSpec       string
	EncryptionContext map[string]string
	GrantTokens       []string
	DryRun            bool
}

// DataKeyPairOutput is their answer. PublicKey is a SubjectPublicKeyInfo, PrivateKeyPlaintext a PKCS #8 PrivateKeyInfo, both in
// DER; the latter is nil for GenerateDataKeyPairWithoutPlaintext and belongs to the receiver, who zeroes it when it is written
// out. KeyMaterialID is "" where the answer has none.
type DataKeyPairOutput struct {
	PrivateKeyCiphertextBlob []byte
	PrivateKeyPlaintext      []byte
	PublicKey                []byte
	KeyARN                   string
	KeyPairSpec              string
	KeyMaterialID            string
}
