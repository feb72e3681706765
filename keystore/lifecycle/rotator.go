package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend"
)

// rotate makes new material for a key by the ledger's flow (planned, generated, live) and makes it current. The caller has
// entered the key in the registry.
func (s *Service) rotate(ctx context.Context, k *keystore.Key, a keystore.Action, kind string) (*keystore.Key, error) {
	b, _ := s.cfg.Resolver.Resolve(k.Region, k.StoreID)
	if b == nil {
		return nil, backend.Unreachable("", backend.CallCreate)
	}
	id, err := keystore.NewMaterialID(s.cfg.Random)
	if err != nil {
		return nil, err
	}
	m := &keystore.Material{
		ID: id, State: keystore.MaterialPlanned, Kind: keystore.MaterialOnToken, KeyID: k.ID, KeyARN: k.ARN(), Region: k.Region,
		Token: b.Identity(), Label: k.ARN(), KeyCreated: k.Created, PlannedAt: s.now(),
	}
	if err := s.update(ctx, func(tx keystore.Tx) error { return tx.InsertMaterial(m) }); err != nil {
		return nil, err
	}
	s.step(StepRotatePlanned)
	made, err := b.CreateKey(ctx, handleOf(m, k))
	if err != nil {
		return nil, s.abandon(ctx, m, err)
	}
	s.step(StepRotateGenerated)
	rotated, err := s.change(ctx, k, a, func(tx keystore.Tx, k *keystore.Key) error {
		return s.addMaterial(tx, k, id, made, kind)
	})
	if err != nil {
		return nil, s.abandon(ctx, m, err)
	}
	s.step(StepRotateCommitted)
	s.tellRotation(ctx, rotated, id, kind)
	return rotated, nil
}

// addMaterial is the part of rotate's transaction behind the key's own row.
func (s *Service) addMaterial(tx keystore.Tx, k *keystore.Key, id keystore.MaterialID, made backend.Created, kind string) error {
	if kind == RotationOnDemand && k.Rotation.OnDemand >= MaxOnDemandRotations {
		return onDemandLimit(k)
	}
	row, err := tx.Material(id)
	if err != nil {
		return err
	}
	if err := row.Advance(keystore.MaterialLive); err != nil {
		return fmt.Errorf("rotate key: %w", err)
	}
	row.Classes, row.KeyType, row.CheckValue, row.CreatedAt = made.Classes, made.KeyType, made.CheckValue, s.now()
	if err := tx.UpdateMaterial(row); err != nil {
		return err
	}
	k.Materials = append(k.Materials, keystore.KeyMaterial{ID: id, Created: s.now()})
	s.turnOver(k, len(k.Materials)-1, kind)
	if kind == RotationAutomatic {
		k.Rotation.Next = nextRotation(k.Rotation, s.now())
	}
	return nil
}

// nextRotation is one period after the rotation that happened, also where that was late.
func nextRotation(r keystore.Rotation, now time.Time) time.Time { return now.Add(inDays(r.PeriodDays)) }

// tellRotation records a rotation. It has happened, so that a log that can't be written does not undo it.
func (s *Service) tellRotation(ctx context.Context, k *keystore.Key, id keystore.MaterialID, kind string) {
	e := audit.RotateKey(k, k.Material(id), kind, s.now())
	if err := s.cfg.Audit.Append(ctx, e, true); err != nil {
		s.cfg.Logger.ErrorContext(ctx, "a rotation is not in the audit log", "key", k.ARN(), "error", err)
	}
}

// Rotator rotates keys whose date has come. The date in the key's row is the truth, so that nothing is lost by a restart.
type Rotator struct {
	s    *Service
	wake chan struct{}
	one  sync.Mutex // one pass at a time
}

// NewRotator makes the rotator of a service.
func NewRotator(s *Service) *Rotator { return &Rotator{s: s, wake: make(chan struct{}, 1)} }

// rotateEvery is how often the rotator looks: rotation periods are days.
const rotateEvery = time.Minute

// Wake makes Run look at once.
func (r *Rotator) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run rotates until the context ends; it answers nil then. What fails is logged and tried again.
func (r *Rotator) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-timer.C:
		}
		if _, err := r.RotateOnce(ctx, r.s.cfg.Clock.Now()); err != nil && ctx.Err() == nil {
			r.s.cfg.Logger.ErrorContext(ctx, "rotation of due keys is not complete", "error", err)
		}
		timer.Reset(rotateEvery)
	}
}

// RotateOnce rotates every enabled key that is due at now, and gives their number. A key whose token can't make material
// stays due. The error joins what failed.
func (r *Rotator) RotateOnce(ctx context.Context, now time.Time) (int, error) {
	r.one.Lock()
	defer r.one.Unlock()
	const batch = 256
	done := 0
	for {
		var due []*keystore.Key
		err := r.s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
			due, err = tx.RotatingKeys(now, batch)
			return err
		})
		if err != nil {
			return done, fmt.Errorf("find keys due for rotation: %w", err)
		}
		var errs []error
		for _, k := range due {
			if err := r.s.rotateDue(ctx, k); err != nil {
				errs = append(errs, fmt.Errorf("rotate %s: %w", k.ARN(), err))
				continue
			}
			done++
		}
		if len(due) < batch || len(errs) > 0 || ctx.Err() != nil {
			return done, errors.Join(errs...)
		}
	}
}

// rotateDue does one automatic rotation. A key that is being worked on is left for the next pass.
func (s *Service) rotateDue(ctx context.Context, k *keystore.Key) error {
	leave, entered := s.busy.tryEnter(k.ARN())
	if !entered {
		return errors.New("another rotation is under way")
	}
	defer leave()
	_, err := s.rotate(ctx, k, keystore.ActionRotateKeyOnDemand, RotationAutomatic)
	return err
}
