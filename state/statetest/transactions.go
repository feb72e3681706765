package statetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func goesOnAfterRefusal(t *testing.T, db keystore.DB) {
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertKey(Key(Region, 1)))
		require.NoError(t, tx.InsertStore(Store(Region, 1)))
	})
	change(t, db, func(tx keystore.Tx) {
		require.ErrorIs(t, tx.InsertKey(Key(Region, 1)), keystore.ErrExists)
		stale := Key(Region, 1)
		stale.Revision = 9
		require.ErrorIs(t, tx.UpdateKey(stale), keystore.ErrStale)
		require.ErrorIs(t, tx.DeleteKey(stale), keystore.ErrStale)
		_, err := tx.Key(Region, KeyID(7))
		require.ErrorIs(t, err, keystore.ErrNoRow)
		require.ErrorIs(t, tx.InsertAlias(Alias(Region, "alias/x", KeyID(7))), keystore.ErrNoRow)
		s := Store(Region, 2)
		require.NoError(t, tx.InsertStore(s))
		s.Name = Store(Region, 1).Name
		require.ErrorIs(t, tx.UpdateStore(s), keystore.ErrExists)
		require.NoError(t, tx.InsertKey(Key(Region, 2)))
	})
	need[*keystore.Key](t)(db.LookupKey(t.Context(), Region, KeyID(2)))
	k := need[*keystore.Key](t)(db.LookupKey(t.Context(), Region, KeyID(1)))
	assert.EqualValues(t, 1, k.Revision, "the refused changes have left nothing in the directory")
	s := need[*keystore.Store](t)(db.LookupStore(t.Context(), Region, Store(Region, 2).ID))
	assert.Equal(t, Store(Region, 2).Name, s.Name)
}

// everything changes one row of each kind that the directory holds.
func everything(t *testing.T, tx keystore.Tx) {
	k := need[*keystore.Key](t)(tx.Key(Region, KeyID(1)))
	k.Description = "changed"
	require.NoError(t, tx.UpdateKey(k))
	require.NoError(t, tx.InsertKey(Key(Region, 2)))
	require.NoError(t, tx.UpdateAlias(Alias(Region, "alias/a", KeyID(2))))
	require.NoError(t, tx.InsertAlias(Alias(Region, "alias/b", KeyID(2))))
	require.NoError(t, tx.InsertGrant(Grant(Region, KeyID(1), 2)))
	s := need[*keystore.Store](t)(tx.Store(Region, Store(Region, 1).ID))
	s.Conn = keystore.Connected
	require.NoError(t, tx.UpdateStore(s))
	require.NoError(t, tx.InsertStore(Store(Region, 2)))
	require.NoError(t, tx.InsertMaterial(Material(2, keystore.MaterialPlanned)))
	require.NoError(t, tx.PutSetting("s", []byte("x")))
}

// untouched checks that nothing of everything is there, and that a change is still possible.
func untouched(t *testing.T, db keystore.DB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	k := need[*keystore.Key](t)(db.LookupKey(ctx, Region, KeyID(1)))
	assert.Equal(t, "key 1", k.Description)
	_, err := db.LookupKey(ctx, Region, KeyID(2))
	assert.ErrorIs(t, err, keystore.ErrNoRow)
	assert.Equal(t, KeyID(1), need[*keystore.Alias](t)(db.LookupAlias(ctx, Region, "alias/a")).Target)
	_, err = db.LookupAlias(ctx, Region, "alias/b")
	assert.ErrorIs(t, err, keystore.ErrNoRow)
	assert.Len(t, need[[]*keystore.Grant](t)(db.LookupGrants(ctx, Region, KeyID(1), Grantee)), 1)
	assert.Equal(t, keystore.Failed, need[*keystore.Store](t)(db.LookupStore(ctx, Region, Store(Region, 1).ID)).Conn)
	_, err = db.LookupStore(ctx, Region, Store(Region, 2).ID)
	assert.ErrorIs(t, err, keystore.ErrNoRow)
	look(t, db, func(tx keystore.Tx) {
		assert.Equal(t, k, need[*keystore.Key](t)(tx.Key(Region, KeyID(1))))
		assert.Equal(t, 1, need[int](t)(tx.CountKeys(Region)))
		_, err := tx.Material(MaterialID(2))
		assert.ErrorIs(t, err, keystore.ErrNoRow)
		_, err = tx.Setting("s")
		assert.ErrorIs(t, err, keystore.ErrNoRow)
	})
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.PutSetting("still", nil)) })
}

