package keystore_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func TestStoreActionsEqualSpecification(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range specRows(t, "store-actions.csv") {
		types := []keystore.StoreType{keystore.StoreType(row["store_type"])}
		if row["store_type"] == "any" {
			types = []keystore.StoreType{keystore.StoreCloudHSM, keystore.StoreXKS}
		}
		for _, typ := range types {
			name := string(typ) + "/" + row["action"] + "/" + row["state"]
			t.Run(name, func(t *testing.T) {
				require.False(t, seen[name])
				seen[name] = true
				err := keystore.PermitStore(keystore.Action(row["action"]), typ, keystore.ConnState(row["state"]))
				if row["result"] == "ok" {
					require.NoError(t, err)
					return
				}
				require.Equal(t, row["error"], string(keystore.KindOf(err))+"Exception")
				require.NotEmpty(t, text(err))
			})
		}
	}
	for _, a := range keystore.StoreActions() {
		for _, c := range keystore.ConnStates() {
			for _, typ := range []keystore.StoreType{keystore.StoreCloudHSM, keystore.StoreXKS} {
				assert.True(t, seen[string(typ)+"/"+string(a)+"/"+string(c)], "%s %s %s", typ, a, c)
			}
		}
	}
}

func TestPermitStoreRefusesTheUnknown(t *testing.T) {
	assert.Equal(t, keystore.KindInternal, keystore.KindOf(keystore.PermitStore(keystore.ActionEncrypt, keystore.StoreCloudHSM, keystore.Connected)))
	assert.Equal(t, keystore.KindCustomKeyStoreInvalidState,
		keystore.KindOf(keystore.PermitStore(keystore.ActionCreateKey, keystore.StoreCloudHSM, "")))
}

func TestConnectionStepsEqualSpecification(t *testing.T) {
	want := map[string]string{}
	for _, row := range specRows(t, "store-steps.csv") {
		want[row["state"]+"/"+row["event"]] = row["next"]
	}
	for _, c := range keystore.ConnStates() {
		for _, e := range keystore.ConnEvents() {
			name := string(c) + "/" + string(e)
			next, isStep := keystore.NextConn(e, c)
			wanted, exists := want[name]
			assert.Equal(t, exists, isStep, name)
			if !exists {
				wanted = string(c)
			}
			assert.Equal(t, wanted, string(next), name)
			delete(want, name)
		}
	}
	assert.Empty(t, want)
}

// TestStepsAgreeWithActions: a caller's event is a step exactly where its action is permitted.
func TestStepsAgreeWithActions(t *testing.T) {
	for event, action := range map[keystore.ConnEvent]keystore.Action{
		keystore.ConnectAsked:    keystore.ActionConnectCustomKeyStore,
		keystore.DisconnectAsked: keystore.ActionDisconnectCustomKeyStore,
	} {
		for _, c := range keystore.ConnStates() {
			_, isStep := keystore.NextConn(event, c)
			assert.Equal(t, keystore.PermitStore(action, keystore.StoreCloudHSM, c) == nil, isStep, "%s in %s", event, c)
		}
	}
}

func TestUpdatableParametersEqualSpecification(t *testing.T) {
	rows := specRows(t, "store-parameters.csv")
	require.Len(t, keystore.UpdateRules(), len(rows))
	for _, row := range rows {
		for _, typ := range []keystore.StoreType{keystore.StoreCloudHSM, keystore.StoreXKS} {
			ofType := slices.Contains(strings.Fields(row["store_types"]), string(typ))
			assert.Equal(t, ofType, keystore.UpdatableBy(row["parameter"], typ))
			for _, c := range keystore.ConnStates() {
				want := ofType && slices.Contains(strings.Fields(row["states"]), string(c))
				assert.Equal(t, want, keystore.UpdatableIn(row["parameter"], typ, c), "%s of %s in %s", row["parameter"], typ, c)
				if want {
					assert.NoError(t, keystore.PermitStore(keystore.ActionUpdateCustomKeyStore, typ, c))
				}
			}
		}
	}
	assert.False(t, keystore.UpdatableIn("TrustAnchorCertificate", keystore.StoreCloudHSM, keystore.Disconnected))
	assert.False(t, keystore.UpdatableBy("CustomKeyStoreType", keystore.StoreCloudHSM))
}
