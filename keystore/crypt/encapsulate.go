package crypt

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Encapsulate makes a shared secret for the holder of an ML-KEM key, and the ciphertext that carries it.
func (s *Service) Encapsulate(ctx context.Context, c *keystore.Caller, in *EncapsulateInput) (*EncapsulateOutput, error) {
	out := &EncapsulateOutput{EncapsulationAlgorithm: in.EncapsulationAlgorithm}
	err := s.encapsulation(ctx, c, keystore.ActionEncapsulate, in, out, func(b backend.Encapsulator, h *backend.Handle) (err error) {
		out.SharedSecret, out.Ciphertext, err = b.Encapsulate(ctx, h)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Decapsulate gives the shared secret of a ciphertext. A ciphertext that was made for another key, or altered, gives a secret
// that nobody knows (implicit rejection).
func (s *Service) Decapsulate(ctx context.Context, c *keystore.Caller, in *DecapsulateInput) (*EncapsulateOutput, error) {
	out := &EncapsulateOutput{EncapsulationAlgorithm: in.EncapsulationAlgorithm}
	err := s.encapsulation(ctx, c, keystore.ActionDecapsulate, &in.EncapsulateInput, out, func(b backend.Encapsulator, h *backend.Handle) (err error) {
		out.SharedSecret, err = b.Decapsulate(ctx, h, in.Ciphertext)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// encapsulation finds and admits the key, and runs fn with its handle.
func (s *Service) encapsulation(ctx context.Context, c *keystore.Caller, a keystore.Action, in *EncapsulateInput, out *EncapsulateOutput,
	fn func(backend.Encapsulator, *backend.Handle) error) error {
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
	if err := u.algorithm(in.EncapsulationAlgorithm); err != nil {
		return err
	}
	b, err := capable[backend.Encapsulator](&u)
	if err != nil {
		return err
	}
	if in.DryRun {
		return dryRun()
	}
	if _, err := u.ready(t); err != nil {
		return err
	}
	out.KeyARN = u.arn
	return s.late(ctx, t, &u, fn(b, &t.handle))
}
