package hsm

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// hotOp is one of the calls that are made in a single crossing into C.
type hotOp uint8

const (
	hotEncrypt hotOp = iota
	hotDecrypt
	hotSign
)

var hotNames = [...]string{hotEncrypt: "C_Encrypt", hotDecrypt: "C_Decrypt", hotSign: "C_Sign"}

// hotCall is one such call on its way through a lane. It owns the memory that
// the module reads and writes, so that a caller who gives up can go on with
// his own buffers while the module is still at it.
type hotCall struct {
	op    hotOp
	mech  Mechanism
	entry *entry
	in    []byte
	out   []byte // room for the result
	n     int    // length of the result
	err   error
	done  chan bool // has room for one; false: the call overran, and n and err say nothing
	state atomic.Uint32
	born  uint64 // tick at which it was queued
	gone  bool   // given up: the lane may still touch it
	// noBlame: a decryption that failed is not the ciphertext's fault.
	noBlame bool
	keyType uint   // that the key must be of
	mem     []byte // what the slices above are cut from
}

// States of a hotCall.
const (
	hotQueued uint32 = iota
	hotRunning
	hotDone
	hotOverran
	hotGivenUp
)

var hotCalls = sync.Pool{New: func() any { return &hotCall{done: make(chan bool, 1)} }}

// maxPooled bounds the memory that a hotCall keeps between uses.
const maxPooled = 64 << 10

// newHotCall makes a call with copies of its inputs and room for its result.
func newHotCall(op hotOp, mech, keyType uint, iv, aad, in []byte, out int) *hotCall {
	h, _ := hotCalls.Get().(*hotCall)
	size := len(iv) + len(aad) + len(in) + out
	if cap(h.mem) < size {
		h.mem = make([]byte, max(size, 512))
	}
	rest := h.mem[:size]
	cut := func(n int) []byte {
		b := rest[:n:n]
		rest = rest[n:]
		return b
	}
	h.op, h.keyType, h.mech.Type, h.mech.Param, h.mech.Peer = op, keyType, mech, nil, nil
	h.mech.IV, h.mech.AAD, h.in, h.out = cut(len(iv)), cut(len(aad)), cut(len(in)), cut(out)
	copy(h.mech.IV, iv)
	copy(h.mech.AAD, aad)
	copy(h.in, in)
	h.n, h.err, h.entry, h.gone, h.noBlame = 0, nil, nil, false, false
	return h
}

// release wipes the call's memory and keeps it for another call.
func (h *hotCall) release() {
	if h.gone {
		return
	}
	clear(h.mem)
	if cap(h.mem) > maxPooled {
		h.mem = nil
	}
	h.entry = nil
	hotCalls.Put(h)
}

// lanes are the goroutines that make hot calls, as many as the module does best
// at a time. Calls queue before them, so the module is never idle while there
// is work, and no caller can be held by a call that hangs.
type lanes struct {
	c     *core
	queue chan *hotCall
	tick  atomic.Uint64 // of the watchdog
	wg    sync.WaitGroup

	mu    sync.Mutex
	want  int
	alive []*lane
}

// lane is one of them.
type lane struct {
	// word is 0 between calls, 1 + the tick at which a call began during it,
	// and laneHangs when the watchdog has given the call up.
	word atomic.Uint64
	call *hotCall // the call under way; the watchdog reads it only after taking word
}

const (
	laneHangs  = ^uint64(0)
	queueRoom  = 256
	ticksLimit = 8 // ticks in a call's deadline
)

func newLanes(c *core, want int) *lanes {
	return &lanes{c: c, want: want, queue: make(chan *hotCall, queueRoom)}
}

// start brings the number of lanes up to what is wanted, unless too many calls
// hang already.
func (l *lanes) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.alive) < l.want && !l.c.tooManyStuck() && l.c.ctx.Err() == nil {
		ln := &lane{}
		l.alive = append(l.alive, ln)
		l.wg.Add(1)
		go l.work(ln)
	}
}

func (l *lanes) work(ln *lane) {
	defer l.wg.Done()
	for {
		select {
		case h := <-l.queue:
			if !l.serve(ln, h) {
				return // it was replaced while its call hung
			}
		case <-l.c.ctx.Done():
			return
		}
	}
}

// serve makes one call. It reports false if the call hung and was given up.
func (l *lanes) serve(ln *lane, h *hotCall) bool {
	if l.tick.Load()-h.born > ticksLimit {
		h.finish(hotQueued, 0, failf(hotNames[h.op], Busy, "queued for too long"))
		return true
	}
	if !h.state.CompareAndSwap(hotQueued, hotRunning) {
		clear(h.mem)
		return true // its caller is gone
	}
	s, err := l.session()
	if err != nil {
		h.finish(hotRunning, 0, err)
		return true
	}
	c := l.c
	if !c.gate.enter() {
		return l.stale(s, h)
	}
	if s.gen != c.live.Load() || s.gen != h.entry.gen {
		c.gate.leave()
		return l.stale(s, h)
	}
	word := l.tick.Load() + 1
	ln.call = h
	ln.word.Store(word)
	start := c.clock()
	n, err := h.cross(s.raw)
	c.observe(hotNames[h.op], start, err)
	c.gate.leave()
	if err != nil && !(h.op == hotDecrypt && c.profile.KeepAfterBadTag) {
		s.dirty = true
	}
	if !ln.word.CompareAndSwap(word, 0) {
		c.stuck.Add(-1)
		s.dirty = true
		clear(h.mem) // its caller has gone
		c.pool.put(s)
		l.start()
		return false
	}
	c.pool.put(s)
	if err != nil {
		err = fail(hotNames[h.op], err)
	}
	h.finish(hotRunning, n, err)
	return true
}

