package custom_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/custom"
)

func missingToken(context.Context, *keystore.Store, int) error {
	return &custom.ConnectError{Code: keystore.ConnClusterNotFound, Cause: errors.New("no such token")}
}

func wrongPIN(context.Context, *keystore.Store, int) error {
	return &custom.ConnectError{Code: keystore.ConnInvalidCredentials, Cause: errors.New("CKR_PIN_INCORRECT")}
}

func hang(ctx context.Context, _ *keystore.Store, _ int) error {
	<-ctx.Done()
	return ctx.Err()
}

// bubble runs a test under a clock of its own.
func bubble(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, fn)
}

func TestConnectThenDisconnect(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told []keystore.StoreID
		b := newBench(t, func(b *bench) {
			b.mconfig.OnConnected = func(r string, id keystore.StoreID) {
				assert.Equal(t, region, r)
				told = append(told, id)
			}
		})
		id := b.create("one", clusterA)
		assert.Equal(t, keystore.Disconnected, b.resolve(id))
		b.connect(id)
		b.settle()
		assert.Equal(t, keystore.Connected, b.row(id).Conn)
		assert.Equal(t, keystore.Connected, b.resolve(id))
		assert.Equal(t, []keystore.StoreID{id}, told)
		assert.Equal(t, []string{password}, b.opener.secrets)

		b.connect(id)
		b.settle()
		assert.Equal(t, 1, b.opener.count(id), "connecting a CONNECTED store does nothing")

		b.disconnect(id)
		assert.NotEqual(t, keystore.Connected, b.resolve(id), "at once")
		b.settle()
		assert.Equal(t, keystore.Disconnected, b.row(id).Conn)
		assert.EqualValues(t, 1, b.opener.opened[0].drained.Load())
		assert.Zero(t, b.opener.stillOpen(t))

		b.connect(id)
		b.settle()
		assert.Equal(t, keystore.Connected, b.resolve(id))
	})
}

func TestFailedConnectNamesItsCode(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		code  keystore.ConnErrorCode
		cause string
	}{
		"named":        {wrongPIN(t.Context(), nil, 0), keystore.ConnInvalidCredentials, "CKR_PIN_INCORRECT"},
		"not named":    {errors.New("surprise"), keystore.ConnInternalError, "surprise"},
		"without more": {&custom.ConnectError{Code: keystore.ConnUserLockedOut}, keystore.ConnUserLockedOut, "USER_LOCKED_OUT"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBench(t)
				b.opener.set(func(context.Context, *keystore.Store, int) error { return c.err })
				id := b.create("one", clusterA)
				b.connect(id)
				b.settle()
				row := b.row(id)
				assert.Equal(t, keystore.Failed, row.Conn)
				assert.Equal(t, c.code, row.ConnError)
				assert.Contains(t, row.ConnCause, c.cause)
				assert.NotContains(t, row.ConnCause, password)
				assert.Equal(t, keystore.Failed, b.resolve(id))
				time.Sleep(time.Hour)
				assert.Equal(t, 1, b.opener.count(id), "the password is tried once")

				err := b.service.ConnectCustomKeyStore(t.Context(), caller, id)
				assert.Equal(t, keystore.KindCustomKeyStoreInvalidState, keystore.KindOf(err))

				b.disconnect(id)
				b.settle()
				row = b.row(id)
				assert.Equal(t, keystore.Disconnected, row.Conn)
				assert.Empty(t, row.ConnError, "shown in FAILED only")
				assert.Empty(t, row.ConnCause)
				b.opener.set(nil)
				b.connect(id)
				b.settle()
				assert.Equal(t, keystore.Connected, b.resolve(id))
			})
		})
	}
}