// furnish makes what everything changes. When warm, the directory has seen it.
func furnish(t *testing.T, db keystore.DB, warm bool) {
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertKey(Key(Region, 1)))
		require.NoError(t, tx.InsertAlias(Alias(Region, "alias/a", KeyID(1))))
		require.NoError(t, tx.InsertGrant(Grant(Region, KeyID(1), 1)))
		require.NoError(t, tx.InsertStore(Store(Region, 1)))
	})
	if warm {
		need[*keystore.Key](t)(db.LookupKey(t.Context(), Region, KeyID(1)))
		need[*keystore.Alias](t)(db.LookupAlias(t.Context(), Region, "alias/a"))
		need[[]*keystore.Grant](t)(db.LookupGrants(t.Context(), Region, KeyID(1), Grantee))
		need[*keystore.Store](t)(db.LookupStore(t.Context(), Region, Store(Region, 1).ID))
	}
}

func failedLeavesNothing(t *testing.T, db keystore.DB) {
	furnish(t, db, true)
	err := db.Update(t.Context(), func(tx keystore.Tx) error {
		everything(t, tx)
		return errStop
	})
	require.ErrorIs(t, err, errStop)
	untouched(t, db)
}

func panicLeavesNothing(t *testing.T, db keystore.DB) {
	furnish(t, db, false)
	for range 3 { // each must give back what it has borrowed
		require.PanicsWithValue(t, "stop", func() {
			_ = db.Update(t.Context(), func(tx keystore.Tx) error {
				everything(t, tx)
				panic("stop")
			})
		})
		require.PanicsWithValue(t, "stop", func() {
			_ = db.View(t.Context(), func(keystore.Tx) error { panic("stop") })
		})
	}
	untouched(t, db)
}

func viewChangesNothing(t *testing.T, db keystore.DB) {
	furnish(t, db, true)
	for name, fn := range map[string]func(tx keystore.Tx) error{
		"insert key":      func(tx keystore.Tx) error { return tx.InsertKey(Key(Region, 2)) },
		"update key":      func(tx keystore.Tx) error { k := Key(Region, 1); k.Revision = 1; return tx.UpdateKey(k) },
		"delete key":      func(tx keystore.Tx) error { k := Key(Region, 1); k.Revision = 1; return tx.DeleteKey(k) },
		"delete alias":    func(tx keystore.Tx) error { return tx.DeleteAlias(Region, "alias/a") },
		"delete store":    func(tx keystore.Tx) error { return tx.DeleteStore(Region, Store(Region, 1).ID) },
		"insert material": func(tx keystore.Tx) error { return tx.InsertMaterial(Material(2, keystore.MaterialPlanned)) },
		"put setting":     func(tx keystore.Tx) error { return tx.PutSetting("s", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			assert.Error(t, db.View(t.Context(), fn))
			look(t, db, func(tx keystore.Tx) { assert.Error(t, fn(tx)) }) // also where its error is ignored
		})
	}
	untouched(t, db)
}

func viewSeesOneSnapshot(t *testing.T, db keystore.DB) {
	furnish(t, db, false)
	look(t, db, func(tx keystore.Tx) {
		before := need[*keystore.Key](t)(tx.Key(Region, KeyID(1)))
		change(t, db, func(tx keystore.Tx) { everything(t, tx) })
		assert.Equal(t, before, need[*keystore.Key](t)(tx.Key(Region, KeyID(1))))
		assert.Equal(t, 1, need[int](t)(tx.CountKeys(Region)))
		_, err := tx.Alias(Region, "alias/b")
		assert.ErrorIs(t, err, keystore.ErrNoRow)
		// Lookups inside a View are of the present.
		assert.EqualValues(t, 2, need[*keystore.Key](t)(db.LookupKey(t.Context(), Region, KeyID(1))).Revision)
	})
	look(t, db, func(tx keystore.Tx) { assert.Equal(t, 2, need[int](t)(tx.CountKeys(Region))) })
}

