package hsm_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

// called waits until a function of the module was called.
func called(t *testing.T, f *hsmtest.Faults, function string) {
	t.Helper()
	eventually(t, func() error {
		if f.Calls()[function] == 0 {
			return fmt.Errorf("%s was not called", function)
		}
		return nil
	})
}

// settled waits until no call hangs any more.
func settled(t *testing.T, token *hsm.Token) {
	t.Helper()
	eventually(t, func() error {
		if n := token.Stats().Stuck; n != 0 {
			return fmt.Errorf("%d calls hang", n)
		}
		return nil
	})
}

// TestHangOutlivesClose: while a call hangs of a token that was closed, the module is not finalised under it, neither
// for another token nor at the end, and the token's sessions are not closed by whoever opens it again.
func TestHangOutlivesClose(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := hsmtest.Fault(t, "a", "b")
	token, key := impatient(t, f)
	f.Set("hang C_Encrypt times 1")
	_, err := token.Seal(ctx, key, nil, []byte("x"), nil)
	require.ErrorIs(t, err, hsm.Timeout)
	require.ErrorIs(t, token.Close(), hsm.Stuck)
	f.ResetCalls()

	_, err = pkcs11.Open(ctx, f.Config("a"))
	require.ErrorIs(t, err, hsm.Stuck)
	missing := f.Config("a")
	missing.Label = "made later" // the module would be initialised anew to find it
	_, err = pkcs11.Open(ctx, missing)
	require.ErrorIs(t, err, hsm.Stuck)
	require.ErrorIs(t, pkcs11.CloseModule(ctx, f.Module), hsm.Stuck)
	require.Zero(t, f.Calls()["C_Finalize"])
	require.Zero(t, f.Calls()["C_CloseAllSessions"])
	other := f.Open("b")
	require.NoError(t, roundTrip(other, hsmtest.AES(t, other, "key")), "other tokens can be opened")

	f.Set()
	var again *hsm.Token
	eventually(t, func() (err error) {
		again, err = pkcs11.Open(ctx, f.Config("a"))
		return err
	})
	require.NoError(t, roundTrip(again, key))
	require.NoError(t, again.Close())
}

// TestLoginHangs: nothing is closed under a login that hangs, and the PIN is not tried a second time beside it.
func TestLoginHangs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	cfg := f.Config("a")
	cfg.CallTimeout = 2 * time.Second
	f.Set("hang C_Login times 1")
	f.ResetCalls()
	_, err := pkcs11.Open(ctx, cfg)
	require.ErrorIs(t, err, hsm.Timeout)
	require.Equal(t, 1, f.Calls()["C_CloseAllSessions"], "the one before the login")
	_, err = pkcs11.Open(ctx, cfg)
	require.ErrorIs(t, err, hsm.Stuck)
	require.Equal(t, 1, f.Calls()["C_Login"])
	f.Set()
	eventually(t, func() error {
		token, err := pkcs11.Open(ctx, cfg)
		if err != nil {
			return err
		}
		return token.Close()
	})
}

// TestSessionOfACallThatHangs: no other call is made on it.
func TestSessionOfACallThatHangs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	token, _ := impatient(t, f)
	f.Set("hang C_GetAttributeValue times 1")
	f.ResetCalls()
	ref := hsmtest.Ref("key")
	_, err := token.Generate(ctx, hsm.Template{KeyRef: ref, Kind: hsm.AES256, Usage: hsm.UseEncrypt})
	require.ErrorIs(t, err, hsm.Timeout)
	require.Zero(t, f.Calls()["C_DestroyObject"])
	f.Set()
	settled(t, token)
	n, err := token.Destroy(ctx, ref)
	require.NoError(t, err)
	require.Equal(t, 1, n, "its key is left to whoever ordered it")
}

// TestAbandonedCallIsWiped: what a call carried does not stay in memory when its caller has gone.
func TestAbandonedCallIsWiped(t *testing.T) {
	left := hsm.AbandonedCall(bytesOf(0x5a, 32))
	require.GreaterOrEqual(t, len(left), 64)
	require.Equal(t, make([]byte, len(left)), left)
}

// TestLateImport: a key that is made after its caller gave up, and wiped the value, is the caller's key and none of zeros.
func TestLateImport(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	token, _ := impatient(t, f)
	order := hsm.Template{KeyRef: hsmtest.Ref("imported"), Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt}
	value := bytesOf(0x5a, 32)
	// The module takes its time to refuse the longer template; the shorter one is tried after that.
	f.Set("hang C_CreateObject times 1", "fail C_CreateObject 0x12 times 1")
	_, err := token.ImportSecret(ctx, order, value)
	require.ErrorIs(t, err, hsm.Timeout)
	clear(value)
	f.Set()
	settled(t, token)
	found, err := token.Find(ctx, order.KeyRef)
	require.NoError(t, err)
	require.Len(t, found, 1)
	sealed, err := token.Seal(ctx, order.KeyRef, nil, []byte("text"), nil)
	require.NoError(t, err)
	require.Equal(t, "text", goOpen(t, bytesOf(0x5a, 32), nil, sealed))
}

// TestCloseWaitsForItsTurn: a token is closed for good although another one of the module takes longer for a key pair
// than a call may.
func TestCloseWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := hsmtest.Fault(t, "a", "b")
	open := func(label string) *hsm.Token {
		cfg := f.Config(label)
		cfg.CallTimeout = 5 * time.Second
		return f.OpenConfig(cfg)
	}
	token, other := open("a"), open("b")
	f.Set("slow C_GenerateKeyPair 6000")
	f.ResetCalls()
	made := make(chan error, 1)
	go func() {
		_, err := token.GeneratePair(ctx, hsm.Template{KeyRef: hsmtest.Ref("slow"), Kind: hsm.ECP256, Usage: signs})
		made <- err
	}()
	called(t, f, "C_GenerateKeyPair")
	require.NoError(t, other.Close())
	require.NoError(t, <-made)
	f.ResetCalls()
	require.NoError(t, f.Open("b").Close())
	require.Equal(t, 1, f.Calls()["C_Login"], "nothing was left of the login before")
}
