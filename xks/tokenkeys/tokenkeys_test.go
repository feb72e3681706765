package tokenkeys_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/tokenkeys"
)

// open gives keys on a fresh SoftHSM2 token.
func open(t testing.TB, change func(*tokenkeys.Config)) (*tokenkeys.Keys, *hsm.Token) {
	t.Helper()
	token := hsmtest.SoftHSM(t, "xks").Open("xks")
	cfg := tokenkeys.Config{Token: token}
	if change != nil {
		change(&cfg)
	}
	keys, err := tokenkeys.Open(context.Background(), cfg)
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	<-keys.Ready() // what a test changes on the token is not half seen
	return keys, token
}

func create(t testing.TB, keys *tokenkeys.Keys, id string) tokenkeys.Key {
	t.Helper()
	key, err := keys.Create(context.Background(), id, tokenkeys.UseBoth)
	require.NoError(t, err)
	return key
}

func TestRoundTrip(t *testing.T) {
	ctx := context.Background()
	keys, _ := open(t, nil)
	key := create(t, keys, "key-1")
	assert.Equal(t, "AES_256", key.Spec)
	assert.Empty(t, key.Problem)

	metadata, err := keys.Metadata(ctx, "key-1")
	require.NoError(t, err)
	assert.Equal(t, xks.MetadataResponse{KeySpec: "AES_256", KeyUsage: []string{"ENCRYPT", "DECRYPT"}, KeyStatus: xks.KeyEnabled}, metadata)

	for _, size := range []int{1, 16, 4300, 8192} {
		for _, aadSize := range []int{0, 1, 8192, 32768} {
			plaintext, aad := make([]byte, size), make([]byte, aadSize)
			sealed, err := keys.Encrypt(ctx, "key-1", plaintext, aad)
			require.NoError(t, err)
			assert.Len(t, sealed.Ciphertext, size)
			assert.Len(t, sealed.IV, 12)
			assert.Len(t, sealed.Tag, 16)
			assert.LessOrEqual(t, len(sealed.Metadata), xks.MaxMetadata)
			opened, err := keys.Decrypt(ctx, "key-1", sealed, aad)
			require.NoError(t, err)
			assert.Equal(t, plaintext, opened)
		}
	}
}

func TestEveryPartIsAuthenticated(t *testing.T) {
	ctx := context.Background()
	keys, _ := open(t, nil)
	create(t, keys, "key-1")
	create(t, keys, "key-2")
	aad := []byte("tenant=vault-7")
	tests := map[string]func(s *xks.Sealed, aad *[]byte, id *string){
		"ciphertext":           func(s *xks.Sealed, _ *[]byte, _ *string) { s.Ciphertext[0] ^= 1 },
		"ciphertext cut":       func(s *xks.Sealed, _ *[]byte, _ *string) { s.Ciphertext = s.Ciphertext[1:] },
		"IV":                   func(s *xks.Sealed, _ *[]byte, _ *string) { s.IV[0] ^= 1 },
		"longer IV":            func(s *xks.Sealed, _ *[]byte, _ *string) { s.IV = make([]byte, 16) },
		"tag":                  func(s *xks.Sealed, _ *[]byte, _ *string) { s.Tag[15] ^= 1 },
		"metadata format":      func(s *xks.Sealed, _ *[]byte, _ *string) { s.Metadata[0] ^= 1 },
		"metadata material":    func(s *xks.Sealed, _ *[]byte, _ *string) { s.Metadata[1] ^= 1 },
		"no metadata":          func(s *xks.Sealed, _ *[]byte, _ *string) { s.Metadata = nil },
		"AAD":                  func(_ *xks.Sealed, a *[]byte, _ *string) { *a = []byte("tenant=vault-8") },
		"no AAD":               func(_ *xks.Sealed, a *[]byte, _ *string) { *a = nil },
		"metadata in the AAD":  func(s *xks.Sealed, a *[]byte, _ *string) { *a = append(*a, s.Metadata...); s.Metadata = nil },
		"another external key": func(_ *xks.Sealed, _ *[]byte, id *string) { *id = "key-2" },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			sealed, err := keys.Encrypt(ctx, "key-1", []byte("secret"), aad)
			require.NoError(t, err)
			aad, id := append([]byte{}, aad...), "key-1"
			spoil(&sealed, &aad, &id)
			_, err = keys.Decrypt(ctx, id, sealed, aad)
			assert.Equal(t, xks.InvalidCiphertextException, xks.NameOf(err), "%v", err)
		})
	}
}

