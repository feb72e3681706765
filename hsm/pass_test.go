package hsm_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	p11 "github.com/miekg/pkcs11"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

// someKeys makes keys and gives a handle on the token that has never used them.
func someKeys(t *testing.T, f *hsmtest.Faults, n int) (*hsm.Token, []hsm.KeyRef) {
	t.Helper()
	maker, err := pkcs11.Open(t.Context(), f.Config("a"))
	require.NoError(t, err)
	keys := make([]hsm.KeyRef, n)
	for i := range keys {
		keys[i] = hsmtest.AES(t, maker, fmt.Sprintf("key-%d", i))
	}
	require.NoError(t, maker.Close())
	return f.Open("a"), keys
}

// TestPrimedKeysNeedNoSearch: after one pass no key is searched for, nor after
// the login was lost and a pass made again by itself; session copies come with
// use.
func TestPrimedKeysNeedNoSearch(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token, keys := someKeys(t, f, 20)
	<-token.Prime()
	unsearched := func() {
		t.Helper()
		f.ResetCalls()
		for range 3 {
			for _, k := range keys {
				require.NoError(t, roundTrip(token, k))
			}
		}
		require.Zero(t, f.Calls()["C_FindObjectsInit"])
	}
	unsearched()
	require.Eventually(t, func() bool { return token.Stats().Copies == len(keys) }, time.Minute, time.Millisecond)
	f.ResetCalls()
	<-token.Prime()
	require.Zero(t, f.Calls()["C_FindObjectsInit"], "one pass serves a login")

	f.Set("lose-sessions", "reuse-handles")
	eventually(t, func() error { return roundTrip(token, keys[0]) })
	require.EqualValues(t, 2, token.Stats().Epoch)
	<-token.Prime()
	unsearched()
}

// TestObjectsIsAPass: listing a token finds its keys too.
func TestObjectsIsAPass(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token, keys := someKeys(t, f, 3)
	require.NoError(t, token.Objects(t.Context(), func(hsm.Object) error { return nil }))
	f.ResetCalls()
	<-token.Prime()
	for _, k := range keys {
		require.NoError(t, roundTrip(token, k))
	}
	require.Zero(t, f.Calls()["C_FindObjectsInit"])
}

// TestObjectsGoWhileTheyAreRead: what SoftHSM2 answers of an object that another
// session destroys at this moment (a call that was given up long ago, say) fails
// no listing and no search.
func TestObjectsGoWhileTheyAreRead(t *testing.T) {
	token := hsmtest.SoftHSM(t, "a").Open("a")
	raw := p11.New(token.Info().ModulePath)
	t.Cleanup(raw.Destroy)
	session, err := raw.OpenSession(token.Info().Slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, raw.CloseSession(session)) })
	for range 300 {
		key := hsmtest.AES(t, token, "doomed")
		require.NoError(t, raw.FindObjectsInit(session, []*p11.Attribute{p11.NewAttribute(p11.CKA_ID, key.ID)}))
		handles, _, err := raw.FindObjects(session, 2)
		require.NoError(t, err)
		require.Len(t, handles, 1)
		require.NoError(t, raw.FindObjectsFinal(session))
		destroyed := make(chan error, 1)
		go func() { destroyed <- raw.DestroyObject(session, handles[0]) }()
		for there := true; there; {
			found, err := token.Find(t.Context(), key)
			require.NoError(t, err)
			there = len(found) > 0
			require.NoError(t, token.Objects(t.Context(), func(hsm.Object) error { return nil }))
		}
		require.NoError(t, <-destroyed)
	}
	require.EqualValues(t, 1, token.Stats().Epoch)
}

// TestReadingIsAskedAgain: what may mean that an object goes is asked again, and
// shows that it does not.
func TestReadingIsAskedAgain(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token, keys := someKeys(t, f, 3)
	for _, code := range []string{"0x5", "0x13"} {
		f.Set("fail C_GetAttributeValue " + code + " times 1")
		n := 0
		require.NoError(t, token.Objects(t.Context(), func(hsm.Object) error { n++; return nil }))
		require.Equal(t, len(keys)+1, n)
	}
}

