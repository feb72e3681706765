package custom

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// connect makes the one attempt that a CONNECTING row asks for.
func (m *Manager) connect(ctx context.Context, l *link, s *keystore.Store) (again bool) {
	if !m.pass(ctx, l) {
		return false
	}
	b, failure := m.open(ctx, l, s)
	switch {
	case ctx.Err() != nil:
		m.discard(ctx, l.key, b)
		return false
	case failure == nil:
		if failure = m.rotate(ctx, l, s, b); failure != nil {
			m.discard(ctx, l.key, b)
			m.fail(ctx, l, s, failure)
			return false
		}
		m.adopt(ctx, l, s, b)
		return false
	case l.resumed && failure.again() && l.waited < m.cfg.Timeout:
		m.lost(ctx, s, failure)
		return true
	default:
		m.fail(ctx, l, s, failure)
		return false
	}
}

// lost notes that a store that is connected again at a start was not found.
func (m *Manager) lost(ctx context.Context, s *keystore.Store, failure *attemptError) {
	m.log.WarnContext(ctx, "token of a key store not found, looking again", "region", s.Region, "store", s.ID, "error", failure)
}

// resume connects a store that its row calls CONNECTED: it was when the appliance stopped.
func (m *Manager) resume(ctx context.Context, l *link, s *keystore.Store) (again bool) {
	m.mu.Lock()
	old, opened := l.backend, l.opened
	if !m.closed {
		if old != nil {
			m.publishLocked(l.key, keystore.Connected, old)
		} else {
			m.publishLocked(l.key, keystore.Connected, l.awayLocked(s))
		}
	}
	m.mu.Unlock()
	if old != nil {
		return !sameConnection(opened, s) && m.reopen(ctx, l, s, old)
	}
	b, failure := m.open(ctx, l, s)
	switch {
	case ctx.Err() != nil:
		m.discard(ctx, l.key, b)
		return false
	case failure == nil:
		m.adopt(ctx, l, s, b)
		return false
	case failure.again():
		m.lost(ctx, s, failure)
		m.missing(ctx, l, s)
		return true
	default:
		m.fail(ctx, l, s, failure)
		return false
	}
}

// missing makes it known that the token of a CONNECTED store was looked for, and not found.
func (m *Manager) missing(ctx context.Context, l *link, s *keystore.Store) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.looked = true
	if !m.closed && ctx.Err() == nil {
		m.publishLocked(l.key, keystore.Connected, l.awayLocked(s))
	}
}

// sameConnection tells whether two rows of a store are connected to in the same way. Only an external store's can change
// while it is CONNECTED (custom-key-stores.md section 4).
func sameConnection(a, b *keystore.Store) bool {
	if a.Xks == nil || b.Xks == nil {
		return true
	}
	return sameProxy(a.Xks, b.Xks) && bytes.Equal(a.Xks.SealedSecret, b.Xks.SealedSecret)
}

// reopen replaces the backend of a CONNECTED store whose row says to connect otherwise. The old one serves until the new one
// is there, also when that fails: an update was tried before it was stored, so that what fails now is lost, not wrong.
func (m *Manager) reopen(ctx context.Context, l *link, s *keystore.Store, old backend.Backend) (again bool) {
	b, failure := m.open(ctx, l, s)
	switch {
	case ctx.Err() != nil:
		m.discard(ctx, l.key, b)
		return false
	case failure != nil:
		m.lost(ctx, s, failure)
		return true
	}
	if !m.adopt(ctx, l, s, b) {
		return false
	}
	if err := m.retire(context.WithoutCancel(ctx), old); err != nil {
		m.log.WarnContext(ctx, "closing a replaced connection failed", "region", s.Region, "store", s.ID, "error", err)
	}
	return false
}

// pass waits while transitions are held; false means that the step was interrupted.
func (m *Manager) pass(ctx context.Context, l *link) bool {
	for ctx.Err() == nil {
		m.mu.Lock()
		gate := m.held
		m.mu.Unlock()
		if gate == nil {
			return true
		}
		m.park(ctx, l, nil, gate)
		m.mu.Lock()
		dirty := l.dirty
		m.mu.Unlock()
		if dirty {
			return false // the row may have changed: look again
		}
	}
	return false
}

