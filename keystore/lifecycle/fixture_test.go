package lifecycle_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/lifecycle"
	"github.com/strongroom/strongroom/state"
	"github.com/strongroom/strongroom/state/statetest"
)

const (
	region  = "us-east-1"
	account = "000000000000"
	absent  = "00000000-0000-4000-8000-000000000000" // the id of no key
)

// clock is moved by tests.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// stores is the resolver of tests.
type stores struct {
	mu    sync.Mutex
	known map[keystore.StoreID]connected
}

type connected struct {
	b    backend.Backend
	conn keystore.ConnState
}

func (s *stores) Resolve(_ string, id keystore.StoreID) (backend.Backend, keystore.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.known[id]
	if !ok {
		return nil, keystore.Disconnected
	}
	if c.conn != keystore.Connected {
		return nil, c.conn
	}
	return c.b, c.conn
}

func (s *stores) set(id keystore.StoreID, b backend.Backend, conn keystore.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[id] = connected{b, conn}
}

// turn changes a store's connection state.
func (s *stores) turn(id keystore.StoreID, conn keystore.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.known[id]
	c.conn = conn
	s.known[id] = c
}

// journal keeps events, and refuses them while it is told to.
type journal struct {
	mu     sync.Mutex
	events []audit.Event
	err    error
}

func (j *journal) Append(_ context.Context, e *audit.Event, _ bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.events = append(j.events, *e)
	}
	return j.err
}

func (j *journal) refuse(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
}

// named gives the events of a name.
func (j *journal) named(name string) []audit.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []audit.Event
	for _, e := range j.events {
		if e.Name == name {
			out = append(out, e)
		}
	}
	return out
}

// about gives the events of a name about one key.
func (j *journal) about(name, arn string) []audit.Event {
	return slices.DeleteFunc(j.named(name), func(e audit.Event) bool { return e.Resources[0].ARN != arn })
}

func details(t testing.TB, o audit.Object) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal(o.JSON(), &m))
	return m
}

// world is an appliance without a front door.
type world struct {
	*lifecycle.Service
	t      testing.TB
	db     *state.DB
	clock  *clock
	stores *stores
	token  *backendtest.Memory // of the default store
	log    *journal
	root   *keystore.Caller
	cfg    lifecycle.Config
}

func newWorld(t testing.TB, change ...func(*lifecycle.Config)) *world {
	t.Helper()
	w := &world{
		t: t, db: statetest.Open(t), clock: &clock{now: time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)},
		stores: &stores{known: map[keystore.StoreID]connected{}}, token: backendtest.NewMemory("default"), log: &journal{},
		root: &keystore.Caller{Account: account, Region: region, Principal: keystore.RootARN(account), Root: true},
	}
	w.stores.set("", w.token, keystore.Connected)
	w.cfg = lifecycle.Config{
		DB: w.db, Resolver: w.stores, Gate: access.New(access.Config{Directory: w.db}), Clock: w.clock, Random: rand.Reader,
		Audit: w.log, Account: account, Regions: []string{region},
	}
	for _, c := range change {
		c(&w.cfg)
	}
	w.restart()
	return w
}

// restart makes the service anew, as after a crash: what it knew of work in progress is gone.
func (w *world) restart() { w.Service = lifecycle.New(w.cfg) }

// store adds a custom key store with a token of its own, connected.
func (w *world) store(name string) (keystore.StoreID, *backendtest.Memory) {
	w.t.Helper()
	id, err := keystore.NewStoreID(rand.Reader)
	require.NoError(w.t, err)
	require.NoError(w.t, w.db.Update(w.t.Context(), func(tx keystore.Tx) error {
		return tx.InsertStore(&keystore.Store{ID: id, Account: account, Region: region, Name: name, Type: keystore.StoreCloudHSM,
			Created: w.clock.Now(), Conn: keystore.Connected, ClusterID: "cluster-" + name, TrustAnchor: "anchor"})
	}))
	m := backendtest.NewMemory(name)
	w.stores.set(id, m, keystore.Connected)
	return id, m
}

