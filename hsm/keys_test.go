package hsm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

func TestGenerate(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	const both = hsm.UseEncrypt | hsm.UseDecrypt
	tests := map[string]struct {
		kind        hsm.Kind
		usage       hsm.Usage
		extractable bool
		keyType     string
	}{
		"AES":                {hsm.AES256, both, false, "CKK_AES"},
		"AES, extractable":   {hsm.AES256, both, true, "CKK_AES"},
		"AES, wrapping":      {hsm.AES256, hsm.UseWrap | hsm.UseUnwrap, false, "CKK_AES"},
		"AES, every usage":   {hsm.AES256, both | hsm.UseWrap | hsm.UseUnwrap | hsm.UseDerive | hsm.UseSign | hsm.UseVerify, false, "CKK_AES"},
		"AES, encrypts only": {hsm.AES256, hsm.UseEncrypt, false, "CKK_AES"},
		"HMAC 224":           {hsm.HMAC224, hsm.UseSign | hsm.UseVerify, false, "CKK_GENERIC_SECRET"},
		"HMAC 256":           {hsm.HMAC256, hsm.UseSign | hsm.UseVerify, false, "CKK_GENERIC_SECRET"},
		"HMAC 384":           {hsm.HMAC384, hsm.UseSign | hsm.UseVerify, false, "CKK_GENERIC_SECRET"},
		"HMAC 512":           {hsm.HMAC512, hsm.UseSign | hsm.UseVerify, true, "CKK_GENERIC_SECRET"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ref := hsmtest.Ref(name)
			made, err := token.Generate(ctx, hsm.Template{KeyRef: ref, Kind: tc.kind, Usage: tc.usage, Extractable: tc.extractable})
			require.NoError(t, err)
			assert.Equal(t, ref, made.KeyRef)
			assert.Equal(t, "CKO_SECRET_KEY", made.Class)
			assert.Equal(t, tc.keyType, made.KeyType)
			assert.Equal(t, tc.kind.Bits(), made.Bits)
			assert.Equal(t, tc.usage, made.Usage)
			assert.Equal(t, tc.extractable, made.Extractable)
			assert.True(t, made.Sensitive && made.Private && made.Local && made.IsKey())
			found, err := token.Find(ctx, ref)
			require.NoError(t, err)
			assert.Equal(t, []hsm.Object{made}, found)
		})
	}
}

func TestGenerateRefusesNonsense(t *testing.T) {
	token := hsmtest.SoftHSM(t, "a").Open("a")
	good := hsm.Template{KeyRef: hsmtest.Ref("x"), Kind: hsm.AES256, Usage: hsm.UseEncrypt}
	tests := map[string]func(*hsm.Template){
		"no id":         func(o *hsm.Template) { o.ID = nil },
		"long id":       func(o *hsm.Template) { o.ID = make([]byte, 65) },
		"no label":      func(o *hsm.Template) { o.Label = "" },
		"long label":    func(o *hsm.Template) { o.Label = strings.Repeat("x", 201) },
		"no kind":       func(o *hsm.Template) { o.Kind = hsm.NoKind },
		"unknown kind":  func(o *hsm.Template) { o.Kind = 250 },
		"a pair":        func(o *hsm.Template) { o.Kind = hsm.RSA2048 },
		"without usage": func(o *hsm.Template) { o.Usage = 0 },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			order := good
			spoil(&order)
			_, err := token.Generate(context.Background(), order)
			require.ErrorIs(t, err, hsm.BadInput)
		})
	}
}

// TestGenerateAfterFault: a key that was made although the token said no is not
// left behind beside the second one.
func TestGenerateAfterFault(t *testing.T) {
	ctx := context.Background()
	tests := map[string]struct {
		rule  string
		fails bool
	}{
		"made, then lost the session": {"fail C_GenerateKey 0xb3 times 1 done", false},
		"not made":                    {"fail C_GenerateKey 0x05 times 1", false},
		"refused":                     {"fail C_GenerateKey 0x70", true},
		"made, then always fails":     {"fail C_GenerateKey 0x05 done", true},
		"cannot be read back":         {"fail C_GetAttributeValue 0x05 times 1", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			f := hsmtest.Fault(t, "a")
			token := f.Open("a")
			ref := hsmtest.Ref("key")
			f.Set(tc.rule)
			_, err := token.Generate(ctx, hsm.Template{KeyRef: ref, Kind: hsm.AES256, Usage: hsm.UseEncrypt})
			f.Set()
			found, finding := token.Find(ctx, ref)
			require.NoError(t, finding)
			if !tc.fails {
				require.NoError(t, err)
				require.Len(t, found, 1)
				return
			}
			require.Error(t, err)
			require.LessOrEqual(t, len(found), 1, "at most what the caller's ledger names")
			_, err = token.Destroy(ctx, ref)
			require.NoError(t, err)
		})
	}
}

