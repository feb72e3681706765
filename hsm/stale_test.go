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

// TestNothingFoundInAnEarlierLogin: a search that found nothing while the token was away is no answer when the token has
// been brought back by somebody else before it is shown to be well.
func TestNothingFoundInAnEarlierLogin(t *testing.T) {
	ctx := t.Context()
	for name, search := range map[string]func(*hsm.Token, hsm.KeyRef) (int, error){
		"find": func(token *hsm.Token, ref hsm.KeyRef) (int, error) {
			found, err := token.Find(ctx, ref)
			return len(found), err
		},
		"destroy": func(token *hsm.Token, ref hsm.KeyRef) (int, error) { return token.Destroy(ctx, ref) },
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
			type result struct {
				n   int
				err error
			}
			done := make(chan result, 1)
			go func() {
				n, err := search(token, key)
				done <- result{n, err}
			}()
			waiting(1)
			next := make(chan func(), 1)
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
			require.NoError(t, token.Relogin(ctx))
			again()
			got := <-done
			require.NoError(t, got.err)
			require.Equal(t, 1, got.n)
		})
	}
}
