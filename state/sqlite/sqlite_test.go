package sqlite_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/state/statetest"
)

func TestSmoke(t *testing.T) {
	db := statetest.Open(t)
	ctx := t.Context()
	k := &keystore.Key{ID: "k1", Region: "r", Account: "1", State: keystore.Enabled, Created: time.Now(), Policy: "p",
		Materials: []keystore.KeyMaterial{{ID: keystore.MaterialID{1}, State: keystore.MaterialCurrent, Created: time.Now()}}}
	require.NoError(t, db.Update(ctx, func(tx keystore.Tx) error {
		require.NoError(t, tx.InsertKey(k))
		require.ErrorIs(t, tx.InsertKey(k), keystore.ErrExists)
		require.NoError(t, tx.InsertAlias(&keystore.Alias{Name: "alias/a", Region: "r", Target: "k1"}))
		require.ErrorIs(t, tx.InsertAlias(&keystore.Alias{Name: "alias/b", Region: "r", Target: "k2"}), keystore.ErrNoRow)
		return tx.InsertGrant(&keystore.Grant{ID: "g", KeyID: "k1", Region: "r", Token: "t"})
	}))
	got, err := db.LookupKey(ctx, "r", "k1")
	require.NoError(t, err)
	require.True(t, got.Created.Equal(k.Created))
	require.NoError(t, db.View(ctx, func(tx keystore.Tx) error {
		row, err := tx.Key("r", "k1")
		require.NoError(t, err)
		require.Equal(t, got, row)
		require.Error(t, tx.DeleteKey(row))
		n, err := tx.CountKeys("r")
		require.Equal(t, 1, n)
		return err
	}))
	require.NoError(t, db.Update(ctx, func(tx keystore.Tx) error { return tx.DeleteKey(got) }))
	_, err = db.LookupKey(ctx, "r", "k1")
	require.ErrorIs(t, err, keystore.ErrNoRow)
	_, err = db.LookupStore(ctx, "r", "x")
	require.ErrorIs(t, err, keystore.ErrNoRow)
	g, err := db.LookupGrants(ctx, "r", "k1")
	require.NoError(t, err)
	require.Nil(t, g)
	require.NoError(t, db.Check(ctx))
	v, err := db.Version(ctx)
	t.Log(v)
	require.NoError(t, err)
	require.NoError(t, db.Backup(ctx, t.TempDir()+"/b.db"))
}
