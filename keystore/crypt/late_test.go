package crypt_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/crypt"
)

// turning is a token on which something happens to the key while it is asked, and which then fails.
type turning struct {
	*backendtest.Memory
	then func()
	err  error
}

func (b *turning) Seal(context.Context, *backend.Handle, []byte, []byte, []byte) ([]byte, error) {
	b.then()
	return nil, b.err
}

func (b *turning) Open(context.Context, *backend.Handle, []byte, []byte, []byte) ([]byte, error) {
	b.then()
	return nil, b.err
}

// What became of the key while its token was asked is the answer, not what the token made of it.
func TestKeyThatChangesWhileItIsUsed(t *testing.T) {
	lost := errors.New("CKR_DEVICE_REMOVED")
	gone := backend.Unreachable(keystore.StoreCloudHSM, backend.CallUse).Because(lost)
	for name, c := range map[string]struct {
		change func(w *world, k *keystore.Key)
		err    error
		kind   keystore.Kind
		text   string // behind the key's ARN
	}{
		"disabled":     {func(w *world, k *keystore.Key) { w.set(k, keystore.Disabled) }, gone, keystore.KindDisabled, " is disabled."},
		"doomed":       {func(w *world, k *keystore.Key) { w.set(k, keystore.PendingDeletion) }, gone, keystore.KindInvalidState, " is pending deletion."},
		"disconnected": {func(w *world, k *keystore.Key) { delete(w.stores, k.StoreID) }, gone, keystore.KindInvalidState, " is unavailable."},
		"deleted": {func(w *world, k *keystore.Key) {
			w.update(func(tx keystore.Tx) error { return tx.DeleteKey(k) })
		}, gone, keystore.KindNotFound, ""},
		"nothing":          {func(*world, *keystore.Key) {}, gone, keystore.KindInvalidState, "*"},
		"a bad ciphertext": {func(w *world, k *keystore.Key) { w.set(k, keystore.Disabled) }, &keystore.Fault{Kind: keystore.KindInvalidCiphertext}, keystore.KindInvalidCiphertext, "*"},
	} {
		t.Run(name, func(t *testing.T) {
			for operation, call := range map[string]func(w *world, k *keystore.Key, blob []byte) error{
				"Encrypt": func(w *world, k *keystore.Key, _ []byte) error {
					_, err := w.Encrypt(t.Context(), w.root, &crypt.EncryptInput{KeyID: string(k.ID), Plaintext: []byte("x")})
					return err
				},
				"Decrypt": func(w *world, _ *keystore.Key, blob []byte) error {
					_, err := w.Decrypt(t.Context(), w.root, &crypt.DecryptInput{CiphertextBlob: blob})
					return err
				},
				"GenerateDataKey": func(w *world, k *keystore.Key, _ []byte) error {
					_, err := w.GenerateDataKey(t.Context(), w.root, &crypt.DataKeyInput{KeyID: string(k.ID), KeySpec: "AES_256"})
					return err
				},
			} {
				w := newWorld(t)
				id, token := w.store(keystore.StoreCloudHSM)
				k := w.inStore(id)
				blob := w.encrypt(k, "x", nil)
				w.stores[id] = &turning{Memory: token, err: c.err, then: func() { c.change(w, k) }}
				err := call(w, k, blob)
				want := k.ARN() + c.text
				switch c.text {
				case "*":
					want = "*"
				case "":
					want = "Key '" + k.ARN() + "' does not exist"
				}
				faulty(t, err, c.kind, want)
				if c.kind != keystore.KindInvalidCiphertext {
					assert.ErrorIs(t, err, lost, "%s: the log has what the token said", operation)
				}
			}
		})
	}
}

// set changes a key's state.
func (w *world) set(k *keystore.Key, s keystore.State) {
	w.t.Helper()
	now := k.Clone()
	now.State = s
	w.update(func(tx keystore.Tx) error { return tx.UpdateKey(now) })
}

// slow does something before it gives the first random bytes.
type slow struct {
	io.Reader
	first func()
}

func (s *slow) Read(p []byte) (int, error) {
	if first := s.first; first != nil {
		s.first = nil
		first()
	}
	return s.Reader.Read(p)
}

// A data key pair takes seconds: one that is made when the key was disabled meanwhile is not given out.
func TestKeyThatIsDisabledWhileAPairIsMade(t *testing.T) {
	w := newWorld(t)
	k := w.key()
	meanwhile := func() { w.set(k, keystore.Disabled) }
	random := &slow{Reader: sevens{}, first: meanwhile}
	s := crypt.New(crypt.Config{DB: w.db, Resolver: w.stores, Gate: access.New(access.Config{Directory: w.db}), Clock: clock{}, Random: random})
	_, err := s.GenerateDataKeyPair(t.Context(), w.root, &crypt.DataKeyPairInput{KeyID: string(k.ID), KeyPairSpec: "ECC_SECG_P256K1"})
	faulty(t, err, keystore.KindDisabled, k.ARN()+" is disabled.")
	require.Nil(t, random.first, "it was made")
}

// sevens is a source of bytes that make a key.
type sevens struct{}

func (sevens) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 7
	}
	return len(p), nil
}
