package custom_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/custom"
)

// TestManyHandsOnFewStores lets many callers connect, disconnect, rename, hold and look at stores whose openers fail, hang
// and come late, and then asks that rows, routes and open backends agree and that nothing was lost. Its time is a bubble's, so
// that the short bounds are overrun by openers alone, and never by a busy machine.
func TestManyHandsOnFewStores(t *testing.T) { bubble(t, manyHands) }

func manyHands(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.mconfig.Timeout, b.mconfig.DrainTimeout = 30*time.Millisecond, 5*time.Millisecond
		b.mconfig.RetryMin, b.mconfig.RetryMax = time.Millisecond, 5*time.Millisecond
	})
	b.opener.set(func(ctx context.Context, _ *keystore.Store, _ int) error {
		switch rand.IntN(6) {
		case 0:
			return wrongPIN(ctx, nil, 0)
		case 1:
			<-ctx.Done()
			return ctx.Err()
		case 2:
			time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		}
		return nil
	})
	ids := []keystore.StoreID{b.create("one", clusterA), b.create("two", clusterB)}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for range 400 {
				time.Sleep(time.Duration(rand.IntN(15)) * time.Millisecond)
				id := ids[rand.IntN(len(ids))]
				var err error
				switch rand.IntN(10) {
				case 0, 1, 2, 3:
					err = b.service.ConnectCustomKeyStore(t.Context(), caller, id)
				case 4, 5, 6:
					err = b.service.DisconnectCustomKeyStore(t.Context(), caller, id)
				case 7:
					err = b.service.UpdateCustomKeyStore(t.Context(), caller,
						&custom.UpdateInput{CustomKeyStoreID: id, NewCustomKeyStoreName: "named " + string(id)})
				case 8:
					b.manager.Hold()
					time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
					b.manager.Release()
				case 9:
					if got, conn := b.manager.Resolve(region, id); conn == keystore.Connected {
						assert.NotNil(t, got)
					} else {
						assert.Nil(t, got)
					}
				}
				if err != nil {
					assert.Equal(t, keystore.KindCustomKeyStoreInvalidState, keystore.KindOf(err), "%v", err)
				}
			}
		})
	}
	wg.Wait()
	b.settle()
	connected := 0
	for _, id := range ids {
		row := b.row(id)
		assert.Contains(t, []keystore.ConnState{keystore.Connected, keystore.Disconnected, keystore.Failed}, row.Conn, "at rest")
		assert.Equal(t, row.Conn, b.resolve(id))
		if row.Conn == keystore.Connected {
			connected++
		}
	}
	time.Sleep(time.Minute)
	assert.Zero(t, b.opener.calls.Load())
	assert.Equal(t, connected, b.opener.stillOpen(t), "what is open is what is connected, once stragglers are back")

	b.opener.set(nil)
	for _, id := range ids {
		if conn := b.row(id).Conn; conn != keystore.Connected {
			if conn == keystore.Failed {
				b.disconnect(id)
				b.settle()
			}
			b.connect(id)
		}
	}
	b.settle()
	for _, id := range ids {
		assert.Equal(t, keystore.Connected, b.resolve(id), "every store can still be connected")
	}
}

// TestCrashAtEveryStep stops the manager without warning at every step of a connect and a disconnect, and starts it again.
func TestCrashAtEveryStep(t *testing.T) {
	for crash := range 6 {
		bubble(t, func(t *testing.T) {
			var left atomic.Int64
			left.Store(int64(crash))
			b := newBench(t, func(b *bench) {
				b.mconfig.DB = &failingDB{DB: b.db, refuse: func() bool { return left.Add(-1) < 0 }}
			})
			id := b.create("one", clusterA)
			b.connect(id)
			time.Sleep(time.Second)
			if b.row(id).Conn == keystore.Connected {
				b.disconnect(id)
				time.Sleep(time.Second)
			}
			wanted := b.row(id).Conn
			left.Store(1 << 30)
			b.restart()
			b.settle()
			switch wanted {
			case keystore.Connecting, keystore.Connected:
				assert.Equal(t, keystore.Connected, b.resolve(id))
			default:
				assert.Equal(t, keystore.Disconnected, b.resolve(id))
			}
			assert.Equal(t, b.row(id).Conn, b.resolve(id))
		})
	}
}

func TestSeveralStoresAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		b.opener.set(func(ctx context.Context, s *keystore.Store, _ int) error {
			if s.ClusterID == clusterB {
				<-ctx.Done() // a token that hangs holds up no other store
				return ctx.Err()
			}
			return nil
		})
		one, two := b.create("one", clusterA), b.create("two", clusterB)
		b.connect(two)
		b.connect(one)
		time.Sleep(time.Second)
		assert.Equal(t, keystore.Connected, b.resolve(one))
		assert.Equal(t, keystore.Connecting, b.resolve(two))
		b.disconnect(two)
		b.settle()
	})
}

func TestNewRefusesMissingPorts(t *testing.T) {
	_, err := custom.New(custom.Config{})
	assert.Error(t, err)
	_, err = custom.NewManager(custom.ManagerConfig{})
	assert.Error(t, err)
}

func TestServiceAndManagerAgreeOnRotation(t *testing.T) {
	b := newBench(t)
	b.config.Clusters = map[string]keystore.Cluster{clusterA: {ID: clusterA, RotatesPIN: true}}
	_, err := custom.New(b.config)
	assert.ErrorContains(t, err, clusterA)
}

func TestOpenersPickByType(t *testing.T) {
	o := &scripted{}
	openers := custom.Openers{keystore.StoreCloudHSM: o}
	_, err := openers.Open(t.Context(), &keystore.Store{ID: "cks-1", Type: keystore.StoreCloudHSM}, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, o.count("cks-1"))
	_, err = openers.Open(t.Context(), &keystore.Store{ID: "cks-1", Type: keystore.StoreXKS}, nil)
	var ce *custom.ConnectError
	require.True(t, errors.As(err, &ce))
	assert.Equal(t, keystore.ConnInternalError, ce.Code)
}

func TestResolveMakesNoGarbage(t *testing.T) {
	b := newBench(t, func(b *bench) {
		b.mconfig.Defaults = map[string]backend.Backend{region: &link{store: &keystore.Store{}}}
	})
	id := b.connected("one", clusterA)
	for _, id := range []keystore.StoreID{"", id, "cks-unknown"} {
		assert.Zero(t, testing.AllocsPerRun(100, func() { b.manager.Resolve(region, id) }))
	}
}

func BenchmarkResolve(b *testing.B) {
	m, err := custom.NewManager(custom.ManagerConfig{DB: noDB{}, Opener: &scripted{}, Secrets: &plainVault{},
		Defaults: map[string]backend.Backend{region: &link{store: &keystore.Store{}}}})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, m.Close()) })
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if got, _ := m.Resolve(region, ""); got == nil {
				b.Error("no default store")
			}
		}
	})
}

// noDB is never asked.
type noDB struct{ keystore.DB }

func FuzzTrustAnchor(f *testing.F) {
	for _, s := range []string{anchorA, anchorA + anchorB, "", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "\n\n" + anchorB} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		der, err := custom.Certificate(text)
		if err != nil {
			return
		}
		again, err := custom.Certificate("\r\n" + text + " ")
		require.NoError(t, err)
		require.True(t, slices.Equal(der, again))
		require.NotEmpty(t, der)
	})
}
