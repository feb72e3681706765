package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

var (
	// ErrReadOnly is the error of a change in a View.
	ErrReadOnly = errors.New("a view changes nothing")
	// ErrEnded is the error of a transaction that was kept beyond its function.
	ErrEnded = errors.New("the transaction has ended")
)

// ref names a row of the directory within its Region; of grants, all those on a key (name) to one grantee.
type ref struct{ region, name, grantee string }

// tx is one transaction, or (with write false and nothing begun) a single read. One goroutine uses it at a time.
type tx struct {
	caller context.Context // asked before each statement
	run    context.Context // the caller's without its end: a statement that has begun is finished
	s      *session        // nil once the transaction has ended
	write  bool
	failed error // of the database itself: it may have ended the transaction, so that nothing more may run in it
	changes
}

var _ keystore.Tx = (*tx)(nil)

func (d *DB) newTx(ctx context.Context, s *session, write bool) *tx {
	return &tx{caller: ctx, run: context.WithoutCancel(ctx), s: s, write: write}
}

func (t *tx) usable(write bool) error {
	switch {
	case t.s == nil:
		return ErrEnded
	case write && !t.write:
		return ErrReadOnly
	case t.failed != nil:
		return fmt.Errorf("the transaction has failed: %w", t.failed)
	default:
		return t.caller.Err()
	}
}

// exec runs a change and gives the number of rows it met. A rule that refused the row shows as ErrExists (a row with
// this identity exists) or ErrNoRow (the row that it belongs to does not).
func (t *tx) exec(query string, args ...any) (int64, error) {
	if err := t.usable(true); err != nil {
		return 0, err
	}
	n, err := t.s.exec(t.run, query, args...)
	if err == nil {
		return n, nil
	}
	switch t.s.dialect.Class(err) {
	case ClassUnique:
		return 0, fmt.Errorf("%w: %w", keystore.ErrExists, err)
	case ClassForeignKey:
		return 0, fmt.Errorf("%w: %w", keystore.ErrNoRow, err)
	default:
		t.failed = err
		return 0, err
	}
}

// insert runs an INSERT … ON CONFLICT DO NOTHING: a row that exists is ErrExists without an error of the database, after
// which some databases refuse the rest of the transaction.
func (t *tx) insert(query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		err = keystore.ErrExists
	}
	return err
}

// one runs a change that must meet a row, ErrNoRow where there is none.
func (t *tx) one(query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		err = keystore.ErrNoRow
	}
	return err
}

// revised runs a change whose last condition is the revision: exists tells a row that changed from one that is gone.
func (t *tx) revised(exists string, identity []any, query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err != nil || n > 0 {
		return err
	}
	var one int
	if err := t.row(exists, identity, &one); err != nil {
		return err
	}
	return keystore.ErrStale
}

// row reads one row, ErrNoRow where there is none.
func (t *tx) row(query string, args []any, into ...any) error {
	found := false
	err := t.each(query, args, func(scan func(...any) error) error {
		found = true
		return scan(into...)
	})
	if err == nil && !found {
		err = keystore.ErrNoRow
	}
	return err
}

// each reads rows one after the other.
func (t *tx) each(query string, args []any, fn func(scan func(...any) error) error) (err error) {
	if err := t.usable(false); err != nil {
		return err
	}
	rows, err := t.s.query(t.run, query, args...)
	if err != nil {
		t.failed = err
		return err
	}
	defer func() {
		if e := errors.Join(rows.Err(), rows.Close()); err == nil && e != nil {
			t.failed, err = e, e
		}
	}()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return nil
}

// list reads rows into values.
func list[T any](t *tx, read func(scan func(...any) error) (T, error), query string, args ...any) ([]T, error) {
	var out []T
	err := t.each(query, args, func(scan func(...any) error) error {
		v, err := read(scan)
		if err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}

// first reads one row into a value, ErrNoRow where there is none.
func first[T any](t *tx, read func(scan func(...any) error) (T, error), query string, args ...any) (T, error) {
	var zero T
	out, err := list(t, read, query, args...)
	switch {
	case err != nil:
		return zero, err
	case len(out) == 0:
		return zero, keystore.ErrNoRow
	default:
		return out[0], nil
	}
}

// count reads one number; no row is nought.
func (t *tx) count(query string, args ...any) (int, error) {
	var n sql.NullInt64
	err := t.row(query, args, &n)
	if errors.Is(err, keystore.ErrNoRow) {
		err = nil
	}
	return int(n.Int64), err
}

// bound is a LIMIT: to some databases a negative one is none.
func bound(limit int) int { return max(0, limit) }

func scanText(scan func(...any) error) (string, error) {
	var s string
	err := scan(&s)
	return s, err
}

// about says in an error what was being done.
func about(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}
