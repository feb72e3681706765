package hsm_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// TestTokenMakesIV: a token that ignores our IV and writes its own back.
func TestTokenMakesIV(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	f.Set("own-iv")
	cfg := f.Config("a")
	cfg.Profile = "cloudhsm"
	token := f.OpenConfig(cfg)
	key := hsmtest.AES(t, token, "key")
	require.NoError(t, roundTrip(token, key))
	one, err := token.Seal(ctx, key, nil, []byte("text"), nil)
	require.NoError(t, err)
	two, err := token.Seal(ctx, key, nil, []byte("text"), nil)
	require.NoError(t, err)
	require.NotEqual(t, one[:hsm.IVSize], two[:hsm.IVSize])
	f.Set()
	opened, err := token.Open(ctx, key, nil, one, nil)
	require.NoError(t, err)
	require.Equal(t, "text", string(opened))
	_, err = token.Seal(ctx, key, nil, []byte("text"), nil)
	require.ErrorContains(t, err, "gave no IV", "a token that makes none after all must not seal with zeros")
}

// TestProfilesOnFaults: what each profile says about recovery holds for a token
// that loses its sessions and one that goes away.
func TestProfilesOnFaults(t *testing.T) {
	for _, p := range hsm.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			f := hsmtest.Fault(t, "a")
			rules := []string(nil)
			if p.IV == hsm.IVToken {
				rules = append(rules, "own-iv")
			}
			f.Set(rules...)
			cfg := f.Config("a")
			cfg.Profile = p.Name
			token := f.OpenConfig(cfg)
			require.Equal(t, p, token.Profile())
			key := hsmtest.AES(t, token, "key")
			require.NoError(t, roundTrip(token, key))
			f.ResetCalls()
			f.Set(append(rules, "lose-sessions")...)
			require.NoError(t, roundTrip(token, key))
			require.Equal(t, p.ReinitOnly, f.Calls()["C_Finalize"] > 0)
			require.Equal(t, p.SessionCopies > 0, f.Calls()["C_CopyObject"] > 0)
			f.Set(append(rules, "gone")...)
			require.Error(t, roundTrip(token, key))
			f.Set(rules...)
			eventually(t, func() error { return roundTrip(token, key) })
		})
	}
}

// TestWithoutCanary: a token that cannot make AES keys is used on weaker proof.
func TestWithoutCanary(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	f.Set("fail C_GenerateKey 0x54")
	token := f.Open("a")
	require.NoError(t, token.Health(ctx))
	key := pair(t, token, hsm.ECP256, signs)
	_, err := token.PublicKey(ctx, key)
	require.NoError(t, err)
	_, err = token.Generate(ctx, hsm.Template{KeyRef: hsmtest.Ref("x"), Kind: hsm.AES256, Usage: hsm.UseEncrypt})
	require.ErrorIs(t, err, hsm.Unsupported)
	found, err := token.Find(ctx, hsmtest.Ref("none"))
	require.NoError(t, err)
	require.Empty(t, found)
	f.Set("fail C_GenerateKey 0x54", "lose-sessions")
	_, err = token.PublicKey(ctx, key)
	require.NoError(t, err)
	f.Set("fail C_GetTokenInfo 0x30")
	require.Error(t, token.Health(ctx))
}

func TestWriteProtected(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	writable := f.Open("a")
	key := hsmtest.AES(t, writable, "key")
	require.NoError(t, writable.Close())
	f.Set("write-protected")
	token := f.Open("a")
	require.True(t, token.Info().ReadOnly)
	require.NoError(t, roundTrip(token, key))
	_, err := token.Generate(ctx, hsm.Template{KeyRef: hsmtest.Ref("x"), Kind: hsm.AES256, Usage: hsm.UseEncrypt})
	require.ErrorIs(t, err, hsm.ReadOnly)
	_, err = token.Destroy(ctx, key)
	require.ErrorIs(t, err, hsm.ReadOnly)
	require.NoError(t, roundTrip(token, key))
}

