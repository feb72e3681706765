package lifecycle_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/crypt"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// rotate runs one pass of the rotator.
func (w *world) rotate() int {
	w.t.Helper()
	n, err := lifecycle.NewRotator(w.Service).RotateOnce(w.t.Context(), w.clock.Now())
	require.NoError(w.t, err)
	return n
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

func TestAutomaticRotationFollowsItsPeriod(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	id := string(k.ID)
	st, err := w.GetKeyRotationStatus(t.Context(), w.root, id)
	require.NoError(t, err)
	assert.False(t, st.Enabled)

	require.NoError(t, w.EnableKeyRotation(t.Context(), w.root, id, 100))
	st, err = w.GetKeyRotationStatus(t.Context(), w.root, id)
	require.NoError(t, err)
	assert.True(t, st.Enabled)
	assert.Equal(t, 100, st.PeriodDays)
	assert.True(t, st.Next.Equal(w.clock.Now().Add(days(100))))

	assert.Zero(t, w.rotate())
	w.clock.advance(days(100))
	assert.Equal(t, 1, w.rotate())
	assert.Zero(t, w.rotate(), "one rotation a period")
	w.clock.advance(days(100))
	assert.Equal(t, 1, w.rotate())

	_, list, _, err := w.ListKeyRotations(t.Context(), w.root, id, false, keystore.Page{})
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.Equal(t, lifecycle.RotationAutomatic, list[0].RotationType)
	assert.Equal(t, keystore.MaterialNonCurrent, list[0].State)
	assert.Equal(t, keystore.MaterialCurrent, list[1].State)
	_, all, _, err := w.ListKeyRotations(t.Context(), w.root, id, true, keystore.Page{})
	require.NoError(t, err)
	assert.Len(t, all, 3)
	assert.Len(t, w.log.named(audit.EventRotateKey), 2)
	assert.Len(t, w.token.List(), 3)
	for _, row := range w.rows(k.ARN()) {
		assert.Equal(t, keystore.MaterialLive, row.State)
	}

	require.NoError(t, w.DisableKeyRotation(t.Context(), w.root, id))
	w.clock.advance(days(1000))
	assert.Zero(t, w.rotate())
}

func TestOldCiphertextsOpenAfterRotations(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	c := crypt.New(crypt.Config{DB: w.db, Resolver: w.stores, Gate: access.New(access.Config{Directory: w.db}), Clock: w.clock})
	var blobs [][]byte
	for range 4 {
		out, err := c.Encrypt(t.Context(), w.root, &crypt.EncryptInput{KeyID: string(k.ID), Plaintext: []byte("gold")})
		require.NoError(t, err)
		blobs = append(blobs, out.CiphertextBlob)
		_, err = w.RotateKeyOnDemand(t.Context(), w.root, string(k.ID))
		require.NoError(t, err)
	}
	seen := map[string]bool{}
	for _, b := range blobs {
		out, err := c.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: b})
		require.NoError(t, err)
		assert.Equal(t, "gold", string(out.Plaintext))
		seen[out.KeyMaterialID] = true
	}
	assert.Len(t, seen, 4, "each was sealed under material of its own")

	w.doom(k)
	assert.Equal(t, 5, w.sweep().Destroyed, "every material goes with the key")
	assert.Empty(t, w.token.List())
}

func TestRotationRules(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	id := string(k.ID)
	for _, n := range []int{89, 2561, -1} {
		faulty(t, w.EnableKeyRotation(t.Context(), w.root, id, n), keystore.KindValidation, "*")
	}
	require.NoError(t, w.EnableKeyRotation(t.Context(), w.root, id, 90))

	require.NoError(t, w.DisableKey(t.Context(), w.root, id))
	faulty(t, w.EnableKeyRotation(t.Context(), w.root, id, 365), keystore.KindDisabled, k.ARN()+" is disabled.")
	w.clock.advance(days(91))
	assert.Zero(t, w.rotate(), "a disabled key does not rotate")
	require.NoError(t, w.EnableKey(t.Context(), w.root, id))
	assert.Equal(t, 1, w.rotate(), "it is overdue")

	_, err := w.ScheduleKeyDeletion(t.Context(), w.root, id, 30)
	require.NoError(t, err)
	st, err := w.GetKeyRotationStatus(t.Context(), w.root, id)
	require.NoError(t, err)
	assert.False(t, st.Enabled, "reads false while deletion is pending")
	_, err = w.CancelKeyDeletion(t.Context(), w.root, id)
	require.NoError(t, err)
	st, err = w.GetKeyRotationStatus(t.Context(), w.root, id)
	require.NoError(t, err)
	assert.True(t, st.Enabled, "the setting returns")

	store, _ := w.store("one")
	away := w.inStore(store)
	_, err = w.RotateKeyOnDemand(t.Context(), w.root, string(away.ID))
	faulty(t, err, keystore.KindUnsupportedOperation, "*")
}

