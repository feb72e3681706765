package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
)

// Expirer ends imported material whose ValidTo has come, and wrapping keys that nobody used within their day. The dates are
// in the state, so that nothing is lost by a restart.
type Expirer struct {
	*worker
	s   *Service
	one sync.Mutex // one pass at a time
}

// expireRhythm: an expiry is to the second.
var expireRhythm = rhythm{idle: time.Minute, retry: 10 * time.Second}

// NewExpirer makes the expirer of a service.
func NewExpirer(s *Service) *Expirer {
	e := &Expirer{s: s}
	e.worker = s.worker("expiry of imported key material is not complete", expireRhythm, nil, func(ctx context.Context, now time.Time) (time.Time, error) {
		if _, err := e.ExpireOnce(ctx, now); err != nil {
			return time.Time{}, err
		}
		return e.next(ctx, now)
	})
	return e
}

// ExpireReport is what one pass did.
type ExpireReport struct {
	Materials    int // imported materials whose ValidTo had come
	WrappingKeys int // wrapping keys that were not used
}

// next is the next ValidTo, where it comes before the expirer looks anyway; else zero.
func (e *Expirer) next(ctx context.Context, now time.Time) (next time.Time, err error) {
	err = e.s.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		soon, err := tx.ExpiringKeys(now.Add(e.rhythm.idle), 1)
		if err == nil && len(soon) > 0 {
			next = firstExpiry(soon[0])
		}
		return err
	})
	return next, err
}

// firstExpiry is the earliest ValidTo of a key's material, zero where nothing expires.
func firstExpiry(k *keystore.Key) time.Time {
	var first time.Time
	for i := range k.Materials {
		m := &k.Materials[i]
		if m.Imported && !m.ValidTo.IsZero() && (first.IsZero() || m.ValidTo.Before(first)) {
			first = m.ValidTo
		}
	}
	return first
}

// ExpireOnce ends what is due at now. The error joins what could not be done; that is due still.
func (e *Expirer) ExpireOnce(ctx context.Context, now time.Time) (ExpireReport, error) {
	e.one.Lock()
	defer e.one.Unlock()
	now = now.UTC().Truncate(time.Millisecond)
	var report ExpireReport
	list := func(tx keystore.Tx, limit int) ([]*keystore.Key, error) { return tx.ExpiringKeys(now, limit) }
	due := e.s.eachDue(ctx, list, func(k *keystore.Key) (bool, error) {
		n, err := e.s.expire(ctx, k, now)
		report.Materials += n
		if err != nil {
			return false, fmt.Errorf("expire key material: %w", err)
		}
		return n > 0, nil
	})
	n, err := e.wrappingKeys(ctx, now)
	report.WrappingKeys = n
	return report, errors.Join(due, err, ctx.Err())
}

// expire takes a key's expired material away.
func (s *Service) expire(ctx context.Context, k *keystore.Key, now time.Time) (int, error) {
	unlock, err := s.imports.lock(ctx, k.ARN())
	if err != nil {
		return 0, err
	}
	defer unlock()
	defer s.enterFamily(k)()
	var rows []*keystore.Material
	n := 0
	err = s.update(ctx, func(tx keystore.Tx) error {
		rows, n = nil, 0
		key, err := tx.Key(k.Region, k.ID)
		if errors.Is(err, keystore.ErrNoRow) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, m := range key.Clone().Materials {
			if !m.Imported || m.ValidTo.IsZero() || m.ValidTo.After(now) {
				continue
			}
			more, err := s.dropMaterial(tx, key, m)
			if err != nil {
				return err
			}
			rows, n = append(rows, more...), n+1
		}
		settleImport(key)
		if next, ok := keystore.After(keystore.EventMaterialExpired, key); ok {
			key.State = next
		}
		k = key
		return tx.UpdateKey(key)
	})
	if err != nil || n == 0 {
		return 0, err
	}
	s.step(StepMaterialCondemned)
	s.tellKey(ctx, audit.KeyServiceEvent(audit.EventDeleteExpired, k, s.now()))
	s.endByKey(ctx, rows)
	return n, nil
}

// wrappingKeys ends wrapping keys that were not used in time.
func (e *Expirer) wrappingKeys(ctx context.Context, now time.Time) (int, error) {
	var names []string
	err := e.s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		names, err = tx.Settings(wrappingPrefix)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find wrapping keys: %w", err)
	}
	n := 0
	var errs []error
	for _, name := range names {
		validTo, id, err := parseWrapping(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if validTo.After(now) {
			break // they come in the order of their time
		}
		ended, err := e.s.expireWrapping(ctx, validTo, id)
		if err != nil {
			errs = append(errs, fmt.Errorf("end wrapping key %s: %w", id, err))
		}
		if ended {
			n++
		}
	}
	return n, errors.Join(errs...)
}

func (s *Service) expireWrapping(ctx context.Context, validTo time.Time, id keystore.MaterialID) (bool, error) {
	var row *keystore.Material
	err := s.update(ctx, func(tx keystore.Tx) (err error) {
		row, err = s.condemnWrapping(tx, nil, validTo, id)
		return err
	})
	if err != nil || row == nil {
		return false, err
	}
	defer s.busy.enter(row.KeyARN)()
	s.step(StepMaterialCondemned)
	s.endRows(ctx, row)
	return true, nil
}
