package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

func TestSweepDeletesOnTime(t *testing.T) {
	w := newWorld(t)
	id, token := w.store("one")
	k, kept := w.inStore(id), w.inStore(id)
	require.NoError(t, w.CreateAlias(t.Context(), w.root, "alias/x", string(k.ID)))
	created := k.Created
	v, err := w.ScheduleKeyDeletion(t.Context(), w.root, string(k.ID), 7)
	require.NoError(t, err)
	due := v.Key.DeletionDate

	w.clock.advance(7*24*time.Hour - time.Millisecond)
	assert.Equal(t, lifecycle.SweepReport{}, w.sweep(), "not a moment before")
	w.clock.advance(time.Hour)
	assert.Equal(t, lifecycle.SweepReport{Deleted: 1, Destroyed: 1, Lag: time.Hour - time.Millisecond}, w.sweep())

	_, err = w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
	faulty(t, err, keystore.KindNotFound, "Key '"+k.ARN()+"' does not exist")
	require.NoError(t, w.CreateAlias(t.Context(), w.root, "alias/x", string(kept.ID)), "the name is free again")
	assert.Len(t, token.List(), 1)
	row := w.row(k.ARN())
	assert.Equal(t, keystore.MaterialDestroyed, row.State)
	assert.Equal(t, w.clock.Now(), row.EndedAt)
	assert.Equal(t, w.clock.Now(), row.DeletedAt)
	assert.Equal(t, w.root.Principal, row.ScheduledBy)
	assert.Equal(t, 1, row.Attempts)

	var tombs []*keystore.Tombstone
	require.NoError(t, w.db.View(t.Context(), func(tx keystore.Tx) (err error) {
		tombs, err = tx.Tombstones(k.ARN(), 10)
		return err
	}))
	assert.Equal(t, []*keystore.Tombstone{{
		KeyARN: k.ARN(), KeyID: k.ID, Region: region, Origin: keystore.OriginCloudHSM, StoreID: id, ClusterID: "cluster-one",
		Created: created, ScheduledAt: due.Add(-7 * 24 * time.Hour), ScheduledBy: w.root.Principal, DueAt: due, DeletedAt: w.clock.Now(),
	}}, tombs)

	events := w.log.named("DeleteKey")
	require.Len(t, events, 1)
	d := details(t, events[0].AdditionalEventData)
	assert.Equal(t, string(id), d["customKeyStoreId"])
	assert.Equal(t, "cluster-one", d["clusterId"])
	hexID := row.ID.String()
	assert.JSONEq(t, `[{"keyHandle":"`+hexID+`","backingKeyId":"`+hexID+`"}]`, d["backingKeys"].(string))
	assert.JSONEq(t, `[{"keyHandle":"`+hexID+`","backingKeyId":"`+hexID+`","deletionStatus":"SUCCESS"}]`, d["backingKeysDeletionStatus"].(string))
	assert.Equal(t, k.ARN(), events[0].Resources[0].ARN)
}

