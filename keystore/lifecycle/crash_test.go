package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// lister gives what is on a token, whatever trouble the token is in.
type lister interface{ List() []backend.Object }

// honest holds the world against the one promise: every object on a token is named by a row, and every live key has its
// object. It may be called at any instant.
func (w *world) honest(tokens ...lister) {
	w.t.Helper()
	rows := map[string]*keystore.Material{}
	for _, m := range w.rows("") {
		rows[m.ID.String()] = m
	}
	there := map[string]bool{}
	for _, token := range tokens {
		for _, o := range token.List() {
			id := fmt.Sprintf("%x", o.ID)
			there[id] = true
			require.Contains(w.t, rows, id, "an object that no row names")
			require.Equal(w.t, rows[id].Label, o.Label)
			require.NotEqual(w.t, keystore.MaterialDestroyed, rows[id].State, "the ledger says that it was destroyed: %s", o.Label)
		}
	}
	for _, id := range w.keyIDs() {
		v, err := w.DescribeKey(w.t.Context(), w.root, string(id), nil)
		require.NoError(w.t, err)
		for i := range v.Key.Materials {
			m := rows[v.Key.Materials[i].ID.String()]
			require.NotNil(w.t, m, "a key without a row")
			require.Equal(w.t, keystore.MaterialLive, m.State)
			require.True(w.t, there[m.ID.String()], "a key without an object")
		}
	}
}

func (w *world) keyIDs() []keystore.KeyID {
	w.t.Helper()
	var all []keystore.KeyID
	marker := ""
	for {
		ids, next, err := w.ListKeys(w.t.Context(), w.root, keystore.Page{Marker: marker})
		require.NoError(w.t, err)
		all = append(all, ids...)
		if next == "" {
			return all
		}
		marker = next
	}
}

// The appliance is stopped between every two steps of making and deleting a key, and started again.
func TestCrashAtEveryStep(t *testing.T) {
	for _, step := range lifecycle.Steps() {
		t.Run(step, func(t *testing.T) {
			var f fuse
			w := newWorld(t, func(c *lifecycle.Config) { c.Hook = f.hook })
			id, token := w.store("one")
			kept, doomed, rotated := w.inStore(id), w.inStore(id), w.create(lifecycle.CreateKeyInput{})
			w.doom(doomed)
			hits := 0
			for _, do := range []func(){
				func() { w.inStore(id) },
				func() {
					token.FailAfter(backendtest.Create, 1, errLost)
					_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: string(id)})
					require.ErrorIs(t, err, errLost)
				},
				func() { w.sweep() },
				func() {
					_, err := w.RotateKeyOnDemand(t.Context(), w.root, string(rotated.ID))
					require.NoError(t, err)
				},
			} {
				f.arm(step, 0)
				if f.run(do) != "" {
					hits++
					w.restart()
				}
				f.disarm()
				token.Mend()
				w.honest(token, w.token)
			}
			require.NotZero(t, hits, "no operation comes by this step")
			w.restart()
			w.reconcile()
			w.sweep()
			w.honest(token, w.token)
			for _, m := range w.rows("") {
				assert.Contains(t, []keystore.MaterialState{keystore.MaterialLive, keystore.MaterialDestroyed}, m.State)
			}
			_, err := w.DescribeKey(t.Context(), w.root, string(kept.ID), nil)
			require.NoError(t, err)
			_, err = w.DescribeKey(t.Context(), w.root, string(doomed.ID), nil)
			faulty(t, err, keystore.KindNotFound, "*")
			assert.NotEmpty(t, w.log.about("DeleteKey", doomed.ARN()), "the log knows of the deletion")
		})
	}
}

// Random operations on random tokens in random trouble, with crashes at random steps: after a start with good tokens
// nothing is open, and at no instant an object lacks a row or a key its object.
func TestRandomCrashes(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomCrashes(t, rand.New(rand.NewPCG(seed, 2))) })
	}
}

