package hsm_test

import (
	"crypto"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// TestHandlesOfAnEarlierLogin: a call that found its key's handle and then waited for a session over a new login does not
// use the handle there, where it is another object's: here that of the canary, which a login finds first.
func TestHandlesOfAnEarlierLogin(t *testing.T) {
	ctx := t.Context()
	how := hsm.Signing{Scheme: hsm.SignECDSA, Hash: crypto.SHA256}
	data := digest(t, crypto.SHA256, "a message")
	for name, use := range map[string]func(*hsm.Token, hsm.KeyRef, []byte) error{
		"public key": func(token *hsm.Token, ref hsm.KeyRef, _ []byte) error {
			_, err := token.PublicKey(ctx, ref)
			return err
		},
		"verify": func(token *hsm.Token, ref hsm.KeyRef, sig []byte) error {
			good, err := token.Verify(ctx, ref, how, data, sig)
			if err == nil && !good {
				err = fmt.Errorf("its own signature is refused")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := hsmtest.Fault(t, "a")
			cfg := f.Config("a")
			cfg.MaxSessions = 2 // the keeper and one to lend
			token := f.OpenConfig(cfg)
			key := pair(t, token, hsm.ECP256, signs)
			sig, err := token.Sign(ctx, key, how, data)
			require.NoError(t, err)
			require.NoError(t, token.Relogin(ctx))
			f.Set("reuse-handles") // from 1 on, so that the next object that is found has the canary's number
			good, err := token.Verify(ctx, key, how, data, sig)
			require.NoError(t, err)
			require.True(t, good)

			giveBack, err := token.HoldSession(ctx)
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() { done <- use(token, key, sig) }()
			eventually(t, func() error {
				if token.Waiting() == 0 {
					return fmt.Errorf("nobody waits for a session")
				}
				return nil
			})
			require.NoError(t, token.Relogin(ctx))
			giveBack()
			require.NoError(t, <-done)
		})
	}
}

// TestCopyOfAnEarlierLogin: a session copy that is to be destroyed late is left alone, for its handle is a key's by then.
func TestCopyOfAnEarlierLogin(t *testing.T) {
	ctx := t.Context()
	f := hsmtest.Fault(t, "a")
	f.Set("reuse-handles")
	token := f.Open("a")
	key := hsmtest.AES(t, token, "key")
	require.NoError(t, roundTrip(token, key))
	before := token.Stats().Epoch
	require.NoError(t, token.Relogin(ctx))
	require.NoError(t, roundTrip(token, key))
	f.ResetCalls()
	for handle := range hsm.Handle(4) {
		require.NoError(t, token.DestroyCopy(ctx, before, handle))
	}
	require.Zero(t, f.Calls()["C_DestroyObject"])
	require.NoError(t, roundTrip(token, key))
	require.NoError(t, token.Health(ctx))
}

// TestNothingFoundWhileAway: a search that found nothing while the token was away is no answer although the token is well
// again when it is checked, be it that somebody else has brought it back by then or not.
func TestNothingFoundWhileAway(t *testing.T) {
	ctx := t.Context()
	find := func(token *hsm.Token, ref hsm.KeyRef) (int, error) {
		found, err := token.Find(ctx, ref)
		return len(found), err
	}
	destroy := func(token *hsm.Token, ref hsm.KeyRef) (int, error) { return token.Destroy(ctx, ref) }
	for name, tc := range map[string]struct {
		search  func(*hsm.Token, hsm.KeyRef) (int, error)
		relogin bool
	}{
		"find, brought back": {find, true}, "destroy, brought back": {destroy, true}, "find": {find, false}, "destroy": {destroy, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := hsmtest.Fault(t, "a")
			cfg := f.Config("a")
			cfg.MaxSessions = 2 // the keeper and one to lend, which goes to those who wait for it in turn
			token := f.OpenConfig(cfg)
			key := hsmtest.AES(t, token, "key")
			giveBack, err := token.HoldSession(ctx)
			require.NoError(t, err)
			waiting := func(n int) {
				t.Helper()
				eventually(t, func() error {
					if token.Waiting() != n {
						return fmt.Errorf("%d wait for a session", token.Waiting())
					}
					return nil
				})
			}
			var found int
			done, next := make(chan error, 1), make(chan func(), 1)
			go func() {
				var err error
				found, err = tc.search(token, key)
				done <- err
			}()
			waiting(1)
			go func() {
				giveBack, err := token.HoldSession(ctx)
				assert.NoError(t, err)
				next <- giveBack
			}()
			waiting(2)
			f.Set("gone-quietly")
			giveBack()
			again := <-next // the search is over, and has found nothing
			f.Set()
			if tc.relogin {
				require.NoError(t, token.Relogin(ctx))
			}
			again()
			require.NoError(t, <-done)
			require.Equal(t, 1, found)
		})
	}
}
