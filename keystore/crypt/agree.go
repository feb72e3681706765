package crypt

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// DeriveSharedSecret makes the raw shared secret of ECDH: the x coordinate, as long as the curve's field.
func (s *Service) DeriveSharedSecret(ctx context.Context, c *keystore.Caller, in *DeriveSharedSecretInput) (*DeriveSharedSecretOutput, error) {
	u, err := s.find(ctx, c, in.KeyID)
	if err != nil {
		return nil, err
	}
	t := s.borrow()
	defer s.giveBack(t)
	err = s.admit(ctx, c, t, &u, &demand{action: keystore.ActionDeriveSharedSecret, given: in.KeyID,
		algorithm: in.KeyAgreementAlgorithm, tokens: in.GrantTokens})
	if err != nil {
		return nil, err
	}
	if err := u.algorithm(in.KeyAgreementAlgorithm); err != nil {
		return nil, err
	}
	if _, err := parsePublic(u.info, in.PublicKey); err != nil {
		return nil, (&keystore.Fault{Kind: keystore.KindValidation}).Because(err) // recorded without a message
	}
	b, err := capable[backend.Agreer](&u)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return nil, dryRun()
	}
	if _, err := u.ready(t); err != nil {
		return nil, err
	}
	secret, err := b.Agree(ctx, &t.handle, in.PublicKey)
	if err != nil {
		return nil, err
	}
	return &DeriveSharedSecretOutput{KeyARN: u.arn, SharedSecret: secret, KeyAgreementAlgorithm: in.KeyAgreementAlgorithm,
		KeyOrigin: u.key.Origin}, nil
}

// Encapsulate makes a shared secret for the holder of a key. No backend has ML-KEM, so that no key gets through to the end:
// what is left is AWS's answer to a key of another usage, and a refusal.
func (s *Service) Encapsulate(ctx context.Context, c *keystore.Caller, in *EncapsulateInput) error {
	return s.encapsulation(ctx, c, keystore.ActionEncapsulate, in)
}

// Decapsulate finds the shared secret of a ciphertext; see Encapsulate.
func (s *Service) Decapsulate(ctx context.Context, c *keystore.Caller, in *EncapsulateInput) error {
	return s.encapsulation(ctx, c, keystore.ActionDecapsulate, in)
}

func (s *Service) encapsulation(ctx context.Context, c *keystore.Caller, a keystore.Action, in *EncapsulateInput) error {
	u, err := s.find(ctx, c, in.KeyID)
	if err != nil {
		return err
	}
	t := s.borrow()
	defer s.giveBack(t)
	err = s.admit(ctx, c, t, &u, &demand{action: a, given: in.KeyID, algorithm: in.EncapsulationAlgorithm, tokens: in.GrantTokens})
	if err != nil {
		return err
	}
	return keystore.Faultf(keystore.KindUnsupportedOperation, "The key store of %s can't do %s.", u.arn, a)
}
