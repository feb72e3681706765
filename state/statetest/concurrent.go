package statetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func directoryFollows(t *testing.T, db keystore.DB) {
	furnish(t, db, true)
	change(t, db, func(tx keystore.Tx) { everything(t, tx) })
	ctx := t.Context()
	assert.Equal(t, "changed", need[*keystore.Key](t)(db.LookupKey(ctx, Region, KeyID(1))).Description)
	need[*keystore.Key](t)(db.LookupKey(ctx, Region, KeyID(2)))
	for _, name := range []string{"alias/a", "alias/b"} {
		assert.Equal(t, KeyID(2), need[*keystore.Alias](t)(db.LookupAlias(ctx, Region, name)).Target)
	}
	assert.Len(t, need[[]*keystore.Grant](t)(db.LookupGrants(ctx, Region, KeyID(1), Grantee)), 2)
	assert.Equal(t, keystore.Connected, need[*keystore.Store](t)(db.LookupStore(ctx, Region, Store(Region, 1).ID)).Conn)
	need[*keystore.Store](t)(db.LookupStore(ctx, Region, Store(Region, 2).ID))

	change(t, db, func(tx keystore.Tx) {
		// Away and back in one transaction, and the other way round.
		require.NoError(t, tx.DeleteAlias(Region, "alias/a"))
		require.NoError(t, tx.InsertAlias(Alias(Region, "alias/a", KeyID(1))))
		require.NoError(t, tx.InsertAlias(Alias(Region, "alias/c", KeyID(1))))
		require.NoError(t, tx.DeleteAlias(Region, "alias/c"))
		k := need[*keystore.Key](t)(tx.Key(Region, KeyID(2)))
		require.NoError(t, tx.DeleteKey(k))
		again := Key(Region, 2)
		again.Description = "again"
		require.NoError(t, tx.InsertKey(again))
	})
	assert.Equal(t, KeyID(1), need[*keystore.Alias](t)(db.LookupAlias(ctx, Region, "alias/a")).Target)
	for _, name := range []string{"alias/b", "alias/c"} {
		_, err := db.LookupAlias(ctx, Region, name)
		assert.ErrorIs(t, err, keystore.ErrNoRow, name)
	}
	assert.Equal(t, "again", need[*keystore.Key](t)(db.LookupKey(ctx, Region, KeyID(2))).Description)
}

// rounds is how many changes each writer of a concurrent test makes.
const rounds = 60

