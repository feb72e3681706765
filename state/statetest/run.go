package statetest

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

// Run holds a database to the contracts of the keystore ports. open gives a new, empty database each time and closes it
// when its test ends.
func Run(t *testing.T, open func(t *testing.T) keystore.DB) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, db keystore.DB)
	}{
		{"keys round-trip", keysRoundTrip},
		{"keys are inserted once", keysInsertedOnce},
		{"keys are updated by revision", keysUpdatedByRevision},
		{"keys are deleted with what is theirs", keysDeleted},
		{"keys are listed in pages", keysListed},
		{"keys are counted", keysCounted},
		{"keys fall due", keysFallDue},
		{"external keys are unique in a store", externalKeysUnique},
		{"tombstones", tombstones},
		{"times", times},
		{"aliases", aliases},
		{"grants", grants},
		{"grants in pages", grantsInPages},
		{"stores", stores},
		{"stores are unique", storesUnique},
		{"the ledger", ledger},
		{"the ledger in pages", ledgerInPages},
		{"the ledger's open rows", ledgerOpen},
		{"what names a principal", naming},
		{"principals", principals},
		{"settings", settings},
		{"last uses", lastUses},
		{"a transaction goes on after a refusal", goesOnAfterRefusal},
		{"a failed transaction leaves nothing", failedLeavesNothing},
		{"a panic leaves nothing", panicLeavesNothing},
		{"a view changes nothing", viewChangesNothing},
		{"a view sees one snapshot", viewSeesOneSnapshot},
		{"a transaction ends with its function", endsWithFunction},
		{"an ended context leaves nothing", endedContext},
		{"waiting for the writer ends with the context", waitEndsWithContext},
		{"what is given is the caller's own", givenIsOwn},
		{"the directory follows commits", directoryFollows},
		{"the directory under concurrent changes", directoryConcurrent},
		{"revisions under concurrent changes", revisionsConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// change runs fn in a transaction that must succeed.
func change(t *testing.T, db keystore.DB, fn func(tx keystore.Tx)) {
	t.Helper()
	require.NoError(t, db.Update(t.Context(), func(tx keystore.Tx) error {
		fn(tx)
		return nil
	}))
}

// look runs fn in a View.
func look(t *testing.T, db keystore.DB, fn func(tx keystore.Tx)) {
	t.Helper()
	require.NoError(t, db.View(t.Context(), func(tx keystore.Tx) error {
		fn(tx)
		return nil
	}))
}

// need is for results that must come without an error.
func need[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		require.NoError(t, err)
		return v
	}
}

var errStop = errors.New("stop")

// refused runs fn in a transaction of its own that is given up, and gives fn's error.
func refused(t *testing.T, db keystore.DB, fn func(tx keystore.Tx) error) error {
	t.Helper()
	var inner error
	err := db.Update(context.WithoutCancel(t.Context()), func(tx keystore.Tx) error {
		inner = fn(tx)
		return errStop
	})
	require.ErrorIs(t, err, errStop)
	return inner
}
