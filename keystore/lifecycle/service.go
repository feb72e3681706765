// Package lifecycle is the service of everything that happens to keys besides cryptography: they are created, described,
// switched, named, tagged, given policies and deleted. It owns the material ledger: every object that the appliance ever
// makes on a token is named by a row before it exists, and rows are never removed.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Observer is told what metrics count. Its methods must not block.
type Observer interface {
	// KeyDeleted: a key was really deleted, so long after its DeletionDate.
	KeyDeleted(k *keystore.Key, lag time.Duration)
	// MaterialSettled: backing material was destroyed, orphaned or resolved.
	MaterialSettled(m *keystore.Material)
}

// Config holds the service's ports. Observer, Logger and Hook may be nil.
type Config struct {
	DB       keystore.DB
	Resolver backend.Resolver
	Gate     *access.Gate
	Clock    keystore.Clock
	Random   io.Reader
	// Audit takes the events of what the appliance does by itself: real deletions and what becomes of key material.
	// Requests are recorded by whoever answers them.
	Audit audit.Log
	// Vault seals import tokens and what recognises imported material; without one the appliance imports nothing.
	Vault    Vault
	Account  string
	Regions  []string
	Limits   Limits
	Observer Observer
	Logger   *slog.Logger
	// Hook is called between every two steps of making and deleting keys, with one of the names of Steps. It is for tests
	// that stop the appliance there.
	Hook func(step string)
}

// Service does the operations on keys. It is safe for concurrent use. Sweeper, Reconciler and Orphans are made from it
// and share its knowledge of what is being done at the moment.
type Service struct {
	cfg     Config
	busy    registry
	doubts  doubts
	imports imports
	moving  signal // told of multi-Region keys that are on their way, for Transitions
	left    signal // told of rows that were left open, for the Reconciler
}

// New makes the service.
func New(cfg Config) *Service {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	return &Service{cfg: cfg, left: make(signal, 1), moving: make(signal, 1)}
}

// now is the time of one operation: whole milliseconds in UTC, as the API shows times.
func (s *Service) now() time.Time { return s.cfg.Clock.Now().UTC().Truncate(time.Millisecond) }

// leftOpen tells the Reconciler that a key has something to settle, once nobody works on it.
func (s *Service) leftOpen(arn string) { s.busy.tellAfter(arn, s.left) }

func (s *Service) step(name string) {
	if s.cfg.Hook != nil {
		s.cfg.Hook(name)
	}
}

// conn gives the connection state behind a key.
func (s *Service) conn(k *keystore.Key) keystore.ConnState {
	_, conn := s.cfg.Resolver.Resolve(k.Region, k.StoreID)
	return conn
}

func (s *Service) view(k *keystore.Key) *KeyView {
	return &KeyView{Key: k, State: keystore.EffectiveState(k, s.conn(k))}
}

// find resolves an identifier and has the gate decide about an action on the key.
func (s *Service) find(ctx context.Context, c *keystore.Caller, given string, forms keystore.RefForms, a keystore.Action) (*keystore.Key, error) {
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, given, forms)
	if err != nil {
		return nil, err
	}
	return k, s.admit(ctx, &access.Request{Caller: c, Action: a, Key: k})
}

// admit has the gate decide. It fills in the time and the key's connection.
func (s *Service) admit(ctx context.Context, r *access.Request) error {
	r.Now = s.cfg.Clock.Now()
	if r.Key != nil {
		r.Conn = s.conn(r.Key)
	}
	return s.cfg.Gate.Admit(ctx, r)
}

// maxTries bounds how often a change is tried again because somebody else changed the same row.
const maxTries = 8

// update runs fn in one transaction, again where a row changed meanwhile.
func (s *Service) update(ctx context.Context, fn func(tx keystore.Tx) error) error {
	for try := 1; ; try++ {
		err := s.cfg.DB.Update(ctx, fn)
		if !errors.Is(err, keystore.ErrStale) {
			return err
		}
		if try == maxTries {
			return fmt.Errorf("gave up after %d tries: %w", try, err)
		}
	}
}

// errUnchanged ends a change that has nothing to do.
var errUnchanged = errors.New("nothing to change")

// change runs fn on a key in one transaction and stores the key. The state was admitted before, on a key that may have
// changed since, so that it is admitted again here.
func (s *Service) change(ctx context.Context, k *keystore.Key, a keystore.Action, fn func(tx keystore.Tx, k *keystore.Key) error) (*keystore.Key, error) {
	var changed *keystore.Key
	err := s.update(ctx, func(tx keystore.Tx) error {
		now, err := tx.Key(k.Region, k.ID)
		if errors.Is(err, keystore.ErrNoRow) {
			return keystore.NoSuchKey(k.Region, k.Account, k.ID)
		}
		if err != nil {
			return err
		}
		changed = now
		if err := keystore.Admit(a, now, s.conn(now)); err != nil {
			return err
		}
		if err := fn(tx, now); err != nil {
			return err
		}
		return tx.UpdateKey(now)
	})
	if errors.Is(err, errUnchanged) {
		err = nil
	}
	return changed, err
}

// invalid is a ValidationException about a value of the request, in AWS's form for violated constraints.
func invalid(value any, member, constraint string) error {
	return keystore.Faultf(keystore.KindValidation, "1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: %s",
		value, member, constraint)
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		limit *int
		value int
	}{{&l.Keys, 100_000}, {&l.Aliases, 50}, {&l.Tags, 50}} {
		if *d.limit <= 0 {
			*d.limit = d.value
		}
	}
	return l
}