// Whatever the token does, the key goes on time and the rest of the sweep is not disturbed.
func TestSweepWithTokensInTrouble(t *testing.T) {
	gone := errors.New("C_FindObjectsInit: CKR_TOKEN_NOT_PRESENT")
	for name, c := range map[string]struct {
		arrange func(w *world, id keystore.StoreID, m *backendtest.Memory, k *keystore.Key)
		state   keystore.MaterialState
		reason  string
		objects int
	}{
		"the token is gone": {func(_ *world, _ keystore.StoreID, m *backendtest.Memory, _ *keystore.Key) { m.Down(gone) },
			keystore.MaterialOrphaned, gone.Error(), 1},
		"it goes while the key is looked for": {func(_ *world, _ keystore.StoreID, m *backendtest.Memory, _ *keystore.Key) {
			m.FailAfter(backendtest.Find, 1, gone)
		},
			keystore.MaterialOrphaned, gone.Error(), 1},
		"it goes before the key is destroyed": {func(_ *world, _ keystore.StoreID, m *backendtest.Memory, _ *keystore.Key) {
			m.Fail(backendtest.Destroy, 1, backendtest.Lost())
		},
			keystore.MaterialOrphaned, "C_OpenSession: CKR_DEVICE_REMOVED", 1},
		"it goes after the key was destroyed": {func(_ *world, _ keystore.StoreID, m *backendtest.Memory, _ *keystore.Key) {
			m.FailAfter(backendtest.Destroy, 1, gone)
		},
			keystore.MaterialOrphaned, gone.Error(), 0},
		"the store is disconnected": {func(w *world, id keystore.StoreID, _ *backendtest.Memory, _ *keystore.Key) {
			w.stores.turn(id, keystore.Disconnected)
		}, keystore.MaterialOrphaned, "is DISCONNECTED", 1},
		"somebody removed the object": {func(_ *world, _ keystore.StoreID, m *backendtest.Memory, k *keystore.Key) { m.Remove(k.Current().ID) },
			keystore.MaterialDestroyed, "", 0},
		"another object has its id": {func(_ *world, _ keystore.StoreID, m *backendtest.Memory, k *keystore.Key) {
			id := k.Current().ID
			list := m.List()
			m.Remove(id)
			list[0].Label = "somebody's"
			m.Put(list[0])
		}, keystore.MaterialOrphaned, `there is another object with this CKA_ID: its label is "somebody's"`, 1},
		"the store is on another token": {func(w *world, id keystore.StoreID, _ *backendtest.Memory, _ *keystore.Key) {
			w.stores.set(id, backendtest.NewMemory("restored"), keystore.Connected)
		}, keystore.MaterialOrphaned, "serial restored now, which has no such object", 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id, token := w.store("one")
			k, other := w.inStore(id), w.create(lifecycle.CreateKeyInput{})
			w.doom(k)
			_, err := w.ScheduleKeyDeletion(t.Context(), w.root, string(other.ID), 7)
			require.NoError(t, err)
			w.clock.advance(8 * 24 * time.Hour)
			c.arrange(w, id, token, k)

			report := w.sweep()
			assert.Equal(t, 2, report.Deleted)
			assert.Equal(t, keystore.MaterialDestroyed, w.row(other.ARN()).State)
			_, err = w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
			faulty(t, err, keystore.KindNotFound, "*")
			row := w.row(k.ARN())
			assert.Equal(t, c.state, row.State)
			assert.Contains(t, row.Reason, c.reason)
			assert.Len(t, token.List(), c.objects)
			assert.LessOrEqual(t, token.Count(backendtest.Find), 1, "one attempt")
			wantOrphans := 0
			if c.state == keystore.MaterialOrphaned {
				wantOrphans = 1
				assert.Contains(t, details(t, w.log.about("DeleteKey", k.ARN())[0].AdditionalEventData)["backingKeysDeletionStatus"], "FAILURE")
			}
			assert.Len(t, w.log.named("KeyMaterialOrphaned"), wantOrphans)
			token.Mend()
			assert.Equal(t, lifecycle.SweepReport{}, w.sweep(), "never a second attempt by itself")
			assert.Equal(t, lifecycle.ReconcileReport{}, w.reconcile())
			assert.Equal(t, c.state, w.row(k.ARN()).State)
		})
	}
}

func TestSweepWhileTheAuditLogIsDown(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	w.doom(k)
	full := errors.New("no space left on device")
	w.log.refuse(full)
	report, err := lifecycle.NewSweeper(w.Service).SweepOnce(t.Context(), w.clock.Now())
	require.ErrorIs(t, err, full)
	assert.Equal(t, 1, report.Deleted, "the key goes on time")
	assert.Equal(t, keystore.MaterialDestroyed, w.row(k.ARN()).State)
	assert.Empty(t, w.log.named("DeleteKey"))
	w.log.refuse(nil)
	w.sweep()
	assert.Len(t, w.log.named("DeleteKey"), 1, "the log is told when it can be")
	w.sweep()
	assert.Len(t, w.log.named("DeleteKey"), 1)
}

func TestSweepStartsThePrimarysOwnWindow(t *testing.T) {
	w := newWorld(t)
	primary := w.create(lifecycle.CreateKeyInput{MultiRegion: true})
	replica := primary.Clone()
	replica.Region, replica.Revision, replica.Materials = "eu-west-1", 0, nil
	replica.MultiRegion = &keystore.MultiRegion{PrimaryRegion: region}
	replica.State, replica.DeletionDate = keystore.PendingDeletion, w.clock.Now().Add(time.Hour)
	require.NoError(t, w.db.Update(t.Context(), func(tx keystore.Tx) error {
		k, err := tx.Key(region, primary.ID)
		if err != nil {
			return err
		}
		k.MultiRegion.ReplicaRegions = []string{"eu-west-1"}
		return errors.Join(tx.InsertKey(replica), tx.UpdateKey(k))
	}))
	v, err := w.ScheduleKeyDeletion(t.Context(), w.root, string(primary.ID), 9)
	require.NoError(t, err)
	assert.Equal(t, keystore.PendingReplicaDeletion, v.State)
	assert.Zero(t, v.Key.DeletionDate)
	w.clock.advance(30 * 24 * time.Hour)
	assert.Equal(t, 1, w.sweep().Deleted, "the replica")
	v, err = w.DescribeKey(t.Context(), w.root, string(primary.ID), nil)
	require.NoError(t, err)
	assert.Equal(t, keystore.PendingDeletion, v.State)
	assert.Equal(t, w.clock.Now().Add(9*24*time.Hour), v.Key.DeletionDate)
	assert.Empty(t, v.Key.MultiRegion.ReplicaRegions)
}

