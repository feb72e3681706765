package hsmstore

import (
	"context"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

var (
	_ backend.SignatureLimiter = (*Backend)(nil)
	_ backend.Verifier         = (*Backend)(nil)
)

// Signs tells whether the token makes such signatures: it was seen to, or shows it now.
func (b *Backend) Signs(ctx context.Context, algorithm string) (bool, error) {
	how, ok := signTable[algorithm]
	if !ok {
		return false, nil
	}
	if err := b.enter(); err != nil {
		return false, b.fault(backend.CallUse, err)
	}
	defer b.leave()
	can, err := b.token.CanSign(ctx, how.Scheme)
	return can, b.fault(backend.CallUse, err)
}

// VerifiesItself tells whether the configuration of the token says so.
func (b *Backend) VerifiesItself() bool { return b.token.VerifiesItself() }

// Verify verifies on the token.
func (b *Backend) Verify(ctx context.Context, h *backend.Handle, algorithm string, input, signature []byte) (bool, error) {
	how, ok := signTable[algorithm]
	if !ok {
		return false, b.unsupported(algorithm)
	}
	if how.Scheme == hsm.SignECDSA {
		info, known := keystore.LookupSpec(h.Spec)
		if !known {
			return false, b.unsupported(algorithm)
		}
		raw, form := hsm.ECDSASignatureRaw(signature, (info.Bits+7)/8)
		if !form {
			return false, nil
		}
		signature = raw
	}
	if err := b.enter(); err != nil {
		return false, b.fault(backend.CallUse, err)
	}
	defer b.leave()
	good, err := b.token.Verify(ctx, ref(h), how, input, signature)
	return good, b.fault(backend.CallUse, err)
}
