package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Reconciler settles what a crash or a token in trouble left open: planned rows, whose object may exist, and condemned
// rows, whose object is to be destroyed. Wake is also for whoever sees a store connect.
type Reconciler struct {
	*worker
	s   *Service
	one sync.Mutex // one pass at a time
}

// How long the reconciler sleeps: those who leave rows open tell it. While rows wait for a token it looks soon.
var reconcileRhythm = rhythm{idle: 10 * time.Minute, retry: reconcileSoon, most: time.Minute}

const reconcileSoon = 15 * time.Second

// NewReconciler makes the reconciler of a service.
func NewReconciler(s *Service) *Reconciler {
	r := &Reconciler{s: s}
	r.worker = s.worker("reconciliation of key material is not complete", reconcileRhythm, s.left,
		func(ctx context.Context, now time.Time) (time.Time, error) {
			report, err := r.ReconcileOnce(ctx)
			if report.Pending+report.Busy > 0 {
				return now.Add(reconcileSoon), err
			}
			return time.Time{}, err
		})
	return r
}

// ReconcileReport is what one pass did.
type ReconcileReport struct {
	Destroyed int // rows whose object is gone, or was never made
	Orphaned  int // rows whose object could not be destroyed
	// Pending rows wait for a token that can't be looked at now: planned ones as long as that takes, condemned ones while
	// their store is connecting. They are looked at again.
	Pending int
	// Busy keys were being worked on, and are looked at again.
	Busy int
}

// ReconcileOnce looks at every planned and condemned row that nobody works on. The error joins what could not be done; a
// token that can't be looked at is no error.
func (r *Reconciler) ReconcileOnce(ctx context.Context) (ReconcileReport, error) {
	r.one.Lock()
	defer r.one.Unlock()
	var report ReconcileReport
	rows, err := r.s.openRows(ctx)
	if err != nil {
		return report, fmt.Errorf("find open rows of the ledger: %w", err)
	}
	open := map[string]map[keystore.MaterialID]bool{}
	var arns []string
	for _, m := range rows {
		if open[m.KeyARN] == nil {
			open[m.KeyARN] = map[keystore.MaterialID]bool{}
			arns = append(arns, m.KeyARN)
		}
		open[m.KeyARN][m.ID] = true
	}
	var errs []error
	for _, arn := range arns {
		if ctx.Err() != nil {
			break
		}
		errs = append(errs, r.key(ctx, arn, open[arn], &report))
	}
	return report, errors.Join(append(errs, ctx.Err())...)
}

// openRows gives the rows that are neither live nor ended.
func (s *Service) openRows(ctx context.Context) ([]*keystore.Material, error) {
	var rows []*keystore.Material
	err := s.eachMaterial(ctx, func(m *keystore.Material) error {
		rows = append(rows, m)
		return nil
	}, keystore.MaterialPlanned, keystore.MaterialCondemned)
	return rows, err
}

// eachMaterial calls fn with every ledger row in the given states.
func (s *Service) eachMaterial(ctx context.Context, fn func(*keystore.Material) error, states ...keystore.MaterialState) error {
	const batch = 500
	var after keystore.MaterialID
	for {
		var rows []*keystore.Material
		err := s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
			rows, err = tx.Materials(after, batch, states...)
			return err
		})
		if err != nil {
			return err
		}
		for _, m := range rows {
			if err := fn(m); err != nil {
				return err
			}
			after = m.ID
		}
		if len(rows) < batch {
			return nil
		}
	}
}

// key settles those rows of one key that were found open. Who wrote them had entered the key before, and has left it where
// nobody works on it now. Rows that are newer may be those of somebody who has come since: they are left alone.
func (r *Reconciler) key(ctx context.Context, arn string, found map[keystore.MaterialID]bool, report *ReconcileReport) error {
	leave, entered := r.s.busy.tryEnter(arn)
	if !entered {
		report.Busy++
		return nil
	}
	defer leave()
	var rows []*keystore.Material
	var tombs []*keystore.Tombstone
	err := r.s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		if rows, err = tx.OpenMaterialsOfKey(arn); err != nil {
			return err
		}
		tombs, err = tx.Tombstones(arn, 1)
		return err
	})
	if err != nil {
		return err
	}
	var errs []error
	var tomb *keystore.Tombstone
	if len(tombs) > 0 {
		tomb = tombs[0]
	}
	var deleted, abandoned []*keystore.Material
	for _, m := range rows {
		if !found[m.ID] {
			continue
		}
		switch m.State {
		case keystore.MaterialPlanned:
			settled, pending, err := r.s.settlePlanned(ctx, m)
			report.add(settled, pending)
			if err != nil && !pending {
				errs = append(errs, fmt.Errorf("settle planned material %s: %w", m.ID, err))
			}
		case keystore.MaterialCondemned:
			if tomb != nil && tomb.DeletedAt.Equal(m.DeletedAt) {
				deleted = append(deleted, m)
			} else {
				abandoned = append(abandoned, m)
			}
		}
	}
	errs = append(errs, r.condemned(ctx, tomb, deleted, report), r.condemned(ctx, nil, abandoned, report))
	return errors.Join(errs...)
}

// condemned ends rows whose destruction is due, unless their store is about to connect.
func (r *Reconciler) condemned(ctx context.Context, tomb *keystore.Tombstone, rows []*keystore.Material, report *ReconcileReport) error {
	if len(rows) == 0 {
		return nil
	}
	settled, err := r.s.finish(ctx, tomb, rows)
	if errors.Is(err, errNotYet) {
		report.Pending += len(rows)
		return nil
	}
	report.add(settled, false)
	return err
}

func (r *ReconcileReport) add(rows []*keystore.Material, pending bool) {
	if pending {
		r.Pending++
	}
	for _, m := range rows {
		switch m.State {
		case keystore.MaterialDestroyed:
			r.Destroyed++
		case keystore.MaterialOrphaned:
			r.Orphaned++
		}
	}
}
