package state_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/state"
)

// lockDirOf makes a process of the test binary the holder of a lock.
const lockDirOf = "STRONGROOM_TEST_LOCK_DIR"

func TestLockDirOfAnotherProcess(t *testing.T) {
	if dir := os.Getenv(lockDirOf); dir != "" {
		lock, err := state.LockDir(dir)
		require.NoError(t, err)
		t.Cleanup(func() { _ = lock.Close() }) // what nobody refers to any more is closed
		fmt.Println("locked")
		select {} // until it is killed
	}
	dir := t.TempDir()
	holder := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockDirOfAnotherProcess$")
	holder.Env = append(os.Environ(), lockDirOf+"="+dir)
	out, err := holder.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, holder.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "locked\n", line)

	_, err = state.LockDir(dir)
	var locked *state.LockedError
	require.ErrorAs(t, err, &locked)
	assert.Equal(t, &state.LockedError{Dir: dir, PID: holder.Process.Pid}, locked)
	assert.Equal(t, fmt.Sprintf("data directory %s is in use by process %d: one appliance at a time", dir, holder.Process.Pid), err.Error())

	require.NoError(t, holder.Process.Kill())
	require.Error(t, holder.Wait())
	lock, err := state.LockDir(dir)
	require.NoError(t, err, "the lock of a process that was killed is gone")
	require.NoError(t, lock.Close())
}

// A process that is started while the lock is held has it too until it becomes its own program: to give it back is not to wait
// for that.
func TestLockDirWhileAProcessStarts(t *testing.T) {
	dir := t.TempDir()
	lock, err := state.LockDir(dir)
	require.NoError(t, err)
	fd, err := state.Inherit(lock)
	require.NoError(t, err)
	defer func() { require.NoError(t, syscall.Close(fd)) }()
	require.NoError(t, lock.Close())
	lock, err = state.LockDir(dir)
	require.NoError(t, err)
	require.NoError(t, lock.Close())
}

func TestLockDir(t *testing.T) {
	dir := t.TempDir()
	lock, err := state.LockDir(dir)
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, state.LockName))
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm())

	_, err = state.LockDir(dir)
	var locked *state.LockedError
	require.ErrorAs(t, err, &locked, "twice in one process")
	assert.Equal(t, os.Getpid(), locked.PID)

	other, err := state.LockDir(t.TempDir())
	require.NoError(t, err, "another directory")
	require.NoError(t, other.Close())
	require.NoError(t, lock.Close())
	lock, err = state.LockDir(dir)
	require.NoError(t, err, "after it was given back")
	defer lock.Close()

	require.NoError(t, os.WriteFile(filepath.Join(dir, state.LockName), []byte("not a number"), 0o600))
	_, err = state.LockDir(dir)
	require.ErrorContains(t, err, "in use by another process")

	_, err = state.LockDir(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, filepath.Join(dir, "missing"))
}
