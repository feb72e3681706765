package lifecycle

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// signal tells a loop, once, that there is something to do; its capacity is 1.
type signal chan struct{}

func (c signal) tell() {
	select {
	case c <- struct{}{}:
	default:
	}
}

// rhythm is how long a worker sleeps.
type rhythm struct {
	idle  time.Duration // at most: the clock of a test appliance can be moved, and another node may give work
	retry time.Duration // after a pass that failed; twice as long after each further one
	most  time.Duration // but no longer than this; 0: idle
}

// worker owns the loop of a background task: a pass at once, then whenever it is woken and whenever the pass is due again.
type worker struct {
	clock  keystore.Clock
	log    *slog.Logger
	rhythm rhythm
	woken  signal
	turn   chan struct{} // held during a pass of the loop, and by who pauses it; its capacity is 1
	failed string        // what the log says of a pass that failed
	// pass does what is due at now and tells when it is to run again; the zero time leaves that to the rhythm.
	pass func(ctx context.Context, now time.Time) (due time.Time, err error)
}

// worker makes a worker of the service. woken may be shared with those who leave it work; nil makes one.
func (s *Service) worker(failed string, r rhythm, woken signal, pass func(context.Context, time.Time) (time.Time, error)) *worker {
	if woken == nil {
		woken = make(signal, 1)
	}
	return &worker{clock: s.cfg.Clock, log: s.cfg.Logger, rhythm: r, woken: woken, turn: make(chan struct{}, 1), failed: failed, pass: pass}
}

// Wake makes Run look at once. It never blocks.
func (w *worker) Wake() { w.woken.tell() }

// Pause keeps Run from passes until resume is called; one that is under way ends first, and whoever does not wait for it gets
// the cause of the context's end. A pass that was due meanwhile follows.
func (w *worker) Pause(ctx context.Context) (resume func(), err error) {
	select {
	case w.turn <- struct{}{}:
		return func() { <-w.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Run looks at once, when it is woken and when something is due, until the context ends; it answers nil then. What fails is
// logged and tried again.
func (w *worker) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	retry := w.rhythm.retry
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.woken:
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case w.turn <- struct{}{}:
		}
		due, err := w.pass(ctx, w.clock.Now())
		<-w.turn
		if err == nil {
			retry = w.rhythm.retry
			timer.Reset(w.until(due))
			continue
		}
		if ctx.Err() == nil {
			w.log.ErrorContext(ctx, w.failed, "error", err)
		}
		timer.Reset(retry)
		retry = min(2*retry, cmp.Or(w.rhythm.most, w.rhythm.idle))
	}
}

// until tells how long to sleep for what is due.
func (w *worker) until(due time.Time) time.Duration {
	if due.IsZero() {
		return w.rhythm.idle
	}
	return min(max(due.Sub(w.clock.Now()), time.Millisecond), w.rhythm.idle)
}
