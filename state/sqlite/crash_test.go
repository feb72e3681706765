package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/strongroom/strongroom/state/sqlite"
	"github.com/strongroom/strongroom/state/statetest"
)

func TestKilledWriter(t *testing.T) {
	statetest.RunCrash(t, 10, func(ctx context.Context, dir string) (statetest.Database, error) {
		db, err := sqlite.Open(ctx, filepath.Join(dir, "state.db"), sqlite.Options{Create: true})
		if err != nil {
			return nil, err
		}
		return db, db.Check(ctx)
	})
}
