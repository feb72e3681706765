package statetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func lastUses(t *testing.T, db keystore.DB) {
	k, other := Key("us-east-1", 1), Key("us-east-1", 2)
	use := func(action keystore.Action, after time.Duration) *keystore.LastUse {
		return &keystore.LastUse{Region: k.Region, KeyID: k.ID, Action: action, Time: Noon.Add(after), EventID: "e-" + string(action), RequestID: "r-" + string(action)}
	}
	stored := func() *keystore.LastUse {
		var u *keystore.LastUse
		look(t, db, func(tx keystore.Tx) { u = need[*keystore.LastUse](t)(tx.LastUse(k.Region, k.ID)) })
		return u
	}
	none := func(k *keystore.Key) {
		look(t, db, func(tx keystore.Tx) {
			_, err := tx.LastUse(k.Region, k.ID)
			require.ErrorIs(t, err, keystore.ErrNoRow)
		})
	}
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.InsertKey(k))
		require.NoError(t, tx.InsertKey(other))
	})
	none(k)
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.PutLastUse(use("Sign", 0))) })
	assert.Equal(t, use("Sign", 0), stored())
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.PutLastUse(use("Verify", time.Millisecond))) })
	assert.Equal(t, use("Verify", time.Millisecond), stored())
	change(t, db, func(tx keystore.Tx) { require.NoError(t, tx.PutLastUse(use("Sign", -time.Hour))) })
	assert.Equal(t, use("Verify", time.Millisecond), stored(), "an earlier use changes nothing")
	none(other)

	change(t, db, func(tx keystore.Tx) {
		found, err := tx.Key(k.Region, k.ID)
		require.NoError(t, err)
		require.NoError(t, tx.DeleteKey(found))
	})
	none(k)
	change(t, db, func(tx keystore.Tx) {
		require.NoError(t, tx.PutLastUse(use("Sign", time.Hour)), "uses of a key that is gone are nobody's")
	})
	none(k)
}
