package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// LockName is the file in a data directory whose lock its appliance holds.
const LockName = "strongroom.lock"

// LockedError says that another appliance has the data directory.
type LockedError struct {
	Dir string
	PID int // 0 where it cannot be told
}

// Error is one line for the operator.
func (e *LockedError) Error() string {
	holder := "another process"
	if e.PID > 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("data directory %s is in use by %s: one appliance at a time", e.Dir, holder)
}

// LockDir takes the data directory for this process until the result is closed or the process ends, however it ends. It
// never waits: a directory that is taken is a *LockedError.
func LockDir(dir string) (io.Closer, error) {
	path := filepath.Join(dir, LockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &LockedError{Dir: dir, PID: readPID(f)}
		}
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	// The process id is for people; the lock is what counts. The file stays: to remove it would let a third process lock
	// a new file of that name while a second one waits for this one.
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock data directory %s: %w", dir, err), f.Close())
	}
	return &dirLock{f}, nil
}

type dirLock struct{ file *os.File }

// Close gives the lock back by name: to close the file alone leaves it to any process that is being started at this moment,
// until that becomes its own program.
func (l *dirLock) Close() error {
	return errors.Join(l.file.Truncate(0), syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN), l.file.Close())
}

func readPID(f *os.File) int {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