func TestConnectIsBounded(t *testing.T) {
	for name, open := range map[string]func(context.Context, *keystore.Store, int) error{
		"opener heeds its context": hang,
		"opener comes late":        func(context.Context, *keystore.Store, int) error { time.Sleep(time.Hour); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBench(t)
				b.opener.set(open)
				id := b.create("one", clusterA)
				b.connect(id)
				time.Sleep(19 * time.Minute)
				assert.Equal(t, keystore.Connecting, b.row(id).Conn)
				b.settle()
				assert.Equal(t, keystore.Failed, b.row(id).Conn)
				assert.Equal(t, keystore.ConnNetworkErrors, b.row(id).ConnError)
				assert.Contains(t, b.row(id).ConnCause, "20m0s")
				time.Sleep(2 * time.Hour)
				assert.Zero(t, b.opener.stillOpen(t), "what comes too late is closed")
				assert.Equal(t, keystore.Failed, b.resolve(id))
			})
		})
	}
}

func TestDisconnectCancelsAnAttempt(t *testing.T) {
	for name, open := range map[string]func(context.Context, *keystore.Store, int) error{
		"opener heeds its context": hang,
		"opener succeeds anyway":   func(ctx context.Context, _ *keystore.Store, _ int) error { <-ctx.Done(); return nil },
		"opener never returns":     func(context.Context, *keystore.Store, int) error { time.Sleep(time.Hour); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBench(t)
				b.opener.set(open)
				id := b.create("one", clusterA)
				b.connect(id)
				synctest.Wait()
				b.disconnect(id)
				b.settle()
				assert.Equal(t, keystore.Disconnected, b.row(id).Conn)
				assert.Equal(t, keystore.Disconnected, b.resolve(id))

				b.opener.set(nil)
				b.connect(id)
				b.settle()
				assert.Equal(t, keystore.Connected, b.resolve(id))
				time.Sleep(2 * time.Hour)
				assert.Equal(t, keystore.Connected, b.resolve(id), "a straggler changes nothing")
				assert.Equal(t, 1, b.opener.stillOpen(t))
				assert.Equal(t, 2, b.opener.count(id))
			})
		})
	}
}

func TestDisconnectWaitsForCallsInFlightWithinABound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		id := b.connected("one", clusterA)
		b.opener.opened[0].drain = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		b.disconnect(id)
		time.Sleep(custom.DefaultDrainTimeout - time.Second)
		assert.Equal(t, keystore.Disconnecting, b.row(id).Conn)
		assert.Equal(t, keystore.Disconnecting, b.resolve(id))
		assert.Equal(t, 1, b.opener.stillOpen(t))
		for name, err := range map[string]error{
			"connect":    b.service.ConnectCustomKeyStore(t.Context(), caller, id),
			"disconnect": b.service.DisconnectCustomKeyStore(t.Context(), caller, id),
			"delete":     b.service.DeleteCustomKeyStore(t.Context(), caller, id),
		} {
			assert.Equal(t, keystore.KindCustomKeyStoreInvalidState, keystore.KindOf(err), name)
		}
		b.settle()
		assert.Equal(t, keystore.Disconnected, b.row(id).Conn)
		assert.Zero(t, b.opener.stillOpen(t))
	})
}

// Stores whose calls hang are waited for together when the appliance stops.
func TestCloseWaitsForAllStoresTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		b.connected("one", clusterA)
		b.connected("two", clusterB)
		for _, l := range b.opener.opened {
			l.drain = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		}
		begin := time.Now() // the bubble's time, in which nothing takes any but waiting
		require.NoError(t, b.manager.Close())
		assert.Equal(t, custom.DefaultDrainTimeout, time.Since(begin))
		assert.Zero(t, b.opener.stillOpen(t))
	})
}

