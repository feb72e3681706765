package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// onToken is a world whose custom key store is on a SoftHSM2 token that fails on demand.
type onToken struct {
	*world
	faults *hsmtest.Faults
	b      *hsmstore.Backend
	store  keystore.StoreID
}

func newOnToken(t *testing.T, timeout time.Duration) *onToken {
	w := newWorld(t)
	id, _ := w.store("real")
	faults := hsmtest.Fault(t, "real")
	cfg := faults.Config("real")
	cfg.CallTimeout = timeout
	b := hsmstore.NewCloudHSM(faults.OpenConfig(cfg))
	w.stores.set(id, b, keystore.Connected)
	return &onToken{world: w, faults: faults, b: b, store: id}
}

// mend ends the token's trouble and waits until it is back, and until every call that hung has done its work: a key that one of
// them makes is seen before it is whole.
func (w *onToken) mend() {
	w.t.Helper()
	w.faults.Set()
	require.Eventually(w.t, func() bool {
		return w.b.Health(w.t.Context()) == nil && w.b.Token().Stats().Stuck == 0
	}, 2*time.Minute, 10*time.Millisecond)
}

// List gives the keys on the token that are not the appliance's own.
func (w *onToken) List() []backend.Object {
	w.t.Helper()
	var list []backend.Object
	require.NoError(w.t, w.b.Objects(w.t.Context(), func(o backend.Object) error {
		if !strings.HasPrefix(o.Label, "strongroom:") {
			list = append(list, o)
		}
		return nil
	}))
	return list
}

// callsOf counts the PKCS#11 calls of something.
func (w *onToken) callsOf(fn func()) int {
	w.t.Helper()
	w.faults.ResetCalls()
	fn()
	n := 0
	for _, c := range w.faults.Calls() {
		n += c
	}
	return n
}

// A real token goes away, for good or for one call, before or after each PKCS#11 call of a real deletion: the key goes on
// time, and its material is destroyed or an orphan that says why, and can be destroyed when the token is back.
func TestTokenGoesAwayWhileAKeyIsDestroyed(t *testing.T) {
	w := newOnToken(t, time.Minute)
	k := w.inStore(w.store)
	w.doom(k)
	calls := w.callsOf(func() { assert.Equal(t, 1, w.sweep().Destroyed) })
	require.Empty(t, w.List())
	orphans := lifecycle.NewOrphans(w.Service)
	destroyed, orphaned := 0, 0
	for _, rule := range []string{"", " times 1", " times 1 done"} {
		for n := range calls {
			name := fmt.Sprintf("fail * 0x32 skip %d%s", n, rule)
			k, kept := w.inStore(w.store), w.inStore(w.store)
			w.doom(k)
			w.faults.Set(name)
			report := w.sweep()
			require.Equal(t, 1, report.Deleted, name)
			_, err := w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
			faulty(t, err, keystore.KindNotFound, "*")
			row := w.row(k.ARN())
			w.mend()
			switch row.State {
			case keystore.MaterialDestroyed:
				destroyed++
			case keystore.MaterialOrphaned:
				orphaned++
				assert.Contains(t, row.Reason, "CKR_", name)
				o, err := orphans.Destroy(t.Context(), row.ID.String())
				require.NoError(t, err, name)
				assert.Equal(t, keystore.MaterialDestroyed, o.State)
			default:
				t.Fatalf("%s: the row is %s", name, row.State)
			}
			list := w.List()
			require.Len(t, list, 1, name)
			require.Equal(t, kept.ARN(), list[0].Label)
			w.doom(kept)
			require.Equal(t, 1, w.sweep().Destroyed)
		}
	}
	t.Logf("%d calls in a deletion; %d destroyed and %d orphaned", calls, destroyed, orphaned)
	assert.NotZero(t, orphaned)
}

// The same for a create: no object without a row, no key without its object.
func TestTokenGoesAwayWhileAKeyIsMade(t *testing.T) {
	w := newOnToken(t, time.Minute)
	calls := w.callsOf(func() { w.inStore(w.store) })
	for _, rule := range []string{"", " times 1", " times 1 done"} {
		for n := range calls {
			name := fmt.Sprintf("fail * 0x32 skip %d%s", n, rule)
			before := len(w.keyIDs())
			w.faults.Set(name)
			_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: string(w.store)})
			w.mend()
			if err == nil {
				before++
			}
			w.reconcile()
			require.Len(t, w.keyIDs(), before, name)
			w.honest(w)
			require.Len(t, w.List(), before, "%s: nothing is left behind", name)
		}
	}
	r, err := lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{StoreID: w.store})
	require.NoError(t, err)
	assert.Empty(t, r.Unknown)
	assert.Empty(t, r.Missing)
	assert.Empty(t, r.Orphaned)
}

// A token that answers "no such object" because its directory is away proves nothing.
func TestTokenThatFindsNothingIsNotBelieved(t *testing.T) {
	w := newOnToken(t, time.Minute)
	k := w.inStore(w.store)
	w.doom(k)
	w.faults.Set("gone-quietly")
	require.Equal(t, 1, w.sweep().Orphaned)
	r, err := lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{StoreID: w.store})
	require.NoError(t, err)
	assert.Len(t, r.Skipped, 1)
	assert.Empty(t, r.Gone)
	w.mend()
	r, err = lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{StoreID: w.store})
	require.NoError(t, err)
	assert.Len(t, r.Orphaned, 1)
	_, err = lifecycle.NewOrphans(w.Service).Destroy(t.Context(), w.row(k.ARN()).ID.String())
	require.NoError(t, err)
	assert.Empty(t, w.List())
}

// hungFor is how long a call may take where one hangs: long enough for the others on a busy machine.
const hungFor = 15 * time.Second

func TestHungTokenDelaysNoKey(t *testing.T) {
	t.Parallel()
	w := newOnToken(t, hungFor)
	k, other := w.inStore(w.store), w.create(lifecycle.CreateKeyInput{})
	w.doom(k)
	_, err := w.ScheduleKeyDeletion(t.Context(), w.root, string(other.ID), 7)
	require.NoError(t, err)
	w.clock.advance(8 * 24 * time.Hour)
	w.faults.Set("hang C_DestroyObject")
	report := w.sweep()
	assert.Equal(t, 2, report.Deleted)
	assert.Equal(t, keystore.MaterialDestroyed, w.row(other.ARN()).State)
	assert.Equal(t, keystore.MaterialOrphaned, w.row(k.ARN()).State)
	w.mend()
	require.Empty(t, w.List(), "the call that hung has destroyed it in the end")
	r, err := lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{StoreID: w.store})
	require.NoError(t, err)
	assert.Len(t, r.Gone, 1)
	o, err := lifecycle.NewOrphans(w.Service).Destroy(t.Context(), w.row(k.ARN()).ID.String())
	require.NoError(t, err)
	assert.Equal(t, keystore.MaterialDestroyed, o.State)
}

func TestHungCreateIsWatched(t *testing.T) {
	t.Parallel()
	w := newOnToken(t, hungFor)
	w.faults.Set("hang C_GenerateKey")
	_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: string(w.store)})
	require.ErrorIs(t, err, backend.ErrUnanswered)
	assert.Equal(t, keystore.MaterialPlanned, w.rows("")[0].State)
	w.mend()
	require.Len(t, w.List(), 1, "the call that hung has made it in the end")
	assert.Equal(t, lifecycle.ReconcileReport{Destroyed: 1}, w.reconcile())
	assert.Empty(t, w.List())
}
