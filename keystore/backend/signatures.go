package backend

import "context"

// SignatureLimiter is a Signer that says which signatures it can make. One without it makes those of every algorithm of the keys
// that it can make.
type SignatureLimiter interface {
	// Signs tells whether Sign can make signatures of the algorithm. It may ask the token, and try it out. An error, of a store
	// that does not answer, is as those of Sign.
	Signs(ctx context.Context, algorithm string) (bool, error)
}

// Verifier verifies signatures at the store, for operators who trust nothing else with it. A backend without it, or whose
// VerifiesItself is false, leaves verification to the service, which does it with the public key.
type Verifier interface {
	// VerifiesItself tells whether the operator wants signatures verified here.
	VerifiesItself() bool
	// Verify tells whether the signature, in the form of the API, is good for the input that Signer.Sign would take. An error
	// says nothing about the signature.
	Verify(ctx context.Context, h *Handle, algorithm string, input, signature []byte) (bool, error)
}