func randomCrashes(t *testing.T, r *rand.Rand) {
	var f fuse
	w := newWorld(t, func(c *lifecycle.Config) { c.Hook = f.hook })
	one, tokenOne := w.store("one")
	two, tokenTwo := w.store("two")
	tokens := []*backendtest.Memory{w.token, tokenOne, tokenTwo}
	ids := []keystore.StoreID{"", one, two}
	answered := map[keystore.KeyID]bool{} // keys that a caller knows of, and whose deletion nobody asked for
	trouble := errors.New("CKR_DEVICE_ERROR")
	ctx := t.Context()
	pick := func() string {
		all := w.keyIDs()
		if len(all) == 0 {
			return absent
		}
		return string(all[r.IntN(len(all))])
	}
	do := func() {
		switch n := r.IntN(13); n {
		case 0, 1, 2, 3:
			id := ids[r.IntN(3)]
			in := &lifecycle.CreateKeyInput{CustomKeyStoreID: string(id)}
			if id != "" {
				in.Origin = "AWS_CLOUDHSM"
			}
			if v, err := w.CreateKey(ctx, w.root, in); err == nil {
				answered[v.Key.ID] = true
			}
		case 4, 5:
			id := pick()
			delete(answered, keystore.KeyID(id)) // the crash may come before the answer
			_, _ = w.ScheduleKeyDeletion(ctx, w.root, id, 7)
		case 6:
			_, _ = w.CancelKeyDeletion(ctx, w.root, pick())
		case 7:
			w.clock.advance(4 * 24 * time.Hour)
			_, err := lifecycle.NewSweeper(w.Service).SweepOnce(ctx, w.clock.Now())
			require.NoError(t, err)
		case 8:
			w.stores.turn(ids[1+r.IntN(2)], []keystore.ConnState{keystore.Connected, keystore.Disconnected, keystore.Connecting}[r.IntN(3)])
		case 9:
			token := tokens[r.IntN(3)]
			call := backendtest.Calls()[r.IntN(3)]
			if r.IntN(2) == 0 {
				token.Fail(call, 1+r.IntN(2), trouble)
			} else {
				token.FailAfter(call, 1+r.IntN(2), trouble)
			}
		case 10:
			tokens[r.IntN(3)].Mend()
		case 11:
			_, _ = w.RotateKeyOnDemand(ctx, w.root, pick())
		case 12:
			_, err := lifecycle.NewReconciler(w.Service).ReconcileOnce(ctx)
			require.NoError(t, err)
		}
	}
	for range 60 {
		f.arm("", r.IntN(16))
		if f.run(do) != "" {
			w.restart()
		}
		f.disarm()
		w.honest(tokenOne, tokenTwo, w.token)
	}
	for _, token := range tokens {
		token.Mend()
	}
	for _, id := range ids {
		w.stores.turn(id, keystore.Connected)
	}
	w.restart()
	w.reconcile()
	w.honest(tokenOne, tokenTwo, w.token)
	ended := []keystore.MaterialState{keystore.MaterialLive, keystore.MaterialDestroyed, keystore.MaterialOrphaned}
	for _, m := range w.rows("") {
		require.Contains(t, ended, m.State, "an open row after a start: %+v", m)
	}
	all := w.keyIDs()
	for id := range answered {
		require.True(t, slices.Contains(all, id), "a key that was answered is lost")
	}
	scan, err := lifecycle.NewOrphans(w.Service).Scan(ctx, lifecycle.ScanFilter{})
	require.NoError(t, err)
	require.Empty(t, scan.Unknown)
	require.Empty(t, scan.Missing)
	require.Empty(t, scan.Skipped)
	w.destroyOrphans(ctx)
	w.honest(tokenOne, tokenTwo, w.token)
}

// destroyOrphans destroys what is left on healthy tokens.
func (w *world) destroyOrphans(ctx context.Context) {
	w.t.Helper()
	orphans := lifecycle.NewOrphans(w.Service)
	list, err := orphans.List(ctx, lifecycle.OrphanFilter{})
	require.NoError(w.t, err)
	for _, o := range list {
		_, err := orphans.Destroy(ctx, o.ID)
		require.NoError(w.t, err)
	}
}
