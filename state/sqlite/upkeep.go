package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/strongroom/strongroom/state"
)

// upkeep works on connections of its own, so that a check or a backup takes none from the appliance.
type upkeep struct {
	path    string
	options Options
}

func (u *upkeep) with(fn func(db *sql.DB) error) error {
	db, err := u.options.pool(u.path, 1)
	if err != nil {
		return err
	}
	return errors.Join(fn(db), db.Close())
}

// Close has nothing to close: connections live no longer than a call.
func (u *upkeep) Close() error { return nil }

// Version tells SQLite's version and the schema's number.
func (u *upkeep) Version(ctx context.Context) (v state.Version, err error) {
	err = u.with(func(db *sql.DB) error {
		var number string
		row := db.QueryRowContext(ctx, "SELECT sqlite_version(), (SELECT user_version FROM pragma_user_version)")
		err := row.Scan(&number, &v.Schema)
		v.Engine = "SQLite " + number
		return err
	})
	if err != nil {
		err = fmt.Errorf("version of database %s: %w", u.path, err)
	}
	return v, err
}

// Check runs SQLite's integrity check and looks for rows whose parent is missing.
func (u *upkeep) Check(ctx context.Context) error {
	err := u.with(func(db *sql.DB) error {
		damage, err := texts(ctx, db, "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok' LIMIT 20")
		if err != nil {
			return err
		}
		lost, err := texts(ctx, db, `SELECT 'a row of ' || "table" || ' refers to a missing row of ' || "parent"
			FROM pragma_foreign_key_check LIMIT 20`)
		if err != nil {
			return err
		}
		if all := append(damage, lost...); len(all) > 0 {
			return errors.New(strings.Join(all, "; "))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("check of database %s: %w", u.path, err)
	}
	return nil
}

func texts(ctx context.Context, db *sql.DB, query string) (out []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Backup copies the database as one transaction sees it, compacted. It writes beside the destination and takes the name
// when all is on disk, so that a file of that name is always whole.
func (u *upkeep) Backup(ctx context.Context, path string) error {
	if err := u.backup(ctx, path); err != nil {
		return fmt.Errorf("back up database %s to %s: %w", u.path, path, err)
	}
	return nil
}

func (u *upkeep) backup(ctx context.Context, path string) (err error) {
	// SQLite takes an empty file of ours as the destination; it would make one of its own readable to others.
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	part := f.Name()
	defer func() { err = errors.Join(err, os.Remove(part), os.RemoveAll(part+"-journal")) }()
	defer func() { err = errors.Join(err, f.Close()) }()
	err = u.with(func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "VACUUM INTO ?", part)
		return err
	})
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Link(part, path); err != nil { // unlike a rename, it replaces nothing
		return err
	}
	return syncDir(filepath.Dir(path))
}
