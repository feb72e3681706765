package backendtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Region and Account are those of the keys that the suite makes.
const (
	Region  = "us-east-1"
	Account = "000000000000"
)

// NewHandle gives a new handle of a symmetric key.
func NewHandle(t testing.TB) backend.Handle {
	t.Helper()
	id, err := keystore.NewKeyID(rand.Reader, false)
	require.NoError(t, err)
	material, err := keystore.NewMaterialID(rand.Reader)
	require.NoError(t, err)
	return backend.Handle{ID: material, Label: keystore.KeyARN(Region, Account, id),
		Spec: keystore.SymmetricDefault, Usage: keystore.UsageEncryptDecrypt}
}

// Run holds a backend to the contract of package backend. open gives a fresh one for each test; what a backend has no
// optional interface for is not asked of it. A backend whose keys must exist beforehand runs RunWith.
func Run(t *testing.T, open func(t testing.TB) backend.Backend) { RunWith(t, open, NewHandle) }

// RunWith is Run with handles of the caller's choosing.
func RunWith(t *testing.T, open func(t testing.TB) backend.Backend, handle func(t testing.TB) backend.Handle) {
	s := suite{open: open, handle: handle}
	b := open(t)
	_, seals := b.(backend.Sealer)
	_, draws := b.(backend.Randomer)
	_, finds := b.(backend.Finder)
	_, lists := b.(backend.Scanner)
	for _, c := range []struct {
		name string
		has  bool
		test func(*testing.T)
	}{
		{"identity and health", true, s.health},
		{"a key is made and destroyed", finds, s.createDestroy},
		{"another object under the same id is left alone", finds, s.notOurs},
		{"what was sealed opens", seals, s.sealOpen},
		{"what was altered does not open", seals, s.altered},
		{"sealing appends", seals, s.appends},
		{"no two sealed texts are equal", seals, s.fresh},
		{"a key that is not there can't be used", seals, s.missing},
		{"keys are used concurrently", seals, s.concurrent},
		{"random bytes", draws, s.random},
		{"objects are listed", lists, s.lists},
		{"a context that ended is honoured", true, s.cancelled},
		{"nothing works after Close", true, s.closed},
	} {
		if c.has {
			t.Run(c.name, c.test)
		}
	}
}

type suite struct {
	open   func(t testing.TB) backend.Backend
	handle func(t testing.TB) backend.Handle
}

// isFault: every error of a backend is a Fault.
func isFault(t testing.TB, err error, kind keystore.Kind) {
	t.Helper()
	var f *keystore.Fault
	require.ErrorAs(t, err, &f)
	if kind != "" {
		assert.Equal(t, kind, f.Kind, "%v", err)
	}
}

func (s suite) made(t testing.TB) (backend.Backend, backend.Handle) {
	t.Helper()
	b, h := s.open(t), s.handle(t)
	_, err := b.CreateKey(t.Context(), h)
	require.NoError(t, err)
	return b, h
}

func (s suite) health(t *testing.T) {
	b := s.open(t)
	assert.NotEmpty(t, b.Identity().Label)
	assert.NoError(t, b.Health(t.Context()))
	for usage, want := range map[keystore.Usage]bool{keystore.UsageEncryptDecrypt: true, keystore.UsageSignVerify: false} {
		can, err := backend.Supports(t.Context(), b, keystore.SymmetricDefault, usage)
		require.NoError(t, err)
		assert.Equal(t, want, can, usage)
	}
}

func (s suite) createDestroy(t *testing.T) {
	b, h := s.open(t), s.handle(t)
	f := b.(backend.Finder)
	none, err := f.Find(t.Context(), h)
	require.NoError(t, err)
	assert.Empty(t, none)
	found, err := b.DestroyKey(t.Context(), h)
	require.NoError(t, err)
	assert.False(t, found)

	made, err := b.CreateKey(t.Context(), h)
	require.NoError(t, err)
	assert.Equal(t, []string{"CKO_SECRET_KEY"}, made.Classes)
	assert.Equal(t, "CKK_AES", made.KeyType)
	objects, err := f.Find(t.Context(), h)
	require.NoError(t, err)
	require.Len(t, objects, 1)
	assert.Equal(t, backend.Object{ID: h.ID[:], Label: h.Label, Class: made.Classes[0], KeyType: made.KeyType,
		CheckValue: made.CheckValue}, objects[0])

	h.CheckValue = made.CheckValue
	found, err = b.DestroyKey(t.Context(), h)
	require.NoError(t, err)
	assert.True(t, found)
	none, err = f.Find(t.Context(), h)
	require.NoError(t, err)
	assert.Empty(t, none)
	found, err = b.DestroyKey(t.Context(), h)
	require.NoError(t, err)
	assert.False(t, found)
}

