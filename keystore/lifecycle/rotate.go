package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// Bounds of rotation (API reference, EnableKeyRotation and RotateKeyOnDemand).
const (
	MinRotationPeriod     = 90
	MaxRotationPeriod     = 2560
	DefaultRotationPeriod = 365
	MaxOnDemandRotations  = 25
	// onDemandGuard is how near an automatic rotation may be while one on demand is asked for (ConflictException).
	onDemandGuard = 20 * time.Minute
)

// RotationTypes of ListKeyRotations.
const (
	RotationAutomatic = "AUTOMATIC"
	RotationOnDemand  = "ON_DEMAND"
)

// RotationStatus is GetKeyRotationStatus's answer. PeriodDays and Next are zero while automatic rotation is off.
type RotationStatus struct {
	Key        *keystore.Key
	Enabled    bool
	PeriodDays int
	Next       time.Time
}

// EnableKeyRotation turns automatic rotation on, or changes its period; days 0 is DefaultRotationPeriod. The first rotation
// comes one period after the call.
func (s *Service) EnableKeyRotation(ctx context.Context, c *keystore.Caller, keyID string, days int) error {
	const a = keystore.ActionEnableKeyRotation
	switch {
	case days == 0:
		days = DefaultRotationPeriod
	case days < MinRotationPeriod:
		return invalid(days, "rotationPeriodInDays", fmt.Sprintf("Member must have value greater than or equal to %d", MinRotationPeriod))
	case days > MaxRotationPeriod:
		return invalid(days, "rotationPeriodInDays", fmt.Sprintf("Member must have value less than or equal to %d", MaxRotationPeriod))
	}
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, keyID, keystore.RefKeyOnly)
	if err != nil {
		return err
	}
	err = s.admit(ctx, &access.Request{Caller: c, Action: a, Key: k,
		Conditions: map[string][]string{"kms:RotationPeriodInDays": {fmt.Sprint(days)}}})
	if err != nil {
		return err
	}
	return s.setRotation(ctx, k, a, func(k *keystore.Key) {
		now := s.now()
		k.Rotation.Enabled, k.Rotation.PeriodDays, k.Rotation.Since = true, days, now
		k.Rotation.Next = now.Add(inDays(days))
	})
}

// DisableKeyRotation turns automatic rotation off. Earlier material stays for decryption.
func (s *Service) DisableKeyRotation(ctx context.Context, c *keystore.Caller, keyID string) error {
	const a = keystore.ActionDisableKeyRotation
	k, err := s.find(ctx, c, keyID, keystore.RefKeyOnly, a)
	if err != nil {
		return err
	}
	return s.setRotation(ctx, k, a, func(k *keystore.Key) {
		k.Rotation.Enabled, k.Rotation.PeriodDays = false, 0
		k.Rotation.Since, k.Rotation.Next = time.Time{}, time.Time{}
	})
}

