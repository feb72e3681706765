package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// KeepToOwner closes a data directory to group and others; one that is not there yet is made so when it is needed.
func KeepToOwner(dir string) error {
	if err := os.Chmod(dir, 0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

// OwnerOnly refuses a data directory that group or others can look into. One that is not there is refused elsewhere.
func OwnerOnly(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("data directory %s is open to others (mode %04o); run: chmod 700 %s", dir, mode, dir)
	}
	return nil
}

// writable refuses a file or directory that is there and that this process cannot change. SQLite opens a database that it
// can only read as if nothing were wrong.
func writable(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	const read, write, search = 4, 2, 1 // of access(2)
	need := uint32(read | write)
	if err == nil && info.IsDir() {
		need |= search
	}
	if err == nil {
		err = syscall.Access(path, need)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be read and written by this user: %w", path, err)
	}
	return nil
}

// databaseFiles are those that SQLite keeps for a database.
func databaseFiles(path string) []string { return []string{path, path + "-wal", path + "-shm"} }
