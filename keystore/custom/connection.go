package custom

import (
	"context"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

// ConnectCustomKeyStore makes the store CONNECTING and answers; the manager then makes it CONNECTED, or FAILED with a
// ConnectionErrorCode. On a store that is CONNECTING or CONNECTED it does nothing and succeeds. Faults:
// CustomKeyStoreNotFound, CustomKeyStoreInvalidState.
func (s *Service) ConnectCustomKeyStore(ctx context.Context, c *keystore.Caller, id keystore.StoreID) error {
	st, moved, err := s.move(ctx, c, id, keystore.ActionConnectCustomKeyStore, keystore.ConnectAsked)
	if err == nil && moved {
		s.cfg.Manager.Connect(st)
	}
	return err
}

// DisconnectCustomKeyStore makes the store DISCONNECTING (or, from FAILED, DISCONNECTED) and answers: its keys are
// Unavailable from then on. The manager lets calls in flight end and makes it DISCONNECTED. A store that is CONNECTING is
// disconnected by ending the attempt. Faults: CustomKeyStoreNotFound, CustomKeyStoreInvalidState.
func (s *Service) DisconnectCustomKeyStore(ctx context.Context, c *keystore.Caller, id keystore.StoreID) error {
	st, moved, err := s.move(ctx, c, id, keystore.ActionDisconnectCustomKeyStore, keystore.DisconnectAsked)
	if err == nil && moved {
		s.cfg.Manager.Disconnect(st)
	}
	return err
}

// move admits an operation by the store's connection and moves the row along the connection table.
func (s *Service) move(ctx context.Context, c *keystore.Caller, id keystore.StoreID, a keystore.Action,
	event keystore.ConnEvent) (st *keystore.Store, moved bool, err error) {
	if err := s.admit(ctx, c, a); err != nil {
		return nil, false, err
	}
	st, err = s.change(ctx, c, id, func(_ keystore.Tx, st *keystore.Store) (bool, error) {
		if err := keystore.PermitStore(a, st.Type, st.Conn); err != nil {
			return false, err
		}
		next, ok := keystore.NextConn(event, st.Conn)
		if !ok {
			return false, fmt.Errorf("custom key store %s: no step for %s from %s", st.ID, event, st.Conn)
		}
		if next == st.Conn {
			return false, nil
		}
		moved = true
		st.Conn, st.ConnError, st.ConnCause = next, "", ""
		return true, nil
	})
	return st, moved, err
}

// DeleteCustomKeyStore removes a DISCONNECTED store without keys; what stands behind it is left alone. Faults:
// CustomKeyStoreNotFound, CustomKeyStoreInvalidState, CustomKeyStoreHasCMKs.
func (s *Service) DeleteCustomKeyStore(ctx context.Context, c *keystore.Caller, id keystore.StoreID) error {
	if err := s.admit(ctx, c, keystore.ActionDeleteCustomKeyStore); err != nil {
		return err
	}
	st, err := s.change(ctx, c, id, func(tx keystore.Tx, st *keystore.Store) (bool, error) {
		if err := keystore.PermitStore(keystore.ActionDeleteCustomKeyStore, st.Type, st.Conn); err != nil {
			return false, err
		}
		n, err := tx.KeysInStore(c.Region, id)
		if err != nil {
			return false, fmt.Errorf("count keys of custom key store %s: %w", id, err)
		}
		if n > 0 {
			return false, hasKeys(id)
		}
		if err := forgetPending(tx, c.Region, id); err != nil {
			return false, err
		}
		return false, tx.DeleteStore(c.Region, id)
	})
	if err == nil {
		s.cfg.Manager.Forget(st)
	}
	return err
}
