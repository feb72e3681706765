package statetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func keysRoundTrip(t *testing.T, db keystore.DB) {
	store := XksStore(Region, 1)
	plain, full := Key(Region, 1), FullKey(2, store.ID)
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertStore(store))
		require.NoError(t, tx.InsertKey(plain))
		require.NoError(t, tx.InsertKey(full))
	})
	assert.EqualValues(t, 1, full.Revision, "a new key has revision 1")
	for _, want := range []*keystore.Key{plain, full} {
		look(t, db, func(tx keystore.Tx) {
			assert.Equal(t, want, need[*keystore.Key](t)(tx.Key(Region, want.ID)), "from the database")
		})
		assert.Equal(t, want, need[*keystore.Key](t)(db.LookupKey(t.Context(), Region, want.ID)), "from the directory")
		_, err := db.LookupKey(t.Context(), Other, want.ID)
		assert.ErrorIs(t, err, keystore.ErrNoRow, "in another Region")
	}
	look(t, db, func(tx keystore.Tx) {
		_, err := tx.Key(Region, KeyID(3))
		assert.ErrorIs(t, err, keystore.ErrNoRow)
	})
}

func keysInsertedOnce(t *testing.T, db keystore.DB) {
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.InsertKey(Key(Region, 1))) })
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertKey(Key(Region, 1)) }), keystore.ErrExists)
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertKey(Key(Other, 1)), "a multi-Region key has its id in each of its Regions")
	})
	orphan := Key(Region, 2)
	orphan.StoreID = "cks-00000000000000bad"
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertKey(orphan) }), keystore.ErrNoRow,
		"a key in a custom key store that does not exist")
	unavailable := Key(Region, 3)
	unavailable.State = keystore.Unavailable
	assert.Error(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertKey(unavailable) }), "Unavailable is never stored")
}

func keysUpdatedByRevision(t *testing.T, db keystore.DB) {
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.InsertKey(Key(Region, 1))) })
	stale := need[*keystore.Key](t)(db.LookupKey(t.Context(), Region, KeyID(1))).Clone()
	fresh := stale.Clone()
	fresh.Description, fresh.Tags = "changed", []keystore.Tag{{Key: "k", Value: "v"}}
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.UpdateKey(fresh))
		assert.EqualValues(t, 2, fresh.Revision)
		fresh.State = keystore.Disabled
		require.NoError(t, tx.UpdateKey(fresh), "again in the same transaction")
	})
	assert.EqualValues(t, 3, fresh.Revision)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.UpdateKey(stale) }), keystore.ErrStale)
	assert.EqualValues(t, 1, stale.Revision, "a refused update leaves the revision")
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.DeleteKey(stale) }), keystore.ErrStale)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.UpdateKey(Key(Region, 9)) }), keystore.ErrNoRow)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.DeleteKey(Key(Region, 9)) }), keystore.ErrNoRow)
	look(t, db, func(tx keystore.Tx) {
		assert.Equal(t, fresh, need[*keystore.Key](t)(tx.Key(Region, KeyID(1))))
	})
}