func (s suite) notOurs(t *testing.T) {
	b, h := s.made(t)
	objects, err := b.(backend.Finder).Find(t.Context(), h)
	require.NoError(t, err)
	require.NotEmpty(t, objects)
	wrongs := map[string]backend.Handle{}
	label := h
	label.Label += "x"
	wrongs["label"] = label
	if objects[0].CheckValue != "" {
		value := h
		value.CheckValue = "000000"
		wrongs["check value"] = value
	}
	for name, wrong := range wrongs {
		_, err := b.DestroyKey(t.Context(), wrong)
		isFault(t, err, "")
		still, err := b.(backend.Finder).Find(t.Context(), h)
		require.NoError(t, err)
		assert.Len(t, still, len(objects), name)
	}
}

func (s suite) sealOpen(t *testing.T) {
	b, h := s.made(t)
	sealer := b.(backend.Sealer)
	for _, n := range []int{0, 1, 15, 16, 17, 32, 1024, 4096, 65536} {
		plain, aad := make([]byte, n), []byte("aad")
		_, err := rand.Read(plain)
		require.NoError(t, err)
		sealed, err := sealer.Seal(t.Context(), &h, aad, plain, nil)
		require.NoError(t, err, "%d bytes", n)
		require.Len(t, sealed, n+backend.SealedOverhead)
		opened, err := sealer.Open(t.Context(), &h, aad, sealed, nil)
		require.NoError(t, err, "%d bytes", n)
		require.True(t, bytes.Equal(plain, opened), "%d bytes", n)
	}
}

func (s suite) altered(t *testing.T) {
	b, h := s.made(t)
	sealer := b.(backend.Sealer)
	sealed, err := sealer.Seal(t.Context(), &h, []byte("aad"), []byte("plaintext"), nil)
	require.NoError(t, err)
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x10
		_, err := sealer.Open(t.Context(), &h, []byte("aad"), bad, nil)
		isFault(t, err, keystore.KindInvalidCiphertext)
	}
	for name, aad := range map[string][]byte{"none": nil, "other": []byte("bad"), "longer": []byte("aad\x00")} {
		_, err := sealer.Open(t.Context(), &h, aad, sealed, nil)
		isFault(t, err, keystore.KindInvalidCiphertext)
		assert.Error(t, err, name)
	}
	for n := range len(sealed) {
		_, err := sealer.Open(t.Context(), &h, []byte("aad"), sealed[:n], nil)
		isFault(t, err, keystore.KindInvalidCiphertext)
	}
	// The key is none the worse for it.
	opened, err := sealer.Open(t.Context(), &h, []byte("aad"), sealed, nil)
	require.NoError(t, err)
	assert.Equal(t, "plaintext", string(opened))
}

func (s suite) appends(t *testing.T) {
	b, h := s.made(t)
	sealer := b.(backend.Sealer)
	for _, room := range []int{0, 7, 4096} {
		dst := append(make([]byte, 0, room+6), "header"...)
		sealed, err := sealer.Seal(t.Context(), &h, nil, []byte("plaintext"), dst)
		require.NoError(t, err)
		require.Equal(t, "header", string(sealed[:6]))
		require.Len(t, sealed, 6+9+backend.SealedOverhead)
		opened, err := sealer.Open(t.Context(), &h, nil, sealed[6:], append(make([]byte, 0, room+6), "before"...))
		require.NoError(t, err)
		assert.Equal(t, "beforeplaintext", string(opened))
	}
}

func (s suite) fresh(t *testing.T) {
	b, h := s.made(t)
	seen := map[string]bool{}
	for range 200 {
		sealed, err := b.(backend.Sealer).Seal(t.Context(), &h, nil, []byte("plaintext"), nil)
		require.NoError(t, err)
		iv := string(sealed[:12])
		require.False(t, seen[iv], "an IV came twice")
		seen[iv] = true
	}
}