func TestRestartConnectsAgainWhatWasConnected(t *testing.T) {
	for name, conn := range map[string]keystore.ConnState{"CONNECTED": keystore.Connected, "CONNECTING": keystore.Connecting} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := newBench(t)
				id := b.create("one", clusterA)
				b.force(id, conn)
				revision := b.row(id).Revision
				b.restart()
				b.settle()
				assert.Equal(t, keystore.Connected, b.row(id).Conn)
				assert.Equal(t, keystore.Connected, b.resolve(id))
				if conn == keystore.Connected {
					assert.Equal(t, revision, b.row(id).Revision, "nothing had to be written")
				}
			})
		})
	}
}

func TestRestartFinishesWhatWasBegun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		ids := map[keystore.ConnState]keystore.StoreID{}
		ids[keystore.Disconnecting], ids[keystore.Failed] = b.create("one", clusterA), b.create("two", clusterB)
		for conn, id := range ids {
			b.force(id, conn)
		}
		b.restart()
		b.settle()
		assert.Equal(t, keystore.Disconnected, b.row(ids[keystore.Disconnecting]).Conn)
		assert.Equal(t, keystore.Failed, b.row(ids[keystore.Failed]).Conn)
		assert.Equal(t, keystore.Failed, b.resolve(ids[keystore.Failed]))
		assert.Empty(t, b.opener.opened)
	})
}

func TestRestartWithoutTheTokenKeepsConnectedAndLooksAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		id := b.connected("one", clusterA)
		b.opener.set(missingToken)
		b.restart()
		b.settle() // looking again later is no transition under way
		assert.Equal(t, keystore.Connected, b.row(id).Conn)
		got, conn := b.manager.Resolve(region, id)
		require.Equal(t, keystore.Connected, conn)
		for name, call := range map[string]struct {
			err  error
			kind keystore.Kind
		}{
			"use":    {seal(t, got), keystore.KindInvalidState},
			"create": {second(got.CreateKey(t.Context(), backend.Handle{})), keystore.KindCloudHsmClusterInvalidConfig},
			"random": {got.(backend.Randomer).Random(t.Context(), nil), keystore.KindDependencyTimeout},
			"find":   {second(got.(backend.Finder).Find(t.Context(), backend.Handle{})), keystore.KindDependencyTimeout},
			"health": {got.Health(t.Context()), keystore.KindDependencyTimeout},
		} {
			assert.Equal(t, call.kind, keystore.KindOf(call.err), name)
		}
		time.Sleep(time.Hour)
		tries := b.opener.count(id)
		assert.Greater(t, tries, 200)
		assert.Less(t, tries, 3600/10, "with pauses that grow")
		b.opener.set(nil)
		time.Sleep(custom.DefaultRetryMax)
		synctest.Wait()
		got, _ = b.manager.Resolve(region, id)
		assert.Equal(t, string(id), got.Identity().Label, "the real backend")
		assert.Equal(t, keystore.Connected, b.row(id).Conn)
	})
}

func seal(t *testing.T, b backend.Backend) error {
	t.Helper()
	_, err := b.(backend.Sealer).Seal(t.Context(), &backend.Handle{}, nil, nil, nil)
	_, err2 := b.(backend.Sealer).Open(t.Context(), &backend.Handle{}, nil, nil, nil)
	assert.Equal(t, keystore.KindOf(err), keystore.KindOf(err2))
	var f *keystore.Fault
	require.ErrorAs(t, err, &f)
	assert.Equal(t, "KMS cannot communicate with your CloudHSM cluster", f.Text)
	return err
}

func second[T any](_ T, err error) error { return err }

// Until the first look at a token has ended nobody knows whether it is there.
func TestRestartSaysWhileItLooksForTheToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		id := b.connected("one", clusterA)
		b.opener.set(func(ctx context.Context, s *keystore.Store, attempt int) error {
			time.Sleep(time.Minute)
			return missingToken(ctx, s, attempt)
		})
		b.restart()
		health := func() error {
			got, conn := b.manager.Resolve(region, id)
			require.Equal(t, keystore.Connected, conn)
			return got.Health(t.Context())
		}
		require.ErrorIs(t, health(), backend.ErrOpening)
		time.Sleep(30 * time.Second)
		require.ErrorIs(t, health(), backend.ErrOpening)
		for range 5 { // it is looked for again and again
			time.Sleep(time.Minute)
			require.Error(t, health())
			require.NotErrorIs(t, health(), backend.ErrOpening)
		}
		b.opener.set(nil)
		time.Sleep(2 * time.Minute)
		require.NoError(t, health())
	})
}

