package crypt

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
)

// GenerateRandom draws random bytes from the default store's token, or from that of a custom key store.
func (s *Service) GenerateRandom(ctx context.Context, c *keystore.Caller, in *RandomInput) (*RandomOutput, error) {
	if in.NumberOfBytes == nil {
		return nil, keystore.Faultf(keystore.KindValidation, "NumberOfBytes is required.")
	}
	size, err := numberOfBytes(*in.NumberOfBytes)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Gate.Admit(ctx, &access.Request{
		Caller: c, Action: keystore.ActionGenerateRandom, Resource: "*", Now: s.cfg.Clock.Now(),
	})
	if err != nil {
		return nil, err
	}
	b, err := s.randomStore(ctx, c, keystore.StoreID(in.CustomKeyStoreID))
	if err != nil {
		return nil, err
	}
	r, ok := b.(backend.Randomer)
	if !ok {
		return nil, keystore.Faultf(keystore.KindUnsupportedOperation, "The key store has no random generator.")
	}
	p := make([]byte, size)
	if err := r.Random(ctx, p); err != nil {
		clear(p)
		return nil, err
	}
	return &RandomOutput{Plaintext: p}, nil
}

// randomStore gives the backend of a store that may serve GenerateRandom.
func (s *Service) randomStore(ctx context.Context, c *keystore.Caller, id keystore.StoreID) (backend.Backend, error) {
	b, conn := s.cfg.Resolver.Resolve(c.Region, id)
	if id == "" && b == nil {
		return nil, backend.Unreachable("", backend.CallRandom)
	}
	if id == "" {
		return b, nil
	}
	store, err := s.cfg.DB.LookupStore(ctx, c.Region, id)
	if errors.Is(err, keystore.ErrNoRow) {
		return nil, keystore.NoSuchStore(id)
	}
	if err != nil {
		return nil, err
	}
	if err := keystore.PermitStore(keystore.ActionGenerateRandom, store.Type, conn); err != nil {
		return nil, err
	}
	if b == nil {
		return nil, backend.Unreachable(store.Type, backend.CallRandom)
	}
	return b, nil
}