// directoryConcurrent has one writer for each entity and readers that check, for each lookup, that it gives what the last
// commit before it left or something later.
func directoryConcurrent(t *testing.T, db keystore.DB) {
	ctx := context.WithoutCancel(t.Context())
	furnish(t, db, false)
	store := Store(Region, 1).ID
	var keyRev, storeRev, aliasRound, grantRound, presence atomic.Int64
	keyRev.Store(1)
	storeRev.Store(1)
	writers := map[string]func(i int64){
		"key": func(i int64) {
			assert.NoError(t, db.Update(ctx, func(tx keystore.Tx) error {
				k, err := tx.Key(Region, KeyID(1))
				if err != nil {
					return err
				}
				k.Description = fmt.Sprint(k.Revision + 1)
				return tx.UpdateKey(k)
			}))
			keyRev.Add(1)
		},
		"store": func(i int64) {
			assert.NoError(t, db.Update(ctx, func(tx keystore.Tx) error {
				s, err := tx.Store(Region, store)
				if err != nil {
					return err
				}
				return tx.UpdateStore(s)
			}))
			storeRev.Add(1)
		},
		"alias": func(i int64) { // moves over and over; Updated counts
			assert.NoError(t, db.Update(ctx, func(tx keystore.Tx) error {
				a := Alias(Region, "alias/a", KeyID(1))
				a.Updated = Noon.AddDate(0, 0, int(i))
				return tx.UpdateAlias(a)
			}))
			aliasRound.Store(i)
		},
		"grant": func(i int64) {
			assert.NoError(t, db.Update(ctx, func(tx keystore.Tx) error {
				return tx.InsertGrant(Grant(Region, KeyID(1), int(i)+100))
			}))
			grantRound.Store(i)
		},
		"coming and going": func(i int64) { // odd: there; even: not. presence tells only while no change is under way
			presence.Store(-1)
			assert.NoError(t, db.Update(ctx, func(tx keystore.Tx) error {
				if i%2 == 1 {
					return errors.Join(tx.InsertKey(Key(Region, 50)), tx.InsertAlias(Alias(Region, "alias/50", KeyID(50))))
				}
				k, err := tx.Key(Region, KeyID(50))
				if err != nil {
					return err
				}
				return tx.DeleteKey(k)
			}))
			presence.Store(i)
		},
		"bystanders": func(i int64) { // fill the directory, so that a small one evicts
			assert.NoError(t, db.Update(ctx, func(tx keystore.Tx) error { return tx.InsertKey(Key(Region, 1000+int(i))) }))
		},
		"given up": func(i int64) {
			assert.ErrorIs(t, db.Update(ctx, func(tx keystore.Tx) error {
				k, err := tx.Key(Region, KeyID(1))
				if err != nil {
					return err
				}
				k.Description = "never"
				return errors.Join(tx.UpdateKey(k), errStop)
			}), errStop)
		},
	}
	readers := []func(){
		func() {
			least := keyRev.Load()
			k, err := db.LookupKey(ctx, Region, KeyID(1))
			if assert.NoError(t, err) && k.Revision > 1 {
				assert.GreaterOrEqual(t, k.Revision, least)
				assert.Equal(t, fmt.Sprint(k.Revision), k.Description)
			}
		},
		func() {
			least := storeRev.Load()
			s, err := db.LookupStore(ctx, Region, store)
			if assert.NoError(t, err) {
				assert.GreaterOrEqual(t, s.Revision, least)
			}
		},
		func() {
			least := aliasRound.Load()
			a, err := db.LookupAlias(ctx, Region, "alias/a")
			if assert.NoError(t, err) && least > 0 {
				assert.False(t, a.Updated.Before(Noon.AddDate(0, 0, int(least))), "alias of round %d or later", least)
			}
		},
		func() {
			least := grantRound.Load()
			g, err := db.LookupGrants(ctx, Region, KeyID(1), Grantee)
			assert.NoError(t, err)
			assert.GreaterOrEqual(t, int64(len(g)), least)
		},
		func() {
			before := presence.Load()
			_, keyErr := db.LookupKey(ctx, Region, KeyID(50))
			_, aliasErr := db.LookupAlias(ctx, Region, "alias/50")
			if before <= 0 || presence.Load() != before {
				return
			}
			for _, err := range []error{keyErr, aliasErr} {
				if before%2 == 1 {
					assert.NoError(t, err, "after round %d", before)
				} else {
					assert.ErrorIs(t, err, keystore.ErrNoRow, "after round %d", before)
				}
			}
		},
		func() { _, _ = db.LookupKey(ctx, Region, KeyID(1000+int(keyRev.Load()))) },
	}
	var writing, reading sync.WaitGroup
	var over atomic.Bool
	for _, w := range writers {
		writing.Go(func() {
			for i := int64(1); i <= rounds && !t.Failed(); i++ {
				w(i)
			}
		})
	}
	for _, r := range readers {
		reading.Go(func() {
			for !over.Load() && !t.Failed() {
				r()
			}
		})
	}
	writing.Wait()
	over.Store(true)
	reading.Wait()
	if !t.Failed() {
		assert.EqualValues(t, rounds+1, need[*keystore.Key](t)(db.LookupKey(ctx, Region, KeyID(1))).Revision)
	}
}

// revisionsConcurrent has several callers change one key after reading it outside the transaction: of those that read
// the same revision, one alone succeeds.
func revisionsConcurrent(t *testing.T, db keystore.DB) {
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.InsertKey(Key(Region, 1))) })
	const callers = 8
	var changed, stale atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range 20 {
				k, err := db.LookupKey(t.Context(), Region, KeyID(1))
				if !assert.NoError(t, err) {
					return
				}
				mine := k.Clone()
				mine.WindowDays++
				switch err := db.Update(t.Context(), func(tx keystore.Tx) error { return tx.UpdateKey(mine) }); {
				case err == nil:
					changed.Add(1)
				case assert.ErrorIs(t, err, keystore.ErrStale):
					stale.Add(1)
				}
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, callers*20, changed.Load()+stale.Load())
	k := need[*keystore.Key](t)(db.LookupKey(t.Context(), Region, KeyID(1)))
	assert.EqualValues(t, changed.Load(), k.WindowDays, "each change that was acknowledged counts once")
	assert.EqualValues(t, changed.Load()+1, k.Revision)
}
