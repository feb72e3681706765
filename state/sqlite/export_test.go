package sqlite

import (
	"context"
	"database/sql/driver"

	"github.com/strongroom/strongroom/state"
)

// Wrapped gives options under which wrap stands between the driver and the database.
func Wrapped(o Options, wrap func(driver.Connector) driver.Connector) Options {
	o.wrap = wrap
	return o
}

// MigrateWith opens the database at path with migrations of the test's own.
func MigrateWith(ctx context.Context, path string, steps []state.Migration) error {
	db, err := Options{}.pool(path, 1)
	if err != nil {
		return err
	}
	defer db.Close()
	return migrate(ctx, db, steps)
}
