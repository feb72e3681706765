package proxy

import (
	"context"

	"github.com/strongroom/strongroom/xks"
)

// Keys is what a realm's external keys can do. Key ids are well-formed and allowed in the realm when they arrive.
// Methods keep to ctx, whose deadline is the call's, and are safe for concurrent use. Errors are *xks.Error where the
// cause is known; any other error is answered as InternalException, or DependencyTimeoutException once ctx is over.
// A failure of the token is never InvalidCiphertextException.
type Keys interface {
	// Metadata describes a key. A disabled key is described, not refused.
	Metadata(ctx context.Context, keyID string) (xks.MetadataResponse, error)
	// Encrypt seals plaintext, binding aad and the metadata it chooses (xks.AppendTokenAAD). It keeps neither slice.
	Encrypt(ctx context.Context, keyID string, plaintext, aad []byte) (xks.Sealed, error)
	// Decrypt opens what Encrypt made; the caller wipes the plaintext.
	Decrypt(ctx context.Context, keyID string, sealed xks.Sealed, aad []byte) ([]byte, error)
}

// Prober is implemented by Keys whose key manager can be examined. Keys without it count as always active. Two realms
// whose Keys give an equal KeyManager().ID share the probes.
type Prober interface {
	// KeyManager identifies the key manager.
	KeyManager() xks.KeyManager
	// Probe encrypts and decrypts with a test key that belongs to no KMS key. nil means that the next call should
	// succeed. It keeps to ctx.
	Probe(ctx context.Context) error
}