func TestSweeperRunsWhenAKeyIsDue(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	w.doom(k)
	sweeper := lifecycle.NewSweeper(w.Service)
	done := make(chan error)
	ctx, cancel := contextOf(t)
	go func() { done <- sweeper.Run(ctx) }()
	require.Eventually(t, func() bool { return w.row(k.ARN()).State == keystore.MaterialDestroyed }, time.Minute, time.Millisecond)
	second := w.create(lifecycle.CreateKeyInput{})
	w.doom(second)
	sweeper.Wake()
	require.Eventually(t, func() bool { return w.row(second.ARN()).State == keystore.MaterialDestroyed }, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

func TestReconcilerRunsUntilItIsStopped(t *testing.T) {
	w := newWorld(t)
	w.token.FailAfter(backendtest.Create, 1, errLost)
	w.token.Fail(backendtest.Find, 1, errLost)
	_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{})
	require.Error(t, err)
	require.Equal(t, keystore.MaterialPlanned, w.rows("")[0].State)
	r := lifecycle.NewReconciler(w.Service)
	done := make(chan error)
	ctx, cancel := contextOf(t)
	go func() { done <- r.Run(ctx) }()
	require.Eventually(t, func() bool { return w.rows("")[0].State == keystore.MaterialDestroyed }, time.Minute, time.Millisecond)

	// What a create leaves open while it runs is settled without waiting for the next round.
	w.token.FailAfter(backendtest.Create, 1, errLost)
	w.token.Fail(backendtest.Find, 1, errLost)
	_, err = w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{})
	require.Error(t, err)
	require.Eventually(t, func() bool { return len(w.token.List()) == 0 }, time.Minute, time.Millisecond)
	r.Wake()
	cancel()
	require.NoError(t, <-done)
}

// A pass passes over keys that somebody works on: told of them before that is over, the reconciler would look in vain.
func TestReconcilerIsToldWhenNobodyWorksOnTheKey(t *testing.T) {
	w := newWorld(t)
	first, second := lifecycle.Enter(w.Service, "a"), lifecycle.Enter(w.Service, "a")
	lifecycle.LeftOpen(w.Service, "a")
	first()
	require.False(t, lifecycle.TakeTold(w.Service), "the other is still at it")
	second()
	require.True(t, lifecycle.TakeTold(w.Service))
	lifecycle.Enter(w.Service, "a")()
	require.False(t, lifecycle.TakeTold(w.Service), "once is enough")
	lifecycle.LeftOpen(w.Service, "a")
	require.True(t, lifecycle.TakeTold(w.Service), "at once where nobody works on it")
}

func TestReconcilerWaitsForStoresThatConnect(t *testing.T) {
	var f fuse
	w := newWorld(t, func(c *lifecycle.Config) { c.Hook = f.hook })
	id, token := w.store("one")
	k := w.inStore(id)
	w.doom(k)
	f.arm(lifecycle.StepDeleteCondemned, 0)
	require.NotEmpty(t, f.run(func() { w.sweep() }))
	f.arm(lifecycle.StepCreateGenerated, 0)
	require.NotEmpty(t, f.run(func() { w.inStore(id) }))
	f.disarm()
	w.restart()
	require.Len(t, token.List(), 2)

	w.stores.turn(id, keystore.Connecting)
	assert.Equal(t, lifecycle.ReconcileReport{Pending: 2}, w.reconcile())
	assert.Equal(t, keystore.MaterialCondemned, w.row(k.ARN()).State)
	w.stores.turn(id, keystore.Failed)
	assert.Equal(t, lifecycle.ReconcileReport{Pending: 1, Orphaned: 1}, w.reconcile(), "an orphan at last; what was planned waits")
	w.stores.turn(id, keystore.Connected)
	assert.Equal(t, lifecycle.ReconcileReport{Destroyed: 1}, w.reconcile())
	require.Len(t, token.List(), 1)
	assert.Equal(t, k.ARN(), token.List()[0].Label)
	assert.Len(t, w.log.named("DeleteKey"), 1)
}

