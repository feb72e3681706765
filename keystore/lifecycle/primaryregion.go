package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// UpdatePrimaryRegion makes a replica the primary of its family, and the primary a replica. It answers as soon as both are
// Updating.
func (s *Service) UpdatePrimaryRegion(ctx context.Context, c *keystore.Caller, keyID, region string) error {
	const a = keystore.ActionUpdatePrimaryRegion
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, keyID, keystore.RefKeyOnly)
	if err != nil {
		return err
	}
	conditions := map[string][]string{"kms:PrimaryRegion": {region}}
	if err := s.admit(ctx, &access.Request{Caller: c, Action: a, Key: k, Conditions: conditions}); err != nil {
		return err
	}
	if region == k.Region {
		return keystore.Faultf(keystore.KindValidation, "%s is the primary key in Region %s already.", k.ARN(), region)
	}
	replica, err := s.cfg.DB.LookupKey(ctx, region, k.ID)
	if errors.Is(err, keystore.ErrNoRow) {
		return keystore.NoSuchKey(region, k.Account, k.ID)
	}
	if err != nil {
		return err
	}
	// The permission is needed on both keys; the state of a replica has a rule of its own.
	err = s.admit(ctx, &access.Request{Caller: elsewhere(c, region), Action: a, Key: replica, Conditions: conditions, NoStateCheck: true})
	if err != nil {
		return err
	}
	if err := s.planPrimary(ctx, k, region); err != nil {
		return err
	}
	s.step(StepPrimaryPlanned)
	s.moving.tell()
	return nil
}

// planPrimary is the transaction after which both keys are Updating.
func (s *Service) planPrimary(ctx context.Context, k *keystore.Key, region string) error {
	const a = keystore.ActionUpdatePrimaryRegion
	return s.update(ctx, func(tx keystore.Tx) error {
		old, err := tx.Key(k.Region, k.ID)
		if errors.Is(err, keystore.ErrNoRow) {
			return keystore.NoSuchKey(k.Region, k.Account, k.ID)
		}
		if err != nil {
			return err
		}
		if err := keystore.Admit(a, old, keystore.Connected); err != nil {
			return err
		}
		next, err := tx.Key(region, k.ID)
		if errors.Is(err, keystore.ErrNoRow) {
			return keystore.NoSuchKey(region, k.Account, k.ID)
		}
		if err != nil {
			return err
		}
		for _, key := range []*keystore.Key{old, next} {
			state, ok := keystore.Next(a, key)
			if !ok {
				return notEnabled(key)
			}
			key.State = state
			if err := tx.UpdateKey(key); err != nil {
				return err
			}
		}
		return tx.PutSetting(transitionSetting(transitionPrimary, region, k.ID), []byte(next.ARN()))
	})
}

// notEnabled is the fault of a key that has to be Enabled and is not. A key that is Updating is none that the table refuses.
func notEnabled(k *keystore.Key) error {
	cell := keystore.Permit(keystore.ActionUpdatePrimaryRegion, k.State)
	if cell.Verdict == keystore.Deny {
		return cell.Fault(k)
	}
	updating := keystore.Permit(keystore.ActionEnableKey, keystore.Updating)
	return updating.Fault(k)
}

// promote ends the change of a primary: one transaction over the whole family. The schedule of rotation goes with the primary.
func (s *Service) promote(ctx context.Context, region string, id keystore.KeyID) error {
	var done []*keystore.Key
	err := s.update(ctx, func(tx keystore.Tx) error {
		done = nil
		next, err := tx.Key(region, id)
		if errors.Is(err, keystore.ErrNoRow) || err == nil && next.MultiRegion.Primary {
			return arrived(tx, transitionPrimary, region, id)
		}
		if err != nil {
			return err
		}
		others, err := family(tx, next)
		if err != nil {
			return err
		}
		old := others[0] // the primary comes first
		regions := []string{old.Region}
		for _, r := range old.MultiRegion.ReplicaRegions {
			if r != region {
				regions = append(regions, r)
			}
		}
		slices.Sort(regions)
		next.Rotation, old.Rotation.Next = old.Rotation, time.Time{}
		for _, k := range append(others, next) {
			k.MultiRegion = &keystore.MultiRegion{Primary: k == next, PrimaryRegion: region, ReplicaRegions: regions}
			if k == next || k == old {
				arrive(k)
				done = append(done, k)
			}
			if err := tx.UpdateKey(k); err != nil {
				return fmt.Errorf("%s: %w", k.ARN(), err)
			}
		}
		return arrived(tx, transitionPrimary, region, id)
	})
	if err != nil {
		return err
	}
	s.step(StepPrimaryCommitted)
	for _, k := range done {
		s.tellSynchronized(ctx, k)
	}
	return nil
}

// arrive ends Updating. Imported material may have expired meanwhile.
func arrive(k *keystore.Key) {
	if next, ok := keystore.After(keystore.EventPrimaryChanged, k); ok {
		k.State = next
	}
	if next, ok := keystore.After(keystore.EventMaterialExpired, k); ok {
		k.State = next
	}
}
