package hsm_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

// roundTrip seals and opens, and says what went wrong.
func roundTrip(token *hsm.Token, key hsm.KeyRef) error {
	ctx := context.Background()
	sealed, err := token.Seal(ctx, key, []byte("aad"), []byte("plaintext"), nil)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	opened, err := token.Open(ctx, key, []byte("aad"), sealed, nil)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	if !bytes.Equal(opened, []byte("plaintext")) {
		return fmt.Errorf("opened %q", opened)
	}
	return nil
}

func eventually(t *testing.T, fn func() error) {
	t.Helper()
	var err error
	ok := assert.Eventually(t, func() bool { err = fn(); return err == nil }, time.Minute, 20*time.Millisecond)
	if !ok {
		t.Fatalf("last error: %v", err)
	}
}

// TestSurvivesWithoutError: faults that one more try on a fresh session puts
// right are not seen by callers.
func TestSurvivesWithoutError(t *testing.T) {
	tests := map[string][]string{
		"sessions lost":                {"lose-sessions"},
		"session handle invalid":       {"fail C_EncryptInit 0xb3 times 1"},
		"session closed":               {"fail C_Encrypt 0xb0 times 1"},
		"not logged in":                {"fail C_EncryptInit 0x101 times 1"},
		"object handle invalid":        {"fail C_EncryptInit 0x82 times 1"},
		"key handle invalid":           {"fail C_EncryptInit 0x60 times 1"},
		"general error":                {"fail C_Encrypt 0x05 times 1"},
		"device error":                 {"fail C_EncryptInit 0x30 times 1"},
		"operation active":             {"fail C_EncryptInit 0x90 times 1"},
		"general error in decryption":  {"fail C_Decrypt 0x05 times 1"},
		"device error in decryption":   {"fail C_Decrypt 0x30 times 1"},
		"encrypted data invalid, once": {"fail C_DecryptInit 0xb3 times 1"},
		"module finalised":             {"fail C_EncryptInit 0x190 times 1"},
		"copy refused":                 {"lose-sessions", "fail C_CopyObject 0x1b"},
	}
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	key := hsmtest.AES(t, token, "key")
	for name, rules := range tests {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, roundTrip(token, key))
			f.Set(rules...)
			require.NoError(t, roundTrip(token, key))
			f.Set()
			require.NoError(t, token.Health(context.Background()))
		})
	}
}

// TestComesBack: a token that goes away costs errors of class TokenGone or
// TokenDoubtful, never wrong answers, and is used again when it is back.
func TestComesBack(t *testing.T) {
	tests := map[string]string{
		"gone":                               "gone",
		"gone until initialised anew":        "gone sticky",
		"gone quietly":                       "gone-quietly",
		"gone quietly until initialised":     "gone-quietly sticky",
		"every call fails":                   "fail * 0x30",
		"login fails for reasons unnamed":    "fail C_Login 0x05",
		"sessions cannot be opened any more": "fail C_OpenSession 0x30",
	}
	for name, rule := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			f := hsmtest.Fault(t, "a")
			token := f.Open("a")
			key := hsmtest.AES(t, token, "key")
			require.NoError(t, roundTrip(token, key))

			f.Set(rule, "lose-sessions")
			err := roundTrip(token, key)
			require.Error(t, err)
			require.Contains(t, []hsm.Class{hsm.TokenGone, hsm.TokenDoubtful}, hsm.ClassOf(err), "%v", err)
			_, err = token.Find(ctx, key)
			require.Error(t, err, "an empty answer would be a lie")
			_, err = token.Find(ctx, hsmtest.Ref("other"))
			require.Error(t, err, "nobody can say now that it is not there")
			_, err = token.Destroy(ctx, key)
			require.Error(t, err)
			_, err = token.Seal(ctx, key, nil, []byte("x"), nil)
			require.NotErrorIs(t, err, hsm.KeyMissing)
			require.False(t, token.Stats().Healthy)
			require.NotEmpty(t, token.Stats().LastError)

			f.Set()
			eventually(t, func() error { return roundTrip(token, key) })
			require.True(t, token.Stats().Healthy)
			objects, err := token.Find(ctx, key)
			require.NoError(t, err)
			require.Len(t, objects, 1)
		})
	}
}

// TestComesBackUnused: nobody need call for a token to be found again.
func TestComesBackUnused(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	cfg := f.Config("a")
	cfg.HealthInterval = 50 * time.Millisecond
	token := f.OpenConfig(cfg)
	f.Set("gone sticky")
	require.Eventually(t, func() bool { return !token.Stats().Healthy }, time.Minute, 10*time.Millisecond)
	f.Set()
	require.Eventually(t, func() bool { return token.Stats().Healthy }, time.Minute, 10*time.Millisecond)
}

