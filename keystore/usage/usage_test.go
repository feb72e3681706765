package usage_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/usage"
	"github.com/strongroom/strongroom/state"
	"github.com/strongroom/strongroom/state/statetest"
)

const (
	region  = "us-east-1"
	account = "000000000000"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) set(t time.Time) { c.mu.Lock(); c.now = t; c.mu.Unlock() }

// world is a recorder on a database of its own, with one key that was made before the recorder.
type world struct {
	*usage.Recorder
	t     testing.TB
	db    keystore.DB
	clock *clock
	root  *keystore.Caller
	key   *keystore.Key
}

func config(db keystore.DB, c keystore.Clock) usage.Config {
	return usage.Config{DB: db, Gate: access.New(access.Config{Directory: db}), Clock: c}
}

func newWorld(t testing.TB, db keystore.DB) *world {
	t.Helper()
	w := &world{t: t, db: db, clock: &clock{now: noon},
		root: &keystore.Caller{Account: account, Region: region, Principal: keystore.RootARN(account), Root: true}}
	w.key = w.add(1, noon.Add(-time.Hour))
	w.open()
	return w
}

func (w *world) open() {
	w.t.Helper()
	var err error
	w.Recorder, err = usage.Open(w.t.Context(), config(w.db, w.clock))
	require.NoError(w.t, err)
}

func (w *world) add(n int, created time.Time) *keystore.Key {
	w.t.Helper()
	k := statetest.Key(region, n)
	k.Account, k.Created, k.State, k.Policy = account, created, keystore.Enabled, access.DefaultPolicy(account)
	require.NoError(w.t, w.db.Update(w.t.Context(), func(tx keystore.Tx) error { return tx.InsertKey(k) }))
	return k
}

func (w *world) view(k *keystore.Key) *usage.View {
	w.t.Helper()
	v, err := w.GetKeyLastUsage(w.t.Context(), w.root, k.ARN())
	require.NoError(w.t, err)
	return v
}

func (w *world) use(k *keystore.Key, a keystore.Action, at time.Time) keystore.LastUse {
	w.Used(k.ARN(), a, at, "event-"+string(a), "request-"+string(a))
	return keystore.LastUse{Region: region, KeyID: k.ID, Action: a, Time: at, EventID: "event-" + string(a), RequestID: "request-" + string(a)}
}

func TestGetKeyLastUsage(t *testing.T) {
	w := newWorld(t, statetest.Open(t))
	v := w.view(w.key)
	assert.Equal(t, w.key.ID, v.Key.ID)
	assert.Equal(t, noon, v.Tracking, "the key is older than the appliance's tracking")
	assert.Zero(t, v.Last)

	first := w.use(w.key, keystore.ActionSign, noon.Add(time.Minute))
	assert.Equal(t, first, w.view(w.key).Last)
	second := w.use(w.key, keystore.ActionVerify, noon.Add(2*time.Minute))
	assert.Equal(t, second, w.view(w.key).Last)
	w.use(w.key, keystore.ActionSign, noon)
	assert.Equal(t, second, w.view(w.key).Last, "calls that end out of order")

	young := w.add(2, noon.Add(time.Hour))
	assert.Equal(t, noon.Add(time.Hour), w.view(young).Tracking)
	assert.Zero(t, w.view(young).Last)

	nobody := &keystore.Caller{Account: account, Region: region, Principal: "arn:aws:iam::" + account + ":user/u"}
	_, err := w.GetKeyLastUsage(t.Context(), nobody, w.key.ARN())
	assert.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err))
	_, err = w.GetKeyLastUsage(t.Context(), w.root, "00000000-0000-4000-8000-00000000ffff")
	assert.Equal(t, keystore.KindNotFound, keystore.KindOf(err))
	_, err = w.GetKeyLastUsage(t.Context(), w.root, "alias/a")
	require.Error(t, err, "key ids and key ARNs only")
}

func TestUsesSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	db := statetest.OpenAt(t, path)
	w := newWorld(t, db)
	last := w.use(w.key, keystore.ActionDecrypt, noon.Add(time.Second))
	require.NoError(t, w.Close())
	require.NoError(t, db.Close())

	w.db = statetest.OpenAt(t, path)
	w.clock.set(noon.Add(48 * time.Hour))
	w.open()
	v := w.view(w.key)
	assert.Equal(t, last, v.Last)
	assert.Equal(t, noon, v.Tracking, "tracking began at the first start")
	newer := w.use(w.key, keystore.ActionEncrypt, noon.Add(48*time.Hour))
	assert.Equal(t, newer, w.view(w.key).Last)
}

