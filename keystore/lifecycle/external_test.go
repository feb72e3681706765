package lifecycle_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// outside is an external key store: it has keys of somebody else, and notes what is done to them.
type outside struct {
	mu        sync.Mutex
	checked   []backend.Handle
	destroyed int
	refuse    error
}

func (o *outside) Identity() keystore.TokenIdentity {
	return keystore.TokenIdentity{Label: "https://proxy.example.com/kms/xks/v1"}
}

func (o *outside) CreateKey(_ context.Context, h backend.Handle) (backend.Created, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.checked = append(o.checked, h)
	return backend.Created{}, o.refuse
}

func (o *outside) DestroyKey(context.Context, backend.Handle) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.destroyed++
	return false, nil
}

func (o *outside) Health(context.Context) error { return nil }
func (o *outside) Close() error                 { return nil }

func (o *outside) Seal(context.Context, *backend.Handle, []byte, []byte, []byte) ([]byte, error) {
	return nil, errors.New("not asked for here")
}

func (o *outside) Open(context.Context, *backend.Handle, []byte, []byte, []byte) ([]byte, error) {
	return nil, errors.New("not asked for here")
}

// external adds a connected external key store.
func (w *world) external(name string) (keystore.StoreID, *outside) {
	w.t.Helper()
	id := keystore.StoreID("cks-" + strings.Repeat("e", 17-len(name)) + name)
	require.NoError(w.t, w.db.Update(w.t.Context(), func(tx keystore.Tx) error {
		return tx.InsertStore(&keystore.Store{ID: id, Account: account, Region: region, Name: name, Type: keystore.StoreXKS,
			Created: w.clock.Now(), Conn: keystore.Connected, Xks: &keystore.XksConfig{Connectivity: "PUBLIC_ENDPOINT",
				AccessKeyID: "A", URIEndpoint: "https://proxy.example.com", URIPath: "/" + name + "/kms/xks/v1"}})
	}))
	o := &outside{}
	w.stores.set(id, o, keystore.Connected)
	return id, o
}

func externalKey(store keystore.StoreID, xksKey string) *lifecycle.CreateKeyInput {
	return &lifecycle.CreateKeyInput{Origin: "EXTERNAL_KEY_STORE", CustomKeyStoreID: string(store), XksKeyID: xksKey}
}

// byKind gives the two rows of a key in an external key store.
func (w *world) byKind(arn string) (own, theirs *keystore.Material) {
	w.t.Helper()
	rows := w.rows(arn)
	require.Len(w.t, rows, 2)
	for _, m := range rows {
		switch m.Kind {
		case keystore.MaterialOnToken:
			own = m
		case keystore.MaterialNotOurs:
			theirs = m
		}
	}
	require.NotNil(w.t, own)
	require.NotNil(w.t, theirs)
	return own, theirs
}

func TestKeyInAnExternalStoreHasTwoMaterials(t *testing.T) {
	w := newWorld(t)
	id, o := w.external("x")
	k := w.create(*externalKey(id, "their-key"))
	assert.Equal(t, "their-key", k.XksKeyID)
	assert.Equal(t, id, k.StoreID)
	own, theirs := w.byKind(k.ARN())
	assert.Equal(t, keystore.MaterialLive, own.State)
	assert.Equal(t, keystore.MaterialLive, theirs.State)
	assert.Equal(t, k.Current().ID, own.ID, "the key's own material is the current one")
	assert.Empty(t, own.StoreID, "it is on the default token")
	assert.Equal(t, w.token.Identity(), own.Token)
	assert.Equal(t, "their-key", theirs.ExternalID)
	assert.Equal(t, id, theirs.StoreID)
	assert.Equal(t, o.Identity(), theirs.Token)
	require.Len(t, o.checked, 1)
	assert.Equal(t, "their-key", o.checked[0].External)
	assert.Equal(t, w.root, o.checked[0].Caller)
	assert.Equal(t, keystore.ActionCreateKey, o.checked[0].Action)
	w.honest(w.token)
	scan, err := lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{})
	require.NoError(t, err)
	assert.Empty(t, scan.Missing)
	assert.Empty(t, scan.Unknown)
}