func TestRestartWhileConnectingWaitsForTheTokenForAsLongAsOneAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		id := b.create("one", clusterA)
		b.force(id, keystore.Connecting)
		b.opener.set(missingToken)
		b.restart()
		time.Sleep(10 * time.Minute)
		assert.Equal(t, keystore.Connecting, b.row(id).Conn)
		time.Sleep(15 * time.Minute)
		assert.Equal(t, keystore.Failed, b.row(id).Conn)
		assert.Equal(t, keystore.ConnClusterNotFound, b.row(id).ConnError)
	})
}

func TestRestartNeverTriesAWrongPasswordAgain(t *testing.T) {
	for _, conn := range []keystore.ConnState{keystore.Connected, keystore.Connecting} {
		bubble(t, func(t *testing.T) {
			b := newBench(t)
			id := b.create("one", clusterA)
			b.force(id, conn)
			b.opener.set(wrongPIN)
			b.restart()
			time.Sleep(time.Hour)
			assert.Equal(t, 1, b.opener.count(id), "from %s", conn)
			assert.Equal(t, keystore.Failed, b.row(id).Conn)
			assert.Equal(t, keystore.ConnInvalidCredentials, b.row(id).ConnError)
			assert.Equal(t, keystore.Failed, b.resolve(id))
		})
	}
}

func TestVaultOutOfReachAtAStartFailsNoStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		id := b.connected("one", clusterA)
		b.vault.broken.Store(true)
		b.restart()
		time.Sleep(time.Hour)
		assert.Equal(t, keystore.Connected, b.row(id).Conn)
		b.vault.broken.Store(false)
		time.Sleep(time.Minute)
		got, _ := b.manager.Resolve(region, id)
		assert.Equal(t, string(id), got.Identity().Label)
	})
}

func TestDisconnectOfAStoreWhoseTokenIsLookedFor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		id := b.connected("one", clusterA)
		b.opener.set(missingToken)
		b.restart()
		b.settle()
		b.disconnect(id)
		assert.NotEqual(t, keystore.Connected, b.resolve(id))
		b.settle()
		assert.Equal(t, keystore.Disconnected, b.row(id).Conn)
		tries := b.opener.count(id)
		time.Sleep(time.Hour)
		assert.Equal(t, tries, b.opener.count(id))
	})
}

func TestHoldKeepsStoresConnecting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		one, two := b.create("one", clusterA), b.create("two", clusterB)
		b.manager.Hold()
		b.manager.Hold()
		b.connect(one)
		b.connect(two)
		b.settle() // what is held is not waited for
		time.Sleep(time.Hour)
		assert.Equal(t, keystore.Connecting, b.row(one).Conn)
		assert.Equal(t, keystore.Connecting, b.resolve(one))
		assert.Empty(t, b.opener.opened)
		b.connect(one) // harmless
		b.disconnect(two)
		b.settle()
		assert.Equal(t, keystore.Disconnected, b.row(two).Conn)
		b.manager.Release()
		b.manager.Release()
		b.settle()
		assert.Equal(t, keystore.Connected, b.row(one).Conn)
		assert.Equal(t, 0, b.opener.count(two))
	})
}

func TestWaitHeedsItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		b.opener.set(hang)
		id := b.create("one", clusterA)
		b.connect(id)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, b.manager.Wait(ctx), context.DeadlineExceeded)
		b.disconnect(id)
		b.settle()
	})
}

func TestCloseEndsEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := &link{store: &keystore.Store{ID: "default"}}
		b := newBench(t, func(b *bench) {
			b.mconfig.Defaults = map[string]backend.Backend{region: shared, "eu-west-1": shared}
		})
		got, conn := b.manager.Resolve("eu-west-1", "")
		assert.Same(t, shared, got)
		assert.Equal(t, keystore.Connected, conn)
		one := b.connected("one", clusterA)
		b.opener.set(hang)
		two := b.create("two", clusterB)
		b.connect(two)
		synctest.Wait()
		require.NoError(t, b.manager.Close())
		require.NoError(t, b.manager.Close())
		assert.Zero(t, b.opener.stillOpen(t))
		assert.EqualValues(t, 1, shared.closed.Load(), "one backend of two Regions is closed once")
		assert.Equal(t, keystore.Connected, b.row(one).Conn, "the next start connects it again")
		assert.Equal(t, keystore.Connecting, b.row(two).Conn)
		got, _ = b.manager.Resolve(region, "")
		assert.Nil(t, got)
		b.manager.Connect(b.row(one))
		b.manager.Disconnect(b.row(one))
	})
}

func TestCloseDoesNotWaitForeverForAnOpener(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		b.opener.set(func(context.Context, *keystore.Store, int) error { time.Sleep(time.Hour); return nil })
		id := b.create("one", clusterA)
		b.connect(id)
		synctest.Wait()
		assert.ErrorContains(t, b.manager.Close(), "still hangs")
		time.Sleep(2 * time.Hour)
		assert.Zero(t, b.opener.stillOpen(t), "it is closed when it comes")
	})
}

// failingDB refuses writing transactions while it is told to.
type failingDB struct {
	keystore.DB
	refuse func() bool
}

func (d *failingDB) Update(ctx context.Context, fn func(keystore.Tx) error) error {
	if d.refuse() {
		return errors.New("disk full")
	}
	return d.DB.Update(ctx, fn)
}

func TestStateThatCannotBeWrittenIsWrittenLater(t *testing.T) {
	for name, open := range map[string]struct {
		fn   func(context.Context, *keystore.Store, int) error
		want keystore.ConnState
	}{"opened": {nil, keystore.Connected}, "failed": {wrongPIN, keystore.Failed}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var full atomic.Bool
				full.Store(true)
				b := newBench(t, func(b *bench) { b.mconfig.DB = &failingDB{DB: b.db, refuse: full.Load} })
				b.opener.set(open.fn)
				id := b.create("one", clusterA)
				b.connect(id)
				time.Sleep(10 * time.Minute)
				assert.Equal(t, keystore.Connecting, b.row(id).Conn)
				assert.Equal(t, 1, b.opener.count(id))
				full.Store(false)
				b.settle()
				assert.Equal(t, open.want, b.row(id).Conn)
				assert.Equal(t, 1, b.opener.count(id), "one attempt for one connect")
			})
		})
	}
}

func TestRowOfAnotherHandIsLeftAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		id := b.create("one", clusterA)
		b.opener.set(func(context.Context, *keystore.Store, int) error {
			b.force(id, keystore.Disconnecting) // somebody else's disconnect, unknown to this manager
			return nil
		})
		b.connect(id)
		b.settle()
		assert.Equal(t, keystore.Disconnected, b.row(id).Conn)
		assert.Equal(t, keystore.Disconnected, b.resolve(id))
		assert.Zero(t, b.opener.stillOpen(t))
	})
}

func TestDeletedStoreIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t)
		id := b.connected("one", clusterA)
		b.disconnect(id)
		b.settle()
		require.NoError(t, b.service.DeleteCustomKeyStore(t.Context(), caller, id))
		b.settle()
		assert.Equal(t, keystore.Disconnected, b.resolve(id))
		_, err := b.db.LookupStore(t.Context(), region, id)
		assert.ErrorIs(t, err, keystore.ErrNoRow)
	})
}