// user adds a principal with policies and gives the caller that it is.
func (w *world) user(name string, policies ...string) *keystore.Caller {
	w.t.Helper()
	p := &keystore.Principal{ARN: "arn:aws:iam::" + account + ":user/" + name, Kind: keystore.PrincipalUser, Name: name, Created: w.clock.Now()}
	require.NoError(w.t, w.db.Update(w.t.Context(), func(tx keystore.Tx) error { return tx.InsertPrincipal(p) }))
	return &keystore.Caller{Account: account, Region: region, Principal: p.ARN, Policies: policies}
}

func (w *world) create(in lifecycle.CreateKeyInput) *keystore.Key {
	w.t.Helper()
	v, err := w.CreateKey(w.t.Context(), w.root, &in)
	require.NoError(w.t, err)
	return v.Key
}

// inStore creates a key in a custom key store.
func (w *world) inStore(id keystore.StoreID) *keystore.Key {
	w.t.Helper()
	return w.create(lifecycle.CreateKeyInput{Origin: "AWS_CLOUDHSM", CustomKeyStoreID: string(id)})
}

// rows gives the ledger rows of a key, or all.
func (w *world) rows(arn string) []*keystore.Material {
	w.t.Helper()
	var rows []*keystore.Material
	require.NoError(w.t, w.db.View(w.t.Context(), func(tx keystore.Tx) (err error) {
		if arn != "" {
			rows, err = tx.MaterialsOfKey(arn)
		} else {
			rows, err = tx.Materials(keystore.MaterialID{}, 10_000)
		}
		return err
	}))
	return rows
}

// row gives the only ledger row of a key.
func (w *world) row(arn string) *keystore.Material {
	w.t.Helper()
	rows := w.rows(arn)
	require.Len(w.t, rows, 1)
	return rows[0]
}

// sweep deletes what is due.
func (w *world) sweep() lifecycle.SweepReport {
	w.t.Helper()
	report, err := lifecycle.NewSweeper(w.Service).SweepOnce(w.t.Context(), w.clock.Now())
	require.NoError(w.t, err)
	return report
}

func (w *world) reconcile() lifecycle.ReconcileReport {
	w.t.Helper()
	report, err := lifecycle.NewReconciler(w.Service).ReconcileOnce(w.t.Context())
	require.NoError(w.t, err)
	return report
}

// doom schedules a key's deletion and moves the clock past its end.
func (w *world) doom(k *keystore.Key) {
	w.t.Helper()
	_, err := w.ScheduleKeyDeletion(w.t.Context(), w.root, string(k.ID), 7)
	require.NoError(w.t, err)
	w.clock.advance(7*24*time.Hour + time.Minute)
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

// fuse stops the appliance at a step, as kill -9 would: once it has blown, whatever comes to any step ends there.
type fuse struct {
	mu    sync.Mutex
	armed bool
	after int    // steps to let pass
	at    string // only this step counts; "" is any
	blown string // the step where it blew
}

func (f *fuse) arm(at string, after int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.at, f.after, f.blown = true, at, after, ""
}

func (f *fuse) disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.blown = false, ""
}

// hook is Config.Hook.
func (f *fuse) hook(step string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed {
		return
	}
	if f.blown == "" && (f.at == "" || f.at == step) {
		if f.after == 0 {
			f.blown = step
		}
		f.after--
	}
	if f.blown != "" {
		runtime.Goexit()
	}
}

// run does something that may be stopped, and tells where it was.
func (f *fuse) run(fn func()) (stoppedAt string) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	<-done
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.blown
}

// crash is what a hook panics with.
type crash struct{ step string }

// crashing runs fn and tells whether it was stopped at a step.
func crashing(fn func()) (at string) {
	defer func() {
		if r := recover(); r != nil {
			c, ok := r.(crash)
			if !ok {
				panic(r)
			}
			at = c.step
		}
	}()
	fn()
	return ""
}

var errLost = errors.New("C_GenerateKey: CKR_DEVICE_REMOVED")

// contextOf is a context of the test's own that ends with it at the latest.
func contextOf(t testing.TB) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}
