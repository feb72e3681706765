package sqlite_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/state"
	"github.com/strongroom/strongroom/state/sqlite"
	"github.com/strongroom/strongroom/state/statetest"
)

// faults stands between the driver and the database: on the real driver, it does what disks and schedulers do.
type faults struct {
	// before and after see each statement that is run; an error is the statement's.
	before, after atomic.Pointer[func(query string) error]
}

func (f *faults) ask(hook *atomic.Pointer[func(string) error], query string) error {
	if fn := hook.Load(); fn != nil {
		return (*fn)(query)
	}
	return nil
}

// once calls fn for the first statement that begins with prefix, and gives its error.
func once(prefix string, fn func() error) *func(string) error {
	var done atomic.Bool
	hook := func(query string) error {
		if strings.HasPrefix(query, prefix) && done.CompareAndSwap(false, true) {
			return fn()
		}
		return nil
	}
	return &hook
}

type faultyConnector struct {
	driver.Connector
	faults *faults
}

func (c faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	return &faultyConn{Conn: conn, faults: c.faults}, err
}

// faultyConn takes its statements with it when it is closed, as a connection that is lost does.
type faultyConn struct {
	driver.Conn
	faults *faults
	stmts  []*faultyStmt
}

func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	st, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	f := &faultyStmt{Stmt: st, query: query, faults: c.faults}
	c.stmts = append(c.stmts, f)
	return f, nil
}

func (c *faultyConn) Close() error {
	for _, st := range c.stmts {
		_ = st.Close()
	}
	return c.Conn.Close()
}

type faultyStmt struct {
	driver.Stmt
	query  string
	faults *faults
	closed bool
}

func (s *faultyStmt) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	return s.Stmt.Close()
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.faults.ask(&s.faults.before, s.query); err != nil {
		return nil, err
	}
	r, err := s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	if err != nil {
		return nil, err
	}
	return r, s.faults.ask(&s.faults.after, s.query)
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.faults.ask(&s.faults.before, s.query); err != nil {
		return nil, err
	}
	r, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	return &faultyRows{r, s}, nil
}

// faultyRows runs the after hook when the rows have been read.
type faultyRows struct {
	driver.Rows
	stmt *faultyStmt
}

func (r *faultyRows) Close() error {
	err := r.Rows.Close()
	return errors.Join(err, r.stmt.faults.ask(&r.stmt.faults.after, r.stmt.query))
}

func openFaulty(t *testing.T) (*state.DB, *faults) {
	f := &faults{}
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Wrapped(sqlite.Options{Create: true},
		func(c driver.Connector) driver.Connector { return faultyConnector{c, f} }))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db, f
}

func insert(t *testing.T, db keystore.DB, k *keystore.Key) {
	t.Helper()
	require.NoError(t, db.Update(t.Context(), func(tx keystore.Tx) error { return tx.InsertKey(k) }))
}

func describe(t *testing.T, db keystore.DB, text string) error {
	t.Helper()
	return db.Update(t.Context(), func(tx keystore.Tx) error {
		k, err := tx.Key(statetest.Region, statetest.KeyID(1))
		if err != nil {
			return err
		}
		k.Description = text
		return tx.UpdateKey(k)
	})
}

func description(t *testing.T, db keystore.DB) string {
	t.Helper()
	k, err := db.LookupKey(t.Context(), statetest.Region, statetest.KeyID(1))
	require.NoError(t, err)
	return k.Description
}

// cold gives a faulty database that holds one key, and nothing of it in its directory.
func cold(t *testing.T) (*state.DB, *faults) {
	f := &faults{}
	path := filepath.Join(t.TempDir(), "state.db")
	seed := statetest.OpenAt(t, path)
	insert(t, seed, statetest.Key(statetest.Region, 1))
	require.NoError(t, seed.Close())
	db, err := sqlite.Open(t.Context(), path, sqlite.Wrapped(sqlite.Options{},
		func(c driver.Connector) driver.Connector { return faultyConnector{c, f} }))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db, f
}

