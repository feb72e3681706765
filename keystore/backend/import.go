package backend

import "context"

// Unwrapper takes key material that arrives wrapped to a key pair of its own. Wrapping algorithms are those of
// GetParametersForImport, by their names.
type Unwrapper interface {
	// CreateWrappingKey makes an RSA key pair of the handle's spec that does nothing but unwrap. PublicKeyer shows its public
	// half. An error says nothing about what is on the token, as with CreateKey.
	CreateWrappingKey(ctx context.Context, h Handle) (Created, error)
	// ImportWrapped puts material on the token under the handle h, which came wrapped to the pair wrapping: the bytes of a
	// symmetric or HMAC key, or a PKCS #8 PrivateKeyInfo. What can't be unwrapped is a Fault of kind InvalidCiphertext, in
	// whatever way it is wrong; material of another kind or length than the handle's spec one of kind IncorrectKeyMaterial.
	// An error of another kind says nothing about what is on the token. The material is not kept.
	ImportWrapped(ctx context.Context, h Handle, wrapping *Handle, algorithm string, wrapped []byte) (Created, error)
}
