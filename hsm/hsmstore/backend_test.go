package hsmstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

const keyARN = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-4333-8444-555555555555"

func handle(t testing.TB) backend.Handle {
	t.Helper()
	id, err := keystore.NewMaterialID(rand.Reader)
	require.NoError(t, err)
	return backend.Handle{ID: id, Label: keyARN, Spec: keystore.SymmetricDefault, Usage: keystore.UsageEncryptDecrypt}
}

func openDefault(t testing.TB) (*hsmstore.Backend, *hsm.Token) {
	t.Helper()
	token := hsmtest.SoftHSM(t, "default").Open("default")
	return hsmstore.NewDefault(token), token
}

func TestCreatedKeyHasTheSpecifiedAttributes(t *testing.T) {
	token := hsmtest.SoftHSM(t, "cluster").Open("cluster")
	b := hsmstore.NewCloudHSM(token)
	h := handle(t)
	created, err := b.CreateKey(t.Context(), h)
	require.NoError(t, err)
	assert.Equal(t, []string{"CKO_SECRET_KEY"}, created.Classes)
	assert.Equal(t, "CKK_AES", created.KeyType)

	objects, err := token.Find(t.Context(), hsm.KeyRef{ID: h.ID[:], Label: keyARN})
	require.NoError(t, err)
	require.Len(t, objects, 1)
	o := objects[0]
	assert.Equal(t, 256, o.Bits)
	assert.True(t, o.Sensitive)
	assert.True(t, o.Private)
	assert.False(t, o.Extractable)
	assert.Equal(t, hsm.UseEncrypt|hsm.UseDecrypt, o.Usage)

	found, err := b.Find(t.Context(), h)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, keyARN, found[0].Label)
	assert.Equal(t, created.CheckValue, found[0].CheckValue)
}

func TestSealOpensOnlyWhatItSealed(t *testing.T) {
	b, _ := openDefault(t)
	h, other := handle(t), handle(t)
	for _, k := range []backend.Handle{h, other} {
		_, err := b.CreateKey(t.Context(), k)
		require.NoError(t, err)
	}
	sealed, err := b.Seal(t.Context(), &h, []byte("aad"), []byte("secret"), []byte("prefix"))
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(sealed, []byte("prefix")))
	sealed = sealed[len("prefix"):]
	require.Len(t, sealed, len("secret")+backend.SealedOverhead)

	plain, err := b.Open(t.Context(), &h, []byte("aad"), sealed, []byte("before "))
	require.NoError(t, err)
	assert.Equal(t, "before secret", string(plain))

	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for name, try := range map[string]func() ([]byte, error){
		"altered":    func() ([]byte, error) { return b.Open(t.Context(), &h, []byte("aad"), altered, nil) },
		"other aad":  func() ([]byte, error) { return b.Open(t.Context(), &h, []byte("aae"), sealed, nil) },
		"other key":  func() ([]byte, error) { return b.Open(t.Context(), &other, []byte("aad"), sealed, nil) },
		"too short":  func() ([]byte, error) { return b.Open(t.Context(), &h, []byte("aad"), sealed[:20], nil) },
		"nothing":    func() ([]byte, error) { return b.Open(t.Context(), &h, []byte("aad"), nil, nil) },
		"cut in two": func() ([]byte, error) { return b.Open(t.Context(), &h, []byte("aad"), sealed[:30], nil) },
	} {
		_, err := try()
		assert.Equal(t, keystore.KindInvalidCiphertext, keystore.KindOf(err), name)
	}
}

func TestMissingKeyIsAFaultOfTheStore(t *testing.T) {
	tokens := hsmtest.SoftHSM(t, "a", "b")
	for _, c := range []struct {
		b    *hsmstore.Backend
		want keystore.Kind
	}{
		{hsmstore.NewDefault(tokens.Open("a")), keystore.KindKeyUnavailable},
		{hsmstore.NewCloudHSM(tokens.Open("b")), keystore.KindInvalidState},
	} {
		h := handle(t)
		_, err := c.b.Seal(t.Context(), &h, nil, []byte("x"), nil)
		assert.Equal(t, c.want, keystore.KindOf(err))
		assert.ErrorIs(t, err, hsm.KeyMissing)
	}
}

func TestDestroyKey(t *testing.T) {
	b, token := openDefault(t)
	h := handle(t)
	created, err := b.CreateKey(t.Context(), h)
	require.NoError(t, err)
	h.CheckValue = created.CheckValue

	wrong := h
	wrong.Label = keyARN + "-other"
	_, err = b.DestroyKey(t.Context(), wrong)
	require.ErrorIs(t, err, hsm.KeyInvalid, "an object under another label is left alone")

	if created.CheckValue != "" {
		wrong = h
		wrong.CheckValue = "000000"
		_, err = b.DestroyKey(t.Context(), wrong)
		require.ErrorIs(t, err, hsm.KeyInvalid, "another check value is another key")
	}
	objects, err := token.Find(t.Context(), hsm.KeyRef{ID: h.ID[:], Label: keyARN})
	require.NoError(t, err)
	require.Len(t, objects, 1, "nothing was destroyed yet")

	found, err := b.DestroyKey(t.Context(), h)
	require.NoError(t, err)
	assert.True(t, found)
	found, err = b.DestroyKey(t.Context(), h)
	require.NoError(t, err)
	assert.False(t, found, "twice is harmless")
	_, err = b.Seal(t.Context(), &h, nil, []byte("x"), nil)
	assert.ErrorIs(t, err, hsm.KeyMissing)
}

