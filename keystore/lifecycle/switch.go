package lifecycle

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
)

// EnableKey makes a key usable. Enabling an enabled key succeeds.
func (s *Service) EnableKey(ctx context.Context, c *keystore.Caller, keyID string) error {
	return s.turn(ctx, c, keyID, keystore.ActionEnableKey)
}

// DisableKey makes a key unusable for cryptography. Disabling a disabled key succeeds.
func (s *Service) DisableKey(ctx context.Context, c *keystore.Caller, keyID string) error {
	return s.turn(ctx, c, keyID, keystore.ActionDisableKey)
}

func (s *Service) turn(ctx context.Context, c *keystore.Caller, keyID string, a keystore.Action) error {
	k, err := s.find(ctx, c, keyID, keystore.RefKeyOnly, a)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, k, a, func(_ keystore.Tx, k *keystore.Key) error {
		next, ok := keystore.Next(a, k)
		if !ok || next == k.State {
			return errUnchanged
		}
		if next == keystore.Enabled && len(k.Materials) == 0 {
			// A replica whose deletion was scheduled and cancelled before its material came is Disabled, and still being made.
			creating := keystore.Permit(a, keystore.Creating)
			return creating.Fault(k)
		}
		k.State = next
		return nil
	})
	return err
}

// UpdateKeyDescription replaces a key's description; "" removes it.
func (s *Service) UpdateKeyDescription(ctx context.Context, c *keystore.Caller, keyID, text string) error {
	const a = keystore.ActionUpdateKeyDescription
	k, err := s.find(ctx, c, keyID, keystore.RefKeyOnly, a)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, k, a, func(_ keystore.Tx, k *keystore.Key) error {
		if k.Description == text {
			return errUnchanged
		}
		k.Description = text
		return nil
	})
	return err
}