func TestExternalKeyServesOneKMSKey(t *testing.T) {
	w := newWorld(t)
	id, o := w.external("x")
	other, _ := w.external("y")
	k := w.create(*externalKey(id, "one"))
	w.create(*externalKey(other, "one")) // another store
	_, err := w.CreateKey(t.Context(), w.root, externalKey(id, "one"))
	require.Equal(t, keystore.KindXksKeyAlreadyInUse, keystore.KindOf(err))
	assert.Len(t, o.checked, 1, "the proxy is not asked")
	_, err = w.ScheduleKeyDeletion(t.Context(), w.root, string(k.ID), 7)
	require.NoError(t, err)
	_, err = w.CreateKey(t.Context(), w.root, externalKey(id, "one"))
	require.Equal(t, keystore.KindXksKeyAlreadyInUse, keystore.KindOf(err), "a deletion can be cancelled")
	w.clock.advance(8 * 24 * time.Hour)
	w.sweep()
	w.create(*externalKey(id, "one"))

	t.Run("whoever asks at the same time", func(t *testing.T) {
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for range 8 {
			wg.Go(func() {
				_, err := w.CreateKey(t.Context(), w.root, externalKey(id, "two"))
				errs <- err
			})
		}
		wg.Wait()
		close(errs)
		made := 0
		for err := range errs {
			if err == nil {
				made++
				continue
			}
			assert.Equal(t, keystore.KindXksKeyAlreadyInUse, keystore.KindOf(err))
		}
		assert.Equal(t, 1, made)
		w.honest(w.token)
		for _, m := range w.rows("") {
			assert.NotContains(t, []keystore.MaterialState{keystore.MaterialPlanned, keystore.MaterialCondemned, keystore.MaterialOrphaned}, m.State)
		}
	})
}

func TestCreateInAnExternalStoreThatFails(t *testing.T) {
	w := newWorld(t)
	id, o := w.external("x")
	refusal := &keystore.Fault{Kind: keystore.KindXksKeyNotFound}
	o.refuse = refusal
	_, err := w.CreateKey(t.Context(), w.root, externalKey(id, "k"))
	require.ErrorIs(t, err, refusal)
	assert.Empty(t, w.rows(""), "nothing was planned")
	o.refuse = nil

	w.token.FailAfter(backendtest.Create, 1, errLost)
	_, err = w.CreateKey(t.Context(), w.root, externalKey(id, "k"))
	require.ErrorIs(t, err, errLost)
	w.honest(w.token)
	assert.Empty(t, w.token.List(), "what was made without a key is destroyed")
	for _, m := range w.rows("") {
		assert.Contains(t, []keystore.MaterialState{keystore.MaterialDestroyed, keystore.MaterialResolved}, m.State, m.Kind)
	}
	w.stores.turn(id, keystore.Disconnected)
	_, err = w.CreateKey(t.Context(), w.root, externalKey(id, "k"))
	require.Equal(t, keystore.KindCustomKeyStoreInvalidState, keystore.KindOf(err))
	w.stores.turn(id, keystore.Connected)
	w.create(*externalKey(id, "k"))
}

// The external key is never touched, and the key's own material goes on time, whatever the store is doing.
func TestDeletionOfAKeyInAnExternalStore(t *testing.T) {
	for _, conn := range keystore.ConnStates() {
		t.Run(string(conn), func(t *testing.T) {
			w := newWorld(t)
			id, o := w.external("x")
			k := w.create(*externalKey(id, "k"))
			w.doom(k)
			w.stores.turn(id, conn)
			v, err := w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
			require.NoError(t, err)
			assert.Equal(t, keystore.PendingDeletion, v.State)
			report := w.sweep()
			assert.Equal(t, 1, report.Deleted)
			assert.Zero(t, report.Orphaned)
			own, theirs := w.byKind(k.ARN())
			assert.Equal(t, keystore.MaterialDestroyed, own.State)
			assert.Equal(t, keystore.MaterialResolved, theirs.State)
			assert.Equal(t, "external keys are never destroyed", theirs.Note)
			assert.Empty(t, w.token.List())
			assert.Zero(t, o.destroyed)
			events := w.log.about("DeleteKey", k.ARN())
			require.Len(t, events, 1)
			assert.Contains(t, string(events[0].AdditionalEventData.JSON()), own.ID.String())
			assert.NotContains(t, string(events[0].AdditionalEventData.JSON()), theirs.ID.String(), "no backing key of ours")
		})
	}
}

