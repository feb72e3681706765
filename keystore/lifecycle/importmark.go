package lifecycle

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// A mark recognises material that was imported before without keeping it, and without ever taking it off the token: a known
// text sealed under a symmetric key, which only the same key opens; the MAC of a known text under an HMAC key; the digest of
// a public key. The mark itself is sealed by the vault, so that a copy of the database is no help in guessing weak material.

const markText = "strongroom: recognise imported key material"

// purposeMark does not name the Region: related multi-Region keys have their marks in common.
func purposeMark(k *keystore.Key) string { return "import-mark/" + string(k.ID) }

// mark makes the mark of the material that h names.
func (s *Service) mark(ctx context.Context, b backend.Backend, k *keystore.Key, h *backend.Handle) ([]byte, error) {
	var plain []byte
	var err error
	if sealer, ok := b.(backend.Sealer); ok && k.Spec == keystore.SymmetricDefault {
		plain, err = sealer.Seal(ctx, h, []byte(purposeMark(k)), []byte(markText), nil)
	} else {
		plain, err = digestOf(ctx, b, k, h)
	}
	if err != nil {
		return nil, err
	}
	return s.cfg.Vault.Seal(ctx, purposeMark(k), plain)
}

// marked tells whether the material that h names is the one that a mark was made of.
func (s *Service) marked(ctx context.Context, b backend.Backend, k *keystore.Key, h *backend.Handle, mark []byte) (bool, error) {
	want, err := s.cfg.Vault.Open(ctx, purposeMark(k), mark)
	if err != nil {
		return false, err
	}
	if sealer, ok := b.(backend.Sealer); ok && k.Spec == keystore.SymmetricDefault {
		_, err := sealer.Open(ctx, h, []byte(purposeMark(k)), want, nil)
		if keystore.KindOf(err) == keystore.KindInvalidCiphertext {
			return false, nil
		}
		return err == nil, err
	}
	got, err := digestOf(ctx, b, k, h)
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1, err
}

// digestOf identifies an HMAC key or a key pair.
func digestOf(ctx context.Context, b backend.Backend, k *keystore.Key, h *backend.Handle) ([]byte, error) {
	info, ok := keystore.LookupSpec(k.Spec)
	if !ok {
		return nil, keystore.Faultf(keystore.KindInternal, "key spec %s", k.Spec)
	}
	if macer, ok := b.(backend.MACer); ok && info.Family == keystore.FamilyHMAC {
		return macer.MAC(ctx, h, info.Algorithms(k.Usage)[0], []byte(markText))
	}
	shower, ok := b.(backend.PublicKeyer)
	if !ok {
		return nil, keystore.Faultf(keystore.KindUnsupportedOperation, "The key store of %s can't import key material.", k.ARN())
	}
	der, err := shower.PublicKey(ctx, h)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}
