package lifecycle

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// buildExternal makes a key of an external key store. Such a key has two materials (key-lifecycle of both in the ledger):
// its own, which is made on the Region's default token like that of any other key, and the external key, which is only
// checked, is never destroyed, and has a row so that the ledger says where the other half of the key was.
func (s *Service) buildExternal(ctx context.Context, c *keystore.Caller, b backend.Backend, k *keystore.Key) error {
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) error { return externalFree(tx, k) })
	if err != nil {
		return err
	}
	inner, _ := s.cfg.Resolver.Resolve(k.Region, "")
	if inner == nil {
		return backend.Unreachable("", backend.CallCreate)
	}
	if err := awake(ctx, inner, ""); err != nil {
		return err
	}
	arn := k.ARN()
	defer s.busy.enter(arn)()
	h := backend.Handle{Label: arn, Spec: k.Spec, Usage: k.Usage, External: k.XksKeyID, Caller: c, Action: keystore.ActionCreateKey}
	if _, err := b.CreateKey(ctx, h); err != nil {
		return err // nothing was made
	}
	own, theirs, err := s.planExternal(ctx, k, inner, b)
	if err != nil {
		return err
	}
	s.step(StepCreatePlanned)
	made, err := inner.CreateKey(ctx, handleOf(own, k))
	if err == nil {
		s.step(StepCreateGenerated)
		err = s.commitExternal(ctx, c, k, own, theirs, made)
	}
	if err != nil {
		_ = s.abandon(ctx, theirs, err)
		return s.abandon(ctx, own, err)
	}
	s.step(StepCreateCommitted)
	return nil
}

// externalFree refuses an external key that another KMS key of the store has, one that is pending deletion too.
func externalFree(tx keystore.Tx, k *keystore.Key) error {
	_, err := tx.KeyByXksID(k.Region, k.StoreID, k.XksKeyID)
	switch {
	case errors.Is(err, keystore.ErrNoRow):
		return nil
	case err != nil:
		return err
	}
	return keystore.Faultf(keystore.KindXksKeyAlreadyInUse,
		"The external key %s is already associated with a KMS key in this external key store.", k.XksKeyID)
}

// planExternal writes the planned rows of both materials.
func (s *Service) planExternal(ctx context.Context, k *keystore.Key, inner, b backend.Backend) (own, theirs *keystore.Material, err error) {
	id, err := keystore.NewMaterialID(s.cfg.Random)
	if err != nil {
		return nil, nil, err
	}
	row := keystore.Material{State: keystore.MaterialPlanned, KeyID: k.ID, KeyARN: k.ARN(), Region: k.Region, Label: k.ARN(), PlannedAt: s.now()}
	first, second := row, row
	own, theirs = &first, &second
	own.ID, own.Kind, own.Token = k.Materials[0].ID, keystore.MaterialOnToken, inner.Identity()
	theirs.ID, theirs.Kind, theirs.Token = id, keystore.MaterialNotOurs, b.Identity()
	theirs.StoreID, theirs.ExternalID = k.StoreID, k.XksKeyID
	return own, theirs, s.update(ctx, func(tx keystore.Tx) error {
		if err := s.underQuota(tx, k.Region); err != nil {
			return err
		}
		if err := externalFree(tx, k); err != nil {
			return err
		}
		if err := tx.InsertMaterial(own); err != nil {
			return err
		}
		return tx.InsertMaterial(theirs)
	})
}

// commitExternal is the transaction that makes the key, and both rows live.
func (s *Service) commitExternal(ctx context.Context, c *keystore.Caller, k *keystore.Key, own, theirs *keystore.Material, made backend.Created) error {
	return s.update(ctx, func(tx keystore.Tx) error {
		if err := externalFree(tx, k); err != nil {
			return err
		}
		row, err := tx.Material(theirs.ID)
		if err != nil {
			return err
		}
		if err := row.Advance(keystore.MaterialLive); err != nil {
			return err
		}
		row.CreatedAt, row.KeyCreated = s.now(), k.Created
		if err := tx.UpdateMaterial(row); err != nil {
			return err
		}
		return s.commitTx(tx, c, k, own, made)
	})
}