// TestPrimedHandlesAreProved: a key that went after the pass is not there, and
// one that came is found.
func TestPrimedHandlesAreProved(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token, keys := someKeys(t, f, 2)
	before := map[string]bool{}
	for _, file := range f.ObjectFiles("a") {
		before[file] = true
	}
	doomed := hsmtest.AES(t, token, "doomed")
	<-token.Prime()
	for _, file := range f.ObjectFiles("a") { // as another process would
		if !before[file] {
			require.NoError(t, os.Remove(file))
		}
	}
	require.ErrorIs(t, roundTrip(token, doomed), hsm.KeyMissing)
	late := hsmtest.AES(t, token, "late")
	for _, k := range append(keys, late) {
		require.NoError(t, roundTrip(token, k))
	}
	destroyed, err := token.Destroy(t.Context(), keys[0])
	require.NoError(t, err)
	require.Equal(t, 1, destroyed)
	require.ErrorIs(t, roundTrip(token, keys[0]), hsm.KeyMissing)
	require.EqualValues(t, 1, token.Stats().Epoch)
}

// TestPrimedDuplicatesAreRefused: an id that two keys have is refused as a
// search refuses it, whether the key was in use before the pass or not.
func TestPrimedDuplicatesAreRefused(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token, keys := someKeys(t, f, 2)
	require.NoError(t, roundTrip(token, keys[0]))
	for i, k := range keys {
		_, err := token.Generate(t.Context(), hsm.Template{
			KeyRef: hsm.KeyRef{ID: k.ID, Label: fmt.Sprintf("twin-%d", i)}, Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt,
		})
		require.NoError(t, err)
	}
	<-token.Prime()
	for _, k := range keys {
		require.ErrorIs(t, roundTrip(token, k), hsm.KeyInvalid)
	}
}

// TestPassFails: without the pass, keys are found one by one.
func TestPassFails(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token, keys := someKeys(t, f, 2)
	f.Set("fail C_FindObjects 0x30 times 1")
	<-token.Prime()
	for _, k := range keys {
		eventually(t, func() error { return roundTrip(token, k) })
	}
}

// TestSearchOutlivesItsCaller: a search that takes longer than its caller waits
// still finds the key for the next one.
func TestSearchOutlivesItsCaller(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token, keys := someKeys(t, f, 1)
	require.NoError(t, token.Health(t.Context())) // a session is open
	f.Set("hang C_FindObjectsInit times 1")
	f.ResetCalls()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	given := make(chan error, 1)
	go func() {
		_, err := token.Seal(ctx, keys[0], nil, []byte("x"), nil)
		given <- err
	}()
	called(t, f, "C_FindObjectsInit") // the search is on the token when its caller goes
	cancel()
	require.ErrorIs(t, <-given, context.Canceled)
	f.Set()
	eventually(t, func() error {
		if token.Stats().CachedKeys == 0 {
			return fmt.Errorf("not found yet")
		}
		return nil
	})
	require.NoError(t, roundTrip(token, keys[0]))
	require.Equal(t, 1, f.Calls()["C_FindObjectsInit"])
	require.Zero(t, f.Calls()["C_CloseSession"], "the session is sound")
}

// TestCacheFill: what a pass saw does not push out what is in use, nor grow the
// cache beyond its bound.
func TestCacheFill(t *testing.T) {
	c := hsm.NewCache(4)
	c.Put("used", 1)
	used := c.Get("used", 1)
	c.Fill(1, "used", "a", "b", "c", "d", "e")
	require.Same(t, used, c.Get("used", 1))
	require.Equal(t, 4, c.Len())
	c.Fill(2, "used")
	require.Nil(t, c.Get("used", 1))
	require.NotNil(t, c.Get("used", 2))
}

// TestCopiesAreBounded: the copies go to keys that are in use, and a key keeps
// its copy while it is.
func TestCopiesAreBounded(t *testing.T) {
	c := hsm.NewCache(100)
	c.SetCopies(2)
	for _, id := range []string{"a", "b"} {
		gone, ok := c.Room()
		require.True(t, ok)
		require.Nil(t, gone)
		c.PutCopied(id, 1)
	}
	_, ok := c.Room()
	require.False(t, ok, "both are in use")
	for range 20 {
		c.Tick()
		c.Get("b", 1)
	}
	gone, ok := c.Room()
	require.True(t, ok)
	require.Equal(t, "a", gone.ID())
	require.True(t, gone.Dead())
	require.NotNil(t, c.Get("a", 1), "its handle stays known")
}
