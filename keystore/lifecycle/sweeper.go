package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Sweeper deletes keys whose waiting period is over. The date in the key's row is the truth; there is no timer per key.
type Sweeper struct {
	*worker
	s   *Service
	one sync.Mutex // one sweep at a time
}

// sweepRhythm: deletion dates are to the second.
var sweepRhythm = rhythm{idle: time.Minute, retry: 10 * time.Second}

// NewSweeper makes the sweeper of a service.
func NewSweeper(s *Service) *Sweeper {
	w := &Sweeper{s: s}
	w.worker = s.worker("deletion of due keys is not complete", sweepRhythm, nil, func(ctx context.Context, now time.Time) (time.Time, error) {
		if _, err := w.SweepOnce(ctx, now); err != nil {
			return time.Time{}, err
		}
		return w.next(ctx)
	})
	return w
}

// SweepReport is what one sweep did.
type SweepReport struct {
	Deleted   int           // keys
	Destroyed int           // ledger rows
	Orphaned  int           // ledger rows
	Lag       time.Duration // of the key that was latest behind its DeletionDate
}

// next is the earliest date of a deletion; zero where none is scheduled.
func (w *Sweeper) next(ctx context.Context) (next time.Time, err error) {
	err = w.s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		next, err = tx.NextDeletion()
		return err
	})
	return next, err
}

// doomed is a key that was removed and whose material is to be destroyed.
type doomed struct {
	tomb  *keystore.Tombstone
	rows  []*keystore.Material
	leave func()
}

