package custom

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// open connects to what stands behind a store. The secret is tried once. Only where a rotation of the password was
// interrupted, and the stored password is refused, the one that was about to replace it is tried too, once: the token has one
// of the two, and nobody else knows which.
func (m *Manager) open(ctx context.Context, l *link, s *keystore.Store) (backend.Backend, *attemptError) {
	b, failure := m.try(ctx, s, sealedSecret(s))
	if failure == nil || failure.code != keystore.ConnInvalidCredentials || ctx.Err() != nil {
		return b, failure
	}
	pending, found := m.pending(ctx, s)
	if !found {
		return nil, failure
	}
	b, again := m.try(ctx, s, pending)
	if again != nil {
		return nil, again
	}
	m.promote(l, s, pending)
	return b, nil
}

// try makes one attempt with one secret. When ctx or the bound ends first, the opener has DrainTimeout to come back; what it brings later
// is closed.
func (m *Manager) try(ctx context.Context, s *keystore.Store, sealed []byte) (backend.Backend, *attemptError) {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	secret, err := m.unseal(ctx, s, sealed)
	if err != nil {
		return nil, &attemptError{code: keystore.ConnInternalError, cause: err}
	}
	type result struct {
		backend backend.Backend
		err     error
	}
	results, left := make(chan result), make(chan struct{})
	defer close(left)
	m.openers.Go(func() {
		b, err := m.cfg.Opener.Open(ctx, s, secret)
		clear(secret)
		select {
		case results <- result{b, err}:
		case <-left:
			m.discard(context.WithoutCancel(ctx), storeKey{s.Region, s.ID}, b)
		}
	})
	var patience <-chan time.Time
	done := ctx.Done()
	for {
		select {
		case r := <-results:
			switch {
			case r.err != nil && ctx.Err() != nil && !errors.As(r.err, new(*ConnectError)):
				return nil, overran(s.Type, m.cfg.Timeout)
			case r.err != nil:
				return nil, failureOf(r.err)
			default:
				return r.backend, nil
			}
		case <-done:
			done = nil
			t := time.NewTimer(m.cfg.DrainTimeout)
			defer t.Stop()
			patience = t.C
		case <-patience:
			return nil, overran(s.Type, m.cfg.Timeout)
		}
	}
}

// sealedSecret is the sealed password or secret key of a store.
func sealedSecret(s *keystore.Store) []byte {
	if s.Type == keystore.StoreXKS && s.Xks != nil {
		return s.Xks.SealedSecret
	}
	return s.SealedPassword
}

func (m *Manager) unseal(ctx context.Context, s *keystore.Store, sealed []byte) ([]byte, error) {
	secret, err := m.cfg.Secrets.Open(ctx, sealPurpose(s.ID), sealed)
	if err != nil {
		return nil, fmt.Errorf("open the sealed secret of the key store: %w", err)
	}
	return secret, nil
}

// sealPurpose binds a sealed secret to its store.
func sealPurpose(id keystore.StoreID) string { return "custom-key-store/" + string(id) }
