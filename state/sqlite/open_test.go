package sqlite_test

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	driver "modernc.org/sqlite"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/state"
	"github.com/strongroom/strongroom/state/sqlite"
	"github.com/strongroom/strongroom/state/statetest"
)

// rawDB opens a database file past everything of ours.
func rawDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	c, err := driver.NewConnector("file:" + path)
	require.NoError(t, err)
	db := sql.OpenDB(c)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// direct runs statements on a database file past everything of ours, on one connection.
func direct(t *testing.T, path string, statements ...string) {
	t.Helper()
	db := rawDB(t, path)
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		_, err := db.ExecContext(t.Context(), s)
		require.NoError(t, err, s)
	}
	require.NoError(t, db.Close())
}

// made gives the path of a database of ours that is closed.
func made(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	db := statetest.OpenAt(t, path)
	insert(t, db, statetest.Key(statetest.Region, 1))
	require.NoError(t, db.Close())
	return path
}

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T) string
		want string // part of the line
		is   error
	}{
		"a missing file": {func(t *testing.T) string { return filepath.Join(t.TempDir(), "none.db") }, "there is no database", sqlite.ErrMissing},
		"a text file": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "notes.txt")
			require.NoError(t, os.WriteFile(path, []byte("these are my notes, and there are more than sixteen bytes of them\n"), 0o600))
			return path
		}, "not a Strongroom database", sqlite.ErrForeign},
		"another program's database": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "other.db")
			direct(t, path, "CREATE TABLE albums (name TEXT)")
			require.NoError(t, os.Chmod(path, 0o600))
			return path
		}, "not a Strongroom database", sqlite.ErrForeign},
		"another program's id": {func(t *testing.T) string {
			path := made(t)
			direct(t, path, "PRAGMA application_id = 77")
			return path
		}, "not a Strongroom database", sqlite.ErrForeign},
		"a newer schema": {func(t *testing.T) string {
			path := made(t)
			direct(t, path, "PRAGMA user_version = 99")
			return path
		}, "its schema is number 99, this release knows ", sqlite.ErrNewer},
		"a file that others may read": {func(t *testing.T) string {
			path := made(t)
			require.NoError(t, os.Chmod(path, 0o640))
			return path
		}, "mode 0640", nil},
		"a directory that others may write to": {func(t *testing.T) string {
			path := made(t)
			require.NoError(t, os.Chmod(filepath.Dir(path), 0o770))
			return path
		}, "mode 0770", nil},
		"a directory": {func(t *testing.T) string { return t.TempDir() }, "not a regular file", nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := c.make(t)
			before, _ := os.ReadFile(path)
			db, err := sqlite.Open(t.Context(), path, sqlite.Options{})
			require.Nil(t, db)
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n")
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			after, _ := os.ReadFile(path)
			assert.Equal(t, before, after, "the file is left as it was")
		})
	}
}

func TestOpenMakesPrivateFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	path := filepath.Join(dir, "state.db")
	db := statetest.OpenAt(t, path)
	insert(t, db, statetest.Key(statetest.Region, 1))
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	assert.EqualValues(t, 0o700, mode(dir))
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		assert.EqualValues(t, 0o600, mode(p), p)
	}
	require.NoError(t, db.Close())
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "a close leaves one file: no connection is left behind")
}

func TestOpenUnderAnyName(t *testing.T) {
	for _, name := range []string{"with space", "50%41", "what?mode=memory", "a#b", "ünï", "semi;colon'quote"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name, name+".db")
			db := statetest.OpenAt(t, path)
			insert(t, db, statetest.Key(statetest.Region, 1))
			require.NoError(t, db.Check(t.Context()))
			require.NoError(t, db.Backup(t.Context(), filepath.Join(filepath.Dir(path), "copy of "+name)))
			require.NoError(t, db.Close())
			_, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, "key 1", description(t, statetest.OpenAt(t, path)))
		})
	}
}

func TestOpenAgain(t *testing.T) {
	path := made(t)
	db := statetest.OpenAt(t, path)
	assert.Equal(t, "key 1", description(t, db), "Create keeps what is there")
	v, err := db.Version(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 3, v.Schema)
	assert.Regexp(t, `^SQLite 3\.\d+\.\d+$`, v.Engine)
}

