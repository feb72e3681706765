package shape

import "github.com/strongroom/strongroom/keystore"

// SignResponse is the answer of Sign.
type SignResponse struct {
	KeyID            string
	Signature        []byte
	SigningAlgorithm string
}

// Write implements Response.
func (r *SignResponse) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.Blob("Signature", r.Signature)
	w.String("SigningAlgorithm", r.SigningAlgorithm)
}

// VerifyResponse is the answer of Verify to a good signature; a bad one is an error.
type VerifyResponse struct {
	KeyID            string
	SigningAlgorithm string
}

// Write implements Response.
func (r *VerifyResponse) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.Bool("SignatureValid", true)
	w.String("SigningAlgorithm", r.SigningAlgorithm)
}

// GenerateMacResponse is the answer of GenerateMac.
type GenerateMacResponse struct {
	Mac          []byte
	MacAlgorithm string
	KeyID        string
}

// Write implements Response.
func (r *GenerateMacResponse) Write(w *Writer) {
	w.Blob("Mac", r.Mac)
	w.String("MacAlgorithm", r.MacAlgorithm)
	w.String("KeyId", r.KeyID)
}

// VerifyMacResponse is the answer of VerifyMac to a good MAC; a bad one is an error.
type VerifyMacResponse struct {
	KeyID        string
	MacAlgorithm string
}

// Write implements Response.
func (r *VerifyMacResponse) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.Bool("MacValid", true)
	w.String("MacAlgorithm", r.MacAlgorithm)
}

// DeriveSharedSecretResponse is the answer of DeriveSharedSecret.
type DeriveSharedSecretResponse struct {
	KeyID                 string
	SharedSecret          []byte
	KeyAgreementAlgorithm string
	KeyOrigin             keystore.Origin
}

// Write implements Response.
func (r *DeriveSharedSecretResponse) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.Blob("SharedSecret", r.SharedSecret)
	w.String("KeyAgreementAlgorithm", r.KeyAgreementAlgorithm)
	w.String("KeyOrigin", string(r.KeyOrigin))
}

// EncapsulateResponse is the answer of Encapsulate, and without the ciphertext of Decapsulate.
type EncapsulateResponse struct {
	KeyID                      string
	SharedSecret               []byte
	SharedSecretCiphertextBlob []byte
	EncapsulationAlgorithm     string
}

// Write implements Response.
func (r *EncapsulateResponse) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.Blob("SharedSecret", r.SharedSecret)
	w.Blob("SharedSecretCiphertextBlob", r.SharedSecretCiphertextBlob)
	w.String("EncapsulationAlgorithm", r.EncapsulationAlgorithm)
}

// DataKeyPairResponse is the answer of GenerateDataKeyPair, and without PrivateKeyPlaintext of
// GenerateDataKeyPairWithoutPlaintext.
type DataKeyPairResponse struct {
	PrivateKeyCiphertextBlob []byte
	PrivateKeyPlaintext      []byte
	PublicKey                []byte
	KeyID                    string
	KeyPairSpec              string
	KeyMaterialID            string
}

// Write implements Response.
func (r *DataKeyPairResponse) Write(w *Writer) {
	w.Blob("PrivateKeyCiphertextBlob", r.PrivateKeyCiphertextBlob)
	w.Blob("PrivateKeyPlaintext", r.PrivateKeyPlaintext)
	w.Blob("PublicKey", r.PublicKey)
	w.String("KeyId", r.KeyID)
	w.String("KeyPairSpec", r.KeyPairSpec)
	w.String("KeyMaterialId", r.KeyMaterialID)
}

// GetPublicKeyResponse is the answer of GetPublicKey: DER SubjectPublicKeyInfo, and what the key is.
type GetPublicKeyResponse struct {
	Key       *keystore.Key
	PublicKey []byte
}

// Write implements Response.
func (r *GetPublicKeyResponse) Write(w *Writer) {
	w.String("KeyId", r.Key.ARN())
	w.Blob("PublicKey", r.PublicKey)
	writeSpec(w, r.Key)
	w.String("KeyUsage", string(r.Key.Usage))
}