func keysDeleted(t *testing.T, db keystore.DB) {
	gone, kept := Key(Region, 1), Key(Region, 2)
	change(t, db, func(tx keystore.Tx) {
		for _, k := range []*keystore.Key{gone, kept} {
			require.NoError(t, tx.InsertKey(k))
			require.NoError(t, tx.InsertAlias(Alias(Region, "alias/"+string(k.ID), k.ID)))
			require.NoError(t, tx.InsertGrant(Grant(Region, k.ID, 1)))
		}
		require.NoError(t, tx.InsertAlias(Alias(Region, "alias/second", gone.ID)))
	})
	for _, id := range []keystore.KeyID{gone.ID, kept.ID} { // into the directory
		need[[]*keystore.Grant](t)(db.LookupGrants(t.Context(), Region, id, Grantee))
		need[*keystore.Alias](t)(db.LookupAlias(t.Context(), Region, "alias/"+string(id)))
	}
	// A stale caller removes nothing, even when it carries on.
	change(t, db, func(tx keystore.Tx) {
		stale := gone.Clone()
		stale.Revision = 7
		require.ErrorIs(t, tx.DeleteKey(stale), keystore.ErrStale)
	})
	assert.Len(t, need[[]*keystore.Grant](t)(db.LookupGrants(t.Context(), Region, gone.ID, Grantee)), 1)

	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.DeleteKey(gone)) })
	_, err := db.LookupKey(t.Context(), Region, gone.ID)
	assert.ErrorIs(t, err, keystore.ErrNoRow)
	for _, name := range []string{"alias/" + string(gone.ID), "alias/second"} {
		_, err = db.LookupAlias(t.Context(), Region, name)
		assert.ErrorIs(t, err, keystore.ErrNoRow)
	}
	assert.Nil(t, need[[]*keystore.Grant](t)(db.LookupGrants(t.Context(), Region, gone.ID, Grantee)))
	look(t, db, func(tx keystore.Tx) {
		assert.Zero(t, need[int](t)(tx.CountAliases(Region, gone.ID)))
		assert.Zero(t, need[int](t)(tx.CountGrants(Region, gone.ID)))
		assert.Equal(t, 1, need[int](t)(tx.CountAliases(Region, kept.ID)))
		assert.Equal(t, 1, need[int](t)(tx.CountGrants(Region, kept.ID)))
		assert.Equal(t, []keystore.KeyID{kept.ID}, need[[]keystore.KeyID](t)(tx.KeyIDs(Region, "", 10)))
	})
	need[*keystore.Key](t)(db.LookupKey(t.Context(), Region, kept.ID))
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.InsertKey(Key(Region, 1)), "the id is free again") })
}

func keysListed(t *testing.T, db keystore.DB) {
	const n = 25
	change(t, db, func(tx keystore.Tx) {
		for i := n; i > 0; i-- {
			require.NoError(t, tx.InsertKey(Key(Region, i)))
		}
		require.NoError(t, tx.InsertKey(Key(Other, 99)))
	})
	look(t, db, func(tx keystore.Tx) {
		var all []keystore.KeyID
		for after := keystore.KeyID(""); ; {
			page := need[[]keystore.KeyID](t)(tx.KeyIDs(Region, after, 10))
			if len(page) == 0 {
				break
			}
			require.LessOrEqual(t, len(page), 10)
			all, after = append(all, page...), page[len(page)-1]
		}
		require.Len(t, all, n)
		for i, id := range all {
			assert.Equal(t, KeyID(i+1), id)
		}
		assert.Empty(t, need[[]keystore.KeyID](t)(tx.KeyIDs(Region, "", 0)))
		assert.Empty(t, need[[]keystore.KeyID](t)(tx.KeyIDs(Region, "", -1)), "a negative limit is no limit at nothing")
		assert.Empty(t, need[[]keystore.KeyID](t)(tx.KeyIDs("ap-south-1", "", 10)))
	})
}

func keysCounted(t *testing.T, db keystore.DB) {
	counts := func(region int, states map[keystore.State]int) {
		t.Helper()
		look(t, db, func(tx keystore.Tx) {
			assert.Equal(t, region, need[int](t)(tx.CountKeys(Region)))
			assert.Equal(t, states, need[map[keystore.State]int](t)(tx.CountKeysByState()))
		})
	}
	counts(0, map[keystore.State]int{})
	one, two, three := Key(Region, 1), Key(Region, 2), Key(Other, 3)
	change(t, db, func(tx keystore.Tx) {
		for _, k := range []*keystore.Key{one, two, three} {
			require.NoError(t, tx.InsertKey(k))
		}
		assert.Equal(t, 2, need[int](t)(tx.CountKeys(Region)), "a transaction counts its own")
	})
	counts(2, map[keystore.State]int{keystore.Enabled: 3})
	two.State = keystore.Disabled
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.UpdateKey(two)) })
	counts(2, map[keystore.State]int{keystore.Enabled: 2, keystore.Disabled: 1})
	_ = refused(t, db, func(tx keystore.Tx) error { return tx.InsertKey(Key(Region, 4)) })
	counts(2, map[keystore.State]int{keystore.Enabled: 2, keystore.Disabled: 1})
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.DeleteKey(two))
		require.NoError(t, tx.DeleteKey(three))
	})
	counts(1, map[keystore.State]int{keystore.Enabled: 1})
}

