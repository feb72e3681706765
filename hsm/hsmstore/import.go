package hsmstore

import (
	"context"
	"crypto"
	"fmt"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

var _ backend.Unwrapper = (*Backend)(nil)

// wrapTable says how a wrapping algorithm of GetParametersForImport wraps.
var wrapTable = map[string]hsm.ImportWrapping{
	"RSAES_OAEP_SHA_1":         {Hash: crypto.SHA1},
	"RSAES_OAEP_SHA_256":       {Hash: crypto.SHA256},
	"RSA_AES_KEY_WRAP_SHA_1":   {Hash: crypto.SHA1, AES: true},
	"RSA_AES_KEY_WRAP_SHA_256": {Hash: crypto.SHA256, AES: true},
}

// wrappingKinds are the kinds of key pair that material can be wrapped to.
var wrappingKinds = map[keystore.Spec]hsm.Kind{
	keystore.RSA2048: hsm.RSA2048,
	keystore.RSA3072: hsm.RSA3072,
	keystore.RSA4096: hsm.RSA4096,
}

// CreateWrappingKey makes an RSA pair that unwraps: on the token where the token can (C_UnwrapKey), else by decrypting.
func (b *Backend) CreateWrappingKey(ctx context.Context, h backend.Handle) (backend.Created, error) {
	if err := b.enter(); err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	defer b.leave()
	kind, ok := wrappingKinds[h.Spec]
	if !ok {
		return backend.Created{}, b.fault(backend.CallCreate, &hsm.Error{Op: "make wrapping key", Class: hsm.Unsupported,
			Err: fmt.Errorf("key spec %s", h.Spec)})
	}
	pair, err := b.token.GeneratePair(ctx, hsm.Template{KeyRef: ref(&h), Kind: kind, Usage: hsm.UseDecrypt | hsm.UseUnwrap})
	if err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	return created(pair.Private, pair.Public), nil
}

// ImportWrapped puts wrapped key material on the token.
func (b *Backend) ImportWrapped(ctx context.Context, h backend.Handle, wrapping *backend.Handle, algorithm string, wrapped []byte) (backend.Created, error) {
	if err := b.enter(); err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	defer b.leave()
	how, ok := wrapTable[algorithm]
	if !ok {
		return backend.Created{}, b.unsupported(algorithm)
	}
	order, err := b.order(&h)
	if err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	made, err := b.token.ImportWrapped(ctx, order, ref(wrapping), how, wrapped)
	if err != nil {
		return backend.Created{}, b.imported(err)
	}
	return created(made...), nil
}

// imported makes a fault of a failed import.
func (b *Backend) imported(err error) error {
	if hsm.ClassOf(err) == hsm.BadInput && hsm.CodeOf(err) == 0 {
		// Refused before it reached the token: not what the spec asks for.
		return (&keystore.Fault{Kind: keystore.KindIncorrectKeyMaterial}).Because(err)
	}
	return b.fault(backend.CallCreate, err)
}