// setRotation changes the setting on a key and, since it is a shared property, on its replicas, which have no date of their
// own: they follow when the primary rotates.
func (s *Service) setRotation(ctx context.Context, k *keystore.Key, a keystore.Action, set func(k *keystore.Key)) error {
	_, err := s.change(ctx, k, a, func(tx keystore.Tx, k *keystore.Key) error {
		set(k)
		if k.MultiRegion == nil {
			return nil
		}
		for _, region := range k.MultiRegion.ReplicaRegions {
			replica, err := tx.Key(region, k.ID)
			if errors.Is(err, keystore.ErrNoRow) {
				continue
			}
			if err != nil {
				return err
			}
			replica.Rotation = k.Rotation
			replica.Rotation.Next = time.Time{}
			if err := tx.UpdateKey(replica); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// GetKeyRotationStatus tells whether and when a key rotates by itself. While its deletion is pending it does not.
func (s *Service) GetKeyRotationStatus(ctx context.Context, c *keystore.Caller, keyID string) (*RotationStatus, error) {
	k, err := s.find(ctx, c, keyID, keystore.RefKeyOnly, keystore.ActionGetKeyRotationStatus)
	if err != nil {
		return nil, err
	}
	st := &RotationStatus{Key: k}
	if k.Rotation.Enabled && !k.PendingDeletion() {
		st.Enabled, st.PeriodDays, st.Next = true, k.Rotation.PeriodDays, k.Rotation.Next
		if k.MultiRegion != nil && !k.MultiRegion.Primary {
			st.Next = s.primaryNext(ctx, k)
		}
	}
	return st, nil
}

// primaryNext is the date of a replica's next rotation, which its primary keeps.
func (s *Service) primaryNext(ctx context.Context, k *keystore.Key) time.Time {
	primary, err := s.cfg.DB.LookupKey(ctx, k.MultiRegion.PrimaryRegion, k.ID)
	if err != nil {
		return time.Time{}
	}
	return primary.Rotation.Next
}

// RotateKeyOnDemand makes new material current at once. It does not move the automatic schedule. It gives the key.
func (s *Service) RotateKeyOnDemand(ctx context.Context, c *keystore.Caller, keyID string) (*keystore.Key, error) {
	const a = keystore.ActionRotateKeyOnDemand
	k, err := s.find(ctx, c, keyID, keystore.RefKeyOnly, a)
	if err != nil {
		return nil, err
	}
	next := k.Rotation.Next
	switch {
	case k.Rotation.OnDemand >= MaxOnDemandRotations:
		return nil, onDemandLimit(k)
	case !next.IsZero() && next.Before(s.now().Add(onDemandGuard)):
		return nil, keystore.Faultf(keystore.KindConflict, "An automatic rotation of key %s is in progress or due within the next 20 minutes.", k.ARN())
	case k.Origin == keystore.OriginExternal:
		return s.adopt(ctx, k)
	}
	leave, entered := s.busy.tryEnter(k.ARN())
	if !entered {
		return nil, keystore.Faultf(keystore.KindConflict, "A rotation of key %s is in progress.", k.ARN())
	}
	defer leave()
	return s.rotate(ctx, k, a, RotationOnDemand)
}

// onDemandLimit is AWS's fault at the quota of on-demand rotations (recorded).
func onDemandLimit(k *keystore.Key) error {
	return keystore.Faultf(keystore.KindLimitExceeded, "The on-demand rotations limit has been reached for the given keyId. "+
		"No more on-demand rotations can be performed for this key: %s", k.ARN())
}

// adopt makes imported material that waits for its rotation current.
func (s *Service) adopt(ctx context.Context, k *keystore.Key) (*keystore.Key, error) {
	rotated, err := s.change(ctx, k, keystore.ActionRotateKeyOnDemand, func(tx keystore.Tx, k *keystore.Key) error {
		if k.Rotation.OnDemand >= MaxOnDemandRotations {
			return onDemandLimit(k)
		}
		for i := range k.Materials {
			if m := &k.Materials[i]; m.State == keystore.MaterialPendingRotation {
				s.turnOver(k, i, RotationOnDemand)
				return s.shareAdoption(tx, k, RotationOnDemand)
			}
		}
		return keystore.Faultf(keystore.KindInvalidState, "No available key material pending rotation for the key: %s.", k.ARN())
	})
	if err == nil {
		s.tellRotation(ctx, rotated, rotated.Current(), RotationOnDemand)
	}
	return rotated, err
}

// turnOver makes the i-th material current; the one that was stays for decryption.
func (s *Service) turnOver(k *keystore.Key, i int, kind string) {
	if old := k.Current(); old != nil {
		old.State = keystore.MaterialNonCurrent
	}
	k.Materials[i].State = keystore.MaterialCurrent
	k.Materials[i].Rotated, k.Materials[i].RotationType = s.now(), kind
	if kind == RotationOnDemand {
		k.Rotation.OnDemand++
	}
}

// ListKeyRotations lists the materials of a key that rotations made, oldest first; with all set also the first one and
// imported ones that wait for their rotation.
func (s *Service) ListKeyRotations(ctx context.Context, c *keystore.Caller, keyID string, all bool, p keystore.Page) (*keystore.Key, []keystore.KeyMaterial, string, error) {
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, keyID, keystore.RefKeyOnly)
	if err != nil {
		return nil, nil, "", err
	}
	list := "rotations/" + string(k.ID)
	after, err := p.After(list)
	if err != nil {
		return nil, nil, "", err
	}
	if err := s.admit(ctx, &access.Request{Caller: c, Action: keystore.ActionListKeyRotations, Key: k}); err != nil {
		return nil, nil, "", err
	}
	from, err := behind(k, after)
	if err != nil {
		return nil, nil, "", err
	}
	var found []keystore.KeyMaterial
	for _, m := range k.Materials[from:] {
		if all || m.RotationType != "" {
			found = append(found, m)
		}
	}
	found, next := cut(list, found, limitOf(p, pageRotations), func(m keystore.KeyMaterial) string { return m.KeyMaterialID() })
	return k, found, next, nil
}

// behind finds the place behind the material that a marker names: by its KeyMaterialId, for a caller who reads markers is not
// to learn the CKA_ID. Imported material that is forgotten between two pages leaves its marker without a meaning.
func behind(k *keystore.Key, after string) (int, error) {
	if after == "" {
		return 0, nil
	}
	for i := range k.Materials {
		if k.Materials[i].KeyMaterialID() == after {
			return i + 1, nil
		}
	}
	return 0, &keystore.Fault{Kind: keystore.KindInvalidMarker}
}

// pageRotations is the page of ListKeyRotations when no limit is asked for.
const pageRotations = 100

func inDays(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