func TestObjectsListsKeysAndStopsAtAnError(t *testing.T) {
	b, _ := openDefault(t)
	want := map[string]bool{}
	for range 3 {
		h := handle(t)
		_, err := b.CreateKey(t.Context(), h)
		require.NoError(t, err)
		want[string(h.ID[:])] = true
	}
	require.NoError(t, b.Objects(t.Context(), func(o backend.Object) error {
		delete(want, string(o.ID))
		return nil
	}))
	assert.Empty(t, want)
	stop := errors.New("enough")
	calls := 0
	err := b.Objects(t.Context(), func(backend.Object) error { calls++; return stop })
	assert.Same(t, stop, err)
	assert.Equal(t, 1, calls)
}

func TestRandomFills(t *testing.T) {
	b, _ := openDefault(t)
	p := make([]byte, 1024)
	require.NoError(t, b.Random(t.Context(), p))
	assert.Less(t, bytes.Count(p, []byte{0}), 64)
}

func TestSupports(t *testing.T) {
	tokens := hsmtest.SoftHSM(t, "d", "c")
	d, c := hsmstore.NewDefault(tokens.Open("d")), hsmstore.NewCloudHSM(tokens.Open("c"))
	supports := func(b *hsmstore.Backend, spec keystore.Spec, usage keystore.Usage) bool {
		can, err := b.Supports(t.Context(), spec, usage)
		require.NoError(t, err)
		return can
	}
	assert.True(t, supports(d, keystore.SymmetricDefault, keystore.UsageEncryptDecrypt))
	assert.True(t, supports(c, keystore.SymmetricDefault, keystore.UsageEncryptDecrypt))
	assert.False(t, supports(c, keystore.HMAC256, keystore.UsageMAC), "custom-key-stores.md section 8")
	assert.False(t, supports(d, keystore.HMAC256, keystore.UsageMAC), "not before AllSpecs")
	assert.True(t, supports(d.AllSpecs(), keystore.HMAC256, keystore.UsageMAC))
	assert.False(t, supports(c.AllSpecs(), keystore.HMAC256, keystore.UsageMAC))
	assert.False(t, supports(d, keystore.SymmetricDefault, keystore.UsageSignVerify))
	assert.False(t, supports(d, keystore.MLDSA44, keystore.UsageSignVerify))
	assert.False(t, supports(d, keystore.MLKEM768, keystore.UsageEncapsulateDecp))
	for spec, format := range map[keystore.Spec]string{keystore.SymmetricDefault: "rsaes-oaep", keystore.HMAC224: "rsaes-oaep",
		keystore.RSA2048: "rfc5649", keystore.ECCP256: "rfc5649", keystore.ECCEd25519: "", keystore.MLDSA65: "", keystore.MLKEM512: "",
		keystore.SM2: ""} {
		assert.Equal(t, format, d.CarryFormat(spec), spec)
	}
	h := handle(t)
	h.Spec, h.Usage = keystore.MLDSA44, keystore.UsageSignVerify
	_, err := d.CreateKey(t.Context(), h)
	assert.Equal(t, keystore.KindUnsupportedOperation, keystore.KindOf(err))
}

// What a token can't do is no fault of one that only fails just now, and is asked of it again.
func TestSupportsOfATokenInTrouble(t *testing.T) {
	faults := hsmtest.Fault(t, "d")
	b := hsmstore.NewDefault(faults.Open("d")).AllSpecs()
	ask := func() (bool, error) { return b.Supports(t.Context(), keystore.ECCP384, keystore.UsageSignVerify) }
	faults.Set("gone")
	_, err := ask()
	assert.Equal(t, keystore.KindDependencyTimeout, keystore.KindOf(err))
	faults.Set("fail C_GenerateKeyPair 0x5")
	require.Eventually(t, func() bool { _, err := ask(); return err == nil }, time.Minute, 10*time.Millisecond)
	can, err := ask()
	require.NoError(t, err)
	assert.False(t, can, "CKR_GENERAL_ERROR of a token that is well")
	faults.Set()
	can, err = ask()
	require.NoError(t, err)
	assert.True(t, can)
	faults.Set("gone")
	can, err = ask()
	require.NoError(t, err, "it is known by now")
	assert.True(t, can)
}

func TestDrainRefusesNewCallsAndWaitsForOldOnes(t *testing.T) {
	tokens := hsmtest.SoftHSM(t, "c")
	token, err := pkcs11.Open(t.Context(), tokens.Config("c"))
	require.NoError(t, err)
	b := hsmstore.NewCloudHSM(token)
	h := handle(t)
	_, err = b.CreateKey(t.Context(), h)
	require.NoError(t, err)

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				_, err := b.Seal(context.Background(), &h, nil, []byte("x"), nil)
				if err != nil {
					assert.Equal(t, keystore.KindInvalidState, keystore.KindOf(err))
					assert.ErrorIs(t, err, hsm.Closed, "no call in flight was cut off")
					return
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	require.NoError(t, b.Drain(t.Context()))
	wg.Wait()
	require.NoError(t, b.Drain(t.Context()), "draining twice is harmless")
	require.NoError(t, b.Close())
	for name, call := range map[string]func() error{
		"health":  func() error { return b.Health(t.Context()) },
		"random":  func() error { return b.Random(t.Context(), make([]byte, 8)) },
		"create":  func() error { _, err := b.CreateKey(t.Context(), h); return err },
		"destroy": func() error { _, err := b.DestroyKey(t.Context(), h); return err },
		"find":    func() error { _, err := b.Find(t.Context(), h); return err },
		"objects": func() error { return b.Objects(t.Context(), func(backend.Object) error { return nil }) },
	} {
		assert.Equal(t, keystore.KindCustomKeyStoreInvalidState, keystore.KindOf(call()), name)
	}
}
