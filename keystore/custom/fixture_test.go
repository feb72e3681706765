package custom_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/custom"
	"github.com/strongroom/strongroom/state/statetest"
)

const (
	region   = "us-east-1"
	account  = "000000000000"
	clusterA = "cluster-2aaaaaaaaaa"
	clusterB = "cluster-2bbbbbbbbbb"
	clusterC = "cluster-2cccccccccc" // related to A
	password = "kmsPswd1"
)

var caller = &keystore.Caller{Account: account, Region: region, Principal: keystore.RootARN(account), Root: true}

type clock struct{}

func (clock) Now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// plainVault stands in for a token in tests of the connection machinery alone; the tests on tokens use the real vault.
type plainVault struct{ broken atomic.Bool }

func (v *plainVault) Seal(_ context.Context, purpose string, p []byte) ([]byte, error) {
	if v.broken.Load() {
		return nil, errors.New("vault is broken")
	}
	return append([]byte(purpose+"\x00"), p...), nil
}

func (v *plainVault) Open(_ context.Context, purpose string, sealed []byte) ([]byte, error) {
	if v.broken.Load() {
		return nil, errors.New("vault is broken")
	}
	if len(sealed) <= len(purpose) || string(sealed[:len(purpose)+1]) != purpose+"\x00" {
		return nil, fmt.Errorf("not sealed for %s", purpose)
	}
	return append([]byte(nil), sealed[len(purpose)+1:]...), nil
}

func (v *plainVault) Digest(purpose string, secret []byte) []byte {
	mac := hmac.New(sha256.New, []byte(purpose))
	mac.Write(secret)
	return mac.Sum(nil)
}

// scripted is an opener that fails, hangs or opens as it is told.
type scripted struct {
	mu      sync.Mutex
	open    func(ctx context.Context, s *keystore.Store, attempt int) error
	tries   map[keystore.StoreID]int
	secrets []string
	opened  []*link
	calls   atomic.Int32 // under way
}

func (o *scripted) Open(ctx context.Context, s *keystore.Store, secret []byte) (backend.Backend, error) {
	o.calls.Add(1)
	defer o.calls.Add(-1)
	o.mu.Lock()
	if o.tries == nil {
		o.tries = make(map[keystore.StoreID]int)
	}
	o.tries[s.ID]++
	n, open := o.tries[s.ID], o.open
	o.secrets = append(o.secrets, string(secret))
	o.mu.Unlock()
	if open != nil {
		if err := open(ctx, s, n); err != nil {
			return nil, err
		}
	}
	b := &link{store: s.Clone()}
	o.mu.Lock()
	o.opened = append(o.opened, b)
	o.mu.Unlock()
	return b, nil
}

func (o *scripted) count(id keystore.StoreID) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tries[id]
}

func (o *scripted) set(fn func(ctx context.Context, s *keystore.Store, attempt int) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = fn
}

// stillOpen counts the backends that were not closed, and fails on one closed twice.
func (o *scripted) stillOpen(t *testing.T) int {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, b := range o.opened {
		switch c := b.closed.Load(); {
		case c == 0:
			n++
		case c > 1:
			t.Errorf("a backend was closed %d times", c)
		}
	}
	return n
}

// link is a backend without keys that knows whether it was drained and closed.
type link struct {
	store   *keystore.Store
	drain   func(ctx context.Context) error
	drained atomic.Int32
	closed  atomic.Int32
}

func (l *link) Identity() keystore.TokenIdentity {
	return keystore.TokenIdentity{Label: string(l.store.ID)}
}

func (l *link) CreateKey(context.Context, backend.Handle) (backend.Created, error) {
	return backend.Created{}, errors.New("no keys here")
}

func (l *link) DestroyKey(context.Context, backend.Handle) (bool, error) { return false, nil }

func (l *link) Health(context.Context) error { return nil }

func (l *link) Close() error {
	l.closed.Add(1)
	return nil
}

func (l *link) Drain(ctx context.Context) error {
	l.drained.Add(1)
	if l.drain != nil {
		return l.drain(ctx)
	}
	return nil
}