func TestMigrations(t *testing.T) {
	path := made(t)
	released, err := state.Migrations(os.DirFS("."), "migrations")
	require.NoError(t, err)
	n := len(released)
	with := func(steps ...state.Migration) error {
		return sqlite.MigrateWith(t.Context(), path, append(slices.Clone(released), steps...))
	}
	more := state.Migration{Number: n + 1, Name: "more.sql", SQL: "CREATE TABLE more (x TEXT) STRICT; INSERT INTO more VALUES ('kept');"}
	broken := state.Migration{Number: n + 2, Name: "broken.sql", SQL: "CREATE TABLE gone (x TEXT); INSERT INTO nowhere VALUES (1);"}

	require.ErrorContains(t, with(more, broken), "broken.sql")
	_, err = sqlite.Open(t.Context(), path, sqlite.Options{})
	require.ErrorIs(t, err, sqlite.ErrNewer, "the first has been applied, and this release does not know it")
	require.ErrorContains(t, err, fmt.Sprintf("number %d", n+1))

	mended := state.Migration{Number: n + 2, Name: "mended.sql", SQL: "CREATE TABLE gone (x TEXT); INSERT INTO gone SELECT x FROM more;"}
	require.NoError(t, with(more, mended), "the broken one has left nothing")
	require.NoError(t, with(more, mended), "none is applied twice")

	ended, end := context.WithCancel(t.Context())
	end()
	never := state.Migration{Number: n + 3, Name: "never.sql", SQL: "CREATE TABLE never (x TEXT);"}
	require.ErrorIs(t, sqlite.MigrateWith(ended, path, append(slices.Clone(released), more, mended, never)), context.Canceled)
}

// A database of the first release opens, and gets what came since.
func TestFirstReleaseOpens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	released, err := state.Migrations(os.DirFS("."), "migrations")
	require.NoError(t, err)
	require.NoError(t, sqlite.MigrateWith(t.Context(), path, released[:1]))
	require.NoError(t, os.Chmod(path, 0o600))
	direct(t, path,
		"INSERT INTO keys (region, id, account, origin, spec, usage, state, policy, revision, data) VALUES ('r', 'k', '', '', '', '', 'Enabled', '', 1, '{}')",
		"INSERT INTO grants (region, key_id, id, data) VALUES ('r', 'k', 'a', '{}'), ('r', 'k', 'b', '{}')")
	db := statetest.OpenAt(t, path)
	v, err := db.Version(t.Context())
	require.NoError(t, err)
	assert.Equal(t, len(released), v.Schema)
	require.NoError(t, db.View(t.Context(), func(tx keystore.Tx) error {
		_, err := tx.LastUse("us-east-1", "none")
		require.ErrorIs(t, err, keystore.ErrNoRow)
		n, err := tx.CountGrants("r", "k")
		require.NoError(t, err)
		assert.Equal(t, 2, n, "grants of before are counted")
		return nil
	}))
}

func TestLedgerRowsStay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := statetest.OpenAt(t, path)
	require.NoError(t, db.Update(t.Context(), func(tx keystore.Tx) error {
		return tx.InsertMaterial(statetest.Material(1, keystore.MaterialOrphaned))
	}))
	require.NoError(t, db.Close())
	_, err := rawDB(t, path).ExecContext(t.Context(), "DELETE FROM materials")
	require.ErrorContains(t, err, "the material ledger keeps every row", "even by hand")
}

// askingConnector asks each new connection for its settings.
type askingConnector struct {
	sqldriver.Connector
	ask func(conn sqldriver.Conn)
}

func (c askingConnector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err == nil {
		c.ask(conn)
	}
	return conn, err
}

// What is durable rests on these settings, and no call shows them.
func TestConnectionSettings(t *testing.T) {
	var mu sync.Mutex
	found := map[string]int{}
	ask := func(conn sqldriver.Conn) {
		mu.Lock()
		defer mu.Unlock()
		line := ""
		for _, name := range []string{"journal_mode", "synchronous", "foreign_keys", "trusted_schema", "busy_timeout", "query_only"} {
			rows, err := conn.(sqldriver.QueryerContext).QueryContext(t.Context(), "PRAGMA "+name, nil)
			require.NoError(t, err)
			value := make([]sqldriver.Value, 1)
			require.NoError(t, rows.Next(value))
			require.NoError(t, rows.Close())
			line += fmt.Sprintf("%s=%v ", name, value[0])
		}
		found[line]++
	}
	db, err := sqlite.Open(t.Context(), made(t), sqlite.Wrapped(sqlite.Options{}, func(c sqldriver.Connector) sqldriver.Connector {
		return askingConnector{c, ask}
	}))
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, describe(t, db, "changed"))
	require.NoError(t, db.View(t.Context(), func(keystore.Tx) error {
		_, err := db.LookupKey(t.Context(), statetest.Region, statetest.KeyID(1))
		return err
	}))
	mu.Lock()
	defer mu.Unlock()
	const all = "journal_mode=wal synchronous=2 foreign_keys=1 trusted_schema=0 busy_timeout=5000 query_only="
	assert.Equal(t, map[string]int{all + "0 ": 1, all + "1 ": 1}, found)
}
