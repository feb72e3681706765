package custom

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// ConnectError is what an Opener answers: a ConnectionErrorCode and the cause for operators.
type ConnectError = backend.ConnectError

// Opener opens the backend of a store.
type Opener interface {
	// Open connects to what stands behind the store, with its secret (kmsuser PIN or XKS secret key) in the clear; secret
	// is wiped when Open has returned. It tries the secret at most once. It honours ctx as far as the store's driver lets
	// it. Failures that it can name are *ConnectError; every other error is INTERNAL_ERROR.
	Open(ctx context.Context, s *keystore.Store, secret []byte) (backend.Backend, error)
}

// Vault seals secrets with a key on the appliance's token. What was sealed for one purpose cannot be opened for another.
type Vault interface {
	Seal(ctx context.Context, purpose string, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, purpose string, sealed []byte) ([]byte, error)
	// Digest is a keyed digest: equal secrets have equal digests under one purpose, and nobody without the key learns more.
	Digest(purpose string, secret []byte) []byte
}

// ManagerConfig is what a Manager works with. DB, Opener and Secrets are required.
type ManagerConfig struct {
	DB      keystore.DB
	Opener  Opener
	Secrets Vault
	// Clusters are those of the configuration, by CloudHsmClusterId: they say where a connect rotates the kmsuser password.
	Clusters map[string]keystore.Cluster
	// Random makes new passwords; nil is crypto/rand.
	Random io.Reader
	// Defaults are the default stores by Region. The manager closes them.
	Defaults map[string]backend.Backend
	// Timeout bounds one attempt to connect; 0 is DefaultConnectTimeout. (AWS: up to 20 minutes for a CloudHSM cluster.)
	Timeout time.Duration
	// DrainTimeout bounds how long a disconnect waits for calls in flight; 0 is DefaultDrainTimeout.
	DrainTimeout time.Duration
	// RetryMin and RetryMax bound the pause between attempts to find the token of a store that was connected when the
	// appliance stopped; 0 are DefaultRetryMin and DefaultRetryMax.
	RetryMin, RetryMax time.Duration
	// OnConnected is told of every store that became usable, after its row says so. It must not block.
	OnConnected func(region string, store keystore.StoreID)
	// Logger is told of attempts that fail; nil is silence.
	Logger *slog.Logger
}

// Defaults of ManagerConfig.
const (
	DefaultConnectTimeout = 2 * time.Minute
	DefaultDrainTimeout   = 10 * time.Second
	DefaultRetryMin       = 250 * time.Millisecond
	DefaultRetryMax       = 15 * time.Second
)

// Manager owns the connections to key stores: it opens and closes their backends and resolves stores to them.
//
// The rows in the database say what is wanted, and the manager is driven by them: one goroutine per store, while there is
// something to do for it, reads the row and takes the step that its connection state asks for. A change to a row is
// followed by Connect or Disconnect, which wake that goroutine; waking it once too often does no harm, and after a crash
// Start takes up what the rows say. Each step ends by a change of the row that fails if the row was changed meanwhile.
type Manager struct {
	cfg    ManagerConfig
	log    *slog.Logger
	routes atomic.Pointer[routes]

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	wg   sync.WaitGroup // the goroutines of links
	// openers are calls of Opener.Open under way, each in a goroutine of its own, for one may hang for longer than its store
	// is wanted.
	openers sync.WaitGroup

	mu      sync.Mutex
	links   map[storeKey]*link // guarded by mu; an entry stays while its store has a goroutine or a backend
	held    chan struct{}      // guarded by mu; nil unless transitions are held, closed by Release
	running int                // guarded by mu: links that are active and not parked
	changed chan struct{}      // guarded by mu: closed and replaced when running falls to zero
	closed  bool               // guarded by mu
}

// NewManager makes a manager. It serves the default stores at once and touches nothing else before Start.
func NewManager(cfg ManagerConfig) (*Manager, error) {
	if cfg.DB == nil || cfg.Opener == nil || cfg.Secrets == nil {
		return nil, errors.New("manager of custom key stores: DB, Opener and Secrets are required")
	}
	setDefault(&cfg.Timeout, DefaultConnectTimeout)
	setDefault(&cfg.DrainTimeout, DefaultDrainTimeout)
	setDefault(&cfg.RetryMin, DefaultRetryMin)
	setDefault(&cfg.RetryMax, DefaultRetryMax)
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &Manager{cfg: cfg, log: cfg.Logger, ctx: ctx, stop: stop,
		links: make(map[storeKey]*link), changed: make(chan struct{})}
	first := make(routes, len(cfg.Defaults))
	for region, b := range cfg.Defaults {
		first[storeKey{region: region}] = route{keystore.Connected, b}
	}
	m.routes.Store(&first)
	return m, nil
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

// Start takes up every store where its row left it: CONNECTED and CONNECTING stores are connected, DISCONNECTING ones
// become DISCONNECTED. It returns when all are under way; Wait waits for them. A store that was CONNECTED stays so while its
// token is missing, and is looked for again and again; its calls fail with AWS's fault meanwhile.
func (m *Manager) Start(ctx context.Context) error {
	var found []*keystore.Store
	err := m.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		var err error
		found, err = allStores(tx, "")
		return err
	})
	if err != nil {
		return fmt.Errorf("read custom key stores: %w", err)
	}
	for _, s := range found {
		m.mu.Lock()
		key := storeKey{s.Region, s.ID}
		switch s.Conn {
		case keystore.Connected:
			m.publishLocked(key, keystore.Connected, newAway(s, backend.ErrOpening))
		case keystore.Disconnected, keystore.Failed:
			m.publishLocked(key, s.Conn, nil)
			m.mu.Unlock()
			continue
		default:
			m.publishLocked(key, s.Conn, nil)
		}
		m.wakeLocked(key)
		if l := m.links[key]; l != nil {
			l.resumed = true
		}
		m.mu.Unlock()
	}
	return nil
}

