package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/state/statetest"
)

// TestOnTheRealState decides by grants and aliases that are in a database, as they come and go.
func TestOnTheRealState(t *testing.T) {
	db := statetest.Open(t)
	g := access.New(access.Config{Directory: db})
	change := func(fn func(tx keystore.Tx) error) {
		t.Helper()
		require.NoError(t, db.Update(t.Context(), fn))
	}
	k := key(policy(allow(bob, `"kms:*"`), `{"Effect":"Allow","Principal":{"AWS":"`+admin+`"},"Action":"kms:Encrypt","Resource":"*",`+
		`"Condition":{"ForAnyValue:StringEquals":{"kms:ResourceAliases":"alias/app149"}}}`))
	k.Created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	change(func(tx keystore.Tx) error { return tx.InsertKey(k) })
	may := func(arn string) bool {
		t.Helper()
		d, err := g.Authorize(t.Context(), &access.Request{Caller: caller(arn), Action: "Encrypt", Key: k})
		require.NoError(t, err)
		return d.Allowed
	}

	assert.False(t, may(alice))
	given := grant(func(g *keystore.Grant) { g.Created = k.Created })
	change(func(tx keystore.Tx) error { return tx.InsertGrant(given) })
	assert.True(t, may(alice), "a grant counts at once")
	change(func(tx keystore.Tx) error { return tx.DeleteGrant(given.Region, given.KeyID, given.ID) })
	assert.False(t, may(alice), "and is gone at once")

	assert.False(t, may(admin))
	change(func(tx keystore.Tx) error {
		for i := range 150 {
			a := &keystore.Alias{Name: fmt.Sprintf("alias/app%d", i), Account: account, Region: k.Region, Target: k.ID, Created: k.Created, Updated: k.Created}
			if err := tx.InsertAlias(a); err != nil {
				return err
			}
		}
		return nil
	})
	assert.True(t, may(admin), "by an alias of the key")
}