// SweepOnce deletes every key that is due at now: first all keys, so that they go on time whatever their tokens do, then
// their material, with one attempt, store by store at the same time. The error joins what could not be done; the rest is
// done nevertheless, and what is left is done by the next sweep or the Reconciler.
func (w *Sweeper) SweepOnce(ctx context.Context, now time.Time) (SweepReport, error) {
	w.one.Lock()
	defer w.one.Unlock()
	var report SweepReport
	errs := []error{w.s.payDebts(ctx)}
	gone, err := w.removeDue(ctx, now.UTC().Truncate(time.Millisecond), &report)
	errs = append(errs, err)
	groups := map[string][]doomed{}
	for _, d := range gone {
		id := d.tomb.Region + "/" + string(d.tomb.StoreID)
		groups[id] = append(groups[id], d)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, group := range groups {
		wg.Go(func() {
			for _, d := range group {
				settled, err := w.s.finish(ctx, d.tomb, d.rows)
				d.leave()
				if err != nil {
					w.s.leftOpen(d.tomb.KeyARN)
				}
				if errors.Is(err, errNotYet) {
					err = nil // the Reconciler's turn
				}
				mu.Lock()
				report.count(settled)
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return report, errors.Join(errs...)
}

func (r *SweepReport) count(rows []*keystore.Material) {
	for _, m := range rows {
		switch m.State {
		case keystore.MaterialDestroyed:
			r.Destroyed++
		case keystore.MaterialOrphaned:
			r.Orphaned++
		}
	}
}

// removeDue removes every due key from the database.
func (w *Sweeper) removeDue(ctx context.Context, now time.Time, report *SweepReport) ([]doomed, error) {
	var gone []doomed
	list := func(tx keystore.Tx, limit int) ([]*keystore.Key, error) { return tx.DueKeys(now, limit) }
	err := w.s.eachDue(ctx, list, func(k *keystore.Key) (bool, error) {
		d, err := w.s.remove(ctx, k, now)
		if err != nil {
			return false, fmt.Errorf("delete: %w", err)
		}
		if d != nil {
			gone = append(gone, *d)
			report.Deleted++
			report.Lag = max(report.Lag, now.Sub(d.tomb.DueAt))
		}
		return true, nil
	})
	return gone, err
}

// remove is the transaction that ends a key: key, aliases, grants, tags and policy go, a tombstone stays, and the rows of
// its material are condemned. It gives nil where the key is not due any more.
func (s *Service) remove(ctx context.Context, k *keystore.Key, now time.Time) (*doomed, error) {
	arn := k.ARN()
	d := &doomed{leave: s.busy.enter(arn)}
	err := s.update(ctx, func(tx keystore.Tx) error {
		d.rows, d.tomb = nil, nil
		k, err := tx.Key(k.Region, k.ID)
		if errors.Is(err, keystore.ErrNoRow) {
			return nil
		}
		if err != nil || k.State != keystore.PendingDeletion || k.DeletionDate.After(now) {
			return err
		}
		tomb := tombstone(k, s.now())
		if d.rows, err = condemnAll(tx, k, tomb); err != nil {
			return err
		}
		if err := s.leaveFamily(tx, k); err != nil {
			return err
		}
		if err := tx.InsertTombstone(tomb); err != nil {
			return err
		}
		d.tomb = tomb
		return tx.DeleteKey(k)
	})
	if err != nil || d.tomb == nil {
		d.leave()
		return nil, err
	}
	s.step(StepDeleteCondemned)
	if s.cfg.Observer != nil {
		s.cfg.Observer.KeyDeleted(k, d.tomb.DeletedAt.Sub(d.tomb.DueAt))
	}
	return d, nil
}

func tombstone(k *keystore.Key, now time.Time) *keystore.Tombstone {
	return &keystore.Tombstone{
		KeyARN: k.ARN(), KeyID: k.ID, Region: k.Region, Origin: k.Origin, StoreID: k.StoreID, ClusterID: k.ClusterID,
		Created: k.Created, ScheduledAt: k.ScheduledAt, ScheduledBy: k.ScheduledBy, DueAt: k.DeletionDate, DeletedAt: now,
	}
}

// condemnAll condemns every live row of a key. A planned one belongs to a rotation that is under way or was cut short: who
// makes it, or the Reconciler, looks for its object and settles it.
func condemnAll(tx keystore.Tx, k *keystore.Key, t *keystore.Tombstone) ([]*keystore.Material, error) {
	all, err := tx.OpenMaterialsOfKey(t.KeyARN)
	if err != nil {
		return nil, err
	}
	var rows []*keystore.Material
	for _, m := range all {
		switch m.State {
		case keystore.MaterialLive:
			if err := m.Advance(keystore.MaterialCondemned); err != nil {
				return nil, err
			}
			m.KeyCreated, m.ScheduledAt, m.ScheduledBy, m.DeletedAt = k.Created, k.ScheduledAt, k.ScheduledBy, t.DeletedAt
			if err := tx.UpdateMaterial(m); err != nil {
				return nil, err
			}
			rows = append(rows, m)
		case keystore.MaterialCondemned:
			rows = append(rows, m)
		}
	}
	return rows, nil
}

// leaveFamily takes a deleted replica off its primary's list. The last one to go starts the waiting period of a primary
// that waits for its replicas (key-lifecycle.md, "Multi-Region primary with replicas").
func (s *Service) leaveFamily(tx keystore.Tx, k *keystore.Key) error {
	if k.MultiRegion == nil || k.MultiRegion.Primary {
		return nil
	}
	primary, err := tx.Key(k.MultiRegion.PrimaryRegion, k.ID)
	if errors.Is(err, keystore.ErrNoRow) {
		return nil
	}
	if err != nil || primary.MultiRegion == nil {
		return err
	}
	regions := primary.MultiRegion.ReplicaRegions[:0]
	for _, r := range primary.MultiRegion.ReplicaRegions {
		if r != k.Region {
			regions = append(regions, r)
		}
	}
	if len(regions) == 0 {
		if next, ok := keystore.After(keystore.EventLastReplicaDeleted, primary); ok {
			primary.State, primary.DeletionDate = next, windowEnd(s.now(), primary.WindowDays)
		}
	}
	primary.MultiRegion.ReplicaRegions = regions
	return setRelated(tx, primary, regions)
}
