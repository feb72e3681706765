package statetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

// Database is a database that can be closed.
type Database interface {
	keystore.DB
	io.Closer
}

// crashDir is the variable that makes a process of the test binary a writer that will be killed.
const crashDir = "STRONGROOM_STATETEST_CRASH_DIR"

// RunCrash kills a process with SIGKILL while it writes, opens what it left, and checks that every change that it
// acknowledged is there, that no change is there by half, and does so over and over on the same database. It must be
// called first in a top-level test, since the test binary runs that test again as the process to be killed. open opens
// the database in a directory, new where there is none.
func RunCrash(t *testing.T, kills int, open func(ctx context.Context, dir string) (Database, error)) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeUntilKilled(t, dir, open)
		return
	}
	dir := t.TempDir()
	promised := map[string]int{} // what was acknowledged, by subject: how far it has come
	for range kills {
		for _, line := range killWriter(t, dir, 1+rand.IntN(200)) {
			var subject string
			var step int
			_, err := fmt.Sscan(line, &subject, &step)
			require.NoError(t, err, "line %q", line)
			promised[subject] = max(promised[subject], step)
		}
		db, err := open(t.Context(), dir)
		require.NoError(t, err, "open what a killed process left")
		checkPromises(t, db, promised)
		require.NoError(t, db.Close())
	}
	require.NotEmpty(t, promised)
}

// killWriter runs a writer, kills it after so many acknowledgements, and gives all that it acknowledged.
func killWriter(t *testing.T, dir string, acknowledgements int) (lines []string) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		line, ok := strings.CutPrefix(scanner.Text(), "ack ")
		if !ok {
			t.Log(scanner.Text())
			continue
		}
		if lines = append(lines, line); len(lines) == acknowledgements {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, -1, exit.ExitCode(), "the writer was killed and did not end by itself: %v", exit)
	return lines
}

// The life of a key as the writers run it. Each step is one transaction.
const (
	stepPlanned = iota + 1
	stepLive    // the key, an alias and a grant are there
	stepMoved   // the key has changed
	stepGone    // the key is deleted, its material condemned, its tombstone set
)

func writeUntilKilled(t *testing.T, dir string, open func(ctx context.Context, dir string) (Database, error)) {
	db, err := open(t.Context(), dir)
	require.NoError(t, err)
	const perRun = 100_000
	var first int
	require.NoError(t, db.Update(t.Context(), func(tx keystore.Tx) error {
		runs, err := tx.Settings("run/")
		if err != nil {
			return err
		}
		first = perRun * len(runs)
		return tx.PutSetting(fmt.Sprintf("run/%d", len(runs)), nil)
	}))
	var all sync.WaitGroup
	const writers = 4
	for w := range writers {
		all.Go(func() {
			for i := first + w; i < first+perRun && !t.Failed(); i += writers {
				for step := stepPlanned; step <= stepPlanned+i%4; step++ {
					if !assert.NoError(t, db.Update(t.Context(), func(tx keystore.Tx) error { return live(tx, i, step) })) {
						return
					}
					fmt.Printf("ack %d %d\n", i, step) // one write each: lines do not mix
				}
			}
		})
	}
	all.Wait()
}

func live(tx keystore.Tx, n, step int) error {
	switch step {
	case stepPlanned:
		return tx.InsertMaterial(Material(n, keystore.MaterialPlanned))
	case stepLive:
		return errors.Join(advance(tx, n, keystore.MaterialLive), tx.InsertKey(Key(Region, n)),
			tx.InsertAlias(Alias(Region, fmt.Sprintf("alias/%d", n), KeyID(n))), tx.InsertGrant(Grant(Region, KeyID(n), n)))
	}
	k, err := tx.Key(Region, KeyID(n))
	if err != nil {
		return err
	}
	if step == stepMoved {
		k.State, k.Description = keystore.Disabled, strings.Repeat("moved ", 500)
		return tx.UpdateKey(k)
	}
	return errors.Join(tx.DeleteKey(k), advance(tx, n, keystore.MaterialCondemned),
		tx.InsertTombstone(&keystore.Tombstone{KeyARN: k.ARN(), KeyID: k.ID, Region: k.Region, DeletedAt: Noon}))
}

func advance(tx keystore.Tx, n int, to keystore.MaterialState) error {
	m, err := tx.Material(MaterialID(n))
	if err != nil {
		return err
	}
	if err := m.Advance(to); err != nil {
		return err
	}
	return tx.UpdateMaterial(m)
}

func checkPromises(t *testing.T, db keystore.DB, promised map[string]int) {
	look(t, db, func(tx keystore.Tx) {
		found, keys := map[string]int{}, 0
		for after := (keystore.MaterialID{}); ; {
			page := need[[]*keystore.Material](t)(tx.Materials(after, 500))
			if len(page) == 0 {
				break
			}
			for _, m := range page {
				n := int(m.ID[1])<<24 | int(m.ID[2])<<16 | int(m.ID[3])<<8 | int(m.ID[4])
				step := stepOf(t, tx, n, m)
				if found[fmt.Sprint(n)] = step; step == stepLive || step == stepMoved {
					keys++
				}
			}
			after = page[len(page)-1].ID
		}
		for subject, step := range promised {
			assert.GreaterOrEqual(t, found[subject], step, "row %s was acknowledged up to step %d", subject, step)
		}
		assert.Len(t, need[[]keystore.KeyID](t)(tx.KeyIDs(Region, "", 1<<30)), keys)
		assert.Equal(t, keys, need[int](t)(tx.CountKeys(Region)))
		assert.Len(t, need[[]*keystore.Alias](t)(tx.Aliases(Region, "", "", 1<<30)), keys)
	})
}

// stepOf tells how far the life of a key has come, and that its rows agree.
func stepOf(t *testing.T, tx keystore.Tx, n int, m *keystore.Material) int {
	k, err := tx.Key(Region, KeyID(n))
	if err != nil {
		require.ErrorIs(t, err, keystore.ErrNoRow)
	}
	grants := need[int](t)(tx.CountGrants(Region, KeyID(n)))
	stones := need[[]*keystore.Tombstone](t)(tx.Tombstones(m.KeyARN, 2))
	switch m.State {
	case keystore.MaterialPlanned:
		assert.Nil(t, k, "key %d before its material lives", n)
		return stepPlanned
	case keystore.MaterialLive:
		if assert.NotNil(t, k, "live material %d without a key", n) {
			assert.Equal(t, 1, grants)
			assert.Empty(t, stones)
		}
		if k != nil && k.State == keystore.Disabled {
			return stepMoved
		}
		return stepLive
	default:
		assert.Nil(t, k, "key %d after its material was condemned", n)
		assert.Len(t, stones, 1)
		assert.Zero(t, grants)
		return stepGone
	}
}
