// Package sqlite opens the appliance's state in a SQLite file: driver, settings, error codes, migrations, backup. The
// queries are those of package state.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"modernc.org/sqlite"

	"github.com/strongroom/strongroom/state"
)

// Options are how a database is opened. The zero value opens one that exists.
type Options struct {
	// Create makes a new database, and its directory, where there is none.
	Create bool
	// ReadOnly changes nothing: a schema that is older stays as it is, and what it lacks cannot be read. The file may be
	// in use by another process.
	ReadOnly bool
	// CacheBytes is state.Config.CacheBytes.
	CacheBytes int64

	wrap func(driver.Connector) driver.Connector // tests of faults stand between the driver and the pools
}

// ErrMissing is the error of opening a database that does not exist, without Options.Create.
var ErrMissing = errors.New("there is no database")

// Open opens the database at path and applies the migrations that it lacks. It refuses a file that others than its owner
// may read, a database of another program, and one that a later release of this program has migrated. One process at a
// time is to have it open: see state.LockDir.
func Open(ctx context.Context, path string, o Options) (*state.DB, error) {
	path, err := filepath.Abs(path)
	if err == nil {
		err = prepareFile(path, o.Create)
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	var only []string
	if o.ReadOnly {
		only = []string{"query_only(1)"}
	}
	writer, err := o.pool(path, 1, only...)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if !o.ReadOnly {
		err = prepareSchema(ctx, writer)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), writer.Close())
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	// Views and lookups have a set of connections each.
	reader, err := o.pool(path, 2*readers, "query_only(1)")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), writer.Close())
	}
	return state.New(state.Config{
		Writer: writer, Reader: reader, Readers: readers,
		Dialect: dialect{}, Upkeep: &upkeep{path: path, options: o}, CacheBytes: o.CacheBytes,
	}), nil
}

// prepareFile sees to modes: a new file is made empty with mode 0600 (SQLite gives its side files the mode of the
// database), an old one must not be open to others.
func prepareFile(path string, create bool) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !create:
		return ErrMissing
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close(), syncDir(dir)); err != nil {
			return err
		}
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("its mode %04o lets others at it: want 0600", info.Mode().Perm())
	}
	if info, err = os.Stat(dir); err != nil {
		return err
	}
	// With write permission on the directory, others could put their own file in this one's place.
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("the mode %04o of directory %s lets others write to it: want 0700", info.Mode().Perm(), dir)
	}
	return nil
}

// syncDir puts the names in a directory on disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// pool makes connections that all have the same settings. synchronous FULL writes the log to disk before a commit
// returns; trusted_schema keeps the schema of a file that was tampered with from calling functions.
func (o Options) pool(path string, n int, pragmas ...string) (*sql.DB, error) {
	q := url.Values{"_pragma": append(pragmas, "busy_timeout(5000)", "synchronous(FULL)", "foreign_keys(1)",
		"trusted_schema(0)", "secure_delete(FAST)", "journal_size_limit(67108864)")}
	connector, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	if o.wrap != nil {
		connector = o.wrap(connector)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}