// stale ends a call that came too late for its session or handle.
func (l *lanes) stale(s *lease, h *hotCall) bool {
	l.c.pool.put(s)
	h.finish(hotRunning, 0, failf(hotNames[h.op], SessionLost, "the token is being opened anew"))
	return true
}

// cross makes the call itself.
func (h *hotCall) cross(raw Session) (int, error) {
	switch h.op {
	case hotEncrypt:
		return raw.Encrypt(&h.mech, h.entry.work, h.in, h.out)
	case hotDecrypt:
		return raw.Decrypt(&h.mech, h.entry.work, h.in, h.out)
	default:
		return raw.Sign(&h.mech, h.entry.work, h.in, h.out)
	}
}

// finish hands the result over, or wipes it if the caller has gone.
func (h *hotCall) finish(from uint32, n int, err error) {
	h.n, h.err = n, err
	if h.state.CompareAndSwap(from, hotDone) {
		h.done <- true
		return
	}
	clear(h.mem)
}

func (l *lanes) session() (*lease, error) {
	if s := l.c.pool.tryGet(); s != nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeoutCause(l.c.ctx, l.c.cfg.CallTimeout, errOverrun)
	defer cancel()
	return l.c.pool.get(ctx)
}

// run queues a call and waits for its end.
func (l *lanes) run(ctx context.Context, h *hotCall) error {
	if l.c.tooManyStuck() {
		return failf(hotNames[h.op], Stuck, "%d calls hang", l.c.stuck.Load())
	}
	h.born = l.tick.Load()
	h.state.Store(hotQueued)
	select {
	case l.queue <- h:
	default:
		select {
		case l.queue <- h:
		case <-ctx.Done():
			return &Error{Op: hotNames[h.op], Class: Busy, Err: context.Cause(ctx)}
		case <-l.c.ctx.Done():
			return &Error{Op: hotNames[h.op], Class: Closed}
		}
	}
	var err error
	select {
	case finished := <-h.done:
		return h.result(finished)
	case <-ctx.Done():
		err = &Error{Op: hotNames[h.op], Class: Busy, Err: context.Cause(ctx)}
	case <-l.c.ctx.Done():
		err = &Error{Op: hotNames[h.op], Class: Closed}
	}
	return h.giveUp(err)
}

// result is the call's error, or that it overran.
func (h *hotCall) result(finished bool) error {
	if finished {
		return h.err
	}
	h.gone = true
	return &Error{Op: hotNames[h.op], Class: Timeout, Err: errOverrun}
}

// giveUp leaves a call to itself, unless it came to its end at this moment.
func (h *hotCall) giveUp(err error) error {
	for {
		state := h.state.Load()
		if state == hotDone || state == hotOverran {
			return h.result(<-h.done)
		}
		if h.state.CompareAndSwap(state, hotGivenUp) {
			h.gone = true
			return err
		}
	}
}

// sweep is the watchdog's look at the lanes: calls over their deadline are
// given up, with an error for their callers, and their lanes replaced.
func (l *lanes) sweep() {
	now := l.tick.Add(1)
	l.mu.Lock()
	kept := l.alive[:0]
	for _, ln := range l.alive {
		w := ln.word.Load()
		if w == 0 || w == laneHangs || now-(w-1) <= ticksLimit || !ln.word.CompareAndSwap(w, laneHangs) {
			kept = append(kept, ln)
			continue
		}
		l.c.stuck.Add(1)
		h := ln.call
		if h.state.CompareAndSwap(hotRunning, hotOverran) {
			h.done <- false
		}
	}
	l.alive = kept
	l.mu.Unlock()
	l.start()
	if l.c.tooManyStuck() {
		l.failQueued()
	}
}

// failQueued ends the calls that wait behind too many that hang.
func (l *lanes) failQueued() {
	for {
		select {
		case h := <-l.queue:
			h.finish(hotQueued, 0, failf(hotNames[h.op], Stuck, "%d calls hang", l.c.stuck.Load()))
		default:
			return
		}
	}
}

// watch drives the watchdogs.
func (c *core) watch() {
	defer c.wg.Done()
	every := time.NewTicker(max(c.cfg.CallTimeout/ticksLimit, time.Millisecond))
	defer every.Stop()
	for {
		select {
		case <-every.C:
			c.cache.clock.Add(1)
			c.light.sweep()
			c.heavy.sweep()
		case <-c.ctx.Done():
			return
		}
	}
}

// join waits for the lanes to end, but not for one whose call hangs.
func (l *lanes) join(ctx context.Context) {
	over := make(chan struct{})
	go func() {
		l.wg.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
	}
}
