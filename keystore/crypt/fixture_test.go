package crypt_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/crypt"
	"github.com/strongroom/strongroom/state"
	"github.com/strongroom/strongroom/state/statetest"
)

const (
	region  = "us-east-1"
	account = "000000000000"
	absent  = "00000000-0000-4000-8000-000000000000" // the id of no key
)

type clock struct{}

func (clock) Now() time.Time { return time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC) }

// stores is the resolver of tests: connected where there is a backend.
type stores map[keystore.StoreID]backend.Backend

func (s stores) Resolve(_ string, id keystore.StoreID) (backend.Backend, keystore.ConnState) {
	b := s[id]
	if b == nil && id != "" {
		return nil, keystore.Disconnected
	}
	return b, keystore.Connected
}

// watcher keeps what the observer and the audit log are told.
type watcher struct {
	mu     sync.Mutex
	uses   []keystore.Action
	events []audit.Event
	err    error
}

func (w *watcher) PendingDeletionUse(_ *keystore.Key, a keystore.Action) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uses = append(w.uses, a)
}

func (w *watcher) Append(_ context.Context, e *audit.Event, _ bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, *e)
	return w.err
}

// world is the service on a database and tokens in memory.
type world struct {
	*crypt.Service
	t      testing.TB
	db     *state.DB
	stores stores
	token  *backendtest.Memory // of the default store
	watch  *watcher
	root   *keystore.Caller
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: statetest.Open(t), token: backendtest.NewMemory("default"), watch: &watcher{},
		root: &keystore.Caller{Account: account, Region: region, Principal: keystore.RootARN(account), Root: true}}
	w.stores = stores{"": w.token}
	w.Service = crypt.New(crypt.Config{DB: w.db, Resolver: w.stores, Gate: access.New(access.Config{Directory: w.db}),
		Clock: clock{}, Audit: w.watch, Observer: w.watch})
	return w
}

func (w *world) update(fn func(tx keystore.Tx) error) {
	w.t.Helper()
	require.NoError(w.t, w.db.Update(w.t.Context(), fn))
}

// key adds a key with material on the token of its store; change may make it another kind of key.
func (w *world) key(change ...func(k *keystore.Key)) *keystore.Key {
	w.t.Helper()
	id, err := keystore.NewKeyID(rand.Reader, false)
	require.NoError(w.t, err)
	k := &keystore.Key{ID: id, Account: account, Region: region, Origin: keystore.OriginKMS, Spec: keystore.SymmetricDefault,
		Usage: keystore.UsageEncryptDecrypt, Created: clock{}.Now(), State: keystore.Enabled, Policy: access.DefaultPolicy(account)}
	for _, c := range change {
		c(k)
	}
	w.addMaterial(k)
	w.update(func(tx keystore.Tx) error { return tx.InsertKey(k) })
	return k
}

// addMaterial makes new material of a key current.
func (w *world) addMaterial(k *keystore.Key) {
	w.t.Helper()
	id, err := keystore.NewMaterialID(rand.Reader)
	require.NoError(w.t, err)
	if old := k.Current(); old != nil {
		old.State = keystore.MaterialNonCurrent
	}
	k.Materials = append(k.Materials, keystore.KeyMaterial{ID: id, State: keystore.MaterialCurrent, Created: clock{}.Now()})
	_, err = w.stores[k.StoreID].CreateKey(w.t.Context(), backend.Handle{ID: id, Label: k.ARN(), Spec: k.Spec, Usage: k.Usage})
	require.NoError(w.t, err)
}

// store adds a custom key store with a token of its own.
func (w *world) store(typ keystore.StoreType) (keystore.StoreID, *backendtest.Memory) {
	w.t.Helper()
	id, err := keystore.NewStoreID(rand.Reader)
	require.NoError(w.t, err)
	w.update(func(tx keystore.Tx) error {
		return tx.InsertStore(&keystore.Store{ID: id, Account: account, Region: region, Name: string(id), Type: typ,
			Created: clock{}.Now(), Conn: keystore.Connected, ClusterID: "cluster-" + string(id[4:])})
	})
	m := backendtest.NewMemory(string(id))
	w.stores[id] = m
	return id, m
}

func (w *world) inStore(id keystore.StoreID) *keystore.Key {
	return w.key(func(k *keystore.Key) { k.Origin, k.StoreID = keystore.OriginCloudHSM, id })
}

// user is a caller with policies of its own.
func (w *world) user(name string, policies ...string) *keystore.Caller {
	return &keystore.Caller{Account: account, Region: region, Principal: "arn:aws:iam::" + account + ":user/" + name, Policies: policies}
}

func allow(actions string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}]}`
}

func (w *world) encrypt(k *keystore.Key, text string, context map[string]string) []byte {
	w.t.Helper()
	out, err := w.Encrypt(w.t.Context(), w.root, &crypt.EncryptInput{KeyID: string(k.ID), Plaintext: []byte(text), EncryptionContext: context})
	require.NoError(w.t, err)
	return out.CiphertextBlob
}

// faulty demands a Fault of a kind; text "*" lets any text through.
func faulty(t testing.TB, err error, kind keystore.Kind, text string) {
	t.Helper()
	var f *keystore.Fault
	require.ErrorAs(t, err, &f)
	require.Equal(t, kind, f.Kind, "%v", err)
	if text != "*" {
		require.Equal(t, text, f.Text)
	}
}

func ptr[T any](v T) *T { return &v }

var errLost = backend.Unreachable("", backend.CallUse).Because(errors.New("C_Encrypt: CKR_DEVICE_REMOVED"))

// spy keeps the buffers in which plaintext comes from the token.
type spy struct {
	*backendtest.Memory
	secrets [][]byte
}

func (s *spy) Random(ctx context.Context, p []byte) error {
	s.secrets = append(s.secrets, p)
	return s.Memory.Random(ctx, p)
}

func (s *spy) Open(ctx context.Context, h *backend.Handle, aad, sealed, dst []byte) ([]byte, error) {
	p, err := s.Memory.Open(ctx, h, aad, sealed, dst)
	s.secrets = append(s.secrets, p)
	return p, err
}