func TestSlowReaderLeavesNothingStale(t *testing.T) {
	db, f := cold(t)
	// The reader has the row in hand when another caller changes it.
	f.after.Store(once("SELECT region, id", func() error { return describe(t, db, "changed") }))
	assert.Equal(t, "key 1", description(t, db), "the lookup began before the change")
	assert.Equal(t, "changed", description(t, db), "the next one began after it")
}

func TestSlowReaderOfDeletedKey(t *testing.T) {
	db, f := cold(t)
	f.after.Store(once("SELECT region, id", func() error {
		return db.Update(t.Context(), func(tx keystore.Tx) error {
			k, err := tx.Key(statetest.Region, statetest.KeyID(1))
			if err != nil {
				return err
			}
			return tx.DeleteKey(k)
		})
	}))
	description(t, db)
	_, err := db.LookupKey(t.Context(), statetest.Region, statetest.KeyID(1))
	assert.ErrorIs(t, err, keystore.ErrNoRow)
}

func TestSlowReaderOfStores(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	seed := statetest.OpenAt(t, path)
	require.NoError(t, seed.Update(t.Context(), func(tx keystore.Tx) error { return tx.InsertStore(statetest.Store(statetest.Region, 1)) }))
	require.NoError(t, seed.Close())
	f := &faults{}
	db, err := sqlite.Open(t.Context(), path, sqlite.Wrapped(sqlite.Options{},
		func(c driver.Connector) driver.Connector { return faultyConnector{c, f} }))
	require.NoError(t, err)
	defer db.Close()
	id := statetest.Store(statetest.Region, 1).ID
	f.after.Store(once("SELECT region, id", func() error {
		return db.Update(t.Context(), func(tx keystore.Tx) error {
			s, err := tx.Store(statetest.Region, id)
			if err != nil {
				return err
			}
			s.Conn = keystore.Disconnected
			return tx.UpdateStore(s)
		})
	}))
	_, err = db.LookupStore(t.Context(), statetest.Region, id)
	require.NoError(t, err)
	s, err := db.LookupStore(t.Context(), statetest.Region, id)
	require.NoError(t, err)
	assert.Equal(t, keystore.Disconnected, s.Conn)
}

func TestSlowReaderOfGrants(t *testing.T) {
	db, f := cold(t)
	id := statetest.KeyID(1)
	f.after.Store(once("SELECT region, key_id", func() error {
		return db.Update(t.Context(), func(tx keystore.Tx) error { return tx.InsertGrant(statetest.Grant(statetest.Region, id, 1)) })
	}))
	g, err := db.LookupGrants(t.Context(), statetest.Region, id, statetest.Grantee)
	require.NoError(t, err)
	assert.Empty(t, g)
	g, err = db.LookupGrants(t.Context(), statetest.Region, id, statetest.Grantee)
	require.NoError(t, err)
	assert.Len(t, g, 1)
}

var errDisk = errors.New("disk gone")

func TestCommitFails(t *testing.T) {
	for name, c := range map[string]struct {
		stored bool
		want   string
	}{
		"before it is stored": {false, "key 1"},
		"after it is stored":  {true, "changed"},
	} {
		t.Run(name, func(t *testing.T) {
			db, f := openFaulty(t)
			insert(t, db, statetest.Key(statetest.Region, 1))
			require.Equal(t, "key 1", description(t, db))
			hook := &f.before
			if c.stored {
				hook = &f.after
			}
			generation := db.PrincipalGeneration()
			hook.Store(once("COMMIT", func() error { return errDisk }))
			require.ErrorIs(t, describe(t, db, "changed"), errDisk)
			assert.Equal(t, c.want, description(t, db), "the directory asks the database what has become of it")
			require.NoError(t, describe(t, db, "again"), "the next transaction has a sound connection")
			assert.Equal(t, "again", description(t, db))
			assert.Equal(t, generation, db.PrincipalGeneration())
		})
	}
}

