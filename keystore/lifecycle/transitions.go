package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Transitions takes multi-Region keys out of Creating and Updating. What is to be done stands in the state, so that a start
// goes on where the last run stopped.
type Transitions struct {
	*worker
	s   *Service
	one sync.Mutex // one pass at a time

	mu   sync.Mutex
	held bool // guarded by mu
}

// NewTransitions makes the transitions of a service.
func NewTransitions(s *Service) *Transitions {
	t := &Transitions{s: s}
	t.worker = s.worker("multi-Region keys are not settled yet", transitRhythm, s.moving,
		func(ctx context.Context, _ time.Time) (time.Time, error) {
			_, err := t.TransitOnce(ctx)
			return time.Time{}, err
		})
	return t
}

// TransitReport is what one pass did.
type TransitReport struct {
	Done    int
	Pending int // could not be done now, and are tried again
}

// transitRhythm: keys on their way tell the worker; after trouble it looks soon.
var transitRhythm = rhythm{idle: 5 * time.Minute, retry: 2 * time.Second}

// Hold keeps keys in Creating and Updating until Release.
func (t *Transitions) Hold() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = true
}

// Release lets keys go on that Hold kept.
func (t *Transitions) Release() {
	t.mu.Lock()
	t.held = false
	t.mu.Unlock()
	t.Wake()
}

func (t *Transitions) holds() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held
}

// TransitOnce takes every key on its way to the end of it, unless transitions are held. The error joins what failed, which is
// tried again in the next pass.
func (t *Transitions) TransitOnce(ctx context.Context) (TransitReport, error) {
	t.one.Lock()
	defer t.one.Unlock()
	var report TransitReport
	if t.holds() {
		return report, nil
	}
	var names []string
	err := t.s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		names, err = tx.Settings(transitionPrefix)
		return err
	})
	if err != nil {
		return report, fmt.Errorf("find multi-Region keys on their way: %w", err)
	}
	var errs []error
	for _, name := range names {
		if ctx.Err() != nil || t.holds() {
			break
		}
		if err := t.s.transit(ctx, name); err != nil {
			report.Pending++
			errs = append(errs, fmt.Errorf("%s: %w", strings.TrimPrefix(name, transitionPrefix), err))
			continue
		}
		report.Done++
	}
	return report, errors.Join(append(errs, ctx.Err())...)
}

// transit takes one key to the end of its way.
func (s *Service) transit(ctx context.Context, name string) error {
	what, rest, _ := strings.Cut(strings.TrimPrefix(name, transitionPrefix), "/")
	region, id, _ := strings.Cut(rest, "/")
	switch what {
	case transitionReplica:
		return s.raise(ctx, region, keystore.KeyID(id))
	case transitionPrimary:
		return s.promote(ctx, region, keystore.KeyID(id))
	default:
		return fmt.Errorf("no transition is called %q", what)
	}
}

// arrived ends a way in the transaction that ends it.
func arrived(tx keystore.Tx, what, region string, id keystore.KeyID) error {
	err := tx.DeleteSetting(transitionSetting(what, region, id))
	if errors.Is(err, keystore.ErrNoRow) {
		return nil
	}
	return err
}
