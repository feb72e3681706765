package crypt

import (
	"context"
	"crypto/subtle"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// GenerateMac makes the HMAC of a message on the token.
func (s *Service) GenerateMac(ctx context.Context, c *keystore.Caller, in *MacInput) (*MacOutput, error) {
	t := s.borrow()
	defer s.giveBack(t)
	u, mac, err := s.mac(ctx, c, t, keystore.ActionGenerateMac, in)
	if err != nil {
		return nil, err
	}
	return &MacOutput{KeyARN: u.arn, Mac: mac, MacAlgorithm: in.MacAlgorithm}, nil
}

// VerifyMac makes the HMAC again and compares, in constant time. A MAC that is not good is a Fault, never an answer.
func (s *Service) VerifyMac(ctx context.Context, c *keystore.Caller, in *VerifyMacInput) (*VerifyMacOutput, error) {
	t := s.borrow()
	defer s.giveBack(t)
	u, mac, err := s.mac(ctx, c, t, keystore.ActionVerifyMac, &in.MacInput)
	if err != nil {
		return nil, err
	}
	defer clear(mac)
	if subtle.ConstantTimeCompare(mac, in.Mac) != 1 {
		return nil, &keystore.Fault{Kind: keystore.KindInvalidMac} // recorded without a message
	}
	return &VerifyMacOutput{KeyARN: u.arn, MacAlgorithm: in.MacAlgorithm}, nil
}

func (s *Service) mac(ctx context.Context, c *keystore.Caller, t *scratch, a keystore.Action, in *MacInput) (use, []byte, error) {
	u, err := s.find(ctx, c, in.KeyID)
	if err != nil {
		return u, nil, err
	}
	err = s.admit(ctx, c, t, &u, &demand{action: a, given: in.KeyID, algorithm: in.MacAlgorithm, tokens: in.GrantTokens})
	if err != nil {
		return u, nil, err
	}
	if err := u.algorithm(in.MacAlgorithm); err != nil {
		return u, nil, err
	}
	b, err := capable[backend.MACer](&u)
	if err != nil {
		return u, nil, err
	}
	if in.DryRun {
		return u, nil, dryRun()
	}
	if _, err := u.ready(t); err != nil {
		return u, nil, err
	}
	mac, err := b.MAC(ctx, &t.handle, in.MacAlgorithm, in.Message)
	return u, mac, s.late(ctx, t, &u, err)
}