// The one attempt to destroy material is made when it is known whether the token is there: not while its store is on its way to
// be connected, as all are after a start.
func TestSweepWaitsForStoresThatConnect(t *testing.T) {
	opening := backend.Unreachable(keystore.StoreCloudHSM, backend.CallManage).Because(backend.ErrOpening)
	for name, c := range map[string]struct {
		conn  keystore.ConnState
		err   error // of the token
		then  keystore.ConnState
		state keystore.MaterialState
	}{
		"it is found":                  {keystore.Connected, opening, keystore.Connected, keystore.MaterialDestroyed},
		"it is not found":              {keystore.Connected, opening, keystore.Failed, keystore.MaterialOrphaned},
		"it is connected":              {keystore.Connecting, nil, keystore.Connected, keystore.MaterialDestroyed},
		"the connect is taken back":    {keystore.Connecting, nil, keystore.Disconnecting, keystore.MaterialOrphaned},
		"the connect does not succeed": {keystore.Connecting, nil, keystore.Failed, keystore.MaterialOrphaned},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			id, token := w.store("one")
			k := w.inStore(id)
			w.doom(k)
			w.stores.turn(id, c.conn)
			if c.err != nil {
				token.Down(c.err)
			}
			assert.Equal(t, 1, w.sweep().Deleted, "the key goes on time")
			assert.True(t, lifecycle.TakeTold(w.Service))
			assert.Equal(t, lifecycle.ReconcileReport{Pending: 1}, w.reconcile())
			row := w.row(k.ARN())
			assert.Equal(t, keystore.MaterialCondemned, row.State)
			assert.Zero(t, row.Attempts)
			assert.Empty(t, w.log.named("DeleteKey"))

			w.stores.turn(id, c.then)
			token.Mend()
			w.reconcile()
			row = w.row(k.ARN())
			assert.Equal(t, c.state, row.State, row.Reason)
			assert.Equal(t, 1, row.Attempts)
			assert.Len(t, w.log.named("DeleteKey"), 1)
			assert.Equal(t, lifecycle.ReconcileReport{}, w.reconcile())
		})
	}
}

func TestReconcilerLeavesWorkInProgressAlone(t *testing.T) {
	var w *world
	looked, busy := 0, 0
	w = newWorld(t, func(c *lifecycle.Config) {
		c.Hook = func(string) {
			looked++
			report := w.reconcile()
			busy += report.Busy
			assert.Equal(t, lifecycle.ReconcileReport{Busy: report.Busy}, report)
		}
	})
	k := w.create(lifecycle.CreateKeyInput{})
	w.doom(k)
	w.sweep()
	assert.Equal(t, 7, looked)
	assert.Equal(t, 5, busy, "planned, generated; condemned, destroyed, recorded")
	assert.Equal(t, keystore.MaterialDestroyed, w.row(k.ARN()).State)
	assert.Equal(t, 1, w.row(k.ARN()).Attempts)
}

func TestExternalKeysAreNeverDestroyed(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	require.NoError(t, w.db.Update(t.Context(), func(tx keystore.Tx) error {
		m, err := tx.Material(k.Current().ID)
		if err != nil {
			return err
		}
		m.Kind = keystore.MaterialNotOurs
		return tx.UpdateMaterial(m)
	}))
	w.doom(k)
	w.sweep()
	assert.Equal(t, keystore.MaterialResolved, w.row(k.ARN()).State)
	assert.Len(t, w.token.List(), 1)
	list, err := lifecycle.NewOrphans(w.Service).List(t.Context(), lifecycle.OrphanFilter{})
	require.NoError(t, err)
	assert.Empty(t, list)
}

// Stopping the appliance is no reason to orphan anything: the next start goes on.
func TestSweepThatIsInterrupted(t *testing.T) {
	ctx, cancel := contextOf(t)
	w := newWorld(t, func(c *lifecycle.Config) {
		c.Hook = func(step string) {
			if step == lifecycle.StepDeleteCondemned {
				cancel()
			}
		}
	})
	k := w.create(lifecycle.CreateKeyInput{})
	w.doom(k)
	_, err := lifecycle.NewSweeper(w.Service).SweepOnce(ctx, w.clock.Now())
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, keystore.MaterialCondemned, w.row(k.ARN()).State)
	assert.Equal(t, lifecycle.ReconcileReport{Destroyed: 1}, w.reconcile())
	assert.Len(t, w.log.named("DeleteKey"), 1)
	assert.Empty(t, w.token.List())
}