func (s suite) missing(t *testing.T) {
	b, h := s.made(t)
	sealer := b.(backend.Sealer)
	sealed, err := sealer.Seal(t.Context(), &h, nil, []byte("plaintext"), nil)
	require.NoError(t, err)
	found, err := b.DestroyKey(t.Context(), h)
	require.NoError(t, err)
	require.True(t, found)
	_, err = sealer.Seal(t.Context(), &h, nil, []byte("plaintext"), nil)
	isFault(t, err, "")
	_, err = sealer.Open(t.Context(), &h, nil, sealed, nil)
	isFault(t, err, "")
	assert.NotEqual(t, keystore.KindInvalidCiphertext, keystore.KindOf(err), "a lost key is not the ciphertext's fault")
}

func (s suite) concurrent(t *testing.T) {
	b, h := s.made(t)
	sealer := b.(backend.Sealer)
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wg.Go(func() {
			for range 20 {
				plain := bytes.Repeat([]byte{byte(i)}, i+1)
				sealed, err := sealer.Seal(t.Context(), &h, plain, plain, nil)
				if err != nil {
					errs[i] = err
					return
				}
				opened, err := sealer.Open(t.Context(), &h, plain, sealed, nil)
				if err == nil && !bytes.Equal(opened, plain) {
					err = errors.New("another plaintext came back")
				}
				if err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	assert.NoError(t, errors.Join(errs...))
}

func (s suite) random(t *testing.T) {
	r := s.open(t).(backend.Randomer)
	seen := map[string]bool{}
	for _, n := range []int{16, 32, 32, 64, 1024, 1024} {
		p := make([]byte, n)
		require.NoError(t, r.Random(t.Context(), p))
		assert.False(t, seen[string(p)])
		assert.NotEqual(t, make([]byte, n), p)
		seen[string(p)] = true
	}
	assert.NoError(t, r.Random(t.Context(), nil))
}

func (s suite) lists(t *testing.T) {
	b := s.open(t)
	want := map[string]string{}
	for range 3 {
		h := s.handle(t)
		_, err := b.CreateKey(t.Context(), h)
		require.NoError(t, err)
		want[string(h.ID[:])] = h.Label
	}
	got := map[string]string{}
	require.NoError(t, b.(backend.Scanner).Objects(t.Context(), func(o backend.Object) error {
		if _, ours := want[string(o.ID)]; ours {
			got[string(o.ID)] = o.Label
		}
		return nil
	}))
	assert.Equal(t, want, got)

	stop := errors.New("stop")
	n := 0
	err := b.(backend.Scanner).Objects(t.Context(), func(backend.Object) error { n++; return stop })
	assert.ErrorIs(t, err, stop)
	assert.Equal(t, 1, n)
}

func (s suite) cancelled(t *testing.T) {
	b, h := s.made(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f, ok := b.(backend.Finder); ok {
		_, err := f.Find(ctx, h)
		isFault(t, err, "")
	}
	_, err := b.DestroyKey(ctx, h)
	isFault(t, err, "")
	_, err = b.CreateKey(ctx, s.handle(t))
	isFault(t, err, "")
	if sealer, ok := b.(backend.Sealer); ok {
		_, err := sealer.Seal(t.Context(), &h, nil, []byte("x"), nil)
		assert.NoError(t, err, "the key is there still")
	}
}

func (s suite) closed(t *testing.T) {
	b, h := s.made(t)
	require.NoError(t, b.Close())
	isFault(t, b.Health(t.Context()), "")
	_, err := b.CreateKey(t.Context(), s.handle(t))
	isFault(t, err, "")
	_, err = b.DestroyKey(t.Context(), h)
	isFault(t, err, "")
	if f, ok := b.(backend.Finder); ok {
		_, err := f.Find(t.Context(), h)
		isFault(t, err, "")
	}
	if sealer, ok := b.(backend.Sealer); ok {
		_, err := sealer.Seal(t.Context(), &h, nil, []byte("x"), nil)
		isFault(t, err, "")
	}
}
