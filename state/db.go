package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/strongroom/strongroom/keystore"
)

// Config is what a dialect's package opens a DB with. The pools and Upkeep belong to the DB, which closes them.
type Config struct {
	Writer  *sql.DB // for transactions that change something: one at a time
	Reader  *sql.DB // for all others: connections that cannot write
	Readers int     // transactions that read at once
	Dialect Dialect
	Upkeep  Upkeep
	// CacheBytes bounds what the directory keeps in memory of keys, aliases and grants, as estimated; custom key stores
	// are always kept. 0 means DefaultCacheBytes.
	CacheBytes int64
}

// DefaultCacheBytes holds about a hundred thousand keys with policies of usual size, their aliases and grants.
const DefaultCacheBytes = 256 << 20

// DB is the appliance's state: keystore.DB over a database. Safe for concurrent use.
type DB struct {
	Upkeep

	dialect   Dialect
	writer    *sessions // one session: writers take turns, in the order in which they came
	views     *sessions
	loads     *sessions // for the directory alone: a lookup inside a View never waits for the Views around it
	directory directory
	end       func() error
}

var _ keystore.DB = (*DB)(nil)

// New makes a DB of an open database whose migrations are applied.
func New(c Config) *DB {
	if c.CacheBytes == 0 {
		c.CacheBytes = DefaultCacheBytes
	}
	d := &DB{
		Upkeep:  c.Upkeep,
		dialect: c.Dialect,
		writer:  newSessions(c.Writer, c.Dialect, 1),
		views:   newSessions(c.Reader, c.Dialect, c.Readers),
		loads:   newSessions(c.Reader, c.Dialect, c.Readers),
	}
	d.directory.init(c.CacheBytes)
	d.end = sync.OnceValue(func() error {
		return errors.Join(d.writer.close(), d.views.close(), d.loads.close(), d.Upkeep.Close())
	})
	return d
}

// View runs fn in a transaction that sees one snapshot and can change nothing (ErrReadOnly). It must not start another
// View inside.
func (d *DB) View(ctx context.Context, fn func(tx keystore.Tx) error) error {
	return d.views.with(ctx, func(s *session) error {
		t := d.newTx(ctx, s, false)
		if err := s.begin(ctx, false); err != nil {
			return err
		}
		defer func() {
			t.s = nil
			s.rollback(t.run)
		}()
		return fn(t)
	})
}

// Update runs fn once in one transaction. It is durable when Update returns nil; an error or a panic of fn, or the end
// of ctx before the commit, leaves nothing. An error of the commit itself leaves open whether it is stored (the cause is
// wrapped); the directory then forgets what fn touched and asks the database. Update must not be called inside fn.
func (d *DB) Update(ctx context.Context, fn func(tx keystore.Tx) error) error {
	return d.writer.with(ctx, func(s *session) error {
		t := d.newTx(ctx, s, true)
		if err := s.begin(ctx, true); err != nil {
			return err
		}
		open := true
		defer func() {
			t.s = nil
			if open {
				s.rollback(t.run)
			}
		}()
		if err := fn(t); err != nil {
			return err
		}
		if err := t.usable(true); err != nil {
			return fmt.Errorf("before the commit: %w", err)
		}
		open = false
		if err := s.commit(t.run); err != nil {
			d.directory.forget(&t.changes)
			return err
		}
		d.directory.apply(&t.changes)
		return nil
	})
}

// Close waits for transactions at work, refuses new ones (ErrClosed) and closes the database. It may be called again.
func (d *DB) Close() error { return d.end() }
