package lifecycle_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// orphaned makes an orphan: a key of a store whose token was away when its time came.
func (w *world) orphaned(id keystore.StoreID) (*keystore.Key, *lifecycle.Orphan) {
	w.t.Helper()
	k := w.inStore(id)
	w.doom(k)
	w.stores.turn(id, keystore.Disconnected)
	require.Equal(w.t, 1, w.sweep().Orphaned)
	w.stores.turn(id, keystore.Connected)
	o, err := lifecycle.NewOrphans(w.Service).Show(w.t.Context(), k.Current().ID.String())
	require.NoError(w.t, err)
	return k, o
}

func TestOrphanNamesAllThatAPersonNeeds(t *testing.T) {
	w := newWorld(t)
	id, token := w.store("one")
	k, o := w.orphaned(id)
	text, err := json.Marshal(o)
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(text, &m))
	row := w.row(k.ARN())
	want := map[string]any{
		"id": row.ID.String(), "state": "orphaned", "key_id": string(k.ID), "key_arn": k.ARN(), "region": region,
		"store_id": string(id), "cluster_id": "cluster-one", "token_label": "memory-one", "token_serial": "one",
		"token_manufacturer": "Strongroom tests", "token_model": "Memory", "cka_id": row.ID.String(), "label": k.ARN(),
		"object_classes": []any{"CKO_SECRET_KEY"}, "key_type": "CKK_AES", "check_value": token.List()[0].CheckValue,
		"created_at": "2026-11-22T05:00:00Z", "scheduled_at": "2026-11-22T05:00:00Z", "deleted_at": "2026-11-29T05:01:00Z",
		"reason": "custom key store " + string(id) + " is DISCONNECTED", "attempts": float64(1),
		"backups": `Copies may be in any backup of token "memory-one" (serial one) taken between 2026-11-22T05:00:00Z and its destruction.`,
	}
	assert.Equal(t, want, m)
}

func TestDestroyOrphan(t *testing.T) {
	w := newWorld(t)
	id, token := w.store("one")
	_, o := w.orphaned(id)
	orphans := lifecycle.NewOrphans(w.Service)
	ctx := t.Context()

	w.stores.turn(id, keystore.Disconnected)
	again, err := orphans.Destroy(ctx, o.ID)
	require.ErrorContains(t, err, "DISCONNECTED")
	assert.Equal(t, 2, again.Attempts)
	w.stores.turn(id, keystore.Connected)

	token.Fail(backendtest.Destroy, 1, errors.New("C_DestroyObject: CKR_SESSION_READ_ONLY"))
	again, err = orphans.Destroy(ctx, o.ID)
	require.ErrorContains(t, err, "CKR_SESSION_READ_ONLY")
	assert.Equal(t, 3, again.Attempts)
	assert.Equal(t, "C_DestroyObject: CKR_SESSION_READ_ONLY", again.Reason)

	gone, err := orphans.Destroy(ctx, o.ID)
	require.NoError(t, err)
	assert.Equal(t, keystore.MaterialDestroyed, gone.State)
	assert.Empty(t, token.List())
	assert.Len(t, w.log.named("OrphanedKeyMaterialDestroyed"), 1)
	list, err := orphans.List(ctx, lifecycle.OrphanFilter{})
	require.NoError(t, err)
	assert.Empty(t, list)
	_, err = orphans.Destroy(ctx, o.ID)
	require.ErrorIs(t, err, lifecycle.ErrNotOrphan)
}

// Only the very object that the ledger means is destroyed, and only the token that it was made on proves that it is gone.
func TestDestroyOrphanMakesSure(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(w *world, id keystore.StoreID, token *backendtest.Memory, o backend.Object)
		reason  string
	}{
		"another label": {func(_ *world, _ keystore.StoreID, token *backendtest.Memory, o backend.Object) {
			o.Label = "other"
			token.Put(o)
		}, "its label"},
		"another value": {func(_ *world, _ keystore.StoreID, token *backendtest.Memory, o backend.Object) {
			o.CheckValue = "abcdef"
			token.Put(o)
		}, "its key check value"},
		"another type": {func(_ *world, _ keystore.StoreID, token *backendtest.Memory, o backend.Object) {
			o.KeyType = "CKK_DES3"
			token.Put(o)
		}, "its type"},
		"another token": {func(w *world, id keystore.StoreID, _ *backendtest.Memory, _ backend.Object) {
			w.stores.set(id, backendtest.NewMemory("two"), keystore.Connected)
		}, "serial two"},
		"a token in doubt": {func(_ *world, _ keystore.StoreID, token *backendtest.Memory, _ backend.Object) {
			token.Fail(backendtest.Find, 1, errors.New("CKR_SESSION_HANDLE_INVALID"))
		}, "CKR_SESSION_HANDLE_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id, token := w.store("one")
			k, o := w.orphaned(id)
			object := token.List()[0]
			token.Remove(k.Current().ID)
			c.arrange(w, id, token, object)
			before := len(token.List())
			_, err := lifecycle.NewOrphans(w.Service).Destroy(t.Context(), o.ID)
			require.ErrorContains(t, err, c.reason)
			assert.Len(t, token.List(), before)
			assert.Equal(t, keystore.MaterialOrphaned, w.row(k.ARN()).State)
		})
	}
}