// adopt publishes an opened backend and then says CONNECTED, so that whoever reads CONNECTED can use the keys. Where the row
// changed meanwhile the backend is taken down again and the row looked at anew: false.
func (m *Manager) adopt(ctx context.Context, l *link, s *keystore.Store, b backend.Backend) bool {
	m.mu.Lock()
	if m.closed || ctx.Err() != nil {
		m.mu.Unlock()
		m.discard(ctx, l.key, b)
		return false
	}
	l.backend, l.opened = b, s
	l.pause, l.waited, l.resumed = 0, 0, false
	m.publishLocked(l.key, keystore.Connected, b)
	m.mu.Unlock()
	if s.Conn != keystore.Connected && !m.record(ctx, s, keystore.Opened, nil) {
		m.drop(ctx, l, s)
		m.lookAgain(l)
		return false
	}
	m.log.InfoContext(ctx, "key store connected", "region", s.Region, "store", s.ID)
	if m.cfg.OnConnected != nil {
		m.cfg.OnConnected(s.Region, s.ID)
	}
	return true
}

// fail writes FAILED with its code and takes the store out of service.
func (m *Manager) fail(ctx context.Context, l *link, s *keystore.Store, failure *attemptError) {
	m.log.WarnContext(ctx, "connecting a key store failed", "region", s.Region, "store", s.ID,
		"code", failure.code, "error", failure.cause)
	if !m.record(ctx, s, keystore.OpenFailed, failure) {
		m.lookAgain(l)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l.pause, l.waited, l.resumed = 0, 0, false
	if !m.closed && ctx.Err() == nil {
		m.publishLocked(l.key, keystore.Failed, nil)
	}
}

// discard closes a backend that was opened for nothing.
func (m *Manager) discard(ctx context.Context, key storeKey, b backend.Backend) {
	if b == nil {
		return
	}
	if err := b.Close(); err != nil {
		m.log.WarnContext(ctx, "closing an unused connection failed", "region", key.region, "store", key.id, "error", err)
	}
}

// errMoved says that a row is no longer the one that a step began with.
var errMoved = errors.New("row of the key store changed meanwhile")

// record moves the row along the connection table, if it still is the one that the step began with. A database that fails
// is tried again until ctx ends. False means that nothing was written.
func (m *Manager) record(ctx context.Context, s *keystore.Store, event keystore.ConnEvent, failure *attemptError) bool {
	return m.persist(ctx, s, string(event), func(tx keystore.Tx) error { return advance(tx, s, event, failure) })
}

// persist runs a transaction about a store until it succeeds, ctx ends, or the row turns out to be another one.
func (m *Manager) persist(ctx context.Context, s *keystore.Store, what string, fn func(tx keystore.Tx) error) bool {
	pause := m.cfg.RetryMin
	for {
		err := m.cfg.DB.Update(ctx, fn)
		if err == nil {
			return true
		}
		if ctx.Err() != nil || errors.Is(err, errMoved) || errors.Is(err, keystore.ErrStale) || errors.Is(err, keystore.ErrNoRow) {
			return false
		}
		m.log.ErrorContext(ctx, "state of a key store cannot be written, trying again",
			"region", s.Region, "store", s.ID, "step", what, "error", err)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		pause = min(2*pause, m.cfg.RetryMax)
	}
}

func advance(tx keystore.Tx, seen *keystore.Store, event keystore.ConnEvent, failure *attemptError) error {
	s, err := tx.Store(seen.Region, seen.ID)
	if err != nil {
		return err
	}
	// A CONNECTING row cannot be updated, so that another revision is another connect. A CONNECTED one can (its name).
	if s.Conn != seen.Conn || s.Conn != keystore.Connected && s.Revision != seen.Revision {
		return errMoved
	}
	from := s.Conn
	if from == keystore.Connected && event == keystore.OpenFailed {
		// The attempt at a start to connect again what was CONNECTED is a connect like another.
		from = keystore.Connecting
	}
	next, ok := keystore.NextConn(event, from)
	if !ok {
		return errMoved
	}
	s.Conn, s.ConnError, s.ConnCause = next, "", ""
	if failure != nil {
		s.ConnError, s.ConnCause = failure.code, failure.cause.Error()
	}
	return tx.UpdateStore(s)
}