// bench is a service with its manager on a real database.
type bench struct {
	t       *testing.T
	db      keystore.DB
	vault   *plainVault
	opener  *scripted
	manager *custom.Manager
	service *custom.Service
	config  custom.Config
	mconfig custom.ManagerConfig
}

func newBench(t *testing.T, change ...func(*bench)) *bench {
	t.Helper()
	b := &bench{t: t, db: statetest.Open(t), vault: &plainVault{}, opener: &scripted{}}
	b.mconfig = custom.ManagerConfig{DB: b.db, Opener: b.opener, Secrets: b.vault, Timeout: 20 * time.Minute}
	b.config = custom.Config{DB: b.db, Gate: access.New(access.Config{Directory: b.db}), Clock: clock{}, Random: rand.Reader, Secrets: b.vault,
		Clusters: map[string]keystore.Cluster{
			clusterA: {ID: clusterA, TrustAnchor: anchorA, RelatedGroup: "a"},
			clusterB: {ID: clusterB, TrustAnchor: anchorB},
			clusterC: {ID: clusterC, TrustAnchor: anchorA, RelatedGroup: "a"},
		}}
	for _, fn := range change {
		fn(b)
	}
	b.start()
	return b
}

// start makes a manager and a service, as a start of the appliance does.
func (b *bench) start() {
	b.t.Helper()
	m, err := custom.NewManager(b.mconfig)
	require.NoError(b.t, err)
	b.manager, b.config.Manager = m, m
	b.service, err = custom.New(b.config)
	require.NoError(b.t, err)
	require.NoError(b.t, m.Start(b.t.Context()))
	b.t.Cleanup(func() { require.NoError(b.t, m.Close()) })
}

// restart ends the manager and starts another on the same rows.
func (b *bench) restart() {
	b.t.Helper()
	require.NoError(b.t, b.manager.Close())
	b.start()
}

func (b *bench) settle() {
	b.t.Helper()
	require.NoError(b.t, b.manager.Wait(b.t.Context()))
}

func (b *bench) create(name, cluster string) keystore.StoreID {
	b.t.Helper()
	anchor := anchorA
	if cluster == clusterB {
		anchor = anchorB
	}
	id, err := b.service.CreateCustomKeyStore(b.t.Context(), caller, &custom.CreateInput{CustomKeyStoreName: name,
		CloudHsmClusterID: cluster, KeyStorePassword: password, TrustAnchorCertificate: anchor})
	require.NoError(b.t, err)
	return id
}

func (b *bench) connect(id keystore.StoreID) {
	b.t.Helper()
	require.NoError(b.t, b.service.ConnectCustomKeyStore(b.t.Context(), caller, id))
}

func (b *bench) disconnect(id keystore.StoreID) {
	b.t.Helper()
	require.NoError(b.t, b.service.DisconnectCustomKeyStore(b.t.Context(), caller, id))
}

// connected makes a CONNECTED store.
func (b *bench) connected(name, cluster string) keystore.StoreID {
	b.t.Helper()
	id := b.create(name, cluster)
	b.connect(id)
	b.settle()
	require.Equal(b.t, keystore.Connected, b.row(id).Conn)
	return id
}

func (b *bench) row(id keystore.StoreID) *keystore.Store {
	b.t.Helper()
	var s *keystore.Store
	require.NoError(b.t, b.db.View(b.t.Context(), func(tx keystore.Tx) error {
		var err error
		s, err = tx.Store(region, id)
		return err
	}))
	return s
}

// force writes a connection state, as a crash may have left it.
func (b *bench) force(id keystore.StoreID, c keystore.ConnState) {
	b.t.Helper()
	require.NoError(b.t, b.db.Update(b.t.Context(), func(tx keystore.Tx) error {
		s, err := tx.Store(region, id)
		if err != nil {
			return err
		}
		s.Conn, s.ConnError = c, ""
		if c == keystore.Failed {
			s.ConnError = keystore.ConnInternalError
		}
		return tx.UpdateStore(s)
	}))
}

func (b *bench) resolve(id keystore.StoreID) keystore.ConnState {
	b.t.Helper()
	got, conn := b.manager.Resolve(region, id)
	require.Equal(b.t, conn == keystore.Connected, got != nil, "a backend is there when CONNECTED, and only then")
	return conn
}