func TestDestroyOrphanWhileTheAuditLogIsDown(t *testing.T) {
	w := newWorld(t)
	id, token := w.store("one")
	_, o := w.orphaned(id)
	full := errors.New("disk full")
	w.log.refuse(full)
	gone, err := lifecycle.NewOrphans(w.Service).Destroy(t.Context(), o.ID)
	require.ErrorIs(t, err, full)
	assert.Equal(t, keystore.MaterialDestroyed, gone.State)
	assert.Empty(t, token.List())
	w.log.refuse(nil)
	w.sweep()
	assert.Len(t, w.log.named("OrphanedKeyMaterialDestroyed"), 1)
	w.sweep()
	assert.Len(t, w.log.named("OrphanedKeyMaterialDestroyed"), 1)
}

func TestResolveOrphan(t *testing.T) {
	w := newWorld(t)
	id, _ := w.store("one")
	k, o := w.orphaned(id)
	orphans := lifecycle.NewOrphans(w.Service)
	_, err := orphans.Resolve(t.Context(), o.ID, "  ")
	require.Error(t, err)
	w.log.refuse(errors.New("disk full"))
	_, err = orphans.Resolve(t.Context(), o.ID, "zeroized the token")
	require.ErrorContains(t, err, "disk full")
	assert.Equal(t, keystore.MaterialOrphaned, w.row(k.ARN()).State)
	w.log.refuse(nil)
	r, err := orphans.Resolve(t.Context(), o.ID, "zeroized the token")
	require.NoError(t, err)
	assert.Equal(t, keystore.MaterialResolved, r.State)
	assert.Equal(t, "zeroized the token", r.Note)
	assert.Equal(t, o.Reason, r.Reason)
	assert.Len(t, w.log.named("OrphanedKeyMaterialResolved"), 1)
	_, err = orphans.Resolve(t.Context(), o.ID, "again")
	require.ErrorIs(t, err, lifecycle.ErrNotOrphan)
	list, err := orphans.List(t.Context(), lifecycle.OrphanFilter{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, keystore.MaterialResolved, list[0].State)
}

func TestListOrphansFilters(t *testing.T) {
	w := newWorld(t)
	one, _ := w.store("one")
	two, _ := w.store("two")
	_, first := w.orphaned(one)
	_, second := w.orphaned(two)
	live := w.inStore(one)
	orphans := lifecycle.NewOrphans(w.Service)
	_, err := orphans.Resolve(t.Context(), first.ID, "done")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		filter lifecycle.OrphanFilter
		want   []string
	}{
		"all":      {lifecycle.OrphanFilter{}, []string{second.ID, first.ID}},
		"store":    {lifecycle.OrphanFilter{StoreID: one}, []string{first.ID}},
		"state":    {lifecycle.OrphanFilter{States: []keystore.MaterialState{keystore.MaterialOrphaned}}, []string{second.ID}},
		"key":      {lifecycle.OrphanFilter{KeyARN: second.KeyARN}, []string{second.ID}},
		"region":   {lifecycle.OrphanFilter{Region: "eu-west-1"}, nil},
		"live key": {lifecycle.OrphanFilter{KeyARN: live.ARN()}, nil},
	} {
		list, err := orphans.List(t.Context(), c.filter)
		require.NoError(t, err)
		var ids []string
		for _, o := range list {
			ids = append(ids, o.ID)
		}
		assert.Equal(t, c.want, ids, name)
	}
	for _, id := range []string{"", "nonsense", live.Current().ID.String(), keystore.MaterialID{}.String()} {
		_, err := orphans.Show(t.Context(), id)
		require.ErrorIs(t, err, lifecycle.ErrNotOrphan, id)
	}
}

