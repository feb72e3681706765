package state

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
)

// ErrClosed is the error of every call on a DB that was closed.
var ErrClosed = errors.New("the database is closed")

// session is one connection with its prepared statements. It has one borrower at a time.
type session struct {
	conn    *sql.Conn
	dialect Dialect
	stmts   map[string]*sql.Stmt
	broken  bool // its state is in doubt: to be closed instead of lent again
	lost    bool // its connection is closed already
}

func (s *session) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := s.stmts[query]; ok {
		return st, nil
	}
	st, err := s.conn.PrepareContext(ctx, s.dialect.Rebind(query))
	if err != nil {
		return nil, s.doubt(err)
	}
	s.stmts[query] = st
	return st, nil
}

func (s *session) exec(ctx context.Context, query string, args ...any) (int64, error) {
	st, err := s.prepare(ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, s.doubt(err)
	}
	return r.RowsAffected()
}

func (s *session) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(ctx, args...)
	return rows, s.doubt(err)
}

// doubt gives up the session where the error says that its connection is lost.
func (s *session) doubt(err error) error {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) {
		s.broken, s.lost = true, true
	}
	return err
}

// begin starts a transaction. The caller's context bounds the wait for a lock that another process may hold; where it
// ends the wait, nobody knows whether the transaction has begun, and the session is given up.
func (s *session) begin(ctx context.Context, write bool) error {
	if _, err := s.exec(ctx, s.dialect.Begin(write)); err != nil {
		s.broken = true
		return fmt.Errorf("begin a transaction: %w", err)
	}
	return nil
}

func (s *session) commit(ctx context.Context) error {
	if _, err := s.exec(ctx, "COMMIT"); err != nil {
		s.broken = true
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (s *session) rollback(ctx context.Context) {
	if _, err := s.exec(ctx, "ROLLBACK"); err != nil {
		s.broken = true
	}
}

// close ends the connection, and with it a transaction that may still be open. Its statements must go first: database/sql
// leaves those of a reserved connection to their owner, and SQLite keeps a connection, with its locks, for as long as it
// has one.
func (s *session) close() error {
	if s.lost {
		return nil // database/sql has closed it
	}
	var errs []error
	for _, st := range s.stmts {
		errs = append(errs, st.Close())
	}
	// A connection whose function answers ErrBadConn is closed and never pooled again.
	if err := s.conn.Raw(func(any) error { return driver.ErrBadConn }); !errors.Is(err, driver.ErrBadConn) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// sessions lends a fixed number of sessions, opened when they are first needed.
type sessions struct {
	db      *sql.DB
	dialect Dialect
	free    chan *session // nil stands for a session not opened yet
	closed  chan struct{}
}

func newSessions(db *sql.DB, dialect Dialect, n int) *sessions {
	p := &sessions{db: db, dialect: dialect, free: make(chan *session, n), closed: make(chan struct{})}
	for range n {
		p.free <- nil
	}
	return p
}

// with lends a session to fn, waiting for one as long as ctx allows.
func (p *sessions) with(ctx context.Context, fn func(s *session) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for the database: %w", err)
	}
	var s *session
	select {
	case <-p.closed:
		return ErrClosed
	default:
	}
	select {
	case s = <-p.free:
	case <-p.closed:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("wait for the database: %w", ctx.Err())
	}
	defer func() {
		defer func() { p.free <- s }()
		if s != nil && s.broken {
			_ = s.close()
			s = nil
		}
	}()
	if s == nil {
		conn, err := p.db.Conn(ctx)
		if err != nil {
			return fmt.Errorf("open a database connection: %w", err)
		}
		s = &session{conn: conn, dialect: p.dialect, stmts: map[string]*sql.Stmt{}}
	}
	return fn(s)
}

// close refuses new borrowers, waits for those that are at work and closes every session.
func (p *sessions) close() error {
	close(p.closed)
	var errs []error
	for range cap(p.free) {
		if s := <-p.free; s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(append(errs, p.db.Close())...)
}
