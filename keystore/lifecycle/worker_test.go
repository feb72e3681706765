package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// bubbled is the clock of a synctest bubble.
type bubbled struct{}

func (bubbled) Now() time.Time { return time.Now() }

func TestWorkerKeepsItsTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := lifecycle.New(lifecycle.Config{Clock: bubbled{}})
		begin := time.Now()
		var at []time.Duration
		answers := []func(now time.Time) (time.Time, error){
			func(now time.Time) (time.Time, error) { return now.Add(20 * time.Second), nil }, // soon
			func(now time.Time) (time.Time, error) { return now.Add(time.Hour), nil },        // beyond idle
			func(time.Time) (time.Time, error) { return time.Time{}, nil },                   // nothing is due
			func(now time.Time) (time.Time, error) { return now.Add(-time.Hour), nil },       // overdue
			func(time.Time) (time.Time, error) { return time.Time{}, errors.New("first") },   // retry
			func(time.Time) (time.Time, error) { return time.Time{}, errors.New("second") },  // twice as long
			func(time.Time) (time.Time, error) { return time.Time{}, errors.New("third") },   // four times
			func(time.Time) (time.Time, error) { return time.Time{}, errors.New("fourth") },  // no longer than idle
			func(time.Time) (time.Time, error) { return time.Time{}, nil },                   // the retry begins anew
			func(time.Time) (time.Time, error) { return time.Time{}, errors.New("once more") },
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := lifecycle.NewWorker(s, time.Minute, 10*time.Second, 0, func(_ context.Context, now time.Time) (time.Time, error) {
			at = append(at, now.Sub(begin))
			if len(at) > len(answers) {
				cancel()
				return time.Time{}, nil
			}
			return answers[len(at)-1](now)
		})
		require.NoError(t, w.Run(ctx))
		var pauses []time.Duration
		for i, a := range at[1:] {
			pauses = append(pauses, a-at[i])
		}
		assert.Zero(t, at[0], "at once")
		assert.Equal(t, []time.Duration{20 * time.Second, time.Minute, time.Minute, time.Millisecond, 10 * time.Second, 20 * time.Second,
			40 * time.Second, time.Minute, time.Minute, 10 * time.Second}, pauses)
	})
}

// Trouble that is over soon is seen to be over soon, however long the worker sleeps otherwise.
func TestWorkerRetriesWithinItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		ctx, cancel := context.WithCancel(t.Context())
		w := lifecycle.NewWorker(lifecycle.New(lifecycle.Config{Clock: bubbled{}}), time.Hour, 10*time.Second, 15*time.Second,
			func(_ context.Context, now time.Time) (time.Time, error) {
				if at = append(at, now); len(at) == 4 {
					cancel()
				}
				return time.Time{}, errors.New("trouble")
			})
		require.NoError(t, w.Run(ctx))
		assert.Equal(t, 10*time.Second, at[1].Sub(at[0]))
		assert.Equal(t, 15*time.Second, at[2].Sub(at[1]))
		assert.Equal(t, 15*time.Second, at[3].Sub(at[2]))
	})
}

func TestWorkerIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		passes := 0
		w := lifecycle.NewWorker(lifecycle.New(lifecycle.Config{Clock: bubbled{}}), time.Minute, time.Second, 0,
			func(context.Context, time.Time) (time.Time, error) { passes++; return time.Time{}, nil })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		synctest.Wait()
		assert.Equal(t, 1, passes)
		w.Wake()
		synctest.Wait()
		assert.Equal(t, 2, passes)
		cancel()
		require.NoError(t, <-ended)
	})
}

// A pause begins when no pass is under way, and what was due meanwhile follows it. It keeps nobody from ending the worker.
func TestWorkerIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, over := 0, 0
		w := lifecycle.NewWorker(lifecycle.New(lifecycle.Config{Clock: bubbled{}}), time.Minute, time.Second, 0,
			func(context.Context, time.Time) (time.Time, error) {
				begun++
				time.Sleep(time.Second)
				over++
				return time.Time{}, nil
			})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		synctest.Wait()
		assert.Equal(t, 1, begun)
		gone, leave := context.WithCancelCause(t.Context())
		leave(errors.New("does not wait"))
		_, err := w.Pause(gone)
		require.EqualError(t, err, "does not wait")
		resume, err := w.Pause(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, over)
		w.Wake()
		time.Sleep(time.Hour)
		assert.Equal(t, 1, begun)
		resume()
		synctest.Wait()
		assert.Equal(t, 2, begun)
		resume, err = w.Pause(t.Context())
		require.NoError(t, err)
		defer resume()
		w.Wake()
		synctest.Wait()
		cancel()
		require.NoError(t, <-ended)
		assert.Equal(t, 2, over)
	})
}