// Connect takes up a store whose row was just made CONNECTING. It returns at once.
func (m *Manager) Connect(s *keystore.Store) { m.follow(s) }

// Disconnect takes up a store whose row was just made DISCONNECTING or DISCONNECTED: when it returns, no new call is sent
// to the store's backend and an attempt to connect is cancelled; the rest follows in the background.
func (m *Manager) Disconnect(s *keystore.Store) { m.follow(s) }

// Refresh takes up a store whose row was changed otherwise: a CONNECTED store that is to be reached in another way is
// connected anew, and served by the old connection until then.
func (m *Manager) Refresh(s *keystore.Store) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.Conn == keystore.Connected {
		m.wakeLocked(storeKey{s.Region, s.ID})
	}
}

// Forget takes up a store whose row was just deleted.
func (m *Manager) Forget(s *keystore.Store) {
	gone := s.Clone()
	gone.Conn = keystore.Disconnected
	m.follow(gone)
}

// follow publishes the connection of a row that is no longer CONNECTED, and wakes the store's goroutine. A row older than
// the one that the goroutine works on changes nothing.
func (m *Manager) follow(s *keystore.Store) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	key := storeKey{s.Region, s.ID}
	l := m.links[key]
	if l == nil || l.revision <= s.Revision {
		m.publishLocked(key, s.Conn, nil)
		if l != nil && s.Conn != keystore.Connecting {
			l.interruptLocked()
		}
	}
	m.wakeLocked(key)
}

// Hold keeps attempts to connect from beginning: stores stay CONNECTING until Release.
func (m *Manager) Hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		m.held = make(chan struct{})
	}
}

// Release lets the attempts begin that Hold kept back.
func (m *Manager) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		return
	}
	close(m.held)
	m.held = nil
	for _, l := range m.links {
		m.unparkLocked(l)
	}
}

// Wait returns when no transition is under way, or with ctx's error. Transitions that are held, and stores whose token is
// looked for again later, are not waited for.
func (m *Manager) Wait(ctx context.Context) error {
	for {
		m.mu.Lock()
		idle, changed := m.running == 0, m.changed
		m.mu.Unlock()
		if idle {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Close ends every goroutine and closes every backend, the default stores' too. The rows stay as they are, so that the next
// start connects the same stores. Calls after it resolve to nothing.
func (m *Manager) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.routes.Store(&routes{})
	m.stop()
	m.mu.Unlock()
	m.wg.Wait()

	var errs []error
	if !m.awaitOpeners() {
		errs = append(errs, errors.New("an attempt to connect a key store still hangs"))
	}
	// All are drained at once: a token that hangs costs the time of one, however many stores there are.
	open := m.openBackends()
	var drains sync.WaitGroup
	for b := range open {
		drains.Go(func() { m.drain(context.Background(), b) })
	}
	drains.Wait()
	for b := range open {
		if err := b.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close a key store: %w", err))
		}
	}
	return errors.Join(errs...)
}

// awaitOpeners waits, bounded, for attempts that were abandoned.
func (m *Manager) awaitOpeners() bool {
	done := make(chan struct{})
	go func() {
		m.openers.Wait()
		close(done)
	}()
	t := time.NewTimer(m.cfg.DrainTimeout)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// openBackends is the set of all backends that are open once every goroutine has ended. One backend may be the default
// store of several Regions.
func (m *Manager) openBackends() map[backend.Backend]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	open := make(map[backend.Backend]bool)
	for _, b := range m.cfg.Defaults {
		open[b] = true
	}
	for _, l := range m.links {
		if l.backend != nil {
			open[l.backend] = true
		}
	}
	return open
}

// retire waits, bounded, for the calls in flight and closes a backend that is no longer published.
func (m *Manager) retire(ctx context.Context, b backend.Backend) error {
	m.drain(ctx, b)
	return b.Close()
}

// drain waits, bounded, for the calls in flight of a backend.
func (m *Manager) drain(ctx context.Context, b backend.Backend) {
	d, ok := b.(backend.Drainer)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.DrainTimeout)
	defer cancel()
	if err := d.Drain(ctx); err != nil {
		m.log.WarnContext(ctx, "calls still in flight as a key store is closed", "error", err)
	}
}

// allStores lists the stores of a Region, or of all Regions where region is "".
func allStores(tx keystore.Tx, region string) ([]*keystore.Store, error) {
	const chunk = 100
	var all []*keystore.Store
	after := keystore.StoreID("")
	for {
		page, err := tx.Stores(region, after, chunk)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < chunk {
			return all, nil
		}
		after = page[len(page)-1].ID
	}
}
