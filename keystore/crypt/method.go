package crypt

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/envelope"
)

// method is how keys of one family encrypt and decrypt.
type method struct {
	// encrypt gives the ciphertext as callers get it.
	encrypt func(s *Service, ctx context.Context, t *scratch, u *use, algorithm string, context map[string]string, plaintext []byte) ([]byte, error)
	// decrypt gives the plaintext, in a buffer of its own, and the material that it was sealed with (nil where the ciphertext
	// does not tell).
	decrypt func(s *Service, ctx context.Context, t *scratch, u *use, algorithm string, context map[string]string, ciphertext []byte) ([]byte, *keystore.KeyMaterial, error)
	// limit is the longest plaintext in bytes for an algorithm.
	limit func(info *keystore.SpecInfo, algorithm string) int
}

// methods are the families whose keys encrypt. A family that is not here is refused as not supported.
var methods = map[keystore.Family]*method{
	keystore.FamilySymmetric: {
		encrypt: (*Service).sealBlob,
		decrypt: (*Service).openBlob,
		limit:   func(*keystore.SpecInfo, string) int { return MaxPlaintext },
	},
	keystore.FamilyRSA: {
		encrypt: (*Service).encryptRSA,
		decrypt: (*Service).decryptRSA,
		limit:   func(info *keystore.SpecInfo, algorithm string) int { return info.Bits/8 - 2*oaep[algorithm].Size() - 2 },
	},
}

// MaxPlaintext is the longest plaintext of Encrypt in bytes (API reference, Encrypt).
const MaxPlaintext = 4096

// method gives the way of a key's family.
func (u *use) method() (*method, error) {
	if m, ok := methods[u.info.Family]; ok {
		return m, nil
	}
	return nil, keystore.Faultf(keystore.KindUnsupportedOperation, "Keys of spec %s can't encrypt here.", u.key.Spec)
}

// handle fills in the handle of one material of a key.
func (u *use) handle(h *backend.Handle, m *keystore.KeyMaterial) {
	*h = backend.Handle{ID: m.ID, Label: u.arn, Spec: u.key.Spec, Usage: u.key.Usage, External: u.key.XksKeyID,
		Extractable: u.key.MultiRegion != nil}
}

// sealerHandle is handle with the request that was admitted last, for an external key store's proxy.
func (u *use) sealerHandle(t *scratch, m *keystore.KeyMaterial) *backend.Handle {
	u.handle(&t.handle, m)
	t.handle.Caller, t.handle.Action = t.request.Caller, t.request.Action
	return &t.handle
}

// sealer gives the backend of a symmetric key.
func (u *use) sealer() (backend.Sealer, error) {
	b, err := u.reach()
	if err != nil {
		return nil, err
	}
	sealer, ok := b.(backend.Sealer)
	if !ok {
		return nil, keystore.Faultf(keystore.KindUnsupportedOperation, "The key store of %s can't encrypt.", u.arn)
	}
	return sealer, nil
}

// sealBlob encrypts under the key's current material and binds the blob to key, material and context.
func (s *Service) sealBlob(ctx context.Context, t *scratch, u *use, _ string, context map[string]string, plaintext []byte) ([]byte, error) {
	sealer, err := u.sealer()
	if err != nil {
		return nil, err
	}
	m := u.key.Current()
	if m == nil {
		// The state table refuses keys without material; this is for a key whose row contradicts its state.
		return nil, keystore.Faultf(keystore.KindInvalidState, "%s is pending import.", u.arn)
	}
	ref := envelope.MaterialOf(m)
	if t.aad, err = envelope.AAD(t.aad[:0], u.key.ID, ref, context); err != nil {
		return nil, err
	}
	blob := make([]byte, 0, envelope.HeaderSize+backend.SealedOverhead+len(plaintext))
	if blob, err = envelope.AppendHeader(blob, u.key.ID, ref); err != nil {
		return nil, err
	}
	sealed, err := sealer.Seal(ctx, u.sealerHandle(t, m), t.aad, plaintext, blob)
	return sealed, s.late(ctx, t, u, err)
}

// openBlob decrypts a blob of this key under whichever of its materials sealed it.
func (s *Service) openBlob(ctx context.Context, t *scratch, u *use, _ string, context map[string]string, ciphertext []byte) ([]byte, *keystore.KeyMaterial, error) {
	blob, err := envelope.Decode(ciphertext)
	if err != nil {
		return nil, nil, invalidCiphertext(err)
	}
	m := materialOf(u.key, blob.Material)
	if blob.KeyID != u.key.ID || m == nil {
		return nil, nil, invalidCiphertext(envelope.ErrNotBlob)
	}
	sealer, err := u.sealer()
	if err != nil {
		return nil, nil, err
	}
	if t.aad, err = envelope.AAD(t.aad[:0], u.key.ID, blob.Material, context); err != nil {
		return nil, nil, err
	}
	plaintext, err := sealer.Open(ctx, u.sealerHandle(t, m), t.aad, blob.Sealed, make([]byte, 0, len(blob.Sealed)-backend.SealedOverhead))
	if err != nil {
		return nil, nil, s.late(ctx, t, u, err)
	}
	return plaintext, m, nil
}

// materialOf finds the material that a blob refers to, the current one first; nil where the key has none such.
func materialOf(k *keystore.Key, ref envelope.Material) *keystore.KeyMaterial {
	current := k.Current()
	if current != nil && envelope.MaterialOf(current) == ref {
		return current
	}
	for i := range k.Materials {
		if m := &k.Materials[i]; m != current && envelope.MaterialOf(m) == ref {
			return m
		}
	}
	return nil
}

// invalidCiphertext is AWS's answer to a ciphertext that can't be opened; it has no message (recorded, api-errors.md).
func invalidCiphertext(cause error) error {
	return &keystore.Fault{Kind: keystore.KindInvalidCiphertext, Cause: cause}
}

// materialID is the KeyMaterialId to show for a material of a key, "" where the API shows none.
func materialID(k *keystore.Key, m *keystore.KeyMaterial) string {
	if m == nil || !k.ShowsMaterialID() {
		return ""
	}
	return m.KeyMaterialID()
}