// Keys whose turn can't be taken now keep none behind them from theirs, however many they are.
func TestKeysThatFailKeepNoOtherFromItsTurn(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for range lifecycle.DuePage + 3 {
		k := w.create(lifecycle.CreateKeyInput{})
		ids = append(ids, string(k.ID))
		require.NoError(t, w.EnableKeyRotation(t.Context(), w.root, ids[len(ids)-1], 90))
		w.clock.advance(time.Second)
	}
	w.clock.advance(days(90))
	// The token refuses the oldest, a full page of them.
	w.token.Fail(backendtest.Create, lifecycle.DuePage, errors.New("CKR_GENERAL_ERROR"))
	n, err := lifecycle.NewRotator(w.Service).RotateOnce(t.Context(), w.clock.Now())
	require.ErrorContains(t, err, "CKR_GENERAL_ERROR")
	assert.Equal(t, 3, n)
	assert.Equal(t, lifecycle.DuePage, w.rotate(), "what failed stays due")
}

// While a token is away nothing is planned for it: the ledger keeps every row, and the rotator comes every minute.
func TestRotationOnATokenThatIsAway(t *testing.T) {
	w := newWorld(t)
	k := w.create(lifecycle.CreateKeyInput{})
	other := w.create(lifecycle.CreateKeyInput{})
	for _, k := range []*keystore.Key{k, other} {
		require.NoError(t, w.EnableKeyRotation(t.Context(), w.root, string(k.ID), 90))
	}
	w.clock.advance(days(90))
	w.token.Down(backendtest.Lost())
	rotator := lifecycle.NewRotator(w.Service)
	for range 3 {
		before := w.token.Count(backendtest.Health)
		n, err := rotator.RotateOnce(t.Context(), w.clock.Now())
		require.ErrorContains(t, err, "CKR_DEVICE_REMOVED")
		assert.Zero(t, n)
		assert.Equal(t, 1, w.token.Count(backendtest.Health)-before, "asked once a pass")
	}
	assert.Len(t, w.rows(k.ARN()), 1)
	assert.Zero(t, w.token.Count(backendtest.Create)-2)
	w.token.Mend()
	assert.Equal(t, 2, w.rotate())
}

// A token that refuses to make material is not asked for the same key every minute: each try leaves a row for ever.
func TestRotationThatFailsIsPutOff(t *testing.T) {
	w := newWorld(t)
	k, other := w.create(lifecycle.CreateKeyInput{}), w.create(lifecycle.CreateKeyInput{})
	require.NoError(t, w.EnableKeyRotation(t.Context(), w.root, string(k.ID), 90))
	w.clock.advance(days(90))
	rotator := lifecycle.NewRotator(w.Service)
	full := errors.New("CKR_DEVICE_MEMORY")
	w.token.Fail(backendtest.Create, -1, full)
	before := w.token.Count(backendtest.Create)
	failed := 0
	for range 24 * 60 {
		if _, err := rotator.RotateOnce(t.Context(), w.clock.Now()); err != nil {
			require.ErrorIs(t, err, full)
			failed++
		}
		w.clock.advance(time.Minute)
	}
	assert.Equal(t, failed, w.token.Count(backendtest.Create)-before)
	assert.Less(t, failed, 12, "in a day")
	assert.Greater(t, failed, 5)

	require.NoError(t, w.EnableKeyRotation(t.Context(), w.root, string(other.ID), 90))
	w.token.Mend()
	w.clock.advance(12 * time.Hour)
	n, err := rotator.RotateOnce(t.Context(), w.clock.Now())
	require.NoError(t, err)
	assert.Equal(t, 1, n, "it is tried in the end")
}