// TestDirectoryAway: SoftHSM2's own way of losing a token.
func TestDirectoryAway(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a", "b")
	token, other := f.Open("a"), f.Open("b")
	key, otherKey := hsmtest.AES(t, token, "key"), hsmtest.AES(t, other, "key")
	slot := token.Info().Slot
	require.NoError(t, roundTrip(token, key))

	away := filepath.Join(f.Dir("a"), "..", "..", "away")
	require.NoError(t, os.Rename(f.Dir("a"), away))
	require.Error(t, token.Health(ctx))
	n, err := token.Destroy(ctx, key)
	require.Error(t, err)
	require.Zero(t, n)
	_, err = token.Find(ctx, hsmtest.Ref("never made"))
	require.Error(t, err)
	require.NotErrorIs(t, err, hsm.KeyMissing)
	require.NoError(t, roundTrip(other, otherKey), "the other token of the module is not harmed")

	require.NoError(t, os.Rename(away, f.Dir("a")))
	eventually(t, func() error { return roundTrip(token, key) })
	require.NotEqual(t, slot, token.Info().Slot, "SoftHSM2 numbers slots anew; the token is known by label and serial")
	require.NoError(t, roundTrip(other, otherKey))
	n, err = token.Destroy(ctx, key)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = token.Seal(ctx, key, nil, nil, nil)
	require.ErrorIs(t, err, hsm.KeyMissing)
}

// TestErased: a token that was erased and made anew under its name is not
// taken for the one that was opened.
func TestErased(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	key := hsmtest.AES(t, token, "key")
	entries, err := os.ReadDir(f.Dir("a"))
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() != "token.object" && e.Name() != "token.lock" && e.Name() != "generation" {
			require.NoError(t, os.Remove(f.Dir("a")+"/"+e.Name()))
		}
	}
	f.Set("lose-sessions")
	_, err = token.Find(ctx, key)
	require.ErrorIs(t, err, hsm.TokenDoubtful)
	n, err := token.Destroy(ctx, key)
	require.ErrorIs(t, err, hsm.TokenDoubtful)
	require.Zero(t, n)
}

func TestHandlesGivenOutAgain(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	f.Set("reuse-handles")
	token := f.Open("a")
	keys := make([]hsm.KeyRef, 8)
	sealed := make([][]byte, len(keys))
	ctx := context.Background()
	for i := range keys {
		keys[i] = hsmtest.AES(t, token, fmt.Sprint("key ", i))
		var err error
		sealed[i], err = token.Seal(ctx, keys[i], nil, []byte(keys[i].Label), nil)
		require.NoError(t, err)
	}
	for round := range 4 {
		f.Set("reuse-handles", "lose-sessions", fmt.Sprintf("# round %d", round))
		for n := range keys {
			i := (n*3 + round) % len(keys) // another order, so other numbers
			opened, err := token.Open(ctx, keys[i], nil, sealed[i], nil)
			require.NoError(t, err)
			require.Equal(t, keys[i].Label, string(opened))
		}
		f.Set("reuse-handles")
		require.NoError(t, token.Health(ctx))
	}
}

// impatient opens the token with a deadline that is short for a test and long
// for a busy machine, and makes a key before that.
func impatient(t *testing.T, f *hsmtest.Faults) (*hsm.Token, hsm.KeyRef) {
	t.Helper()
	cfg := f.Config("a")
	patient, err := pkcs11.Open(context.Background(), cfg)
	require.NoError(t, err)
	key := hsmtest.AES(t, patient, "key")
	require.NoError(t, patient.Close())
	cfg.CallTimeout = 2 * time.Second
	token := f.OpenConfig(cfg)
	require.NoError(t, roundTrip(token, key))
	return token, key
}

func TestHang(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	token, key := impatient(t, f)

	f.Set("hang C_Encrypt times 1")
	_, err := token.Seal(ctx, key, nil, []byte("x"), nil)
	require.ErrorIs(t, err, hsm.Timeout)
	require.Equal(t, 1, token.Stats().Stuck)
	require.NoError(t, roundTrip(token, key), "one call that hangs harms no other")
	require.NoError(t, token.Random(ctx, make([]byte, 32)))

	f.Set("hang C_GenerateKey times 1", "hang C_Encrypt skip 100")
	_, err = token.Generate(ctx, hsm.Template{KeyRef: hsmtest.Ref("x"), Kind: hsm.AES256, Usage: hsm.UseEncrypt})
	require.ErrorIs(t, err, hsm.Timeout)
	require.Equal(t, 2, token.Stats().Stuck)

	f.Set()
	settled(t, token)
	require.NoError(t, roundTrip(token, key))
}

