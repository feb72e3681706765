package crypt

// IgnoreCiphertext is the DryRunModifier that lets Decrypt and ReEncrypt check permissions without a ciphertext.
const IgnoreCiphertext = "IGNORE_CIPHERTEXT"

// EncryptInput is Encrypt's request. KeyID takes a key id, a key ARN, an alias name or an alias ARN, here and in all other
// requests of this package. An EncryptionAlgorithm of "" is SYMMETRIC_DEFAULT.
type EncryptInput struct {
	KeyID               string
	Plaintext           []byte
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
	GrantTokens         []string
	DryRun              bool
}

// EncryptOutput is Encrypt's answer. It has no KeyMaterialId, as AWS has it.
type EncryptOutput struct {
	CiphertextBlob      []byte
	KeyARN              string
	EncryptionAlgorithm string
}

// DecryptInput is Decrypt's request. KeyID may be "" for a blob of a symmetric key, which names its key itself.
type DecryptInput struct {
	CiphertextBlob      []byte
	KeyID               string
	EncryptionContext   map[string]string
	EncryptionAlgorithm string
	GrantTokens         []string
	DryRun              bool
	DryRunModifiers     []string
}

// DecryptOutput is Decrypt's answer. Plaintext belongs to the receiver, who zeroes it when it is written out. KeyMaterialID
// is "" where the answer has none.
type DecryptOutput struct {
	Plaintext           []byte
	KeyARN              string
	EncryptionAlgorithm string
	KeyMaterialID       string
}

// ReEncryptInput is ReEncrypt's request. SourceKeyID may be "".
type ReEncryptInput struct {
	CiphertextBlob                 []byte
	SourceKeyID                    string
	SourceEncryptionContext        map[string]string
	SourceEncryptionAlgorithm      string
	DestinationKeyID               string
	DestinationEncryptionContext   map[string]string
	DestinationEncryptionAlgorithm string
	GrantTokens                    []string
	DryRun                         bool
	DryRunModifiers                []string
}

// ReEncryptOutput is ReEncrypt's answer; the material ids are "" where the answer has none.
type ReEncryptOutput struct {
	CiphertextBlob                 []byte
	SourceKeyARN                   string
	DestinationKeyARN              string
	SourceEncryptionAlgorithm      string
	DestinationEncryptionAlgorithm string
	SourceKeyMaterialID            string
	DestinationKeyMaterialID       string
}

// DataKeyInput is the request of GenerateDataKey and GenerateDataKeyWithoutPlaintext: exactly one of KeySpec (AES_128,
// AES_256) and NumberOfBytes (1 to 1024).
type DataKeyInput struct {
	KeyID             string
	KeySpec           string
	NumberOfBytes     *int32
	EncryptionContext map[string]string
	GrantTokens       []string
	DryRun            bool
}

// DataKeyOutput is their answer. Plaintext is nil for GenerateDataKeyWithoutPlaintext; it belongs to the receiver, who
// zeroes it when it is written out. KeyMaterialID is "" where the answer has none.
type DataKeyOutput struct {
	Plaintext      []byte
	CiphertextBlob []byte
	KeyARN         string
	KeyMaterialID  string
}

// RandomInput is GenerateRandom's request. CustomKeyStoreID "" is the default store of the caller's Region.
type RandomInput struct {
	NumberOfBytes    *int32
	CustomKeyStoreID string
}

// RandomOutput is GenerateRandom's answer. Plaintext belongs to the receiver.
type RandomOutput struct {
	Plaintext []byte
}