func TestOnDemandRotationLimits(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	id := string(k.ID)
	for range lifecycle.MaxOnDemandRotations {
		_, err := w.RotateKeyOnDemand(t.Context(), w.root, id)
		require.NoError(t, err)
	}
	_, err := w.RotateKeyOnDemand(t.Context(), w.root, id)
	faulty(t, err, keystore.KindLimitExceeded, "The on-demand rotations limit has been reached for the given keyId. "+
		"No more on-demand rotations can be performed for this key: "+k.ARN())

	other := w.create(lifecycle.CreateKeyInput{})
	require.NoError(t, w.EnableKeyRotation(t.Context(), w.root, string(other.ID), 90))
	w.clock.advance(days(90) - 10*time.Minute)
	_, err = w.RotateKeyOnDemand(t.Context(), w.root, string(other.ID))
	faulty(t, err, keystore.KindConflict, "*")

	_, page, next, err := w.ListKeyRotations(t.Context(), w.root, id, false, keystore.Page{Limit: 10})
	require.NoError(t, err)
	require.Len(t, page, 10)
	_, rest, next, err := w.ListKeyRotations(t.Context(), w.root, id, false, keystore.Page{Limit: 100, Marker: next})
	require.NoError(t, err)
	assert.Len(t, rest, lifecycle.MaxOnDemandRotations-10)
	assert.Empty(t, next)
}

func TestAFailedRotationLeavesNothing(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	require.NoError(t, w.EnableKeyRotation(t.Context(), w.root, string(k.ID), 90))
	w.clock.advance(days(90))
	w.token.Fail(backendtest.Create, 1, errLost)
	_, err := lifecycle.NewRotator(w.Service).RotateOnce(t.Context(), w.clock.Now())
	require.Error(t, err)
	assert.Len(t, w.token.List(), 1)
	assert.Equal(t, 1, w.rotate(), "it is tried again")
	assert.Len(t, w.token.List(), 2)
}

func TestACrashInARotationIsSettled(t *testing.T) {
	for _, step := range []string{lifecycle.StepRotatePlanned, lifecycle.StepRotateGenerated, lifecycle.StepRotateCommitted} {
		t.Run(step, func(t *testing.T) {
			at := ""
			w := newWorld(t, func(c *lifecycle.Config) {
				c.Hook = func(s string) {
					if s == at {
						panic(crash{s})
					}
				}
			})
			k := w.create(lifecycle.CreateKeyInput{})
			at = step
			stopped := crashing(func() { _, _ = w.RotateKeyOnDemand(t.Context(), w.root, string(k.ID)) })
			require.Equal(t, step, stopped)
			at = ""
			w.restart()
			w.reconcile()
			live := map[string]bool{}
			for _, row := range w.rows(k.ARN()) {
				if row.State == keystore.MaterialLive {
					live[row.ID.String()] = true
				}
			}
			for _, o := range w.token.List() {
				assert.True(t, live[keystore.MaterialID(o.ID).String()], "every object has a live row")
			}
			assert.Len(t, w.token.List(), len(live))
			v, err := w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
			require.NoError(t, err)
			assert.Len(t, v.Key.Materials, len(live))
		})
	}
}

// A log that can't be written does not undo a rotation; it gets the event when it can, with the time at which it happened.
func TestRotationThatTheLogDoesNotTake(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	w.log.refuse(errors.New("disk full"))
	_, err := w.RotateKeyOnDemand(t.Context(), w.root, string(k.ID))
	require.NoError(t, err)
	happened := w.clock.Now()
	w.clock.advance(time.Hour)
	_, err = lifecycle.NewSweeper(w.Service).SweepOnce(t.Context(), w.clock.Now())
	require.ErrorContains(t, err, "disk full")
	w.log.refuse(nil)
	w.sweep()
	w.sweep()
	events := w.log.about(audit.EventRotateKey, k.ARN())
	require.Len(t, events, 1, "once")
	e := events[0]
	assert.True(t, e.Time.Equal(happened))
	v, err := w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
	require.NoError(t, err)
	want := audit.RotateKey(v.Key, v.Key.Current(), lifecycle.RotationOnDemand, happened)
	assert.Equal(t, details(t, want.ServiceEventDetails), details(t, e.ServiceEventDetails))
	assert.Equal(t, want.Resources, e.Resources)
	assert.Equal(t, audit.ServiceEvent, e.Type)
}

// Pages go on where the last one ended. A marker shows no CKA_ID, and one of another list, or of nothing, is refused.
func TestPagesOfRotations(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	for range 4 {
		_, err := w.RotateKeyOnDemand(t.Context(), w.root, string(k.ID))
		require.NoError(t, err)
	}
	v, err := w.DescribeKey(t.Context(), w.root, string(k.ID), nil)
	require.NoError(t, err)
	var seen []keystore.KeyMaterial
	p := keystore.Page{Limit: 2}
	for pages := 1; ; pages++ {
		_, list, next, err := w.ListKeyRotations(t.Context(), w.root, string(k.ID), true, p)
		require.NoError(t, err)
		seen = append(seen, list...)
		text, err := base64.RawURLEncoding.DecodeString(next)
		require.NoError(t, err)
		for _, m := range v.Key.Materials {
			assert.NotContains(t, string(text), m.ID.String())
		}
		if p.Marker = next; next == "" {
			assert.Equal(t, 3, pages)
			break
		}
	}
	assert.Equal(t, v.Key.Materials, seen)
	p.Marker = keystore.NextMarker("rotations/"+string(k.ID), "0000")
	_, _, _, err = w.ListKeyRotations(t.Context(), w.root, string(k.ID), true, p)
	faulty(t, err, keystore.KindInvalidMarker, "*")
}
