package xks

// Sealed is what an encryption under an external key gives. Whoever makes one gives its slices away.
type Sealed struct {
	IV         []byte // 12 or 16 bytes
	Ciphertext []byte // as long as the plaintext
	Tag        []byte // 16 bytes
	Metadata   []byte // ciphertextMetadata, at most MaxMetadata bytes, authenticated; may be empty
}

// KeyManager identifies what keeps the keys of a realm, for health answers.
type KeyManager struct {
	ID     string // unique among those of a proxy: a token's serial number
	Vendor string
	Model  string // model and hardware or firmware version
}
