package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/state/sqlite"
)

func (a *Appliance) backupRoutes(s *admin.Server) {
	admin.Handle(s, "POST "+admin.PathBackup, func(ctx context.Context, _ admin.Request, in admin.Backup) (*admin.BackedUp, error) {
		return a.backup(ctx, in.Path)
	})
}

// backup copies the database to a new file.
func (a *Appliance) backup(ctx context.Context, path string) (*admin.BackedUp, error) {
	if !filepath.IsAbs(path) {
		return nil, admin.BadRequest(fmt.Errorf("%q is not an absolute path", path))
	}
	if err := a.audit.Healthy(); err != nil {
		return nil, unrecordable(err)
	}
	err := a.db.Backup(ctx, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, admin.Conflict(fmt.Errorf("%s is there already; a backup replaces no file", path))
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, admin.BadRequest(fmt.Errorf("%w; the appliance's user must be able to write there", err))
	case err != nil:
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := a.recordAdmin(ctx, eventBackedUp, audit.Object{}.String("path", path)); err != nil {
		return nil, err
	}
	out := &admin.BackedUp{Path: path, Bytes: info.Size(), AuditDir: a.cfg.Audit.Dir}
	for _, t := range a.cfg.Tokens {
		out.Tokens = append(out.Tokens, t.Name)
	}
	return out, nil
}

// Place is where an appliance keeps its database.
type Place struct{ DataDir, Database string }

// Restore puts a copy of a backup in the place of a database that is not there, once it is shown to be whole. The appliance
// must not run.
func Restore(ctx context.Context, p Place, backup string) (err error) {
	if info, err := os.Stat(backup); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", backup)
	}
	if err := os.MkdirAll(p.DataDir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	lock, err := Lock(p.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if _, err := os.Lstat(p.Database + suffix); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there; move it away first, nothing was changed", p.Database+suffix)
		}
	}
	part, err := copyBeside(p.Database, backup)
	if err != nil {
		return err
	}
	defer func() {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if rm := os.Remove(part + suffix); !errors.Is(rm, fs.ErrNotExist) {
				err = errors.Join(err, rm)
			}
		}
	}()
	db, err := sqlite.Open(ctx, part, sqlite.Options{})
	if err != nil {
		return fmt.Errorf("%s is no backup that can be used: %w", backup, err)
	}
	if err := errors.Join(db.Check(ctx), db.Close()); err != nil {
		return fmt.Errorf("%s is damaged: %w", backup, err)
	}
	if err := os.Link(part, p.Database); err != nil { // unlike a rename, it replaces nothing
		return err
	}
	return syncDir(filepath.Dir(p.Database))
}

// copyBeside copies a file to a new one in the directory of another, for the owner only, and brings it to disk.
func copyBeside(beside, from string) (path string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.CreateTemp(filepath.Dir(beside), "."+filepath.Base(beside)+".*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return "", errors.Join(err, os.Remove(out.Name()))
	}
	return out.Name(), nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
