package hsm

import (
	"context"
	"sync/atomic"
	"time"
)

// inside runs a call whose caller has entered the gate. The call itself runs on
// a goroutine of its own, because nothing can end a C function: when it
// overruns, its caller leaves and it is left to itself.
func inside[T any](ctx context.Context, c *core, s *lease, op string, fn func(Session) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	over := make(chan struct{})
	var counted atomic.Bool // whether it stands in c.stuck
	go func() {
		start := c.clock()
		v, err := fn(s.raw)
		c.observe(op, start, err)
		c.gate.leave()
		close(over)
		if counted.CompareAndSwap(true, false) {
			c.stuck.Add(-1)
		}
		done <- result{v, err}
	}()
	wait := newPatience(c.deadline(op))
	var zero T
	finish := func(r result) (T, error) {
		if r.err != nil {
			s.dirty = true
			return zero, fail(op, r.err)
		}
		return r.value, nil
	}
	switch wait.await(ctx.Done(), over) {
	case callOverran:
		s.dirty, s.hangs = true, over
		c.countStuck(&counted, over)
		return zero, &Error{Op: op, Class: Timeout, Err: errOverrun}
	case callerLeft:
		s.dirty, s.hangs = true, over
		c.spawn(func() {
			if wait.await(c.ctx.Done(), over) == callOverran {
				c.countStuck(&counted, over)
			}
		})
		return zero, &Error{Op: op, Class: Timeout, Err: context.Cause(ctx)}
	}
	return finish(<-done)
}

// pairTimeouts is how many call deadlines a key pair may take: a token searches for primes, an RSA-4096 key on a busy
// SoftHSM2 for many seconds.
const pairTimeouts = 5

// deadline is how long a call may take.
func (c *core) deadline(op string) time.Duration {
	if op == "C_GenerateKeyPair" || op == opProbe {
		return pairTimeouts * c.cfg.CallTimeout
	}
	return c.cfg.CallTimeout
}

// countStuck counts a call that overran, unless it is over by now.
func (c *core) countStuck(counted *atomic.Bool, over <-chan struct{}) {
	c.stuck.Add(1)
	counted.Store(true)
	select {
	case <-over:
		// It may have seen counted or not: whoever takes it back counts.
		if counted.CompareAndSwap(true, false) {
			c.stuck.Add(-1)
		}
	default:
	}
}

// maxStuck is how many calls of a token may hang before new ones are refused at
// once.
const maxStuck = 4

func (c *core) tooManyStuck() bool { return c.stuck.Load() >= maxStuck }

// clock reads the time if somebody wants to know how long calls take.
func (c *core) clock() time.Time {
	if c.cfg.Observer == nil {
		return time.Time{}
	}
	return c.cfg.Now()
}

func (c *core) observe(op string, start time.Time, err error) {
	if c.cfg.Observer != nil {
		c.cfg.Observer.TokenCall(*c.info.Load(), op, c.cfg.Now().Sub(start), CodeOf(err))
	}
}

// do is call for functions that give nothing back.
func do(ctx context.Context, c *core, s *lease, op string, fn func(Session) error) error {
	_, err := call(ctx, c, s, op, func(raw Session) (struct{}, error) { return struct{}{}, fn(raw) })
	return err
}

// with lends a session to fn, in the caller's goroutine.
func (c *core) with(ctx context.Context, fn func(*lease) error) error {
	wait, cancel := context.WithTimeoutCause(ctx, c.cfg.CallTimeout, errOverrun)
	defer cancel()
	s, err := c.pool.get(wait)
	if err != nil {
		return err
	}
	defer c.pool.put(s)
	return fn(s)
}

// manage lends a session for calls that change or search the token, and keeps
// them apart from others of the same module where the profile wants that.
func (c *core) manage(ctx context.Context, fn func(*lease) error) error {
	return c.with(ctx, func(s *lease) error {
		if !c.profile.SerialManagement {
			return fn(s)
		}
		if err := c.lib.lock(ctx); err != nil {
			return err
		}
		defer c.lib.unlock()
		return fn(s)
	})
}