func keysFallDue(t *testing.T, db keystore.DB) {
	look(t, db, func(tx keystore.Tx) { assert.Zero(t, need[time.Time](t)(tx.NextDeletion())) })
	hour := func(n int) time.Time { return Noon.Add(time.Duration(n) * time.Hour) }
	change(t, db, func(tx keystore.Tx) {
		for i := range 5 {
			k := Key(Region, i)
			k.State, k.DeletionDate = keystore.PendingDeletion, hour(5-i)
			k.Rotation.Next = hour(9) // not while it is pending deletion
			k.Import = &keystore.ImportState{ValidTo: hour(20 + i)}
			require.NoError(t, tx.InsertKey(k))
		}
		replica := Key(Region, 10) // waits for its replicas: no date yet
		replica.State = keystore.PendingReplicaDeletion
		require.NoError(t, tx.InsertKey(replica))
		second := Key(Region, 11) // the material that expires is not the key's first
		second.Materials = append(second.Materials,
			keystore.KeyMaterial{ID: MaterialID(12), ValidTo: hour(21), Imported: true},
			keystore.KeyMaterial{ID: MaterialID(13), ValidTo: hour(1)}) // expired and gone
		require.NoError(t, tx.InsertKey(second))
		for i := range 3 {
			k := Key(Region, 20+i)
			k.Rotation.Next = hour(12 - i)
			require.NoError(t, tx.InsertKey(k))
		}
		disabled := Key(Region, 23)
		disabled.State, disabled.Rotation.Next = keystore.Disabled, hour(9)
		require.NoError(t, tx.InsertKey(disabled))
	})
	ids := func(keys []*keystore.Key, err error) (out []keystore.KeyID) {
		require.NoError(t, err)
		for _, k := range keys {
			out = append(out, k.ID)
		}
		return out
	}
	look(t, db, func(tx keystore.Tx) {
		assert.Equal(t, hour(1), need[time.Time](t)(tx.NextDeletion()))
		assert.Empty(t, ids(tx.DueKeys(hour(1).Add(-1), 10)), "a nanosecond before")
		assert.Equal(t, []keystore.KeyID{KeyID(4)}, ids(tx.DueKeys(hour(1), 10)), "on the date")
		assert.Equal(t, []keystore.KeyID{KeyID(4), KeyID(3), KeyID(2), KeyID(1), KeyID(0)}, ids(tx.DueKeys(hour(9), 10)), "oldest first")
		assert.Equal(t, []keystore.KeyID{KeyID(4), KeyID(3)}, ids(tx.DueKeys(hour(9), 2)))
		assert.Empty(t, ids(tx.RotatingKeys(hour(10).Add(-1), 10)))
		assert.Equal(t, []keystore.KeyID{KeyID(22), KeyID(21)}, ids(tx.RotatingKeys(hour(11), 10)), "enabled keys, oldest date first")
		assert.Equal(t, []keystore.KeyID{KeyID(22)}, ids(tx.RotatingKeys(hour(11), 1)))
		assert.Equal(t, []keystore.KeyID{KeyID(0), KeyID(1), KeyID(11)}, ids(tx.ExpiringKeys(hour(21), 10)))
	})
	change(t, db, func(tx keystore.Tx) { // cancelled
		k := need[*keystore.Key](t)(tx.Key(Region, KeyID(4)))
		k.State, k.DeletionDate = keystore.Disabled, time.Time{}
		require.NoError(t, tx.UpdateKey(k))
		assert.Equal(t, hour(2), need[time.Time](t)(tx.NextDeletion()))
	})
}

