package hsmstore

import (
	"context"

	"github.com/strongroom/strongroom/keystore/backend"
)

// Seal encrypts on the token with AES-256-GCM. It is the hot path: apart from the call itself it costs two atomic adds.
func (b *Backend) Seal(ctx context.Context, h *backend.Handle, aad, plaintext, dst []byte) ([]byte, error) {
	if err := b.enter(); err != nil {
		return nil, b.fault(backend.CallUse, err)
	}
	defer b.leave()
	out, err := b.token.Seal(ctx, ref(h), aad, plaintext, dst)
	if err != nil {
		return nil, b.fault(backend.CallUse, err)
	}
	return out, nil
}

// Open decrypts on the token. InvalidCiphertext means that the token was shown to work and the bytes are not authentic.
func (b *Backend) Open(ctx context.Context, h *backend.Handle, aad, sealed, dst []byte) ([]byte, error) {
	if err := b.enter(); err != nil {
		return nil, b.fault(backend.CallUse, err)
	}
	defer b.leave()
	out, err := b.token.Open(ctx, ref(h), aad, sealed, dst)
	if err != nil {
		return nil, b.fault(backend.CallUse, err)
	}
	return out, nil
}

// Random fills p from the token's generator.
func (b *Backend) Random(ctx context.Context, p []byte) error {
	if err := b.enter(); err != nil {
		return b.fault(backend.CallRandom, err)
	}
	defer b.leave()
	return b.fault(backend.CallRandom, b.token.Random(ctx, p))
}
