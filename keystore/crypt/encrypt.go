package crypt

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
)

// Encrypt encrypts under a key's current material.
func (s *Service) Encrypt(ctx context.Context, c *keystore.Caller, in *EncryptInput) (*EncryptOutput, error) {
	u, err := s.find(ctx, c, in.KeyID)
	if err != nil {
		return nil, err
	}
	t := s.borrow()
	defer s.giveBack(t)
	algorithm := defaultAlgorithm(in.EncryptionAlgorithm)
	m, err := s.target(ctx, c, t, &u, &demand{
		action: keystore.ActionEncrypt, given: in.KeyID, algorithm: algorithm,
		context: in.EncryptionContext, tokens: in.GrantTokens,
	})
	if err != nil {
		return nil, err
	}
	if err := checkPlaintext(m, &u, algorithm, in.Plaintext); err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, dryRun()
	}
	blob, err := m.encrypt(s, ctx, t, &u, algorithm, in.EncryptionContext, in.Plaintext)
	if err != nil {
		return nil, err
	}
	return &EncryptOutput{CiphertextBlob: blob, KeyARN: u.arn, EncryptionAlgorithm: algorithm}, nil
}

// target admits the encryption side of a request and gives the way to do it.
func (s *Service) target(ctx context.Context, c *keystore.Caller, t *scratch, u *use, d *demand) (*method, error) {
	if err := s.admit(ctx, c, t, u, d); err != nil {
		return nil, err
	}
	if err := u.suits(d); err != nil {
		return nil, err
	}
	return u.method()
}

// suits checks what a request to encrypt or decrypt asks of a key that was admitted.
func (u *use) suits(d *demand) error {
	if err := u.algorithm(d.algorithm); err != nil {
		return err
	}
	if u.info.Asymmetric() && len(d.context) > 0 {
		// That it is refused is documented (API reference, Encrypt.EncryptionContext); AWS's words are not recorded.
		return keystore.Faultf(keystore.KindValidation, "EncryptionContext is not supported with key spec %s.", u.key.Spec)
	}
	return nil
}

// checkPlaintext holds the plaintext against the algorithm's limit. The limits of the request's shape are the front
// door's; these words are for a plaintext that is within the shape and too long for the key.
func checkPlaintext(m *method, u *use, algorithm string, plaintext []byte) error {
	limit := m.limit(u.info, algorithm)
	switch {
	case len(plaintext) <= limit:
		return nil
	case u.info.Family == keystore.FamilySymmetric:
		return keystore.Faultf(keystore.KindValidation, "1 validation error detected: Value at 'plaintext' failed to satisfy "+
			"constraint: Member must have length less than or equal to %d", limit)
	default:
		return keystore.Faultf(keystore.KindValidation, "Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.",
			algorithm, u.key.Spec, limit)
	}
}
