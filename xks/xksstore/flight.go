package xksstore

import (
	"context"
	"fmt"
	"sync"
)

// flight counts calls in flight. The zero value lets calls in.
type flight struct {
	mu      sync.Mutex
	calls   int
	closing bool
	idle    chan struct{} // closed when calls falls to zero while closing; nil before anybody waits
}

// enter counts a call in, or refuses it; whoever is let in calls leave.
func (f *flight) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return false
	}
	f.calls++
	return true
}

func (f *flight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls--
	if f.calls == 0 && f.idle != nil {
		close(f.idle)
		f.idle = nil
	}
}

func (f *flight) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closing = true
}

// drain refuses new calls and waits for those in flight.
func (f *flight) drain(ctx context.Context) error {
	f.mu.Lock()
	f.closing = true
	n := f.calls
	if n > 0 && f.idle == nil {
		f.idle = make(chan struct{})
	}
	idle := f.idle
	f.mu.Unlock()
	if n == 0 {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d calls in flight: %w", n, ctx.Err())
	}
}
