package hsm

import (
	"context"
	"sync/atomic"
)

// Token is one opener's handle on a token. It may be used by many goroutines at
// once. All handles of one physical token share its login, sessions and health.
type Token struct {
	core   *core
	closed atomic.Bool
}

// Info describes the token as it was last seen.
func (t *Token) Info() Info { return *t.core.info.Load() }

// Profile returns the row of the profile table that is in force.
func (t *Token) Profile() Profile { return t.core.profile }

// Stats returns figures for metrics and status pages.
func (t *Token) Stats() Stats {
	c := t.core
	total, lent := c.pool.counts()
	keys, copies := c.cache.counts()
	s := Stats{
		Healthy: c.live.Load() != 0, Borrowed: lent, Stuck: int(c.stuck.Load()),
		CachedKeys: keys, Copies: copies,
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Epoch = c.generation
	if s.Healthy {
		s.Sessions = total + 1 // and the keeper
	} else if c.lastErr != nil {
		s.LastError = c.lastErr.Error()
	}
	return s
}

// usable refuses a handle that was closed.
func (t *Token) usable(op string) error {
	if t.closed.Load() {
		return &Error{Op: op, Class: Closed}
	}
	return nil
}

// Close gives the handle back. The last one of a token logs it out and ends its
// sessions; the module stays initialised. Closing twice is harmless. An error of
// class Busy means that the module had no time for it: the handle is open still.
func (t *Token) Close() error {
	if t.closed.Swap(true) {
		return nil
	}
	c := t.core
	// Another token of the module may be making a key pair. A handle that was
	// not given back would keep the login, and the PIN, for ever.
	wait, done := context.WithTimeout(context.Background(), closeTimeouts*c.cfg.CallTimeout)
	defer done()
	if err := c.lib.lock(wait); err != nil {
		t.closed.Store(false)
		return err
	}
	defer c.lib.unlock()
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.CallTimeout)
	defer cancel()
	c.lib.mu.Lock()
	c.refs--
	last := c.refs < 0
	if last {
		delete(c.lib.cores, c.id)
	}
	c.lib.mu.Unlock()
	if !last {
		return nil
	}
	defer c.lib.leave(c)
	return c.retire(ctx)
}

// closeTimeouts is how many call deadlines closing waits for its turn: longer
// than a token takes for a key pair, and not so long as one that hangs.
const closeTimeouts = 3

// repeat runs an operation that may be run again, and runs it once more if it
// failed for reasons of session or token that are put right by then.
func (t *Token) repeat(ctx context.Context, op string, fn func(context.Context) error) error {
	if err := t.usable(op); err != nil {
		return err
	}
	c := t.core
	for again := false; ; again = true {
		if err := c.ensure(ctx); err != nil {
			return err
		}
		gen := c.live.Load()
		err := fn(ctx)
		if err == nil || again || !c.mayHelp(ctx, gen, err) {
			return err
		}
	}
}

// once is repeat for operations that must not be run twice.
func (t *Token) once(ctx context.Context, op string, fn func(context.Context) error) error {
	if err := t.usable(op); err != nil {
		return err
	}
	c := t.core
	if err := c.ensure(ctx); err != nil {
		return err
	}
	gen := c.live.Load()
	err := fn(ctx)
	if err != nil {
		c.mayHelp(ctx, gen, err)
	}
	return err
}

// Random fills p from the token's generator. Long requests are cut into pieces
// that every known module takes.
func (t *Token) Random(ctx context.Context, p []byte) error {
	const piece = 4096
	return t.repeat(ctx, "C_GenerateRandom", func(ctx context.Context) error {
		return t.core.with(ctx, func(s *lease) error {
			for done := 0; done < len(p); {
				n := min(piece, len(p)-done)
				// A buffer of its own: a call that is given up may write later.
				b, err := call(ctx, t.core, s, "C_GenerateRandom", func(raw Session) ([]byte, error) {
					b := make([]byte, n)
					return b, raw.Random(b)
				})
				if err != nil {
					return err
				}
				done += copy(p[done:], b)
				clear(b)
			}
			return nil
		})
	})
}
