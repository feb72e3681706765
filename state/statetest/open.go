// Package statetest helps to test what uses the appliance's state, and holds the suite that every database passes.
package statetest

import (
	"path/filepath"
	"testing"

	"github.com/strongroom/strongroom/state"
	"github.com/strongroom/strongroom/state/sqlite"
)

// Open gives a new, empty SQLite database in a directory of the test's own. It is closed when the test ends.
func Open(t testing.TB) *state.DB {
	t.Helper()
	return OpenAt(t, filepath.Join(t.TempDir(), "state.db"))
}

// OpenAt opens the SQLite database at path, new where there is none. It is closed when the test ends; a test that goes
// on with the same file closes it earlier.
func OpenAt(t testing.TB, path string) *state.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), path, sqlite.Options{Create: true})
	if err != nil {
		t.Fatalf("open a database: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