func TestCommitOfEverythingFails(t *testing.T) {
	db, f := openFaulty(t)
	insert(t, db, statetest.Key(statetest.Region, 1))
	store, id := statetest.Store(statetest.Region, 1), statetest.KeyID(1)
	_, err := db.LookupStore(t.Context(), statetest.Region, store.ID)
	require.ErrorIs(t, err, keystore.ErrNoRow)
	_, err = db.LookupGrants(t.Context(), statetest.Region, id, statetest.Grantee)
	require.NoError(t, err)
	generation := db.PrincipalGeneration()
	f.after.Store(once("COMMIT", func() error { return errDisk }))
	require.ErrorIs(t, db.Update(t.Context(), func(tx keystore.Tx) error {
		return errors.Join(tx.InsertStore(store), tx.InsertAlias(statetest.Alias(statetest.Region, "alias/a", id)),
			tx.InsertGrant(statetest.Grant(statetest.Region, id, 1)), tx.InsertPrincipal(&keystore.Principal{ARN: "a"}))
	}), errDisk)
	_, err = db.LookupStore(t.Context(), statetest.Region, store.ID)
	assert.NoError(t, err)
	_, err = db.LookupAlias(t.Context(), statetest.Region, "alias/a")
	assert.NoError(t, err)
	g, err := db.LookupGrants(t.Context(), statetest.Region, id, statetest.Grantee)
	assert.NoError(t, err)
	assert.Len(t, g, 1)
	assert.NotEqual(t, generation, db.PrincipalGeneration())
}

// A database error may have ended the transaction underneath: what follows must not run outside of one.
func TestStatementFails(t *testing.T) {
	for name, prefix := range map[string]string{"change": "UPDATE keys", "read": "SELECT region, id"} {
		t.Run(name, func(t *testing.T) {
			db, f := openFaulty(t)
			insert(t, db, statetest.Key(statetest.Region, 1))
			f.before.Store(once(prefix, func() error { return errDisk }))
			err := db.Update(t.Context(), func(tx keystore.Tx) error {
				require.NoError(t, tx.PutSetting("before", nil))
				k := statetest.Key(statetest.Region, 1)
				k.Revision = 1
				_, _ = tx.Key(k.Region, k.ID)
				_ = tx.UpdateKey(k)
				require.ErrorIs(t, tx.PutSetting("after", nil), errDisk)
				return nil
			})
			require.ErrorIs(t, err, errDisk, "although the function took no notice")
			require.NoError(t, db.View(t.Context(), func(tx keystore.Tx) error {
				names, err := tx.Settings("")
				assert.Empty(t, names)
				return err
			}))
			require.NoError(t, describe(t, db, "changed"))
		})
	}
}

func TestLostConnections(t *testing.T) {
	db, f := openFaulty(t)
	insert(t, db, statetest.Key(statetest.Region, 1))
	for _, prefix := range []string{"BEGIN", "SELECT region, id", "UPDATE keys", "COMMIT"} {
		f.before.Store(once(prefix, func() error { return driver.ErrBadConn }))
		require.Error(t, describe(t, db, "lost"), prefix)
		require.NoError(t, describe(t, db, prefix), "on a new connection")
		assert.Equal(t, prefix, description(t, db))
	}
	for range 40 { // more than there are connections
		f.before.Store(once("BEGIN", func() error { return driver.ErrBadConn }))
		require.Error(t, db.View(t.Context(), func(keystore.Tx) error { return nil }))
		require.NoError(t, db.View(t.Context(), func(keystore.Tx) error { return nil }))
	}
}

func TestClosed(t *testing.T) {
	db := statetest.Open(t)
	insert(t, db, statetest.Key(statetest.Region, 1))
	require.NoError(t, db.Close())
	require.NoError(t, db.Close(), "twice")
	nothing := func(keystore.Tx) error { return nil }
	assert.ErrorIs(t, db.Update(t.Context(), nothing), state.ErrClosed)
	assert.ErrorIs(t, db.View(t.Context(), nothing), state.ErrClosed)
	_, err := db.LookupKey(t.Context(), statetest.Region, statetest.KeyID(2))
	assert.ErrorIs(t, err, state.ErrClosed)
}
