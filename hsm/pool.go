package hsm

import (
	"context"
	"sync"
)

// Pool lends the sessions of one token. A session has one borrower at a time
// and goes back only when its state is beyond doubt; otherwise it is closed.
// The pool grows on demand up to its bound, and shrinks its bound when the
// token says that it has no more (CKR_SESSION_COUNT).
type Pool struct {
	open func(context.Context) (*lease, error) // opens a session of the current generation
	end  func(*lease)                          // ends one, then calls forget

	mu      sync.Mutex
	gen     uint64   // the login generation that sessions must be of; 0: none may be lent
	free    []*lease // of this generation; the last one is lent first
	total   int      // lent, free and being opened, of this generation
	lent    int
	bound   int // of total, now
	ceiling int // of bound
	waiting []chan *lease
}

// lease is a session while it is lent.
type lease struct {
	raw   Session
	gen   uint64
	dirty bool // its state is in doubt: it must not go back
	// hangs is closed when the call that its borrower gave up has returned;
	// nil when there is none. Until then the session cannot be closed.
	hangs chan struct{}
}

// hanging reports whether a call that its borrower gave up is still under way
// on the session. Then no other call may be made on it.
func (s *lease) hanging() bool {
	if s.hangs == nil {
		return false
	}
	select {
	case <-s.hangs:
		return false
	default:
		return true
	}
}

func newPool(ceiling int, open func(context.Context) (*lease, error), end func(*lease)) *Pool {
	return &Pool{open: open, end: end, ceiling: ceiling, bound: ceiling}
}

// tryGet borrows a session that is free, or returns nil.
func (p *Pool) tryGet() *lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.free)
	if n == 0 {
		return nil
	}
	s := p.free[n-1]
	p.free = p.free[:n-1]
	p.lent++
	return s
}

// get borrows a session of the current generation. It waits for one until ctx
// ends; then the error is of class Busy.
func (p *Pool) get(ctx context.Context) (*lease, error) {
	p.mu.Lock()
	for {
		if p.gen == 0 {
			p.mu.Unlock()
			return nil, failf("borrow session", SessionLost, "not logged in")
		}
		if n := len(p.free); n > 0 {
			s := p.free[n-1]
			p.free = p.free[:n-1]
			p.lent++
			p.mu.Unlock()
			return s, nil
		}
		if p.total < p.bound {
			s, again, err := p.growLocked(ctx)
			if !again {
				return s, err
			}
			p.mu.Lock()
			continue
		}
		s, err := p.waitLocked(ctx)
		if s != nil || err != nil {
			return s, err
		}
		p.mu.Lock()
	}
}

// growLocked opens one more session. It gives up the mutex; again says that
// the token has no more and the caller should wait for a session instead.
func (p *Pool) growLocked(ctx context.Context) (s *lease, again bool, err error) {
	p.total++
	p.lent++
	gen := p.gen
	p.mu.Unlock()
	s, err = p.open(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if gen != p.gen { // logged in anew meanwhile: the counts began again
		if err == nil && s.gen == p.gen {
			p.total++
			p.lent++
			return s, false, nil
		}
		return nil, false, failf("C_OpenSession", SessionLost, "the token was logged in to anew meanwhile")
	}
	if err == nil {
		return s, false, nil
	}
	p.total--
	p.lent--
	if CodeOf(err) == uint(ckrSessionCount) && p.total > 0 {
		p.bound = p.total
		return nil, true, nil
	}
	p.wakeLocked(nil)
	return nil, false, err
}

// waitLocked waits for a session to come back. It gives up the mutex. Neither a
// session nor an error means that there may be room to open one.
func (p *Pool) waitLocked(ctx context.Context) (*lease, error) {
	turn := make(chan *lease, 1)
	p.waiting = append(p.waiting, turn)
	p.mu.Unlock()
	select {
	case s := <-turn:
		return s, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	for i, w := range p.waiting {
		if w == turn {
			p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
			p.mu.Unlock()
			return nil, &Error{Op: "wait for session", Class: Busy, Err: context.Cause(ctx)}
		}
	}
	p.mu.Unlock()
	// The turn came at the same moment: pass it on.
	p.pass(<-turn)
	return nil, &Error{Op: "wait for session", Class: Busy, Err: context.Cause(ctx)}
}

func (p *Pool) pass(s *lease) {
	if s != nil {
		p.put(s)
		return
	}
	p.mu.Lock()
	p.wakeLocked(nil)
	p.mu.Unlock()
}

// wakeLocked gives the one who waits longest a session, or leave to try anew.
func (p *Pool) wakeLocked(s *lease) bool {
	if len(p.waiting) == 0 {
		return false
	}
	turn := p.waiting[0]
	p.waiting = p.waiting[1:]
	turn <- s
	return true
}

// put takes a session back, or ends it.
func (p *Pool) put(s *lease) {
	p.mu.Lock()
	if s.gen != p.gen {
		p.mu.Unlock()
		return // ended with its generation
	}
	if !s.dirty {
		if !p.wakeLocked(s) {
			p.lent--
			p.free = append(p.free, s)
		}
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.end(s)
}

// forget gives up the place of a session that is ended.
func (p *Pool) forget(s *lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.gen != p.gen {
		return
	}
	p.total--
	p.lent--
	p.wakeLocked(nil)
}

// reset begins a generation: sessions of others are worth nothing from now on,
// and are not closed one by one, for whoever ended the generation has ended
// them all. The bound is at its ceiling again. Generation 0 has no sessions.
func (p *Pool) reset(gen uint64, ceiling int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gen, p.free, p.total, p.lent = gen, nil, 0, 0
	p.ceiling, p.bound = ceiling, ceiling
	for p.wakeLocked(nil) {
	}
}

// relax lets the bound rise by one towards its ceiling.
func (p *Pool) relax() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bound < p.ceiling {
		p.bound++
		p.wakeLocked(nil)
	}
}

func (p *Pool) counts() (total, lent int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total, p.lent
}
