package crypt

import (
	"context"
	"errors"
	"slices"

	"github.com/strongroom/strongroom/keystore"
)

// late gives the fault of a call that its backend did not do. A key may have been disabled, doomed or lost its material, and its
// store disconnected, between the gate's word and the backend's: then that is the reason, in AWS's words, and not what the
// token or proxy made of it. t has the request that was admitted last.
func (s *Service) late(ctx context.Context, t *scratch, u *use, err error) error {
	if err == nil || slices.Contains(said, keystore.KindOf(err)) {
		return err
	}
	if now := s.still(ctx, t, u); now != nil {
		return now.Because(err)
	}
	return err
}

// said are faults that a backend finds in the request, whatever became of the key.
var said = []keystore.Kind{keystore.KindInvalidCiphertext, keystore.KindValidation, keystore.KindUnsupportedOperation}

// still tells why a key that was admitted would not be any more; nil where it would be, or where that can't be told.
func (s *Service) still(ctx context.Context, t *scratch, u *use) *keystore.Fault {
	k, err := s.cfg.DB.LookupKey(context.WithoutCancel(ctx), u.key.Region, u.key.ID)
	if errors.Is(err, keystore.ErrNoRow) {
		return keystore.NoSuchKey(u.key.Region, u.key.Account, u.key.ID)
	}
	if err != nil {
		return nil
	}
	_, conn := s.cfg.Resolver.Resolve(k.Region, k.StoreID)
	var f *keystore.Fault
	if errors.As(keystore.Admit(t.request.Action, k, conn), &f) {
		return f
	}
	return nil
}
