package custom

import (
	"context"
	"errors"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// link is what the manager has for one store: its goroutine while there is something to do, and its open backend. Fields
// without another word are guarded by Manager.mu.
type link struct {
	key      storeKey
	active   bool               // a goroutine runs for this store
	dirty    bool               // it must look at the row again
	parked   bool               // it sleeps: not counted as running
	cancel   context.CancelFunc // ends the step under way
	wake     chan struct{}      // ends a sleep; capacity 1
	revision int64              // of the row that the step under way works on

	backend backend.Backend // open, or nil
	opened  *keystore.Store // the row that backend was opened for
	resumed bool            // CONNECTING when the appliance stopped: a missing token is looked for again, for a while
	pause   time.Duration   // before the next look after a failure
	waited  time.Duration   // pauses since the start
	looked  bool            // the token of a CONNECTED store was not found since the start
}

// awayLocked stands in for the backend of a CONNECTED store that has none.
func (l *link) awayLocked(s *keystore.Store) *away {
	if l.looked {
		return newAway(s, errNotFoundYet)
	}
	return newAway(s, backend.ErrOpening)
}

// interruptLocked ends the step under way.
func (l *link) interruptLocked() {
	if l.cancel != nil {
		l.cancel()
	}
}

// wakeLocked makes sure that a goroutine looks at the store's row from now on; mu is held.
func (m *Manager) wakeLocked(key storeKey) {
	if m.closed {
		return
	}
	l := m.links[key]
	if l == nil {
		l = &link{key: key, wake: make(chan struct{}, 1)}
		m.links[key] = l
	}
	l.dirty = true
	if !l.active {
		l.active = true
		m.running++
		m.wg.Go(func() { m.run(l) })
		return
	}
	m.unparkLocked(l)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run takes steps for a store until its row asks for nothing more.
func (m *Manager) run(l *link) {
	for {
		m.mu.Lock()
		if !l.dirty || m.closed {
			l.active = false
			m.stoppedLocked()
			if l.backend == nil {
				delete(m.links, l.key)
			}
			m.mu.Unlock()
			return
		}
		l.dirty = false
		ctx, cancel := context.WithCancel(m.ctx)
		l.cancel = cancel
		m.mu.Unlock()

		again := m.step(ctx, l)

		m.mu.Lock()
		l.cancel = nil
		m.mu.Unlock()
		if again {
			m.sleep(ctx, l)
			m.mu.Lock()
			l.dirty = true
			m.mu.Unlock()
		}
		cancel()
	}
}

// step reads the store's row and does what its connection asks for. It tells whether to look again after a pause.
func (m *Manager) step(ctx context.Context, l *link) (again bool) {
	s, err := m.load(ctx, l)
	switch {
	case errors.Is(err, keystore.ErrNoRow):
		m.drop(ctx, l, &keystore.Store{Region: l.key.region, ID: l.key.id, Conn: keystore.Disconnected})
		return false
	case err != nil:
		if ctx.Err() == nil {
			m.log.ErrorContext(ctx, "custom key store cannot be read", "region", l.key.region, "store", l.key.id, "error", err)
		}
		return true
	}
	switch s.Conn {
	case keystore.Connecting:
		return m.connect(ctx, l, s)
	case keystore.Connected:
		return m.resume(ctx, l, s)
	case keystore.Disconnecting:
		m.finish(ctx, l, s)
		return false
	default:
		m.drop(ctx, l, s)
		return false
	}
}

// finish completes a disconnect.
func (m *Manager) finish(ctx context.Context, l *link, s *keystore.Store) {
	m.drop(ctx, l, s)
	if !m.record(ctx, s, keystore.Closed, nil) {
		m.lookAgain(l)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed && ctx.Err() == nil {
		m.publishLocked(l.key, keystore.Disconnected, nil)
	}
}

// lookAgain makes the goroutine look at the row once more, at once: it was changed during the step, or the step was
// interrupted.
func (m *Manager) lookAgain(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.dirty = true
}

// load reads the row and notes its revision.
func (m *Manager) load(ctx context.Context, l *link) (*keystore.Store, error) {
	var s *keystore.Store
	err := m.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		var err error
		s, err = tx.Store(l.key.region, l.key.id)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	l.revision = s.Revision
	m.mu.Unlock()
	return s, nil
}

// drop takes the store's backend out of service, waits for calls in flight and closes it. It runs to its end even when the
// step is interrupted: a backend that is out of service must not stay open.
func (m *Manager) drop(ctx context.Context, l *link, s *keystore.Store) {
	m.mu.Lock()
	if !m.closed {
		m.publishLocked(l.key, s.Conn, nil)
	}
	b := l.backend
	m.mu.Unlock()
	if b == nil {
		return
	}
	if err := m.retire(context.WithoutCancel(ctx), b); err != nil {
		m.log.WarnContext(ctx, "closing a key store failed", "region", l.key.region, "store", l.key.id, "error", err)
	}
	m.mu.Lock()
	l.backend = nil
	m.mu.Unlock()
}

// sleep pauses before the next look, twice as long each time. A wake-up ends it. The pause is no transition under way.
func (m *Manager) sleep(ctx context.Context, l *link) {
	m.mu.Lock()
	l.pause = min(max(2*l.pause, m.cfg.RetryMin), m.cfg.RetryMax)
	l.waited += l.pause
	t := time.NewTimer(l.pause)
	m.mu.Unlock()
	defer t.Stop()
	m.park(ctx, l, t.C, nil)
}

// park waits for a tick, a closed gate, a wake-up or the end of ctx, and is not counted as running meanwhile.
func (m *Manager) park(ctx context.Context, l *link, tick <-chan time.Time, gate <-chan struct{}) {
	m.mu.Lock()
	if l.dirty {
		m.mu.Unlock()
		return
	}
	l.parked = true
	m.stoppedLocked()
	m.mu.Unlock()
	select {
	case <-tick:
	case <-gate:
	case <-l.wake:
	case <-ctx.Done():
	}
	m.mu.Lock()
	m.unparkLocked(l)
	m.mu.Unlock()
}

// stoppedLocked counts one goroutine less as running; mu is held.
func (m *Manager) stoppedLocked() {
	m.running--
	if m.running == 0 {
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

// unparkLocked counts a sleeping goroutine as running again, before it knows; mu is held.
func (m *Manager) unparkLocked(l *link) {
	if l.parked {
		l.parked = false
		m.running++
	}
}
