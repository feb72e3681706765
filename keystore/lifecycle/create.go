package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
)

// CreateKey makes a key: validate, authorise, then the ledger's flow: a planned row is committed, the material generated,
// and one transaction makes the key and the row live. Whatever fails behind the planned row condemns it and tries to
// destroy what may lie on the token.
func (s *Service) CreateKey(ctx context.Context, c *keystore.Caller, in *CreateKeyInput) (*KeyView, error) {
	d, err := s.checkCreate(in)
	if err != nil {
		return nil, err
	}
	id, err := keystore.NewKeyID(s.cfg.Random, in.MultiRegion)
	if err != nil {
		return nil, err
	}
	if err := s.mayCreate(ctx, c, in, d, keystore.KeyARN(c.Region, c.Account, id)); err != nil {
		return nil, err
	}
	if d.rule.later != "" {
		return nil, keystore.Faultf(keystore.KindUnsupportedOperation, "%s", d.rule.later)
	}
	b, store, err := s.home(ctx, c, in, d)
	if err != nil {
		return nil, err
	}
	k, err := s.draft(c, id, in, d, store)
	if err != nil {
		return nil, err
	}
	if k.Policy, err = s.checkPolicy(ctx, c, k, in.Policy, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	switch {
	case d.origin == keystore.OriginExternal:
		err = s.buildEmpty(ctx, c, k)
	case d.rule.xksKey:
		err = s.buildExternal(ctx, c, b, k)
	default:
		err = s.build(ctx, c, b, k, d)
	}
	if err != nil {
		return nil, err
	}
	return s.view(k), nil
}

// mayCreate authorises. Tags need a permission of their own, which is about the key that is to be.
func (s *Service) mayCreate(ctx context.Context, c *keystore.Caller, in *CreateKeyInput, d *design, keyARN string) error {
	r := access.Request{Caller: c, Action: keystore.ActionCreateKey, Resource: "*", Conditions: d.conditions(in)}
	if err := s.admit(ctx, &r); err != nil || len(d.tags) == 0 {
		return err
	}
	r.Permission, r.Resource = "kms:TagResource", keyARN
	return s.admit(ctx, &r)
}

// home finds the backend that shall hold the key's material, and the custom key store, nil for the default store.
func (s *Service) home(ctx context.Context, c *keystore.Caller, in *CreateKeyInput, d *design) (backend.Backend, *keystore.Store, error) {
	id := keystore.StoreID(in.CustomKeyStoreID)
	b, conn := s.cfg.Resolver.Resolve(c.Region, id)
	var store *keystore.Store
	if id != "" {
		var err error
		store, err = s.cfg.DB.LookupStore(ctx, c.Region, id)
		switch {
		case errors.Is(err, keystore.ErrNoRow):
			return nil, nil, keystore.NoSuchStore(id)
		case err != nil:
			return nil, nil, err
		case store.Type != d.rule.store:
			return nil, nil, keystore.Faultf(keystore.KindValidation, "Origin %s is not valid for a custom key store of type %s.",
				d.origin, store.Type)
		}
		if err := keystore.PermitStore(keystore.ActionCreateKey, store.Type, conn); err != nil {
			return nil, nil, err
		}
	}
	if b == nil {
		return nil, nil, backend.Unreachable(d.rule.store, backend.CallCreate)
	}
	supported, err := backend.Supports(ctx, b, d.info.Spec, d.usage)
	if err != nil {
		return nil, nil, err
	}
	if !supported {
		return nil, nil, keystore.Faultf(keystore.KindUnsupportedOperation,
			"KeySpec %s with KeyUsage %s is not supported by the token of this key store.", d.info.Spec, d.usage)
	}
	return b, store, nil
}

// draft is the key as it will be.
func (s *Service) draft(c *keystore.Caller, id keystore.KeyID, in *CreateKeyInput, d *design, store *keystore.Store) (*keystore.Key, error) {
	material, err := keystore.NewMaterialID(s.cfg.Random)
	if err != nil {
		return nil, err
	}
	now := s.now()
	k := &keystore.Key{
		ID: id, Account: c.Account, Region: c.Region, Origin: d.origin, Spec: d.info.Spec, Usage: d.usage,
		Description: in.Description, Created: now, State: keystore.Enabled, XksKeyID: in.XksKeyID, Tags: d.tags,
		Materials: []keystore.KeyMaterial{{ID: material, KMSID: material.KMSID(), State: keystore.MaterialCurrent, Created: now}},
	}
	if store != nil {
		k.StoreID, k.ClusterID = store.ID, store.ClusterID
	}
	if in.MultiRegion {
		k.MultiRegion = &keystore.MultiRegion{Primary: true, PrimaryRegion: c.Region}
	}
	return k, nil
}

// build makes material and key.
func (s *Service) build(ctx context.Context, c *keystore.Caller, b backend.Backend, k *keystore.Key, d *design) error {
	if err := awake(ctx, b, d.rule.store); err != nil {
		return err
	}
	arn := k.ARN()
	defer s.busy.enter(arn)()
	m := &keystore.Material{
		ID: k.Materials[0].ID, State: keystore.MaterialPlanned, Kind: d.rule.row, KeyID: k.ID, KeyARN: arn, Region: k.Region,
		StoreID: k.StoreID, ClusterID: k.ClusterID, Token: b.Identity(), Label: arn, ExternalID: k.XksKeyID, PlannedAt: s.now(),
	}
	err := s.update(ctx, func(tx keystore.Tx) error {
		if err := s.underQuota(tx, k.Region); err != nil {
			return err
		}
		return tx.InsertMaterial(m)
	})
	if err != nil {
		return err
	}
	s.step(StepCreatePlanned)
	made, err := b.CreateKey(ctx, handleOf(m, k))
	if err != nil {
		return s.abandon(ctx, m, err)
	}
	s.step(StepCreateGenerated)
	if err := s.commit(ctx, c, k, m, made); err != nil {
		return s.abandon(ctx, m, err)
	}
	s.step(StepCreateCommitted)
	return nil
}

// commit is the transaction that makes the key, and its row live.
func (s *Service) commit(ctx context.Context, c *keystore.Caller, k *keystore.Key, m *keystore.Material, made backend.Created) error {
	return s.update(ctx, func(tx keystore.Tx) error { return s.commitTx(tx, c, k, m, made) })
}

func (s *Service) commitTx(tx keystore.Tx, c *keystore.Caller, k *keystore.Key, m *keystore.Material, made backend.Created) error {
	if err := s.underQuota(tx, k.Region); err != nil {
		return err
	}
	if err := storeStands(tx, k); err != nil {
		return err
	}
	if err := namesStand(tx, c, k.Policy); err != nil {
		return err
	}
	row, err := tx.Material(m.ID)
	if err != nil {
		return err
	}
	if err := row.Advance(keystore.MaterialLive); err != nil {
		return fmt.Errorf("create key: %w", err)
	}
	row.Classes, row.KeyType, row.CheckValue = made.Classes, made.KeyType, made.CheckValue
	row.CreatedAt, row.KeyCreated = s.now(), k.Created
	if err := tx.UpdateMaterial(row); err != nil {
		return err
	}
	return tx.InsertKey(k)
}

// storeStands makes sure that the key's custom key store was not deleted while its material was made, nor moved to another
// cluster, whose token has no such material.
func storeStands(tx keystore.Tx, k *keystore.Key) error {
	if k.StoreID == "" {
		return nil
	}
	st, err := tx.Store(k.Region, k.StoreID)
	switch {
	case errors.Is(err, keystore.ErrNoRow):
		return keystore.NoSuchStore(k.StoreID)
	case err != nil:
		return err
	case st.ClusterID != k.ClusterID:
		return keystore.PermitStore(keystore.ActionCreateKey, st.Type, keystore.Disconnected) // only then can it be moved
	}
	return nil
}

func (s *Service) underQuota(tx keystore.Tx, region string) error {
	n, err := tx.CountKeys(region)
	if err == nil && n >= s.cfg.Limits.Keys {
		return keystore.Faultf(keystore.KindLimitExceeded, "The quota of %d KMS keys in this Region has been reached.", s.cfg.Limits.Keys)
	}
	return err
}