func TestWhatIsWrittenIsForgottenAfterADay(t *testing.T) {
	w := newWorld(t, statetest.Open(t))
	last := w.use(w.key, keystore.ActionSign, noon)
	require.NoError(t, w.Flush(t.Context()))
	w.clock.set(noon.Add(25 * time.Hour))
	require.NoError(t, w.Flush(t.Context()))
	assert.Equal(t, last, w.view(w.key).Last, "the database has it")
	next := w.use(w.key, keystore.ActionVerify, noon.Add(25*time.Hour))
	assert.Equal(t, next, w.view(w.key).Last)
}

// A use is noted also while somebody reads or writes the last one.
func TestNoUseIsMissedForAReader(t *testing.T) {
	w := newWorld(t, statetest.Open(t))
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				_, err := w.GetKeyLastUsage(context.WithoutCancel(ctx), w.root, w.key.ARN())
				assert.NoError(t, err)
			}
		})
	}
	missed := 0
	for i := range 20_000 {
		at := noon.Add(time.Duration(i) * time.Millisecond)
		w.Used(w.key.ARN(), keystore.ActionSign, at, "e", "r")
		if v, err := w.GetKeyLastUsage(t.Context(), w.root, w.key.ARN()); err != nil || !v.Last.Time.Equal(at) {
			missed++
		}
	}
	stop()
	readers.Wait()
	assert.Zero(t, missed)
}

func TestUsesOfNoKeys(t *testing.T) {
	w := newWorld(t, statetest.Open(t))
	gone := w.add(7, noon)
	for _, arn := range []string{"", "key", "arn:aws:kms:us-east-1:1:alias/a", "a:b:c:d:e"} {
		w.Used(arn, keystore.ActionSign, noon, "e", "r")
	}
	w.use(gone, keystore.ActionSign, noon)
	require.NoError(t, w.db.Update(t.Context(), func(tx keystore.Tx) error {
		k, err := tx.Key(region, gone.ID)
		if err != nil {
			return err
		}
		return tx.DeleteKey(k)
	}))
	require.NoError(t, w.Flush(t.Context()), "a key that was deleted since")
}

// failing is a database whose changes fail on demand.
type failing struct {
	*state.DB
	mu  sync.Mutex
	err error
}

func (f *failing) set(err error) { f.mu.Lock(); f.err = err; f.mu.Unlock() }

func (f *failing) Update(ctx context.Context, fn func(keystore.Tx) error) error {
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.DB.Update(ctx, fn)
}

func TestWhatCouldNotBeWrittenStaysNoted(t *testing.T) {
	db := &failing{DB: statetest.Open(t)}
	w := newWorld(t, db)
	last := w.use(w.key, keystore.ActionSign, noon)
	full := errors.New("the disk is full")
	db.set(full)
	require.ErrorIs(t, w.Flush(t.Context()), full)
	assert.Equal(t, last, w.view(w.key).Last)
	_, err := usage.Open(t.Context(), config(db, w.clock))
	require.ErrorIs(t, err, full)
	db.set(nil)
	require.NoError(t, w.Flush(t.Context()))
	w.open()
	assert.Equal(t, last, w.view(w.key).Last)
}

func TestRunWritesAndEnds(t *testing.T) {
	db := statetest.Open(t)
	w := newWorld(t, db)
	cfg := config(db, w.clock)
	cfg.Interval = time.Millisecond
	r, err := usage.Open(t.Context(), cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.Used(w.key.ARN(), keystore.ActionSign, noon, "e", "r")
	require.Eventually(t, func() bool {
		err := db.View(t.Context(), func(tx keystore.Tx) error { _, err := tx.LastUse(region, w.key.ID); return err })
		return err == nil
	}, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func TestManyUsesAtOnce(t *testing.T) {
	w := newWorld(t, statetest.Open(t))
	keys := []*keystore.Key{w.key}
	for n := 2; n < 20; n++ {
		keys = append(keys, w.add(n, noon))
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				w.Used(keys[(g+i)%len(keys)].ARN(), keystore.ActionSign, noon.Add(time.Duration(i)*time.Millisecond), "e", "r")
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			w.clock.set(noon.Add(time.Duration(i) * 25 * time.Hour))
			assert.NoError(t, w.Flush(context.WithoutCancel(t.Context())))
		}
	})
	wg.Wait()
	for _, k := range keys {
		assert.Equal(t, keystore.ActionSign, w.view(k).Last.Action)
	}
}

func TestUsedAllocatesNothing(t *testing.T) {
	w := newWorld(t, statetest.Open(t))
	arn := w.key.ARN()
	w.Used(arn, keystore.ActionSign, noon, "e", "r")
	assert.Zero(t, testing.AllocsPerRun(100, func() { w.Used(arn, keystore.ActionSign, noon, "e", "r") }))
}

func BenchmarkUsed(b *testing.B) {
	w := newWorld(b, statetest.Open(b))
	arn := w.key.ARN()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w.Used(arn, keystore.ActionSign, noon, "e", "r")
		}
	})
}
