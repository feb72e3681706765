package custom

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Rotation of the kmsuser password at a connect, as AWS does it (custom-key-stores.md section 7), for clusters whose
// configuration asks for it. The new password is stored before it is given to the token, and takes the old one's place in the
// row after; a crash between leaves both, and open tries both.

// pendingName is the setting that keeps the sealed password which a rotation was about to set.
func pendingName(region string, id keystore.StoreID) string {
	return "custom-key-store/" + region + "/" + string(id) + "/pending-password"
}

const (
	pinAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	pinLength   = 32 // the longest KeyStorePassword; 190 bits
)

// newPIN makes a random alphanumeric password.
func newPIN(random io.Reader) ([]byte, error) {
	const fair = 256 - 256%len(pinAlphabet) // bytes from here on would favour some characters
	pin := make([]byte, 0, pinLength)
	var b [2 * pinLength]byte
	defer clear(b[:])
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, fmt.Errorf("make a password: %w", err)
		}
		for _, x := range b {
			if int(x) < fair {
				pin = append(pin, pinAlphabet[int(x)%len(pinAlphabet)])
			}
			if len(pin) == pinLength {
				return pin, nil
			}
		}
	}
}

// pending reads the password that an interrupted rotation left.
func (m *Manager) pending(ctx context.Context, s *keystore.Store) (sealed []byte, found bool) {
	err := m.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		var err error
		sealed, err = tx.Setting(pendingName(s.Region, s.ID))
		return err
	})
	if err != nil && !errors.Is(err, keystore.ErrNoRow) {
		m.log.ErrorContext(ctx, "pending password cannot be read", "region", s.Region, "store", s.ID, "error", err)
	}
	return sealed, err == nil
}

// rotate replaces the password of a store whose connect was just asked for, where its cluster's configuration says so. The
// row that the step began with goes on with its new revision.
func (m *Manager) rotate(ctx context.Context, l *link, s *keystore.Store, b backend.Backend) *attemptError {
	if !m.rotates(s) {
		return nil
	}
	changer, ok := b.(backend.SecretChanger)
	if !ok {
		return rotationFailed(errors.New("the key store cannot change its password"))
	}
	old, err := m.unseal(ctx, s, s.SealedPassword)
	if err != nil {
		return rotationFailed(err)
	}
	defer clear(old)
	pin, err := newPIN(m.cfg.Random)
	if err != nil {
		return rotationFailed(err)
	}
	defer clear(pin)
	sealed, err := m.cfg.Secrets.Seal(ctx, sealPurpose(s.ID), pin)
	if err != nil {
		return rotationFailed(err)
	}
	stored := m.persist(ctx, s, "password planned", func(tx keystore.Tx) error {
		now, err := tx.Store(s.Region, s.ID)
		switch {
		case err != nil:
			return err
		case now.Revision != s.Revision:
			return errMoved
		}
		return tx.PutSetting(pendingName(s.Region, s.ID), sealed)
	})
	if !stored {
		return rotationFailed(errMoved)
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	if err := changer.ChangeSecret(ctx, old, pin); err != nil {
		f := failureOf(err)
		f.cause = fmt.Errorf("change the password: %w", f.cause)
		return f
	}
	m.promote(l, s, sealed)
	m.log.InfoContext(ctx, "password of a key store rotated", "region", s.Region, "store", s.ID)
	return nil
}

func rotationFailed(cause error) *attemptError {
	return &attemptError{code: keystore.ConnInternalError, cause: fmt.Errorf("rotate the password: %w", cause), tried: true}
}

// rotates tells whether a connect of the store replaces its password.
func (m *Manager) rotates(s *keystore.Store) bool {
	return s.Type == keystore.StoreCloudHSM && m.cfg.Clusters[s.ClusterID].RotatesPIN
}

// promote makes the pending password the store's. It is not given up when the step is interrupted or the manager closes, for
// a bounded time: until it is written both passwords stay, and the next connect tries both.
func (m *Manager) promote(l *link, s *keystore.Store, sealed []byte) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.ctx), m.cfg.DrainTimeout)
	defer cancel()
	var now *keystore.Store
	same := false
	written := m.persist(ctx, s, "password changed", func(tx keystore.Tx) error {
		var err error
		if now, err = tx.Store(s.Region, s.ID); err != nil {
			return err
		}
		name := pendingName(s.Region, s.ID)
		switch kept, err := tx.Setting(name); {
		case err != nil:
			return err // an update took it away: the owner has set another password
		case !bytes.Equal(kept, sealed):
			return errMoved
		}
		same = now.Conn == s.Conn && now.Revision == s.Revision
		now.SealedPassword = sealed
		if err := tx.UpdateStore(now); err != nil {
			return err
		}
		return tx.DeleteSetting(name)
	})
	if !written || !same {
		return
	}
	s.SealedPassword, s.Revision = sealed, now.Revision
	m.mu.Lock()
	l.revision = now.Revision
	m.mu.Unlock()
}

// forgetPending takes away what an interrupted rotation left.
func forgetPending(tx keystore.Tx, region string, id keystore.StoreID) error {
	if err := tx.DeleteSetting(pendingName(region, id)); err != nil && !errors.Is(err, keystore.ErrNoRow) {
		return err
	}
	return nil
}
