package lifecycle

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Vault seals what the appliance keeps or hands out and nobody else may read or make: it is opened for the same purpose
// alone.
type Vault interface {
	Seal(ctx context.Context, purpose string, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, purpose string, sealed []byte) ([]byte, error)
}

// ImportParameters is GetParametersForImport's answer.
type ImportParameters struct {
	Key       *keystore.Key
	Token     []byte
	PublicKey []byte // SubjectPublicKeyInfo in DER
	ValidTo   time.Time
}

// ImportInput is ImportKeyMaterial's request with the members of the API; "", nil and the zero time are absent members.
type ImportInput struct {
	KeyID                  string
	ImportToken            []byte
	EncryptedKeyMaterial   []byte
	ValidTo                time.Time
	ExpirationModel        string
	ImportType             string
	KeyMaterialDescription string
	KeyMaterialID          string
}

// ImportOutput is what ImportKeyMaterial and DeleteImportedKeyMaterial answer. KeyMaterialID is "" where there is none to
// show.
type ImportOutput struct {
	Key           *keystore.Key
	KeyMaterialID string
}

// Values of the import requests (API reference, ImportKeyMaterial).
const (
	expires      = "KEY_MATERIAL_EXPIRES"
	expiresNever = "KEY_MATERIAL_DOES_NOT_EXPIRE"
	importNew    = "NEW_KEY_MATERIAL"
	importSame   = "EXISTING_KEY_MATERIAL"
)

// maxValidity is how far ahead ValidTo may be (API reference, ImportKeyMaterial).
const maxValidity = 365 * 24 * time.Hour

// imports serialises what changes the imported material of one key.
type imports struct {
	mu    sync.Mutex
	locks map[string]*keyLock
}

type keyLock struct {
	ch   chan struct{} // capacity 1: full while somebody has the lock
	want int           // who has it or waits; guarded by imports.mu
}

// lock waits for the lock of a key, and gives what ends it.
func (i *imports) lock(ctx context.Context, arn string) (unlock func(), err error) {
	i.mu.Lock()
	if i.locks == nil {
		i.locks = map[string]*keyLock{}
	}
	l := i.locks[arn]
	if l == nil {
		l = &keyLock{ch: make(chan struct{}, 1)}
		i.locks[arn] = l
	}
	l.want++
	i.mu.Unlock()
	leave := func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		if l.want--; l.want == 0 {
			delete(i.locks, arn)
		}
	}
	select {
	case l.ch <- struct{}{}:
		return func() { <-l.ch; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("wait for another import into %s: %w", arn, ctx.Err())
	}
}

// unwrapper gives the backend of a key that imports, and what it imports with.
func (s *Service) unwrapper(k *keystore.Key) (backend.Backend, backend.Unwrapper, error) {
	b, _ := s.cfg.Resolver.Resolve(k.Region, k.StoreID)
	if b == nil {
		return nil, nil, backend.Unreachable("", backend.CallCreate)
	}
	u, ok := b.(backend.Unwrapper)
	if !ok || s.cfg.Vault == nil {
		return nil, nil, keystore.Faultf(keystore.KindUnsupportedOperation, "The key store of %s can't import key material.", k.ARN())
	}
	return b, u, nil
}

// settleImport works out what a key's metadata say of its imported material: whether any of it expires, and when the first
// does. A key without any says nothing (key-lifecycle.md section 5). Material that waits for its rotation does not count.
func settleImport(k *keystore.Key) {
	var st *keystore.ImportState
	for i := range k.Materials {
		m := &k.Materials[i]
		if !m.Imported || waiting(m) {
			continue
		}
		if st == nil {
			st = &keystore.ImportState{ExpirationModel: expiresNever}
		}
		if m.ValidTo.IsZero() {
			continue
		}
		if st.ExpirationModel = expires; st.ValidTo.IsZero() || m.ValidTo.Before(st.ValidTo) {
			st.ValidTo = m.ValidTo
		}
	}
	k.Import = st
}

// waiting tells whether a material waits for its rotation: it is not permanently associated with its key.
func waiting(m *keystore.KeyMaterial) bool {
	return m.State == keystore.MaterialPendingRotation || m.State == keystore.MaterialPendingReplicas
}

// condemnLive condemns the row of a key's material that is to go, and gives it.
func (s *Service) condemnLive(tx keystore.Tx, k *keystore.Key, id keystore.MaterialID) (*keystore.Material, error) {
	row, err := tx.Material(id)
	if err != nil {
		return nil, err
	}
	if err := row.Advance(keystore.MaterialCondemned); err != nil {
		return nil, err
	}
	row.KeyCreated, row.DeletedAt = k.Created, s.now()
	return row, tx.UpdateMaterial(row)
}

// makeLive makes a planned row the row of material that its key has from now on.
func (s *Service) makeLive(tx keystore.Tx, k *keystore.Key, id keystore.MaterialID, made backend.Created) error {
	row, err := tx.Material(id)
	if err != nil {
		return err
	}
	if err := row.Advance(keystore.MaterialLive); err != nil {
		return err
	}
	row.Classes, row.KeyType, row.CheckValue = made.Classes, made.KeyType, made.CheckValue
	row.CreatedAt, row.KeyCreated = s.now(), k.Created
	return tx.UpdateMaterial(row)
}

// plan commits a planned row of a new object on the token of b.
func (s *Service) plan(ctx context.Context, k *keystore.Key, b backend.Backend, kind keystore.MaterialKind, label string) (*keystore.Material, error) {
	id, err := keystore.NewMaterialID(s.cfg.Random)
	if err != nil {
		return nil, err
	}
	m := &keystore.Material{
		ID: id, State: keystore.MaterialPlanned, Kind: kind, KeyID: k.ID, KeyARN: k.ARN(), Region: k.Region, StoreID: k.StoreID,
		Token: b.Identity(), Label: label, KeyCreated: k.Created, PlannedAt: s.now(),
	}
	return m, s.update(ctx, func(tx keystore.Tx) error { return tx.InsertMaterial(m) })
}

// endRows destroys condemned rows of one key. What is left of it the Reconciler does, so that a failure is only logged: the
// change that condemned them is done.
func (s *Service) endRows(ctx context.Context, rows ...*keystore.Material) {
	if len(rows) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if _, err := s.finish(ctx, nil, rows); err != nil {
		s.leftOpen(rows[0].KeyARN)
		s.cfg.Logger.ErrorContext(ctx, "destruction of key material is not settled yet", "key", rows[0].KeyARN, "error", err)
	}
}

// buildEmpty makes a key that waits for its material.
func (s *Service) buildEmpty(ctx context.Context, c *keystore.Caller, k *keystore.Key) error {
	if _, _, err := s.unwrapper(k); err != nil {
		return err
	}
	k.State, k.Materials = keystore.PendingImport, nil
	return s.update(ctx, func(tx keystore.Tx) error {
		if err := s.underQuota(tx, k.Region); err != nil {
			return err
		}
		if err := namesStand(tx, c, k.Policy); err != nil {
			return err
		}
		return tx.InsertKey(k)
	})
}