func TestFindAndDestroy(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	key, other := hsmtest.AES(t, token, "same label"), hsmtest.AES(t, token, "same label")
	require.NoError(t, roundTrip(token, key)) // there is a session copy of it now

	found, err := token.FindLabel(ctx, "same label")
	require.NoError(t, err)
	require.Len(t, found, 2, "session copies are no objects of the token")
	wrongLabel := hsm.KeyRef{ID: key.ID, Label: "another"}
	found, err = token.Find(ctx, wrongLabel)
	require.NoError(t, err)
	require.Empty(t, found)
	_, err = token.Seal(ctx, wrongLabel, nil, nil, nil)
	require.ErrorIs(t, err, hsm.KeyInvalid, "an object with the right id and another label is not the key")
	n, err := token.Destroy(ctx, wrongLabel)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, roundTrip(token, key))

	n, err = token.Destroy(ctx, key)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.ErrorIs(t, roundTrip(token, key), hsm.KeyMissing, "its session copy went with it")
	n, err = token.Destroy(ctx, key)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, roundTrip(token, other))

	_, err = token.Destroy(ctx, hsm.KeyRef{ID: []byte("x"), Label: hsm.CanaryLabel})
	require.ErrorIs(t, err, hsm.Refused)
}

func TestObjects(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	want := map[string]bool{hsm.CanaryLabel: true}
	for i := range 70 { // more than one chunk
		key := hsmtest.AES(t, token, fmt.Sprint("key ", i))
		want[key.Label] = true
		if i%10 == 0 {
			require.NoError(t, roundTrip(token, key))
		}
	}
	got := make(map[string]bool)
	require.NoError(t, token.Objects(ctx, func(o hsm.Object) error {
		assert.False(t, got[o.Label], "%s twice", o.Label)
		got[o.Label] = true
		return nil
	}))
	require.Equal(t, want, got)
	stop := errors.New("enough")
	require.ErrorIs(t, token.Objects(ctx, func(hsm.Object) error { return stop }), stop)
}

// TestDestroyedElsewhere: a key that another session destroys is not used for
// longer than a round of the monitor, session copy or not.
func TestDestroyedElsewhere(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	cfg := f.Config("a")
	cfg.HealthInterval = 20 * time.Millisecond
	token := f.OpenConfig(cfg)
	before := f.ObjectFiles("a")
	key := hsmtest.AES(t, token, "key")
	require.NoError(t, roundTrip(token, key))
	for _, file := range f.ObjectFiles("a") { // as another process would
		if !slices.Contains(before, file) {
			require.NoError(t, os.Remove(file))
		}
	}
	require.Eventually(t, func() bool { return errors.Is(roundTrip(token, key), hsm.KeyMissing) }, time.Minute, 10*time.Millisecond)
	require.NoError(t, token.Health(context.Background()))
}

func TestManyAtOnce(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 6 {
				key := hsmtest.Ref(fmt.Sprintf("key %d/%d", i, j))
				_, err := token.Generate(ctx, hsm.Template{KeyRef: key, Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt})
				if !assert.NoError(t, err) {
					return
				}
				for range 5 {
					assert.NoError(t, roundTrip(token, key))
				}
				if j%2 == 0 {
					n, err := token.Destroy(ctx, key)
					assert.NoError(t, err)
					assert.Equal(t, 1, n)
					assert.ErrorIs(t, roundTrip(token, key), hsm.KeyMissing)
				}
			}
		})
	}
	wg.Wait()
	n := 0
	require.NoError(t, token.Objects(ctx, func(hsm.Object) error { n++; return nil }))
	require.Equal(t, 8*3+1, n)
	require.Zero(t, token.Stats().Borrowed)
}

// TestFindOnce: many callers that want a key for the first time cost one search.
func TestFindOnce(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	key := hsmtest.AES(t, token, "key")
	f.ResetCalls()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { assert.NoError(t, roundTrip(token, key)) })
	}
	wg.Wait()
	require.Equal(t, 1, f.Calls()["C_FindObjectsInit"])
	require.Equal(t, 1, f.Calls()["C_CopyObject"])
	require.Zero(t, f.Calls()["C_Login"])
}

func TestRandom(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	for _, n := range []int{0, 1, 32, 4096, 4097, 100_000} {
		p := make([]byte, n)
		require.NoError(t, token.Random(ctx, p))
		if n >= 32 {
			require.NotEqual(t, make([]byte, 32), p[n-32:], "the last bytes are filled too")
		}
	}
}
