package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// The bounds of PendingWindowInDays (API reference, ScheduleKeyDeletion).
const (
	MinWindow     = 7
	MaxWindow     = 30
	DefaultWindow = 30
)

// ScheduleKeyDeletion sets a key's deletion after a waiting period in days, DefaultWindow for 0. A multi-Region primary
// with replicas waits for the last of them first; its date is set then.
func (s *Service) ScheduleKeyDeletion(ctx context.Context, c *keystore.Caller, keyID string, days int) (*KeyView, error) {
	const a = keystore.ActionScheduleKeyDeletion
	switch {
	case days == 0:
		days = DefaultWindow
	case days < MinWindow:
		return nil, invalid(days, "pendingWindowInDays", fmt.Sprintf("Member must have value greater than or equal to %d", MinWindow))
	case days > MaxWindow:
		return nil, invalid(days, "pendingWindowInDays", fmt.Sprintf("Member must have value less than or equal to %d", MaxWindow))
	}
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, keyID, keystore.RefKeyOnly)
	if err != nil {
		return nil, err
	}
	err = s.admit(ctx, &access.Request{Caller: c, Action: a, Key: k,
		Conditions: map[string][]string{"kms:ScheduleKeyDeletionPendingWindowInDays": {fmt.Sprint(days)}}})
	if err != nil {
		return nil, err
	}
	k, err = s.change(ctx, k, a, func(_ keystore.Tx, k *keystore.Key) error {
		next, ok := keystore.Next(a, k)
		if !ok {
			return fmt.Errorf("no step from %s by %s", k.State, a)
		}
		now := s.now()
		k.State, k.WindowDays, k.ScheduledAt, k.ScheduledBy = next, days, now, c.Principal
		if next == keystore.PendingDeletion {
			k.DeletionDate = windowEnd(now, days)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s.view(k), nil
}

// windowEnd is the end of a waiting period.
func windowEnd(start time.Time, days int) time.Time {
	return start.Add(time.Duration(days) * 24 * time.Hour)
}

// CancelKeyDeletion takes a scheduled deletion back. The key is Disabled afterwards (or PendingImport, where imported
// material is missing). It gives the key's ARN.
func (s *Service) CancelKeyDeletion(ctx context.Context, c *keystore.Caller, keyID string) (string, error) {
	const a = keystore.ActionCancelKeyDeletion
	k, err := s.find(ctx, c, keyID, keystore.RefKeyOnly, a)
	if err != nil {
		return "", err
	}
	k, err = s.change(ctx, k, a, func(_ keystore.Tx, k *keystore.Key) error {
		next, ok := keystore.Next(a, k)
		if !ok {
			return fmt.Errorf("no step from %s by %s", k.State, a)
		}
		k.State, k.WindowDays, k.ScheduledBy = next, 0, ""
		k.DeletionDate, k.ScheduledAt = time.Time{}, time.Time{}
		return nil
	})
	if err != nil {
		return "", err
	}
	return k.ARN(), nil
}
