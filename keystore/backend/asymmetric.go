package backend

import "context"

// The capabilities for asymmetric and HMAC keys. Algorithms are those of the AWS KMS API, by their names; the service has
// checked that the algorithm is one of the key's spec and usage. What a backend cannot do with a key that it made is a Fault
// of kind UnsupportedOperation.

// Signer signs with the private half of a key pair.
type Signer interface {
	// Sign gives the signature in the form of the API: PKCS #1 and PSS as long as the modulus, ECDSA in DER (RFC 3279
	// section 2.2.3), Ed25519 in 64 bytes, ML-DSA as FIPS 204 encodes it. input is the digest that the algorithm names; for
	// ED25519_SHA_512, ED25519_PH_SHA_512 and ML_DSA_SHAKE_256, which hash by themselves, it is the message.
	Sign(ctx context.Context, h *Handle, algorithm string, input []byte) ([]byte, error)
}

// Decrypter decrypts with the private half of an RSA key pair.
type Decrypter interface {
	// Decrypt gives the plaintext of RSAES_OAEP_SHA_1 or RSAES_OAEP_SHA_256. A ciphertext that does not open is a Fault of kind
	// InvalidCiphertext, in whatever way it is wrong.
	Decrypt(ctx context.Context, h *Handle, algorithm string, ciphertext []byte) ([]byte, error)
}

// MACer makes message authentication codes.
type MACer interface {
	// MAC gives the HMAC of a message, as long as the digest of the algorithm.
	MAC(ctx context.Context, h *Handle, algorithm string, message []byte) ([]byte, error)
}

// Agreer agrees on shared secrets (ECDH).
type Agreer interface {
	// Agree gives the raw shared secret: the x coordinate, as long as the curve's field. peer is the other side's
	// SubjectPublicKeyInfo in DER; one that is none, or of another curve, is a Fault of kind Validation without a text, as
	// AWS answers.
	Agree(ctx context.Context, h *Handle, peer []byte) ([]byte, error)
}

// Encapsulator carries shared secrets with ML-KEM (FIPS 203). The algorithm is ML_KEM.
type Encapsulator interface {
	// Encapsulate makes a shared secret of 32 bytes for the holder of the key, and the ciphertext that carries it.
	Encapsulate(ctx context.Context, h *Handle) (secret, ciphertext []byte, err error)
	// Decapsulate gives the shared secret of a ciphertext. One whose length is not that of the key's spec is a Fault of kind
	// InvalidCiphertext; any other gives a secret, which nobody else knows where the ciphertext was not made for this key.
	Decapsulate(ctx context.Context, h *Handle, ciphertext []byte) ([]byte, error)
}

// PublicKeyer shows public keys. The public half of a material never changes: it may be kept.
type PublicKeyer interface {
	// PublicKey gives the SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) in DER.
	PublicKey(ctx context.Context, h *Handle) ([]byte, error)
}

// Importer takes key material that was made elsewhere.
type Importer interface {
	// ImportKey puts material on the token under a new handle: the bytes of a symmetric or HMAC key, or a PKCS #8
	// PrivateKeyInfo. Material of another kind or length than the handle's spec is a Fault of kind IncorrectKeyMaterial. An
	// error of another kind says nothing about what is on the token, as with CreateKey. material is not kept.
	ImportKey(ctx context.Context, h Handle, material []byte) (Created, error)
}
