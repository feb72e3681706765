package hsm_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
)

func TestPoolBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var inUse, most atomic.Int64
		p := hsm.NewTestPool(3, func(uint64) error { return nil })
		p.Reset(1, 3)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				s, err := p.Borrow(context.Background())
				if !assert.NoError(t, err) {
					return
				}
				n := inUse.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(time.Millisecond)
				if i%7 == 0 {
					s.Spoil()
				}
				inUse.Add(-1)
				p.Return(s)
			})
		}
		wg.Wait()
		require.EqualValues(t, 3, most.Load())
		total, lent := p.Counts()
		require.LessOrEqual(t, total, 3)
		require.Zero(t, lent)
	})
}

func TestPoolWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hsm.NewTestPool(1, func(uint64) error { return nil })
		p.Reset(1, 1)
		held, err := p.Borrow(context.Background())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = p.Borrow(ctx)
		require.ErrorIs(t, err, hsm.Busy)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		p.Return(held)
		s, err := p.Borrow(context.Background())
		require.NoError(t, err)
		require.Same(t, held, s)
	})
}

func TestPoolShrinks(t *testing.T) {
	ctx := context.Background()
	room := 2
	p := hsm.NewTestPool(10, func(uint64) error {
		if room == 0 {
			return &hsm.Error{Op: "C_OpenSession", Class: hsm.Busy, Code: 0xb1}
		}
		room--
		return nil
	})
	p.Reset(1, 10)
	a, err := p.Borrow(ctx)
	require.NoError(t, err)
	_, err = p.Borrow(ctx)
	require.NoError(t, err)
	got := make(chan *hsm.Lease)
	go func() {
		s, err := p.Borrow(ctx) // the token has no third: it waits for one to come back
		assert.NoError(t, err)
		got <- s
	}()
	require.Eventually(t, func() bool { total, _ := p.Counts(); return total == 2 }, time.Minute, time.Millisecond)
	p.Return(a)
	require.Same(t, a, <-got)
}

func TestPoolGenerations(t *testing.T) {
	ctx := context.Background()
	p := hsm.NewTestPool(2, func(uint64) error { return nil })
	_, err := p.Borrow(ctx)
	require.ErrorIs(t, err, hsm.SessionLost, "nobody is logged in yet")
	p.Reset(1, 2)
	old, err := p.Borrow(ctx)
	require.NoError(t, err)
	_, err = p.Borrow(ctx)
	require.NoError(t, err)
	waiting := make(chan error)
	go func() {
		s, err := p.Borrow(ctx)
		if err == nil {
			p.Return(s)
		}
		waiting <- err
	}()
	require.Eventually(t, func() bool { total, _ := p.Counts(); return total == 2 }, time.Minute, time.Millisecond)
	p.Reset(2, 2)
	require.NoError(t, <-waiting, "who waited gets a session of the new generation")
	p.Return(old)
	s, err := p.Borrow(ctx)
	require.NoError(t, err)
	require.NotSame(t, old, s, "a session of an earlier login is not lent again")
	p.Reset(0, 2)
	_, err = p.Borrow(ctx)
	require.ErrorIs(t, err, hsm.SessionLost)
}

func TestCacheIsBounded(t *testing.T) {
	c := hsm.NewCache(8)
	require.Nil(t, c.Get("a", 1))
	for i := range 8 {
		require.Nil(t, c.Put(string(rune('a'+i)), 1))
	}
	for range 3 { // all but "c" are used
		c.Tick()
		for i := range 8 {
			if i != 2 {
				require.NotNil(t, c.Get(string(rune('a'+i)), 1))
			}
		}
	}
	gone := c.Put("z", 1)
	require.NotNil(t, gone)
	require.Equal(t, "c", gone.ID(), "the one that was not used for longest")
	require.True(t, gone.Dead())
	require.Nil(t, c.Get("c", 1))
	require.NotNil(t, c.Get("z", 1))
	require.Nil(t, c.Get("z", 2), "handles do not outlive their login")
}

// TestPatience: a process that stands still for longer than a call's deadline has not waited for the call meanwhile.
func TestPatience(t *testing.T) {
	for name, tc := range map[string]struct {
		still, call time.Duration // 0: it never ends
		overruns    time.Duration // 0: it does not
	}{
		"in time":                         {call: 7 * time.Second},
		"never":                           {overruns: 8 * time.Second},
		"too late":                        {call: 9 * time.Second, overruns: 8 * time.Second},
		"over while it stood still":       {still: 20 * time.Second, call: 10 * time.Second},
		"in time after it stood still":    {still: 20 * time.Second, call: 26 * time.Second},
		"never, although it stood still":  {still: 20 * time.Second, overruns: 27 * time.Second},
		"too late, and it stood still":    {still: 20 * time.Second, call: 28 * time.Second, overruns: 27 * time.Second},
		"in time, and it stood for a bit": {still: time.Second / 2, call: 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, over := time.Now(), make(chan struct{})
				if tc.call > 0 {
					time.AfterFunc(tc.call, func() { close(over) })
				}
				require.Equal(t, tc.overruns > 0, hsm.Overruns(8*time.Second, tc.still, over))
				if tc.overruns > 0 {
					require.Equal(t, tc.overruns, time.Since(began))
				}
			})
		})
	}
}
