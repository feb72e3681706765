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
	switch {
	case b == nil:
		return nil, keystore.Faultf(keystore.KindDependencyTimeout, "The token can't be reached. Try again later.")
	case !ok:
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
	if id == "" {
		return b, nil
	}
	store, err := s.cfg.DB.LookupStore(ctx, c.Region, id)
	if errors.Is(err, keystore.ErrNoRow) {
		return nil, keystore.Faultf(keystore.KindCustomKeyStoreNotFound, "Custom key store %s does not exist.", id)
	}
	if err != nil {
		return nil, err
	}
	return b, keystore.PermitStore(keystore.ActionGenerateRandom, store.Type, conn)
}