func TestScanFindsEveryDifference(t *testing.T) {
	w := newWorld(t)
	one, token := w.store("one")
	away, _ := w.store("away")
	w.inStore(away)
	w.stores.turn(away, keystore.Failed)
	w.inStore(one)
	w.create(lifecycle.CreateKeyInput{})
	lost := w.inStore(one)
	token.Remove(lost.Current().ID)
	_, there := w.orphaned(one)
	_, removed := w.orphaned(one)
	id, err := keystore.ParseMaterialID(removed.CKAID)
	require.NoError(t, err)
	token.Remove(id)
	_, resolved := w.orphaned(one)
	_, err = lifecycle.NewOrphans(w.Service).Resolve(t.Context(), resolved.ID, "I was wrong")
	require.NoError(t, err)
	token.Put(backend.Object{ID: []byte{1, 2}, Label: "somebody's", Class: "CKO_PUBLIC_KEY", KeyType: "CKK_RSA"})
	token.Put(backend.Object{ID: []byte{1, 2}, Label: "somebody's", Class: "CKO_PRIVATE_KEY", KeyType: "CKK_RSA"})
	token.Put(backend.Object{ID: lost.Current().ID[:], Label: "renamed", Class: "CKO_SECRET_KEY", KeyType: "CKK_AES"})
	token.Put(backend.Object{ID: []byte("vault"), Label: "strongroom:vault", Class: "CKO_SECRET_KEY"})
	w.clock.advance(time.Minute)

	before := len(token.List())
	r, err := lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{})
	require.NoError(t, err)
	assert.Len(t, token.List(), before, "a scan changes nothing")
	ids := func(list []*lifecycle.Orphan) []string {
		var out []string
		for _, o := range list {
			out = append(out, o.ID)
		}
		return out
	}
	assert.ElementsMatch(t, []string{there.ID, resolved.ID}, ids(r.Orphaned))
	assert.Equal(t, []string{removed.ID}, ids(r.Gone))
	assert.Equal(t, []string{lost.Current().ID.String()}, ids(r.Missing), "an object has its id, but not its label")
	require.Len(t, r.Unknown, 2)
	assert.Equal(t, "renamed", r.Unknown[0].Label)
	assert.Contains(t, r.Unknown[0].Why, lost.ARN())
	assert.Equal(t, []string{"CKO_PRIVATE_KEY", "CKO_PUBLIC_KEY"}, r.Unknown[1].ObjectClasses)
	assert.Equal(t, "one", r.Unknown[1].Serial)
	require.Len(t, r.Scanned, 2)
	assert.Equal(t, []lifecycle.SkippedToken{{Region: region, StoreID: away, Reason: "the key store is FAILED and its token out of reach"}}, r.Skipped)

	token.Remove(lost.Current().ID)
	r, err = lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{Region: region, StoreID: one})
	require.NoError(t, err)
	assert.Equal(t, []string{lost.Current().ID.String()}, ids(r.Missing))
	require.Len(t, r.Scanned, 1)
	assert.Equal(t, 1, r.Scanned[0].Appliance)
	assert.Empty(t, r.Skipped)
}

func TestScanOfOneTokenBehindTwoStores(t *testing.T) {
	w := newWorld(t, func(c *lifecycle.Config) { c.Regions = []string{region, "eu-west-1"} })
	w.create(lifecycle.CreateKeyInput{})
	w.token.Put(backend.Object{ID: []byte{9}, Label: "x", Class: "CKO_SECRET_KEY"})
	r, err := lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{})
	require.NoError(t, err)
	assert.Len(t, r.Scanned, 2)
	assert.Len(t, r.Unknown, 1)
	assert.Empty(t, r.Missing)

	w.token.Fail(backendtest.List, 1, errors.New("C_FindObjects: CKR_DEVICE_ERROR"))
	r, err = lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{Region: region})
	require.NoError(t, err)
	require.Len(t, r.Skipped, 1)
	assert.Contains(t, r.Skipped[0].Reason, "CKR_DEVICE_ERROR")
	assert.Empty(t, r.Missing, "nothing is said about a token that could not be looked at")
}

// What imports and transfers leave on a token is known by its row alone, whatever its label promises.
func TestScanFindsTransferKeysWithoutARow(t *testing.T) {
	w := newWorld(t)
	for i, label := range []string{"strongroom:import", "strongroom:carry", "strongroom:vault"} {
		w.token.Put(backend.Object{ID: []byte{byte(i)}, Label: label, Class: "CKO_PRIVATE_KEY", KeyType: "CKK_RSA"})
	}
	r, err := lifecycle.NewOrphans(w.Service).Scan(t.Context(), lifecycle.ScanFilter{})
	require.NoError(t, err)
	var labels []string
	for _, u := range r.Unknown {
		labels = append(labels, u.Label)
	}
	assert.Equal(t, []string{"strongroom:carry", "strongroom:import"}, labels)
	assert.Equal(t, 3, r.Scanned[0].Appliance)
}