func TestTooManyHang(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	token, key := impatient(t, f)

	f.Set("hang C_Encrypt")
	require.Eventually(t, func() bool {
		_, err := token.Seal(ctx, key, nil, []byte("x"), nil)
		return hsm.ClassOf(err) == hsm.Stuck
	}, time.Minute, time.Millisecond)
	stuck := token.Stats().Stuck
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			_, err := token.Seal(ctx, key, nil, []byte("x"), nil)
			assert.ErrorIs(t, err, hsm.Stuck)
		})
	}
	wg.Wait()
	require.Equal(t, stuck, token.Stats().Stuck, "callers that fail fast do not pile up")

	f.Set()
	eventually(t, func() error { return roundTrip(token, key) })
	settled(t, token)
}

func TestCallerGoesAway(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	key := hsmtest.AES(t, token, "key")
	require.NoError(t, roundTrip(token, key))
	for name, use := range map[string]func(context.Context) error{
		"C_Encrypt": func(ctx context.Context) error {
			_, err := token.Seal(ctx, key, nil, []byte("x"), nil)
			return err
		},
		"C_GenerateRandom": func(ctx context.Context) error { return token.Random(ctx, make([]byte, 8)) },
	} {
		for range 3 {
			f.Set("hang " + name + " times 1")
			f.ResetCalls()
			ctx, cancel := context.WithCancel(context.Background())
			given := make(chan error, 1)
			go func() { given <- use(ctx) }()
			called(t, f, name) // the token has it when its caller goes
			cancel()
			require.ErrorIs(t, <-given, context.Canceled)
			require.NoError(t, roundTrip(token, key), "one call that its caller gave up harms no other")
			f.Set()
			eventually(t, func() error { // the call is over, and its session is back or closed
				if n := token.Stats().Borrowed; n != 0 {
					return fmt.Errorf("%d sessions are lent", n)
				}
				return nil
			})
			settled(t, token)
		}
	}
}

func TestFewSessions(t *testing.T) {
	for _, most := range []int{2, 3} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			f := hsmtest.Fault(t, "a")
			f.Set(fmt.Sprint("sessions ", most))
			token := f.Open("a")
			key := hsmtest.AES(t, token, "key")
			var wg sync.WaitGroup
			for i := range 24 {
				wg.Go(func() {
					if i%3 == 0 {
						assert.NoError(t, token.Random(context.Background(), make([]byte, 16)))
					}
					assert.NoError(t, roundTrip(token, key))
				})
			}
			wg.Wait()
			require.LessOrEqual(t, token.Stats().Sessions, most)
			require.Zero(t, token.Stats().Borrowed)
		})
	}
}

func TestDestroyFails(t *testing.T) {
	ctx := context.Background()
	tests := map[string]struct {
		rules []string
		class hsm.Class
		code  uint
		left  int
	}{
		"prohibited":                  {[]string{"fail C_DestroyObject 0x1b"}, hsm.Refused, 0x1b, 1},
		"device error":                {[]string{"fail C_DestroyObject 0x30"}, hsm.TokenGone, 0x30, 1},
		"write-protected":             {[]string{"fail C_DestroyObject 0xe2"}, hsm.ReadOnly, 0xe2, 1},
		"general error":               {[]string{"fail C_DestroyObject 0x05"}, hsm.Internal, 0x05, 1},
		"says no and does it":         {[]string{"fail C_DestroyObject 0x1b done"}, hsm.Refused, 0x1b, 0},
		"dies before it":              {[]string{"fail C_DestroyObject 0x30 times 1", "gone"}, hsm.TokenGone, 0, 1},
		"cannot be searched":          {[]string{"fail C_FindObjectsInit 0x05"}, hsm.Internal, 0x05, 1},
		"gone quietly":                {[]string{"gone-quietly"}, hsm.TokenDoubtful, 0, 1},
		"does it and dies thereafter": {[]string{"fail C_DestroyObject 0x30 done", "fail C_EncryptInit 0x30"}, hsm.TokenGone, 0, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := hsmtest.Fault(t, "a")
			token := f.Open("a")
			key := hsmtest.AES(t, token, "key")
			f.Set(append(tc.rules, "# "+name)...)
			_, err := token.Destroy(ctx, key)
			require.Error(t, err)
			if tc.code != 0 {
				require.Equal(t, tc.code, hsm.CodeOf(err), "%v", err)
				require.ErrorIs(t, err, tc.class)
			} else {
				require.Contains(t, []hsm.Class{hsm.TokenGone, hsm.TokenDoubtful}, hsm.ClassOf(err), "%v", err)
			}
			f.Set()
			eventually(t, func() error { return token.Health(ctx) })
			objects, err := token.Find(ctx, key)
			require.NoError(t, err)
			require.Len(t, objects, tc.left)
			n, err := token.Destroy(ctx, key)
			require.NoError(t, err)
			require.Equal(t, tc.left, n)
		})
	}
}