func TestUsageAndState(t *testing.T) {
	ctx := context.Background()
	keys, _ := open(t, nil)
	create(t, keys, "k")
	sealed, err := keys.Encrypt(ctx, "k", []byte("p"), nil)
	require.NoError(t, err)
	tests := []struct {
		usage            tokenkeys.Usage
		enabled          bool
		encrypt, decrypt xks.ErrorName
		names            []string
		status           xks.KeyStatus
	}{
		{tokenkeys.UseBoth, true, "", "", []string{"ENCRYPT", "DECRYPT"}, xks.KeyEnabled},
		{tokenkeys.UseEncrypt, true, "", xks.InvalidKeyUsageException, []string{"ENCRYPT"}, xks.KeyEnabled},
		{tokenkeys.UseDecrypt, true, xks.InvalidKeyUsageException, "", []string{"DECRYPT"}, xks.KeyEnabled},
		{tokenkeys.UseNone, true, xks.InvalidKeyUsageException, xks.InvalidKeyUsageException, []string{}, xks.KeyEnabled},
		{tokenkeys.UseBoth, false, xks.InvalidStateException, xks.InvalidStateException, []string{"ENCRYPT", "DECRYPT"}, xks.KeyDisabled},
		{tokenkeys.UseNone, false, xks.InvalidStateException, xks.InvalidStateException, []string{}, xks.KeyDisabled},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s enabled=%t", tt.usage, tt.enabled), func(t *testing.T) {
			require.NoError(t, keys.SetUsage(ctx, "k", tt.usage))
			require.NoError(t, keys.SetEnabled(ctx, "k", tt.enabled))
			_, err := keys.Encrypt(ctx, "k", []byte("p"), nil)
			assert.Equal(t, tt.encrypt, xks.NameOf(err))
			_, err = keys.Decrypt(ctx, "k", sealed, nil)
			assert.Equal(t, tt.decrypt, xks.NameOf(err))
			metadata, err := keys.Metadata(ctx, "k")
			require.NoError(t, err)
			assert.Equal(t, tt.names, metadata.KeyUsage)
			assert.Equal(t, tt.status, metadata.KeyStatus)
		})
	}
}

func generate(t testing.TB, token *hsm.Token, id, label string, kind hsm.Kind, usage hsm.Usage) {
	t.Helper()
	order := hsm.Template{KeyRef: hsm.KeyRef{ID: []byte(id), Label: label}, Kind: kind, Usage: usage}
	_, err := token.Generate(context.Background(), order)
	require.NoError(t, err)
}

