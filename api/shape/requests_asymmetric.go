package shape

// SignRequest is the request of Sign.
type SignRequest struct {
	KeyID            string
	Message          []byte
	MessageType      string
	GrantTokens      []string
	SigningAlgorithm string
	DryRun           bool
}

// Members implements Request.
func (r *SignRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Blob("Message", &r.Message, required, &plaintext)
	m.String("MessageType", &r.MessageType, optional, &messageType)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.String("SigningAlgorithm", &r.SigningAlgorithm, required, &signing)
	m.Bool("DryRun", &r.DryRun)
}

// VerifyRequest is the request of Verify.
type VerifyRequest struct {
	KeyID            string
	Message          []byte
	MessageType      string
	Signature        []byte
	SigningAlgorithm string
	GrantTokens      []string
	DryRun           bool
}

// Members implements Request.
func (r *VerifyRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Blob("Message", &r.Message, required, &plaintext)
	m.String("MessageType", &r.MessageType, optional, &messageType)
	m.Blob("Signature", &r.Signature, required, &ciphertext)
	m.String("SigningAlgorithm", &r.SigningAlgorithm, required, &signing)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Bool("DryRun", &r.DryRun)
}

// GenerateMacRequest is the request of GenerateMac.
type GenerateMacRequest struct {
	Message      []byte
	KeyID        string
	MacAlgorithm string
	GrantTokens  []string
	DryRun       bool
}

// Members implements Request.
func (r *GenerateMacRequest) Members(m *Members) {
	m.Blob("Message", &r.Message, required, &plaintext)
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("MacAlgorithm", &r.MacAlgorithm, required, &macAlgorithm)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Bool("DryRun", &r.DryRun)
}

// VerifyMacRequest is the request of VerifyMac.
type VerifyMacRequest struct {
	Message      []byte
	KeyID        string
	MacAlgorithm string
	Mac          []byte
	GrantTokens  []string
	DryRun       bool
}

// Members implements Request.
func (r *VerifyMacRequest) Members(m *Members) {
	m.Blob("Message", &r.Message, required, &plaintext)
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("MacAlgorithm", &r.MacAlgorithm, required, &macAlgorithm)
	m.Blob("Mac", &r.Mac, required, &ciphertext)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Bool("DryRun", &r.DryRun)
}

// DeriveSharedSecretRequest is the request of DeriveSharedSecret.
type DeriveSharedSecretRequest struct {
	KeyID                 string
	KeyAgreementAlgorithm string
	PublicKey             []byte
	GrantTokens           []string
	DryRun                bool
	Recipient             Recipient
}

// Members implements Request.
func (r *DeriveSharedSecretRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("KeyAgreementAlgorithm", &r.KeyAgreementAlgorithm, required, &keyAgreementAlg)
	m.Blob("PublicKey", &r.PublicKey, required, &publicKey)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Bool("DryRun", &r.DryRun)
	m.Struct("Recipient", &r.Recipient)
}

// EncapsulateRequest is the request of Encapsulate.
type EncapsulateRequest struct {
	KeyID                  string
	EncapsulationAlgorithm string
	GrantTokens            []string
	DryRun                 bool
}

// Members implements Request.
func (r *EncapsulateRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("EncapsulationAlgorithm", &r.EncapsulationAlgorithm, required, &encapsulationAlg)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Bool("DryRun", &r.DryRun)
}

// DecapsulateRequest is the request of Decapsulate.
type DecapsulateRequest struct {
	KeyID                      string
	EncapsulationAlgorithm     string
	SharedSecretCiphertextBlob []byte
	GrantTokens                []string
	DryRun                     bool
}

// Members implements Request.
func (r *DecapsulateRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("EncapsulationAlgorithm", &r.EncapsulationAlgorithm, required, &encapsulationAlg)
	m.Blob("SharedSecretCiphertextBlob", &r.SharedSecretCiphertextBlob, required, &ciphertext)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Bool("DryRun", &r.DryRun)
}

// GenerateDataKeyPairRequest is the request of GenerateDataKeyPair.
type GenerateDataKeyPairRequest struct {
	EncryptionContext map[string]string
	KeyID             string
	KeyPairSpec       string
	GrantTokens       []string
	Recipient         Recipient
	DryRun            bool
}

// Members implements Request.
func (r *GenerateDataKeyPairRequest) Members(m *Members) {
	m.Map("EncryptionContext", &r.EncryptionContext)
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("KeyPairSpec", &r.KeyPairSpec, required, &dataKeyPairSpec)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Struct("Recipient", &r.Recipient)
	m.Bool("DryRun", &r.DryRun)
}

// GenerateDataKeyPairWithoutPlaintextRequest is the request of GenerateDataKeyPairWithoutPlaintext.
type GenerateDataKeyPairWithoutPlaintextRequest struct {
	EncryptionContext map[string]string
	KeyID             string
	KeyPairSpec       string
	GrantTokens       []string
	DryRun            bool
}

// Members implements Request.
func (r *GenerateDataKeyPairWithoutPlaintextRequest) Members(m *Members) {
	m.Map("EncryptionContext", &r.EncryptionContext)
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("KeyPairSpec", &r.KeyPairSpec, required, &dataKeyPairSpec)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Bool("DryRun", &r.DryRun)
}