// A token that did not answer may make the key yet: that it is not there proves nothing for a while.
func TestCreateThatIsNotAnswered(t *testing.T) {
	w := newWorld(t)
	w.token.Fail(backendtest.Create, 1, backend.Unreachable("", backend.CallCreate).Because(backend.ErrUnanswered))
	_, err := w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{})
	require.ErrorIs(t, err, backend.ErrUnanswered)
	m := w.rows("")[0]
	assert.Equal(t, keystore.MaterialPlanned, m.State)
	assert.Equal(t, lifecycle.ReconcileReport{Pending: 1}, w.reconcile())
	w.token.Put(backend.Object{ID: m.ID[:], Label: m.Label, Class: "CKO_SECRET_KEY", KeyType: "CKK_AES"}) // there it comes
	assert.Equal(t, lifecycle.ReconcileReport{Destroyed: 1}, w.reconcile())
	assert.Empty(t, w.token.List())

	w.token.Fail(backendtest.Create, 1, backend.Unreachable("", backend.CallCreate).Because(backend.ErrUnanswered))
	_, err = w.CreateKey(t.Context(), w.root, &lifecycle.CreateKeyInput{})
	require.Error(t, err)
	assert.Equal(t, lifecycle.ReconcileReport{Pending: 1}, w.reconcile())
	w.clock.advance(time.Hour)
	assert.Equal(t, lifecycle.ReconcileReport{Destroyed: 1}, w.reconcile(), "it never came")
}

// The rows of a store that was deleted are settled through whichever store is on its token, or become orphans.
func TestRowsOfADeletedStore(t *testing.T) {
	var f fuse
	w := newWorld(t, func(c *lifecycle.Config) { c.Hook = f.hook })
	id, token := w.store("one")
	f.arm(lifecycle.StepCreateGenerated, 0)
	f.run(func() { w.inStore(id) })
	f.disarm()
	w.restart()
	w.stores.turn(id, keystore.Disconnected)
	assert.Equal(t, lifecycle.ReconcileReport{Pending: 1}, w.reconcile())
	require.NoError(t, w.db.Update(t.Context(), func(tx keystore.Tx) error { return tx.DeleteStore(region, id) }))
	assert.Equal(t, lifecycle.ReconcileReport{Orphaned: 1}, w.reconcile())
	o, err := lifecycle.NewOrphans(w.Service).List(t.Context(), lifecycle.OrphanFilter{})
	require.NoError(t, err)
	require.Len(t, o, 1)
	assert.Equal(t, "the custom key store does not exist any more: "+string(id), o[0].Reason)
	_, err = lifecycle.NewOrphans(w.Service).Destroy(t.Context(), o[0].ID)
	require.Error(t, err)

	again, _ := w.store("two")
	w.stores.set(again, token, keystore.Connected)
	_, err = lifecycle.NewOrphans(w.Service).Destroy(t.Context(), o[0].ID)
	require.NoError(t, err)
	assert.Empty(t, token.List())
}

// A replica can be made and deleted again under the same ARN: the log is told later of its last life alone.
func TestDeletionThatTheLogIsToldOfLater(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	earlier := w.row(k.ARN()).Clone()
	earlier.ID[0]++
	earlier.State, earlier.DeletedAt = keystore.MaterialOrphaned, w.clock.Now().Add(-time.Hour)
	require.NoError(t, w.db.Update(t.Context(), func(tx keystore.Tx) error { return tx.InsertMaterial(earlier) }))
	w.doom(k)
	w.log.refuse(errors.New("disk full"))
	_, err := lifecycle.NewSweeper(w.Service).SweepOnce(t.Context(), w.clock.Now())
	require.ErrorContains(t, err, "disk full")
	w.log.refuse(nil)
	w.sweep()
	events := w.log.about(audit.EventDeleteKey, k.ARN())
	require.Len(t, events, 1)
	assert.True(t, events[0].AdditionalEventData.IsZero(), "its own material was destroyed")
	assert.Empty(t, w.log.about(audit.EventOrphaned, k.ARN()), "of the other that was told in its time")
}
