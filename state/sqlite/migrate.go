package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/strongroom/strongroom/state"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks a database file as ours: "SRdb" in the header's application id field.
const applicationID = 0x53526462

// Refusals of Open.
var (
	ErrForeign = errors.New("it is not a Strongroom database")
	ErrNewer   = errors.New("a newer release of Strongroom has written it")
)

// prepareSchema brings the schema up to this program's.
func prepareSchema(ctx context.Context, db *sql.DB) error {
	steps, err := state.Migrations(migrationFiles, "migrations")
	if err != nil {
		return err
	}
	return migrate(ctx, db, steps)
}

// migrate applies the steps that the database lacks. The schema's number is the header's user version, and changes in
// the transaction of its migration. Nothing in the file is touched before it is known to be ours.
func migrate(ctx context.Context, db *sql.DB, steps []state.Migration) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return describe(err)
	}
	defer conn.Close()
	version, err := identify(ctx, conn)
	if err != nil {
		return describe(err)
	}
	if version > len(steps) {
		return fmt.Errorf("%w: its schema is number %d, this release knows %d", ErrNewer, version, len(steps))
	}
	var mode string
	if err := conn.QueryRowContext(ctx, "PRAGMA journal_mode = WAL").Scan(&mode); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("its file system cannot hold a write-ahead log (journal mode %s)", mode)
	}
	for _, step := range steps[version:] {
		if err := apply(ctx, conn, step); err != nil {
			return fmt.Errorf("migration %s: %w", step.Name, err)
		}
	}
	return nil
}

// identify gives the schema number of our database, 0 for an empty file.
func identify(ctx context.Context, conn *sql.Conn) (version int, err error) {
	var id, tables int
	err = conn.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id),
		(SELECT user_version FROM pragma_user_version), (SELECT COUNT(*) FROM sqlite_schema)`).Scan(&id, &version, &tables)
	if err != nil {
		return 0, err
	}
	if empty := id == 0 && version == 0 && tables == 0; !empty && (id != applicationID || version < 1) {
		return 0, ErrForeign
	}
	return version, nil
}

func apply(ctx context.Context, conn *sql.Conn, step state.Migration) (err error) {
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, e := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, e)
		}
	}()
	script := fmt.Sprintf("%s\nPRAGMA application_id = %d; PRAGMA user_version = %d;", step.SQL, applicationID, step.Number)
	if _, err := conn.ExecContext(ctx, script); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// describe gives SQLite's "file is not a database" our words.
func describe(err error) error {
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_NOTADB {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return err
}
