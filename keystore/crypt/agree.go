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
		return nil, s.late(ctx, t, &u, err)
	}
	return &DeriveSharedSecretOutput{KeyARN: u.arn, SharedSecret: secret, KeyAgreementAlgorithm: in.KeyAgreementAlgorithm,
		KeyOrigin: u.key.Origin}, nil
}