// TestHotPath: a key in use costs exactly the two calls of its operation.
func TestHotPath(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	key := hsmtest.AES(t, token, "key")
	require.NoError(t, roundTrip(token, key))
	f.ResetCalls()
	for range 10 {
		require.NoError(t, roundTrip(token, key))
	}
	require.Equal(t, map[string]int{
		"C_EncryptInit": 10, "C_Encrypt": 10, "C_DecryptInit": 10, "C_Decrypt": 10,
	}, f.Calls())
}

// TestHangThenLoss: a token that hangs and loses its login comes back when the
// call that hangs returns, and no sooner: nothing is torn down under it.
func TestHangThenLoss(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	token, key := impatient(t, f)
	f.Set("hang C_Encrypt times 1")
	_, err := token.Seal(ctx, key, nil, []byte("x"), nil)
	require.ErrorIs(t, err, hsm.Timeout)
	f.Set("hang C_Encrypt times 1", "lose-sessions")
	f.ResetCalls()
	for range 5 {
		require.Error(t, roundTrip(token, key))
	}
	require.Zero(t, f.Calls()["C_Finalize"])
	f.Set()
	eventually(t, func() error { return roundTrip(token, key) })
	settled(t, token)
}

// TestOpenGivenUp: a caller who does not wait for a login leaves nothing behind.
func TestOpenGivenUp(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	f.Set("hang C_Login times 1")
	f.ResetCalls()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	given := make(chan error, 1)
	go func() {
		_, err := pkcs11.Open(ctx, f.Config("a"))
		given <- err
	}()
	called(t, f, "C_Login")
	cancel()
	require.ErrorIs(t, <-given, context.Canceled)
	f.Set()
	eventually(t, func() error { return pkcs11.CloseModule(context.Background(), f.Module) })
	token := f.Open("a")
	require.NoError(t, roundTrip(token, hsmtest.AES(t, token, "key")))
}

// TestDestroyUnderUse: keys that are destroyed while others use them fail with
// KeyMissing from then on and harm nobody.
func TestDestroyUnderUse(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	kept := hsmtest.AES(t, token, "kept")
	for range 5 {
		key := hsmtest.AES(t, token, "doomed")
		require.NoError(t, roundTrip(token, key))
		var wg sync.WaitGroup
		gone := make(chan struct{})
		for range 4 {
			wg.Go(func() {
				for {
					err := roundTrip(token, key)
					if err != nil {
						assert.ErrorIs(t, err, hsm.KeyMissing)
						return
					}
					assert.NoError(t, roundTrip(token, kept))
					select {
					case <-gone:
						assert.ErrorIs(t, roundTrip(token, key), hsm.KeyMissing)
						return
					default:
					}
				}
			})
		}
		n, err := token.Destroy(ctx, key)
		close(gone)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		wg.Wait()
	}
	require.NoError(t, roundTrip(token, kept))
	require.EqualValues(t, 1, token.Stats().Epoch, "no login was lost over it")
}

// TestInitialiseFails: a module that cannot be initialised anew, because its
// device is away, is initialised as soon as it can be, for open tokens and for
// new ones.
func TestInitialiseFails(t *testing.T) {
	f := hsmtest.Fault(t, "a", "b")
	token := f.Open("a")
	key := hsmtest.AES(t, token, "key")
	f.Set("gone", "fail C_Initialize 0x30")
	require.Error(t, roundTrip(token, key))
	eventually(t, func() error { // the module has been finalised by now
		if f.Calls()["C_Initialize"] < 2 {
			return fmt.Errorf("%v: %v", f.Calls(), roundTrip(token, key))
		}
		return nil
	})
	_, err := pkcs11.Open(context.Background(), f.Config("b"))
	require.Error(t, err)
	f.Set()
	b := f.Open("b")
	require.NoError(t, roundTrip(b, hsmtest.AES(t, b, "key")))
	eventually(t, func() error { return roundTrip(token, key) })
}
