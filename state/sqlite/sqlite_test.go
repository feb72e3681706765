package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/state/sqlite"
	"github.com/strongroom/strongroom/state/statetest"
)

func TestConformance(t *testing.T) {
	for name, bytes := range map[string]int64{
		"usual cache":                      0,
		"a cache for a handful":            16 << 10,
		"a cache too small for a key each": 1,
	} {
		t.Run(name, func(t *testing.T) {
			statetest.Run(t, func(t *testing.T) keystore.DB {
				db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "state.db"), sqlite.Options{Create: true, CacheBytes: bytes})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, db.Close()) })
				return db
			})
		})
	}
}