type observer struct {
	mu    sync.Mutex
	calls map[string]int
}

func (o *observer) TokenCall(token hsm.Info, function string, took time.Duration, code uint) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls[fmt.Sprintf("%s %s %#x %v", token.Label, function, code, took >= 0)]++
}

func TestObserver(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	seen := &observer{calls: make(map[string]int)}
	cfg := f.Config("a")
	cfg.Observer = seen
	token := f.OpenConfig(cfg)
	key := hsmtest.AES(t, token, "key")
	require.NoError(t, roundTrip(token, key))
	f.Set("fail C_Encrypt 0x30 times 1")
	require.NoError(t, roundTrip(token, key))
	seen.mu.Lock()
	defer seen.mu.Unlock()
	assert.Equal(t, 1, seen.calls["a C_Login 0x0 true"])
	assert.Equal(t, 1, seen.calls["a C_GenerateKey 0x0 true"]-1, "the canary and the key")
	assert.Equal(t, 1, seen.calls["a C_Encrypt 0x30 true"])
	assert.Equal(t, 2, seen.calls["a C_Decrypt 0x0 true"])
}

// TestUnwrapKWP: RFC 5649 section 6's examples, and what a token wraps.
func TestUnwrapKWP(t *testing.T) {
	kek := hsmtest.Hex(t, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	for wrapped, want := range map[string]string{
		"138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a": "c37b7e6492584340bed12207808941155068f738",
		"afbeb0f07dfbf5419200f2ccb50bb24f":                                 "466f7250617369",
	} {
		got, err := hsm.UnwrapKWP(kek, hsmtest.Hex(t, wrapped))
		require.NoError(t, err)
		require.Equal(t, hsmtest.Hex(t, want), got)
		for i := range len(wrapped) / 2 {
			bad := hsmtest.Hex(t, wrapped)
			bad[i] ^= 0x40
			_, err := hsm.UnwrapKWP(kek, bad)
			require.ErrorIs(t, err, hsm.BadCiphertext)
		}
	}
	for _, bad := range [][]byte{nil, make([]byte, 8), make([]byte, 15), make([]byte, 17), make([]byte, 32), make([]byte, 1<<20)} {
		_, err := hsm.UnwrapKWP(kek, bad)
		require.ErrorIs(t, err, hsm.BadCiphertext)
	}
	_, err := hsm.UnwrapKWP(kek[:5], make([]byte, 16))
	require.ErrorIs(t, err, hsm.BadInput)

	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	wrapping := hsm.Template{KeyRef: hsmtest.Ref("kek"), Kind: hsm.AES256, Usage: hsm.UseWrap | hsm.UseUnwrap}
	_, err = token.ImportSecret(ctx, wrapping, bytesOf(0x11, 32))
	require.NoError(t, err)
	for kind, size := range map[hsm.Kind]int{hsm.AES256: 32, hsm.HMAC224: 28, hsm.HMAC512: 64} {
		order := hsm.Template{KeyRef: hsmtest.Ref("key"), Kind: kind, Usage: signs, Extractable: true}
		_, err = token.ImportSecret(ctx, order, bytesOf(0x22, size))
		require.NoError(t, err)
		w, err := token.Wrap(ctx, wrapping.KeyRef, order.KeyRef, kind)
		require.NoError(t, err)
		got, err := hsm.UnwrapKWP(bytesOf(0x11, 32), w.Blob)
		require.NoError(t, err)
		padded := append(bytesOf(0x22, size), make([]byte, (8-size%8)%8)...) // SoftHSM2's doing
		require.Equal(t, padded, got, "%s", kind)
	}
}

func FuzzUnwrapKWP(f *testing.F) {
	f.Add(make([]byte, 32), make([]byte, 24))
	f.Add(make([]byte, 16), []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, kek, wrapped []byte) {
		out, err := hsm.UnwrapKWP(kek, wrapped)
		require.True(t, err != nil || len(out) <= len(wrapped)-8)
	})
}