func TestForeignObjects(t *testing.T) {
	ctx := context.Background()
	keys, token := open(t, nil)
	generate(t, token, "id-1", "foreign", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	generate(t, token, "id-2", "encrypt-only", hsm.AES256, hsm.UseEncrypt)
	generate(t, token, "id-3", "mac", hsm.HMAC256, hsm.UseSign|hsm.UseVerify)
	generate(t, token, "id-4", "twin", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	generate(t, token, "id-5", "twin", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	generate(t, token, "id-6", "arn:aws:kms:us-east-1:000000000000:key/1", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)

	t.Run("made by another tool", func(t *testing.T) {
		sealed, err := keys.Encrypt(ctx, "foreign", []byte("p"), nil)
		require.NoError(t, err)
		_, err = keys.Decrypt(ctx, "foreign", sealed, nil)
		require.NoError(t, err)
	})
	t.Run("attributes narrow the usage", func(t *testing.T) {
		metadata, err := keys.Metadata(ctx, "encrypt-only")
		require.NoError(t, err)
		assert.Equal(t, []string{"ENCRYPT"}, metadata.KeyUsage)
		sealed, err := keys.Encrypt(ctx, "encrypt-only", []byte("p"), nil)
		require.NoError(t, err)
		_, err = keys.Decrypt(ctx, "encrypt-only", sealed, nil)
		assert.Equal(t, xks.InvalidKeyUsageException, xks.NameOf(err))
	})
	t.Run("another type of key", func(t *testing.T) {
		metadata, err := keys.Metadata(ctx, "mac")
		require.NoError(t, err)
		assert.Equal(t, "GENERIC_SECRET_256", metadata.KeySpec)
		_, err = keys.Encrypt(ctx, "mac", []byte("p"), nil)
		assert.Equal(t, xks.InvalidKeyUsageException, xks.NameOf(err))
	})
	t.Run("two objects of one label", func(t *testing.T) {
		for range 2 {
			_, err := keys.Metadata(ctx, "twin")
			assert.Equal(t, xks.InvalidStateException, xks.NameOf(err))
			_, err = keys.Encrypt(ctx, "twin", []byte("p"), nil)
			assert.Equal(t, xks.InvalidStateException, xks.NameOf(err))
		}
	})
	t.Run("absent", func(t *testing.T) {
		for range 2 {
			_, err := keys.Metadata(ctx, "nobody")
			assert.Equal(t, xks.KeyNotFoundException, xks.NameOf(err))
		}
	})
	t.Run("list", func(t *testing.T) {
		list, err := keys.List(ctx)
		require.NoError(t, err)
		got := map[string]string{}
		for _, key := range list {
			got[key.ID] = key.Problem
		}
		assert.Equal(t, map[string]string{
			"foreign": "", "encrypt-only": "", "mac": "not an AES key of 256 bits", "twin": "several objects answer to this id",
		}, got)
	})
	t.Run("a twin that appears later is seen by the next list", func(t *testing.T) {
		generate(t, token, "id-7", "foreign", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
		_, err := keys.List(ctx)
		require.NoError(t, err)
		_, err = keys.Encrypt(ctx, "foreign", []byte("p"), nil)
		assert.Equal(t, xks.InvalidStateException, xks.NameOf(err))
	})
}

func TestAddressedByID(t *testing.T) {
	ctx := context.Background()
	keys, token := open(t, func(c *tokenkeys.Config) { c.Addressing = tokenkeys.ByID })
	made := create(t, keys, "")
	assert.Len(t, made.ID, 32)
	sealed, err := keys.Encrypt(ctx, made.ID, []byte("p"), nil)
	require.NoError(t, err)
	_, err = keys.Decrypt(ctx, made.ID, sealed, nil)
	require.NoError(t, err)

	generate(t, token, "\x01\x02\xff", "anything", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	_, err = keys.Encrypt(ctx, "0102ff", []byte("p"), nil)
	require.NoError(t, err)
	for _, id := range []string{"0102FF", "0102f", "zz", "anything"} {
		_, err = keys.Metadata(ctx, id)
		assert.Equal(t, xks.KeyNotFoundException, xks.NameOf(err), id)
	}
	generate(t, token, "\x0a", "arn:aws:kms:us-east-1:000000000000:key/1", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	_, err = keys.Metadata(ctx, "0a")
	assert.Equal(t, xks.KeyNotFoundException, xks.NameOf(err), "a backing key of a KMS key is not an external key")

	generate(t, token, "\x01\x02\xff", "another", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	_, err = keys.List(ctx)
	require.NoError(t, err)
	_, err = keys.Encrypt(ctx, "0102ff", []byte("p"), nil)
	assert.Equal(t, xks.InvalidStateException, xks.NameOf(err))
}

func TestSettingsSurvive(t *testing.T) {
	ctx := context.Background()
	store := &tokenkeys.Memory{}
	keys, token := open(t, func(c *tokenkeys.Config) { c.Store = store })
	create(t, keys, "a")
	create(t, keys, "b")
	require.NoError(t, keys.SetEnabled(ctx, "a", false))
	require.NoError(t, keys.SetUsage(ctx, "b", tokenkeys.UseDecrypt))

	again, err := tokenkeys.Open(ctx, tokenkeys.Config{Token: token, Store: store})
	require.NoError(t, err)
	t.Cleanup(again.Close)
	_, err = again.Encrypt(ctx, "a", []byte("p"), nil)
	assert.Equal(t, xks.InvalidStateException, xks.NameOf(err))
	_, err = again.Encrypt(ctx, "b", []byte("p"), nil)
	assert.Equal(t, xks.InvalidKeyUsageException, xks.NameOf(err))
	list, err := again.List(ctx)
	require.NoError(t, err)
	require.Len(t, list, 2)
	assert.True(t, list[0].Made)
	assert.False(t, list[0].Enabled)
	assert.Equal(t, tokenkeys.UseDecrypt, list[1].Usage)
}

func TestCreateAndDelete(t *testing.T) {
	ctx := context.Background()
	store := &tokenkeys.Memory{}
	keys, token := open(t, func(c *tokenkeys.Config) { c.Store = store })
	create(t, keys, "a")
	_, err := keys.Create(ctx, "a", tokenkeys.UseBoth)
	require.ErrorIs(t, err, tokenkeys.ErrExists)
	for _, id := range []string{"", "..", "with space", "strongroom:mine", strings.Repeat("x", 129)} {
		_, err := keys.Create(ctx, id, tokenkeys.UseBoth)
		require.Error(t, err, id)
	}
	require.ErrorIs(t, keys.SetEnabled(ctx, "nobody", true), tokenkeys.ErrNotFound)
	require.ErrorIs(t, keys.Delete(ctx, "nobody"), tokenkeys.ErrNotFound)

	require.NoError(t, keys.Delete(ctx, "a"))
	_, err = keys.Metadata(ctx, "a")
	assert.Equal(t, xks.KeyNotFoundException, xks.NameOf(err))
	found, err := token.FindLabel(ctx, "a")
	require.NoError(t, err)
	assert.Empty(t, found)
	rows, err := store.Load(ctx)
	require.NoError(t, err)
	assert.Empty(t, rows)
}

// A row is there before the object is, whatever fails then.
func TestCreateIsNamedByARowFirst(t *testing.T) {
	ctx := context.Background()
	store := &tokenkeys.Memory{}
	token := hsmtest.SoftHSM(t, "xks").Open("xks")
	spoilt := &spoiltToken{Token: token}
	keys, err := tokenkeys.Open(ctx, tokenkeys.Config{Token: spoilt, Store: store})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	<-keys.Ready()

	spoilt.generate = func() error {
		rows, err := store.Load(ctx)
		require.NoError(t, err)
		require.Contains(t, rows, "a")
		assert.Len(t, rows["a"].CKAID, 16)
		return &hsm.Error{Op: "C_GenerateKey", Class: hsm.Full}
	}
	_, err = keys.Create(ctx, "a", tokenkeys.UseBoth)
	require.ErrorIs(t, err, hsm.Full)
	rows, err := store.Load(ctx)
	require.NoError(t, err)
	assert.Empty(t, rows, "the token was shown to have no such object")

	spoilt.generate = func() error { return &hsm.Error{Op: "C_GenerateKey", Class: hsm.TokenGone} }
	spoilt.destroy = func() error { return &hsm.Error{Op: "C_DestroyObject", Class: hsm.TokenGone} }
	_, err = keys.Create(ctx, "b", tokenkeys.UseBoth)
	require.ErrorIs(t, err, hsm.TokenGone)
	rows, err = store.Load(ctx)
	require.NoError(t, err)
	assert.Contains(t, rows, "b", "the token may hold the object")

	spoilt.generate, spoilt.destroy = nil, nil
	list, err := keys.List(ctx)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, "no object on the token", list[0].Problem)
	require.NoError(t, keys.Delete(ctx, "b"), "the row can be removed")
}

// spoiltToken is a real token that fails on demand.
type spoiltToken struct {
	*hsm.Token
	generate, destroy func() error
	seal, open        error
}

func (s *spoiltToken) Generate(ctx context.Context, order hsm.Template) (hsm.Object, error) {
	if s.generate != nil {
		if err := s.generate(); err != nil {
			return hsm.Object{}, err
		}
	}
	return s.Token.Generate(ctx, order)
}

func (s *spoiltToken) Destroy(ctx context.Context, ref hsm.KeyRef) (int, error) {
	if s.destroy != nil {
		return 0, s.destroy()
	}
	return s.Token.Destroy(ctx, ref)
}

func (s *spoiltToken) Seal(ctx context.Context, ref hsm.KeyRef, aad, plaintext, dst []byte) ([]byte, error) {
	if s.seal != nil {
		return nil, s.seal
	}
	return s.Token.Seal(ctx, ref, aad, plaintext, dst)
}

func (s *spoiltToken) Open(ctx context.Context, ref hsm.KeyRef, aad, sealed, dst []byte) ([]byte, error) {
	if s.open != nil {
		return nil, s.open
	}
	return s.Token.Open(ctx, ref, aad, sealed, dst)
}

func TestTokenFailures(t *testing.T) {
	ctx := context.Background()
	token := &spoiltToken{Token: hsmtest.SoftHSM(t, "xks").Open("xks")}
	keys, err := tokenkeys.Open(ctx, tokenkeys.Config{Token: token})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	<-keys.Ready()
	create(t, keys, "a")
	sealed, err := keys.Encrypt(ctx, "a", []byte("p"), nil)
	require.NoError(t, err)
	want := map[hsm.Class]xks.ErrorName{
		hsm.Busy: xks.ThrottlingException, hsm.Timeout: xks.DependencyTimeoutException, hsm.Stuck: xks.DependencyTimeoutException,
		hsm.BadCiphertext: xks.InvalidCiphertextException, hsm.KeyMissing: xks.KeyNotFoundException, hsm.KeyInvalid: xks.InvalidStateException,
		hsm.Unsupported: xks.InvalidKeyUsageException, hsm.Refused: xks.InvalidKeyUsageException, hsm.BadInput: xks.UnsupportedOperationException,
	}
	for class := hsm.Internal; class <= hsm.Closed; class++ {
		t.Run(class.String(), func(t *testing.T) {
			name, ok := want[class]
			if !ok {
				name = xks.InternalException
			}
			token.open = &hsm.Error{Op: "C_Decrypt", Class: class}
			token.seal = &hsm.Error{Op: "C_Encrypt", Class: class}
			_, err := keys.Decrypt(ctx, "a", sealed, nil)
			assert.Equal(t, name, xks.NameOf(err))
			assert.ErrorIs(t, err, class, "the cause is kept")
			_, err = keys.Encrypt(ctx, "a", []byte("p"), nil)
			assert.Equal(t, name, xks.NameOf(err))
			assert.Error(t, keys.Probe(ctx))
			token.open, token.seal = nil, nil
			require.NoError(t, keys.Probe(ctx))
			_, err = keys.Decrypt(ctx, "a", sealed, nil)
			assert.NoError(t, err, "nothing of the failure stays")
		})
	}
	t.Run("after the deadline everything is a timeout", func(t *testing.T) {
		over, cancel := context.WithTimeout(ctx, -time.Second)
		defer cancel()
		token.seal = &hsm.Error{Op: "wait for session", Class: hsm.Busy, Err: over.Err()}
		_, err := keys.Encrypt(over, "a", []byte("p"), nil)
		assert.Equal(t, xks.DependencyTimeoutException, xks.NameOf(err))
	})
}

func TestKeyThatDisappears(t *testing.T) {
	ctx := context.Background()
	keys, token := open(t, nil)
	create(t, keys, "a")
	objects, err := token.FindLabel(ctx, "a")
	require.NoError(t, err)
	_, err = token.Destroy(ctx, objects[0].KeyRef)
	require.NoError(t, err)
	_, err = keys.Encrypt(ctx, "a", []byte("p"), nil)
	assert.Equal(t, xks.KeyNotFoundException, xks.NameOf(err))
	_, err = keys.Metadata(ctx, "a")
	assert.Equal(t, xks.KeyNotFoundException, xks.NameOf(err))
}

func TestProbeKeyIsMadeOnceAndFoundAgain(t *testing.T) {
	ctx := context.Background()
	keys, token := open(t, nil)
	require.NoError(t, keys.Probe(ctx))
	again, err := tokenkeys.Open(ctx, tokenkeys.Config{Token: token})
	require.NoError(t, err)
	t.Cleanup(again.Close)
	require.NoError(t, again.Probe(ctx))
	found, err := token.FindLabel(ctx, "strongroom:xks-probe")
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.False(t, found[0].Extractable)

	_, err = token.Destroy(ctx, found[0].KeyRef)
	require.NoError(t, err)
	_ = keys.Probe(ctx) // notices
	require.NoError(t, keys.Probe(ctx), "another test key is made")
	manager := keys.KeyManager()
	assert.NotEmpty(t, manager.ID)
	assert.Equal(t, "SoftHSM project", manager.Vendor)
}

// The framing is compared with a key whose value is known, through Go's own AES-GCM.
func TestSampleProxyCiphertexts(t *testing.T) {
	ctx := context.Background()
	raw := sha256.Sum256([]byte("a key that both know"))
	block, err := aes.NewCipher(raw[:])
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	aad, iv := []byte("encryption context"), make([]byte, 12)
	hash := sha256.Sum256(aad)
	framed := append([]byte{0, byte(len(aad))}, hash[:]...)
	framed = append(framed, 2, 0xca, 0xfe)
	out := gcm.Seal(nil, iv, []byte("moved"), framed)
	sealed := xks.Sealed{IV: iv, Ciphertext: out[:5], Tag: out[5:], Metadata: []byte{0xca, 0xfe}}

	token := &softwareToken{gcm: gcm}
	keys, err := tokenkeys.Open(ctx, tokenkeys.Config{Token: token, SampleProxy: &tokenkeys.SampleProxy{Metadata: []byte{0xca, 0xfe}}})
	require.NoError(t, err)
	plaintext, err := keys.Decrypt(ctx, "moved-key", sealed, aad)
	require.NoError(t, err)
	assert.Equal(t, "moved", string(plaintext))
	_, err = keys.Decrypt(ctx, "moved-key", sealed, []byte("another context"))
	assert.Equal(t, xks.InvalidCiphertextException, xks.NameOf(err))

	plain, err := tokenkeys.Open(ctx, tokenkeys.Config{Token: token})
	require.NoError(t, err)
	_, err = plain.Decrypt(ctx, "moved-key", sealed, aad)
	assert.Equal(t, xks.InvalidCiphertextException, xks.NameOf(err), "only where it is asked for")
}

// softwareToken has one key, whose value the test knows: no token gives one away.
type softwareToken struct {
	tokenkeys.Token
	gcm cipher.AEAD
}

func (s *softwareToken) Info() hsm.Info { return hsm.Info{Serial: "software"} }

func (s *softwareToken) FindLabel(_ context.Context, label string) ([]hsm.Object, error) {
	return []hsm.Object{{
		KeyRef: hsm.KeyRef{ID: []byte{1}, Label: label}, Class: "CKO_SECRET_KEY", KeyType: "CKK_AES", Bits: 256,
		Usage: hsm.UseEncrypt | hsm.UseDecrypt,
	}}, nil
}

func (s *softwareToken) Objects(context.Context, func(hsm.Object) error) error { return nil }

func (s *softwareToken) Prime() <-chan struct{} { return nil }

func (s *softwareToken) Seal(_ context.Context, _ hsm.KeyRef, aad, plaintext, dst []byte) ([]byte, error) {
	iv := make([]byte, 12)
	return s.gcm.Seal(append(dst, iv...), iv, plaintext, aad), nil
}

func (s *softwareToken) Open(_ context.Context, _ hsm.KeyRef, aad, sealed, dst []byte) ([]byte, error) {
	out, err := s.gcm.Open(dst, sealed[:12], sealed[12:], aad)
	if err != nil {
		return nil, &hsm.Error{Op: "C_Decrypt", Class: hsm.BadCiphertext, Err: err}
	}
	return out, nil
}

func TestConcurrentFirstUse(t *testing.T) {
	ctx := context.Background()
	keys, token := open(t, nil)
	for i := range 4 {
		generate(t, token, fmt.Sprintf("id-%d", i), fmt.Sprintf("key-%d", i), hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	}
	var wg sync.WaitGroup
	failures := make(chan error, 64)
	for i := range 64 {
		wg.Go(func() {
			id := fmt.Sprintf("key-%d", i%5) // one of them does not exist
			sealed, err := keys.Encrypt(ctx, id, []byte("p"), nil)
			if i%5 == 4 {
				if xks.NameOf(err) != xks.KeyNotFoundException {
					failures <- fmt.Errorf("%s: %w", id, err)
				}
				return
			}
			if err == nil {
				_, err = keys.Decrypt(ctx, id, sealed, nil)
			}
			if err != nil {
				failures <- err
			}
		})
	}
	wg.Wait()
	close(failures)
	var all []error
	for err := range failures {
		all = append(all, err)
	}
	require.NoError(t, errors.Join(all...))
}

// A token that takes longer to search than a request may take: the request is answered in time, and the search goes on
// for the next one.
func TestSlowSearchIsNotInVain(t *testing.T) {
	token := &slowToken{Token: hsmtest.SoftHSM(t, "xks").Open("xks"), proceed: make(chan struct{}), searched: make(chan struct{}, 8)}
	generate(t, token.Token, "id-1", "slow", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	keys, err := tokenkeys.Open(context.Background(), tokenkeys.Config{Token: token})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	<-token.searched // the test key
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = keys.Encrypt(short, "slow", []byte("p"), nil)
	assert.Equal(t, xks.DependencyTimeoutException, xks.NameOf(err))
	<-token.searched
	close(token.proceed)
	_, err = keys.Encrypt(context.Background(), "slow", []byte("p"), nil)
	require.NoError(t, err)
	assert.Empty(t, token.searched, "there was one search")

	keys.Close()
	_, err = keys.Encrypt(context.Background(), "slow", []byte("p"), nil)
	require.NoError(t, err, "what was found can be used")
	_, err = keys.Encrypt(context.Background(), "never-looked-for", []byte("p"), nil)
	assert.Equal(t, xks.InternalException, xks.NameOf(err))
}

// slowToken holds searches for external keys until it is told to proceed, and lists nothing.
type slowToken struct {
	*hsm.Token
	proceed, searched chan struct{}
}

func (s *slowToken) FindLabel(ctx context.Context, label string) ([]hsm.Object, error) {
	s.searched <- struct{}{}
	if !strings.HasPrefix(label, "strongroom:") {
		select {
		case <-s.proceed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Token.FindLabel(ctx, label)
}

func (s *slowToken) Objects(context.Context, func(hsm.Object) error) error { return nil }

// A pass over the token may see keys that are deleted, and miss some that are made, before it is over.
func TestChangesDuringAPass(t *testing.T) {
	ctx := context.Background()
	token := &pausedToken{Token: hsmtest.SoftHSM(t, "xks").Open("xks"), seen: make(chan struct{}, 1), proceed: make(chan struct{}, 1)}
	token.proceed <- struct{}{} // the pass at the start
	keys, err := tokenkeys.Open(ctx, tokenkeys.Config{Token: token})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	<-keys.Ready()
	<-token.seen
	for _, id := range []string{"stays", "goes", "gone-by-another"} {
		create(t, keys, id)
	}

	listed := make(chan []tokenkeys.Key)
	go func() {
		list, err := keys.List(ctx)
		assert.NoError(t, err)
		listed <- list
	}()
	<-token.seen
	require.NoError(t, keys.Delete(ctx, "goes"))
	create(t, keys, "comes")
	found, err := token.FindLabel(ctx, "gone-by-another")
	require.NoError(t, err)
	_, err = token.Token.Destroy(ctx, found[0].KeyRef)
	require.NoError(t, err)
	_, err = keys.Encrypt(ctx, "gone-by-another", []byte("p"), nil)
	require.Equal(t, xks.KeyNotFoundException, xks.NameOf(err))
	token.proceed <- struct{}{}

	problems := map[string]string{}
	for _, key := range <-listed {
		problems[key.ID] = key.Problem
	}
	assert.Equal(t, map[string]string{"stays": "", "comes": "", "gone-by-another": "no object on the token"}, problems)
	for id, want := range map[string]xks.ErrorName{"stays": "", "comes": "", "goes": xks.KeyNotFoundException, "gone-by-another": xks.KeyNotFoundException} {
		_, err := keys.Metadata(ctx, id)
		assert.Equal(t, want, xks.NameOf(err), id)
	}
}

// pausedToken tells when a pass over it has seen all objects, and holds the pass there.
type pausedToken struct {
	*hsm.Token
	seen, proceed chan struct{}
}

func (p *pausedToken) Objects(ctx context.Context, fn func(hsm.Object) error) error {
	err := p.Token.Objects(ctx, fn)
	p.seen <- struct{}{}
	<-p.proceed
	return err
}

// After the pass at the start no key is searched for, nor after the token was lost; an id that several keys answer to is
// still refused, and a key that comes later is still found.
func TestFirstUseNeedsNoSearch(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "xks")
	token := f.Open("xks")
	const n = 12
	for i := range n {
		generate(t, token, fmt.Sprintf("id-%d", i), fmt.Sprintf("key-%d", i), hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	}
	generate(t, token, "one", "twice", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	generate(t, token, "two", "twice", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	now := time.Now() // an id that was looked for in vain is remembered for as long as this stands still
	keys, err := tokenkeys.Open(ctx, tokenkeys.Config{Token: token, Now: func() time.Time { return now }})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	<-keys.Ready()
	useAll := func() {
		t.Helper()
		f.ResetCalls()
		for i := range n {
			_, err := keys.Encrypt(ctx, fmt.Sprintf("key-%d", i), []byte("p"), nil)
			require.NoError(t, err)
		}
		require.NoError(t, keys.Probe(ctx))
		require.Zero(t, f.Calls()["C_FindObjectsInit"])
	}
	useAll()
	f.Set("lose-sessions")
	require.Eventually(t, func() bool { return keys.Probe(ctx) == nil && token.Stats().Epoch == 2 }, time.Minute, 10*time.Millisecond)
	<-token.Prime()
	useAll()

	for range 2 { // the second time, it is remembered
		_, err = keys.Encrypt(ctx, "twice", []byte("p"), nil)
		require.Equal(t, xks.InvalidStateException, xks.NameOf(err))
	}
	require.Equal(t, 1, f.Calls()["C_FindObjectsInit"])
	generate(t, token, "late", "late", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	_, err = keys.Encrypt(ctx, "late", []byte("p"), nil)
	require.NoError(t, err)
}

func TestDescribe(t *testing.T) {
	ctx := context.Background()
	store := &tokenkeys.Memory{}
	keys, token := open(t, func(c *tokenkeys.Config) { c.Store = store })
	made := create(t, keys, "made")
	got, err := keys.Describe(ctx, "made")
	require.NoError(t, err)
	assert.Equal(t, made, got)
	generate(t, token, "one", "twice", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	generate(t, token, "two", "twice", hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	got, err = keys.Describe(ctx, "twice")
	require.NoError(t, err)
	assert.Equal(t, "several objects answer to this id", got.Problem)
	_, err = keys.Describe(ctx, "none")
	require.ErrorIs(t, err, tokenkeys.ErrNotFound)

	raw, err := hex.DecodeString(made.CKAID)
	require.NoError(t, err)
	_, err = token.Destroy(ctx, hsm.KeyRef{ID: raw, Label: "made"})
	require.NoError(t, err)
	_, err = keys.Encrypt(ctx, "made", []byte("p"), nil)
	require.Error(t, err)
	got, err = keys.Describe(ctx, "made")
	require.NoError(t, err)
	assert.Equal(t, "no object on the token", got.Problem)
}

func TestUsageText(t *testing.T) {
	for _, u := range []tokenkeys.Usage{tokenkeys.UseNone, tokenkeys.UseEncrypt, tokenkeys.UseDecrypt, tokenkeys.UseBoth} {
		again, err := tokenkeys.ParseUsage(u.String())
		require.NoError(t, err)
		assert.Equal(t, u, again)
	}
	_, err := tokenkeys.ParseUsage("all")
	require.Error(t, err)
	_, err = tokenkeys.Open(context.Background(), tokenkeys.Config{})
	require.Error(t, err)
}

func TestCheckValuesAreHex(t *testing.T) {
	keys, _ := open(t, nil)
	key := create(t, keys, "k")
	_, err := hex.DecodeString(key.CheckValue)
	require.NoError(t, err)
	assert.Len(t, key.CKAID, 32)
}