func TestCancelledDeletionInADisconnectedExternalStore(t *testing.T) {
	w := newWorld(t)
	id, _ := w.external("x")
	k := w.create(*externalKey(id, "k"))
	w.stores.turn(id, keystore.Disconnected)
	_, err := w.ScheduleKeyDeletion(t.Context(), w.root, string(k.ID), 7)
	require.NoError(t, err)
	_, err = w.CancelKeyDeletion(t.Context(), w.root, string(k.ID))
	require.NoError(t, err)
	v, err := w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
	require.NoError(t, err)
	assert.Equal(t, keystore.Unavailable, v.State)
	w.stores.turn(id, keystore.Connected)
	v, err = w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
	require.NoError(t, err)
	assert.Equal(t, keystore.Disabled, v.State)
}

func TestOrphanOfAnExternalStoresKeyIsItsOwnMaterial(t *testing.T) {
	w := newWorld(t)
	id, _ := w.external("x")
	k := w.create(*externalKey(id, "k"))
	w.doom(k)
	w.token.Fail(backendtest.Destroy, 1, backendtest.Lost())
	assert.Equal(t, 1, w.sweep().Orphaned)
	orphans := lifecycle.NewOrphans(w.Service)
	list, err := orphans.List(t.Context(), lifecycle.OrphanFilter{})
	require.NoError(t, err)
	require.Len(t, list, 1, "the external key is nobody's orphan")
	own, _ := w.byKind(k.ARN())
	assert.Equal(t, own.ID.String(), list[0].ID)
	w.token.Mend()
	_, err = orphans.Destroy(t.Context(), list[0].ID)
	require.NoError(t, err)
	assert.Empty(t, w.token.List())
}

// The appliance is stopped between every two steps of making and deleting a key in an external store.
func TestCrashesWithAnExternalStore(t *testing.T) {
	for _, step := range []string{lifecycle.StepCreatePlanned, lifecycle.StepCreateGenerated, lifecycle.StepCreateCommitted,
		lifecycle.StepAbandonCondemned, lifecycle.StepDeleteCondemned, lifecycle.StepDestroyed, lifecycle.StepDestroyAudited, lifecycle.StepDestroySettled} {
		t.Run(step, func(t *testing.T) {
			var f fuse
			w := newWorld(t, func(c *lifecycle.Config) { c.Hook = f.hook })
			id, o := w.external("x")
			kept, doomed := w.create(*externalKey(id, "kept")), w.create(*externalKey(id, "doomed"))
			w.doom(doomed)
			hits := 0
			for n, do := range []func(){
				func() { _, _ = w.CreateKey(t.Context(), w.root, externalKey(id, "new")) },
				func() {
					w.token.FailAfter(backendtest.Create, 1, errLost)
					_, _ = w.CreateKey(t.Context(), w.root, externalKey(id, "failing"))
				},
				func() { w.sweep() },
			} {
				for nth := range 2 { // some steps come twice, once for each material
					f.arm(step, nth)
					if f.run(do) != "" {
						hits++
						w.restart()
					}
					f.disarm()
					w.token.Mend()
					w.honest(w.token)
					if n == 2 {
						break
					}
				}
			}
			require.NotZero(t, hits, "no operation comes by this step")
			w.restart()
			w.reconcile()
			w.sweep()
			w.honest(w.token)
			for _, m := range w.rows("") {
				assert.Contains(t, []keystore.MaterialState{keystore.MaterialLive, keystore.MaterialDestroyed, keystore.MaterialResolved}, m.State)
			}
			_, err := w.DescribeKey(t.Context(), w.root, string(kept.ID), nil)
			require.NoError(t, err)
			_, err = w.DescribeKey(t.Context(), w.root, string(doomed.ID), nil)
			faulty(t, err, keystore.KindNotFound, "*")
			assert.NotEmpty(t, w.log.about("DeleteKey", doomed.ARN()))
			assert.Zero(t, o.destroyed)
			if _, err := w.CreateKey(t.Context(), w.root, externalKey(id, "failing")); err != nil {
				assert.Equal(t, keystore.KindXksKeyAlreadyInUse, keystore.KindOf(err))
			}
		})
	}
}
