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
	replicas, err := s.spread(ctx, k, m)
	if err != nil {
		return nil, s.abandon(ctx, m, err)
	}
	rotated, err := s.change(ctx, k, a, func(tx keystore.Tx, k *keystore.Key) error {
		if err := s.addMaterial(tx, k, id, made, kind); err != nil {
			return err
		}
		return s.shareRotation(tx, k, replicas, kind)
	})
	if err != nil {
		replicas.abandon(ctx)
		return nil, s.abandon(ctx, m, err)
	}
	s.step(StepRotateCommitted)
	replicas.end(ctx)
	s.tellRotation(ctx, rotated, id, kind)
	return rotated, nil
}

// addMaterial is the part of rotate's transaction behind the key's own row.
func (s *Service) addMaterial(tx keystore.Tx, k *keystore.Key, id keystore.MaterialID, made backend.Created, kind string) error {
	if kind == RotationOnDemand && k.Rotation.OnDemand >= MaxOnDemandRotations {
		return onDemandLimit(k)
	}
	if kind == RotationAutomatic && !rotationDue(k, s.now()) {
		return errNotDue
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

// errNotDue ends an automatic rotation whose key's setting was changed while its material was made.
var errNotDue = errors.New("the key is not due for rotation any more")

// rotationDue tells whether automatic rotation is on and its date has come.
func rotationDue(k *keystore.Key, now time.Time) bool {
	return k.Rotation.Enabled && !k.Rotation.Next.IsZero() && !k.Rotation.Next.After(now)
}

// scheduleKept is how late a rotation may be without moving the schedule: so that dates don't drift by what the rotator, a
// start or a token that was away take.
const scheduleKept = 24 * time.Hour

// nextRotation is the date after a rotation: one period after the date that it was due at. Where the rotation is late by more
// than scheduleKept, as that of a key that was disabled, it is one period after the rotation itself: however many dates were
// missed, the key rotates once (developer guide, "Rotating AWS KMS keys": an overdue key rotates at once when it is enabled
// again).
func nextRotation(r keystore.Rotation, now time.Time) time.Time {
	if now.Sub(r.Next) > scheduleKept {
		return now.Add(inDays(r.PeriodDays))
	}
	return r.Next.Add(inDays(r.PeriodDays))
}

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
			rotated, err := r.s.rotateDue(ctx, k)
			if err != nil {
				errs = append(errs, fmt.Errorf("rotate %s: %w", k.ARN(), err))
			}
			if rotated {
				done++
			}
		}
		if len(due) < batch || len(errs) > 0 || ctx.Err() != nil {
			return done, errors.Join(errs...)
		}
	}
}

// rotateDue does one automatic rotation; false where the key is not due any more. A key that is being worked on is left for
// the next pass.
func (s *Service) rotateDue(ctx context.Context, k *keystore.Key) (bool, error) {
	leave, entered := s.busy.tryEnter(k.ARN())
	if !entered {
		return false, errors.New("another rotation is under way")
	}
	defer leave()
	now, err := s.cfg.DB.LookupKey(ctx, k.Region, k.ID)
	if errors.Is(err, keystore.ErrNoRow) || err == nil && !rotationDue(now, s.now()) {
		return false, nil // changed since it was listed
	}
	if err != nil {
		return false, err
	}
	_, err = s.rotate(ctx, now, keystore.ActionRotateKeyOnDemand, RotationAutomatic)
	if errors.Is(err, errNotDue) {
		return false, nil
	}
	return err == nil, err
}
