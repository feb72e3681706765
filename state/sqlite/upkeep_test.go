package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/state/statetest"
)

func TestBackup(t *testing.T) {
	db := statetest.Open(t)
	insert(t, db, statetest.Key(statetest.Region, 1))
	dir := t.TempDir()
	path := filepath.Join(dir, "backup.db")
	require.NoError(t, db.Backup(t.Context(), path))
	insert(t, db, statetest.Key(statetest.Region, 2))

	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm())
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.ErrorIs(t, db.Backup(t.Context(), path), os.ErrExist, "a backup replaces no file")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, before, after)

	ended, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, db.Backup(ended, filepath.Join(dir, "never.db")), context.Canceled)
	require.Error(t, db.Backup(t.Context(), filepath.Join(dir, "no such directory", "b.db")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "failed backups leave nothing")

	restored := statetest.OpenAt(t, path)
	require.NoError(t, restored.Check(t.Context()))
	assert.Equal(t, "key 1", description(t, restored))
	_, err = restored.LookupKey(t.Context(), statetest.Region, statetest.KeyID(2))
	assert.ErrorIs(t, err, keystore.ErrNoRow, "it is of the time when it was made")
}

// A backup under changes holds whole transactions: each of these makes a key and counts it.
func TestBackupIsOneSnapshot(t *testing.T) {
	db := statetest.Open(t)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := 1; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if !assert.NoError(t, db.Update(t.Context(), func(tx keystore.Tx) error {
				if err := tx.PutSetting("keys", []byte(strconv.Itoa(n))); err != nil {
					return err
				}
				return tx.InsertKey(statetest.Key(statetest.Region, n))
			})) {
				return
			}
		}
	})
	for i := range 5 {
		path := filepath.Join(t.TempDir(), "backup.db")
		require.NoError(t, db.Backup(t.Context(), path), "backup %d", i)
		copied := statetest.OpenAt(t, path)
		require.NoError(t, copied.Check(t.Context()))
		require.NoError(t, copied.View(t.Context(), func(tx keystore.Tx) error {
			ids, err := tx.KeyIDs(statetest.Region, "", 1<<20)
			require.NoError(t, err)
			value, err := tx.Setting("keys")
			if len(ids) > 0 {
				require.NoError(t, err)
				assert.Equal(t, string(value), strconv.Itoa(len(ids)))
			}
			return nil
		}))
	}
	close(stop)
	writer.Wait()
}

func TestCheckFindsDamage(t *testing.T) {
	t.Run("pages", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		db := statetest.OpenAt(t, path)
		for n := range 200 {
			insert(t, db, statetest.Key(statetest.Region, n))
		}
		require.NoError(t, db.Check(t.Context()))
		require.NoError(t, db.Close())
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		info, err := f.Stat()
		require.NoError(t, err)
		junk := make([]byte, 4096)
		for i := range junk {
			junk[i] = 0xa5
		}
		for at := info.Size() / 2 / 4096 * 4096; at < info.Size(); at += 8192 {
			_, err = f.WriteAt(junk, at)
			require.NoError(t, err)
		}
		require.NoError(t, f.Close())
		require.ErrorContains(t, statetest.OpenAt(t, path).Check(t.Context()), path)
	})
	t.Run("rows without their parent", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "state.db")
		db := statetest.OpenAt(t, path)
		insert(t, db, statetest.Key(statetest.Region, 1))
		require.NoError(t, db.Update(t.Context(), func(tx keystore.Tx) error {
			return tx.InsertAlias(statetest.Alias(statetest.Region, "alias/a", statetest.KeyID(1)))
		}))
		require.NoError(t, db.Close())
		direct(t, path, "PRAGMA foreign_keys = 0", "DELETE FROM keys")
		err := statetest.OpenAt(t, path).Check(t.Context())
		require.ErrorContains(t, err, "a row of aliases refers to a missing row of keys")
	})
	t.Run("an ended context", func(t *testing.T) {
		ended, end := context.WithCancel(t.Context())
		end()
		require.ErrorIs(t, statetest.Open(t).Check(ended), context.Canceled)
	})
}
