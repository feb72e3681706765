package statetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func ledger(t *testing.T, db keystore.DB) {
	full := Material(1, keystore.MaterialPlanned)
	bare := &keystore.Material{ID: MaterialID(2), State: keystore.MaterialLive, Kind: keystore.MaterialNotOurs}
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertMaterial(full))
		require.NoError(t, tx.InsertMaterial(bare))
		require.ErrorIs(t, tx.InsertMaterial(full.Clone()), keystore.ErrExists)
	})
	stale := full.Clone()
	require.NoError(t, full.Advance(keystore.MaterialLive))
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.UpdateMaterial(full)) })
	assert.EqualValues(t, 2, full.Revision)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.UpdateMaterial(stale) }), keystore.ErrStale)
	assert.ErrorIs(t, refused(t, db, func(tx keystore.Tx) error { return tx.UpdateMaterial(Material(9, keystore.MaterialLive)) }), keystore.ErrNoRow)
	second := Material(3, keystore.MaterialLive)
	second.KeyARN, second.PlannedAt = full.KeyARN, full.PlannedAt.Add(-1)
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.InsertMaterial(second)) })
	look(t, db, func(tx keystore.Tx) {
		assert.Equal(t, full, need[*keystore.Material](t)(tx.Material(full.ID)))
		assert.Equal(t, bare, need[*keystore.Material](t)(tx.Material(bare.ID)))
		_, err := tx.Material(MaterialID(9))
		assert.ErrorIs(t, err, keystore.ErrNoRow)
		assert.Equal(t, []*keystore.Material{second, full}, need[[]*keystore.Material](t)(tx.MaterialsOfKey(full.KeyARN)), "oldest first")
		assert.Equal(t, map[keystore.MaterialState]int{keystore.MaterialLive: 3},
			need[map[keystore.MaterialState]int](t)(tx.CountMaterials()))
	})
}

func ledgerInPages(t *testing.T, db keystore.DB) {
	states := keystore.MaterialStates()
	const n = 30
	change(t, db, func(tx keystore.Tx) {
		for i := n - 1; i >= 0; i-- {
			require.NoError(t, tx.InsertMaterial(Material(i, states[i%len(states)])))
		}
	})
	for name, c := range map[string]struct {
		states []keystore.MaterialState
		want   int
	}{
		"all":                  {nil, n},
		"one state":            {[]keystore.MaterialState{keystore.MaterialOrphaned}, n / len(states)},
		"two states":           {[]keystore.MaterialState{keystore.MaterialResolved, keystore.MaterialOrphaned}, 2 * n / len(states)},
		"a state named twice":  {[]keystore.MaterialState{keystore.MaterialLive, keystore.MaterialLive}, n / len(states)},
		"a state without rows": {[]keystore.MaterialState{"lost"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			look(t, db, func(tx keystore.Tx) {
				var ids []string
				for after := (keystore.MaterialID{}); ; {
					page := need[[]*keystore.Material](t)(tx.Materials(after, 4, c.states...))
					if len(page) == 0 {
						break
					}
					require.LessOrEqual(t, len(page), 4)
					for _, m := range page {
						ids = append(ids, m.ID.String())
					}
					after = page[len(page)-1].ID
				}
				assert.Len(t, ids, c.want)
				assert.IsIncreasing(t, append([]string{"", "0"}, ids...))
			})
		})
	}
}

// ledgerOpen: of a key with a long past, what is open costs no more.
func ledgerOpen(t *testing.T, db keystore.DB) {
	const arn = "arn:aws:kms:us-east-1:000000000000:key/1"
	var open []keystore.MaterialID
	change(t, db, func(tx keystore.Tx) {
		for i, s := range keystore.MaterialStates() {
			for n := range 2 {
				m := Material(10*i+n, s)
				m.KeyARN, m.PlannedAt = arn, m.PlannedAt.Add(-time.Duration(10*i+n)*time.Second)
				require.NoError(t, tx.InsertMaterial(m))
				if s != keystore.MaterialDestroyed && s != keystore.MaterialResolved {
					open = append(open, m.ID)
				}
			}
		}
		require.NoError(t, tx.InsertMaterial(Material(99, keystore.MaterialLive)), "another key's")
	})
	slices.Reverse(open) // oldest first
	look(t, db, func(tx keystore.Tx) {
		var got []keystore.MaterialID
		for _, m := range need[[]*keystore.Material](t)(tx.OpenMaterialsOfKey(arn)) {
			got = append(got, m.ID)
		}
		assert.Equal(t, open, got)
		assert.Len(t, need[[]*keystore.Material](t)(tx.MaterialsOfKey(arn)), 2*len(keystore.MaterialStates()))
	})
}
