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
	if err := awake(ctx, b, ""); err != nil {
		return nil, err
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
	s.tellRotation(ctx, rotated, rotated.Material(id), kind)
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

// tellRotation records a rotation.
func (s *Service) tellRotation(ctx context.Context, k *keystore.Key, m *keystore.KeyMaterial, kind string) {
	s.tellKey(ctx, audit.RotateKey(k, m, kind, s.now()))
}

// Rotator rotates keys whose date has come. The date in the key's row is the truth, so that nothing is lost by a restart.
type Rotator struct {
	*worker
	s     *Service
	one   sync.Mutex        // one pass at a time, and guards what follows
	later map[string]putOff // by ARN: keys whose rotation failed
}

// putOff is when a rotation that failed is tried again: each try that gets as far as the token leaves a row in the ledger for
// ever.
type putOff struct {
	until time.Time
	pause time.Duration
}

// How long a rotation that failed is put off: twice as long each time.
const (
	putOffLeast = 5 * time.Minute
	putOffMost  = 12 * time.Hour
)

// rotateRhythm: rotation periods are days.
var rotateRhythm = rhythm{idle: time.Minute, retry: time.Minute}

// NewRotator makes the rotator of a service.
func NewRotator(s *Service) *Rotator {
	r := &Rotator{s: s}
	r.worker = s.worker("rotation of due keys is not complete", rotateRhythm, nil, func(ctx context.Context, now time.Time) (time.Time, error) {
		_, err := r.RotateOnce(ctx, now)
		return time.Time{}, err
	})
	return r
}

// RotateOnce rotates every enabled key that is due at now, and gives their number. A key whose token, or that of a replica,
// is out of reach stays due, and costs nothing: no row is planned for it. One that fails otherwise is put off. The error joins
// what failed.
func (r *Rotator) RotateOnce(ctx context.Context, now time.Time) (int, error) {
	r.one.Lock()
	defer r.one.Unlock()
	n := 0
	reach := r.s.newReach()
	later := map[string]putOff{} // those of keys that are due still
	list := func(tx keystore.Tx, limit int) ([]*keystore.Key, error) { return tx.RotatingKeys(now, limit) }
	err := r.s.eachDue(ctx, list, func(k *keystore.Key) (bool, error) {
		arn := k.ARN()
		off, failed := r.later[arn]
		if failed {
			later[arn] = off
			if now.Before(off.until) {
				return false, nil
			}
		}
		if told, err := reach.family(ctx, k); err != nil {
			if told {
				err = nil // once for each token is enough
			}
			return false, err
		}
		rotated, err := r.s.rotateDue(ctx, k)
		if rotated {
			n++
		}
		delete(later, arn)
		if err != nil {
			pause := min(max(2*off.pause, putOffLeast), putOffMost)
			later[arn] = putOff{now.Add(pause), pause}
			return false, fmt.Errorf("rotate: %w", err)
		}
		return rotated, nil
	})
	r.later = later
	return n, err
}

// reach remembers for one pass which default stores can't be reached, so that a token that is away is asked once.
type reach struct {
	s       *Service
	regions map[string]error
	told    map[string]bool
}

func (s *Service) newReach() *reach {
	return &reach{s: s, regions: map[string]error{}, told: map[string]bool{}}
}

// family tells whether the tokens of a key and of its related keys can be reached; told says that the error was given before.
func (r *reach) family(ctx context.Context, k *keystore.Key) (told bool, err error) {
	regions := []string{k.Region}
	if k.MultiRegion != nil {
		regions = append(regions, k.MultiRegion.ReplicaRegions...)
	}
	for _, region := range regions {
		if err := r.region(ctx, region); err != nil {
			told, r.told[region] = r.told[region], true
			return told, fmt.Errorf("the token of Region %s: %w", region, err)
		}
	}
	return false, nil
}

func (r *reach) region(ctx context.Context, region string) error {
	err, asked := r.regions[region]
	if !asked {
		err = r.s.healthy(ctx, region)
		r.regions[region] = err
	}
	return err
}

// healthy tells whether the default store of a Region can be reached.
func (s *Service) healthy(ctx context.Context, region string) error {
	b, _ := s.cfg.Resolver.Resolve(region, "")
	if b == nil {
		return backend.Unreachable("", backend.CallCreate)
	}
	return b.Health(ctx)
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
