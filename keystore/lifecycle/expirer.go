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
	s    *Service
	wake chan struct{}
	one  sync.Mutex // one pass at a time
}

// NewExpirer makes the expirer of a service.
func NewExpirer(s *Service) *Expirer { return &Expirer{s: s, wake: make(chan struct{}, 1)} }

// ExpireReport is what one pass did.
type ExpireReport struct {
	Materials    int // imported materials whose ValidTo had come
	WrappingKeys int // wrapping keys that were not used
}

// How long the expirer sleeps: no longer, for the clock of a test appliance can be moved; and after trouble.
const (
	expireAtLeast = time.Minute
	expireRetry   = 10 * time.Second
)

// Wake makes Run look at once.
func (e *Expirer) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run expires whatever is due, until the context ends; it answers nil then. What fails is logged and tried again.
func (e *Expirer) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-timer.C:
		}
		_, err := e.ExpireOnce(ctx, e.s.cfg.Clock.Now())
		pause := expireRetry
		if err == nil {
			pause, err = e.untilDue(ctx)
		}
		if err != nil && ctx.Err() == nil {
			e.s.cfg.Logger.ErrorContext(ctx, "expiry of imported key material is not complete", "error", err)
			pause = expireRetry
		}
		timer.Reset(pause)
	}
}

// untilDue tells how long to sleep: to the next ValidTo, if that is soon.
func (e *Expirer) untilDue(ctx context.Context) (time.Duration, error) {
	now := e.s.cfg.Clock.Now()
	pause := expireAtLeast
	err := e.s.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		soon, err := tx.ExpiringKeys(now.Add(expireAtLeast), 1)
		if err == nil && len(soon) > 0 {
			pause = min(pause, max(firstExpiry(soon[0]).Sub(now), time.Millisecond))
		}
		return err
	})
	return pause, err
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
	const batch = 256
	var errs []error
	for ctx.Err() == nil {
		var due []*keystore.Key
		err := e.s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
			due, err = tx.ExpiringKeys(now, batch)
			return err
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("find expired key material: %w", err))
			break
		}
		for _, k := range due {
			n, err := e.s.expire(ctx, k, now)
			report.Materials += n
			if err != nil {
				errs = append(errs, fmt.Errorf("expire material of %s: %w", k.ARN(), err))
			}
		}
		if len(due) < batch || len(errs) > 0 {
			break
		}
	}
	n, err := e.wrappingKeys(ctx, now)
	report.WrappingKeys = n
	return report, errors.Join(append(errs, err, ctx.Err())...)
}

// expire takes a key's expired material away.
func (s *Service) expire(ctx context.Context, k *keystore.Key, now time.Time) (int, error) {
	unlock, err := s.imports.lock(ctx, k.ARN())
	if err != nil {
		return 0, err
	}
	defer unlock()
	defer s.busy.enter(k.ARN())()
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
	if err := s.cfg.Audit.Append(ctx, audit.KeyServiceEvent(audit.EventDeleteExpired, k, s.now()), true); err != nil {
		s.cfg.Logger.ErrorContext(ctx, "an expiry is not in the audit log", "key", k.ARN(), "error", err)
	}
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
