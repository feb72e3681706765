package crypt

import (
	"context"
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" // RSAES_OAEP_SHA_1

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// oaep has the hash of each RSA encryption algorithm: of the empty label, and of MGF1 (key-lifecycle.md section 8).
var oaep = map[string]crypto.Hash{"RSAES_OAEP_SHA_1": crypto.SHA1, "RSAES_OAEP_SHA_256": crypto.SHA256}

// encryptRSA encrypts with the public key, which needs no token once the key is known.
func (s *Service) encryptRSA(ctx context.Context, t *scratch, u *use, algorithm string, _ map[string]string, plaintext []byte) ([]byte, error) {
	key, err := s.publicKey(ctx, t, u)
	if err != nil {
		return nil, err
	}
	public, ok := key.key.(*rsa.PublicKey)
	if !ok {
		return nil, keystore.Faultf(keystore.KindInternal, "%s has no RSA key", u.arn)
	}
	return rsa.EncryptOAEP(oaep[algorithm].New(), s.cfg.Random, public, plaintext, nil)
}

// decryptRSA decrypts on the token.
func (s *Service) decryptRSA(ctx context.Context, t *scratch, u *use, algorithm string, _ map[string]string, ciphertext []byte) ([]byte, *keystore.KeyMaterial, error) {
	b, err := capable[backend.Decrypter](u)
	if err != nil {
		return nil, nil, err
	}
	m, err := u.ready(t)
	if err != nil {
		return nil, nil, err
	}
	plaintext, err := b.Decrypt(ctx, &t.handle, algorithm, ciphertext)
	if err != nil {
		return nil, nil, s.late(ctx, t, u, err)
	}
	return plaintext, m, nil
}

// ready fills in the handle of a key's current material.
func (u *use) ready(t *scratch) (*keystore.KeyMaterial, error) {
	m := u.key.Current()
	if m == nil {
		// The state table refuses keys without material; this is for a key whose row contradicts its state.
		return nil, keystore.Faultf(keystore.KindInvalidState, "%s is pending import.", u.arn)
	}
	u.handle(&t.handle, m)
	return m, nil
}

// capable gives the key's backend as one of its capabilities.
func capable[C any](u *use) (C, error) {
	var none C
	b, err := u.reach()
	if err != nil {
		return none, err
	}
	c, ok := b.(C)
	if !ok {
		return none, keystore.Faultf(keystore.KindUnsupportedOperation, "The key store of %s can't do this.", u.arn)
	}
	return c, nil
}
