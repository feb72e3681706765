package shape

// Cryptographic operations. Where a member has no comment it is the API reference's of the same name.

// Recipient is RecipientInfo: a Nitro enclave that the answer is encrypted for.
type Recipient struct {
	Given
	KeyEncryptionAlgorithm string
	AttestationDocument    []byte
}

// Members implements Request.
func (r *Recipient) Members(m *Members) {
	m.String("KeyEncryptionAlgorithm", &r.KeyEncryptionAlgorithm, optional, &keyEncryptionMech)
	m.Blob("AttestationDocument", &r.AttestationDocument, optional, &attestation)
}

// EncryptRequest is the request of Encrypt.
type EncryptRequest struct {
	KeyID               string
	Plaintext           []byte
	EncryptionContext   map[string]string
	GrantTokens         []string
	EncryptionAlgorithm string
	DryRun              bool
}

// Members implements Request.
func (r *EncryptRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Blob("Plaintext", &r.Plaintext, required, &plaintext)
	m.Map("EncryptionContext", &r.EncryptionContext)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.String("EncryptionAlgorithm", &r.EncryptionAlgorithm, optional, &encryptionAlgorithm)
	m.Bool("DryRun", &r.DryRun)
}

// DecryptRequest is the request of Decrypt.
type DecryptRequest struct {
	CiphertextBlob      []byte
	EncryptionContext   map[string]string
	GrantTokens         []string
	KeyID               string
	EncryptionAlgorithm string
	Recipient           Recipient
	DryRun              bool
	DryRunModifiers     []string
}

// Members implements Request.
func (r *DecryptRequest) Members(m *Members) {
	m.Blob("CiphertextBlob", &r.CiphertextBlob, optional, &ciphertext)
	m.Map("EncryptionContext", &r.EncryptionContext)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.String("KeyId", &r.KeyID, optional, &keyID)
	m.String("EncryptionAlgorithm", &r.EncryptionAlgorithm, optional, &encryptionAlgorithm)
	m.Struct("Recipient", &r.Recipient)
	m.Bool("DryRun", &r.DryRun)
	m.Strings("DryRunModifiers", &r.DryRunModifiers, optional, nil, &dryRunModifier)
}

// ReEncryptRequest is the request of ReEncrypt.
type ReEncryptRequest struct {
	CiphertextBlob                 []byte
	SourceEncryptionContext        map[string]string
	SourceKeyID                    string
	DestinationKeyID               string
	DestinationEncryptionContext   map[string]string
	SourceEncryptionAlgorithm      string
	DestinationEncryptionAlgorithm string
	GrantTokens                    []string
	DryRun                         bool
	DryRunModifiers                []string
}

// Members implements Request.
func (r *ReEncryptRequest) Members(m *Members) {
	m.Blob("CiphertextBlob", &r.CiphertextBlob, optional, &ciphertext)
	m.Map("SourceEncryptionContext", &r.SourceEncryptionContext)
	m.String("SourceKeyId", &r.SourceKeyID, optional, &keyID)
	m.String("DestinationKeyId", &r.DestinationKeyID, required, &keyID)
	m.Map("DestinationEncryptionContext", &r.DestinationEncryptionContext)
	m.String("SourceEncryptionAlgorithm", &r.SourceEncryptionAlgorithm, optional, &encryptionAlgorithm)
	m.String("DestinationEncryptionAlgorithm", &r.DestinationEncryptionAlgorithm, optional, &encryptionAlgorithm)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Bool("DryRun", &r.DryRun)
	m.Strings("DryRunModifiers", &r.DryRunModifiers, optional, nil, &dryRunModifier)
}

// GenerateDataKeyRequest is the request of GenerateDataKey.
type GenerateDataKeyRequest struct {
	KeyID             string
	EncryptionContext map[string]string
	NumberOfBytes     *int32
	KeySpec           string
	GrantTokens       []string
	Recipient         Recipient
	DryRun            bool
}

// Members implements Request.
func (r *GenerateDataKeyRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Map("EncryptionContext", &r.EncryptionContext)
	m.Int("NumberOfBytes", &r.NumberOfBytes, &numberOfBytes)
	m.String("KeySpec", &r.KeySpec, optional, &dataKeySpec)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Struct("Recipient", &r.Recipient)
	m.Bool("DryRun", &r.DryRun)
}

// GenerateDataKeyWithoutPlaintextRequest is the request of GenerateDataKeyWithoutPlaintext.
type GenerateDataKeyWithoutPlaintextRequest struct {
	KeyID             string
	EncryptionContext map[string]string
	KeySpec           string
	NumberOfBytes     *int32
	GrantTokens       []string
	DryRun            bool
}

// Members implements Request.
func (r *GenerateDataKeyWithoutPlaintextRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Map("EncryptionContext", &r.EncryptionContext)
	m.String("KeySpec", &r.KeySpec, optional, &dataKeySpec)
	m.Int("NumberOfBytes", &r.NumberOfBytes, &numberOfBytes)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
	m.Bool("DryRun", &r.DryRun)
}

// GenerateRandomRequest is the request of GenerateRandom.
type GenerateRandomRequest struct {
	NumberOfBytes    *int32
	CustomKeyStoreID string
	Recipient        Recipient
}

// Members implements Request.
func (r *GenerateRandomRequest) Members(m *Members) {
	m.Int("NumberOfBytes", &r.NumberOfBytes, &numberOfBytes)
	m.String("CustomKeyStoreId", &r.CustomKeyStoreID, optional, &storeID)
	m.Struct("Recipient", &r.Recipient)
}