func externalKeysUnique(t *testing.T, db keystore.DB) {
	one, two := XksStore(Region, 1), XksStore(Region, 2)
	external := func(n int, s *keystore.Store, xks string) *keystore.Key {
		k := Key(Region, n)
		k.Origin, k.StoreID, k.XksKeyID = keystore.OriginXKS, s.ID, xks
		return k
	}
	first := external(1, one, "x")
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertStore(one))
		require.NoError(t, tx.InsertStore(two))
		require.NoError(t, tx.InsertKey(first))
		require.NoError(t, tx.InsertKey(external(2, two, "x")), "the same external key id behind another proxy")
		require.NoError(t, tx.InsertKey(external(3, one, "y")))
	})
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertKey(external(4, one, "x")) }), keystore.ErrExists)
	look(t, db, func(tx keystore.Tx) {
		assert.Equal(t, first, need[*keystore.Key](t)(tx.KeyByXksID(Region, one.ID, "x")))
		_, err := tx.KeyByXksID(Region, one.ID, "z")
		assert.ErrorIs(t, err, keystore.ErrNoRow)
		assert.Equal(t, 2, need[int](t)(tx.KeysInStore(Region, one.ID)))
		assert.Equal(t, 0, need[int](t)(tx.KeysInStore(Other, one.ID)))
	})
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.DeleteKey(first))
		require.NoError(t, tx.InsertKey(external(4, one, "x")), "free again when its key is gone")
	})
}

func tombstones(t *testing.T, db keystore.DB) {
	stone := func(n int) *keystore.Tombstone {
		return &keystore.Tombstone{
			KeyARN: keystore.KeyARN(Region, Account, KeyID(n%2)), KeyID: KeyID(n % 2), Region: Region, Origin: keystore.OriginCloudHSM,
			StoreID: "cks-1", ClusterID: "cluster-1", Created: Noon, ScheduledAt: Noon.Add(1), ScheduledBy: "alice",
			DueAt: Noon.Add(2), DeletedAt: Noon.Add(time.Duration(n)),
		}
	}
	change(t, db, func(tx keystore.Tx) {
		for _, n := range []int{2, 1, 3} {
			require.NoError(t, tx.InsertTombstone(stone(n)))
		}
		require.ErrorIs(t, tx.InsertTombstone(stone(1)), keystore.ErrExists)
	})
	look(t, db, func(tx keystore.Tx) {
		list := need[[]*keystore.Tombstone](t)
		assert.Equal(t, []*keystore.Tombstone{stone(3), stone(2), stone(1)}, list(tx.Tombstones("", 10)))
		assert.Equal(t, []*keystore.Tombstone{stone(3)}, list(tx.Tombstones("", 1)))
		assert.Equal(t, []*keystore.Tombstone{stone(3), stone(1)}, list(tx.Tombstones(stone(1).KeyARN, 10)))
		assert.Empty(t, list(tx.Tombstones("arn:none", 10)))
	})
}

func times(t *testing.T, db keystore.DB) {
	cet := time.FixedZone("CET", 3600)
	for name, c := range map[string]struct{ given, want time.Time }{
		"zero":              {time.Time{}, time.Time{}},
		"nanoseconds":       {Noon, Noon},
		"another zone":      {Noon.In(cet), Noon},
		"before 1970":       {time.Date(1931, 1, 1, 0, 0, 0, 1, time.UTC), time.Date(1931, 1, 1, 0, 0, 0, 1, time.UTC)},
		"1970":              {time.Unix(0, 0), time.Unix(0, 0).UTC()},
		"monotonic reading": {time.Now(), time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want.IsZero() && !c.given.IsZero() {
				c.want = c.given.Round(0).UTC()
			}
			k := Key(Region, 1)
			k.Created, k.DeletionDate, k.ScheduledAt, k.Rotation.Next = c.given, c.given, c.given, c.given
			k.Materials[0].ValidTo = c.given
			change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.InsertKey(k)) })
			got := need[*keystore.Key](t)(db.LookupKey(t.Context(), Region, k.ID))
			for _, v := range []time.Time{got.Created, got.DeletionDate, got.ScheduledAt, got.Rotation.Next, got.Materials[0].ValidTo} {
				assert.Equal(t, c.want, v)
			}
			look(t, db, func(tx keystore.Tx) {
				assert.Equal(t, got, need[*keystore.Key](t)(tx.Key(Region, k.ID)))
			})
			change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.DeleteKey(k)) })
		})
	}
	k := Key(Region, 2)
	k.Created = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)
	assert.Error(t, refused(t, db, func(tx keystore.Tx) error { return tx.InsertKey(k) }), "a time that can't be kept exactly is refused")
}