func endsWithFunction(t *testing.T, db keystore.DB) {
	var kept []keystore.Tx
	change(t, db, func(tx keystore.Tx) { kept = append(kept, tx) })
	look(t, db, func(tx keystore.Tx) { kept = append(kept, tx) })
	_ = refused(t, db, func(tx keystore.Tx) error { kept = append(kept, tx); return nil })
	for _, tx := range kept {
		assert.Error(t, tx.PutSetting("late", nil))
		_, err := tx.Setting("late")
		assert.Error(t, err)
		assert.NotErrorIs(t, err, keystore.ErrNoRow)
	}
	look(t, db, func(tx keystore.Tx) {
		_, err := tx.Setting("late")
		assert.ErrorIs(t, err, keystore.ErrNoRow)
	})
}

func endedContext(t *testing.T, db keystore.DB) {
	furnish(t, db, true)
	ended, end := context.WithCancel(t.Context())
	end()
	ran := func(keystore.Tx) error { t.Error("a transaction runs although its context has ended"); return nil }
	require.ErrorIs(t, db.Update(ended, ran), context.Canceled)
	require.ErrorIs(t, db.View(ended, ran), context.Canceled)

	ctx, end := context.WithCancel(t.Context())
	require.ErrorIs(t, db.Update(ctx, func(tx keystore.Tx) error {
		everything(t, tx)
		end()
		return nil
	}), context.Canceled, "between the last statement and the commit")

	ctx, end = context.WithCancel(t.Context())
	require.ErrorIs(t, db.Update(ctx, func(tx keystore.Tx) error {
		end()
		return tx.PutSetting("s", nil)
	}), context.Canceled)
	untouched(t, db)
}

func waitEndsWithContext(t *testing.T, db keystore.DB) {
	inside, release := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		done <- db.Update(context.WithoutCancel(t.Context()), func(tx keystore.Tx) error {
			close(inside)
			<-release
			return tx.PutSetting("first", nil)
		})
	}()
	<-inside
	ctx, end := context.WithCancel(t.Context())
	second := make(chan error)
	go func() {
		second <- db.Update(ctx, func(tx keystore.Tx) error { return tx.PutSetting("second", nil) })
	}()
	end() // while the first one is inside, whether or not the second has begun to wait
	assert.ErrorIs(t, <-second, context.Canceled)
	close(release)
	require.NoError(t, <-done)
	look(t, db, func(tx keystore.Tx) {
		assert.Equal(t, []string{"first"}, need[[]string](t)(tx.Settings("")))
	})
}

func givenIsOwn(t *testing.T, db keystore.DB) {
	store := XksStore(Region, 1)
	k := FullKey(1, store.ID)
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertStore(store))
		require.NoError(t, tx.InsertKey(k))
		require.NoError(t, tx.InsertGrant(Grant(Region, k.ID, 1)))
	})
	want := k.Clone()
	spoil := func(k *keystore.Key) {
		k.Tags[0].Value, k.Materials[0].Description, k.MultiRegion.ReplicaRegions[0] = "spoilt", "spoilt", "spoilt"
		k.Import.ExpirationModel = "spoilt"
	}
	spoil(k) // what was handed in
	store.Xks.SealedSecret[0] = 99
	look(t, db, func(tx keystore.Tx) {
		row := need[*keystore.Key](t)(tx.Key(Region, k.ID))
		assert.Equal(t, want, row)
		spoil(row) // what was given
		assert.Equal(t, want, need[*keystore.Key](t)(tx.Key(Region, k.ID)))
	})
	assert.Equal(t, want, need[*keystore.Key](t)(db.LookupKey(t.Context(), Region, k.ID)))
	assert.Equal(t, XksStore(Region, 1).Xks, need[*keystore.Store](t)(db.LookupStore(t.Context(), Region, store.ID)).Xks)
}
