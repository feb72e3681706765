package hsm

import (
	"context"
	"sync/atomic"
)

// gate counts calls that are inside the module, so that nothing is torn down
// under them: C_Finalize beside any other call crashes real libraries. Entering
// is two atomic operations. Closing and opening belong to whoever holds the
// library's management lock.
type gate struct {
	inside atomic.Int64
	closed atomic.Bool
	empty  chan struct{} // has room for one; told when the last one leaves a closed gate
}

func newGate() *gate { return &gate{empty: make(chan struct{}, 1)} }

// enter reports whether the caller may go in; if so it must leave.
func (g *gate) enter() bool {
	g.inside.Add(1)
	if g.closed.Load() {
		g.leave()
		return false
	}
	return true
}

// force goes in through a closed gate: for the one who closed it, so that a
// call of his that hangs is counted too.
func (g *gate) force() { g.inside.Add(1) }

func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && g.closed.Load() {
		select {
		case g.empty <- struct{}{}:
		default:
		}
	}
}

// drain closes the gate and waits until nobody is inside. If that does not
// come true in time the gate is opened again.
func (g *gate) drain(ctx context.Context) bool {
	g.closed.Store(true)
	for g.inside.Load() != 0 {
		select {
		case <-g.empty:
		case <-ctx.Done():
			if g.inside.Load() == 0 {
				return true
			}
			g.closed.Store(false)
			return false
		}
	}
	return true
}

func (g *gate) open() { g.closed.Store(false) }
