package hsm

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// login ends every session of this process with the token, opens the keeper
// session, logs in, and shows that the token is well; then the token is live.
// The management lock is held and no call of this token is under way.
func (c *core) login(ctx context.Context) error {
	if _, err := c.inspect(ctx, nil, "C_CloseAllSessions", func(Session) (any, error) {
		return nil, c.lib.mod.CloseAllSessions(c.slot())
	}); err != nil {
		return err
	}
	raw, err := inspectAs(ctx, c, nil, "C_OpenSession", func(Session) (Session, error) {
		return c.lib.mod.OpenSession(c.slot(), !c.info.Load().ReadOnly)
	})
	if err != nil {
		return err
	}
	keeper := &lease{raw: raw}
	err = c.authenticate(ctx, keeper)
	if err == nil && c.first() {
		err = c.clearTorn(ctx, keeper)
	}
	if err == nil {
		err = c.showWell(ctx, keeper)
	}
	if err != nil && keeper.hanging() {
		return err // its sessions are closed before the next login, when the call is over
	}
	if err != nil {
		// Nothing stays logged in on a token that is not in use.
		_, closing := c.inspect(ctx, nil, "C_CloseAllSessions", func(Session) (any, error) {
			return nil, c.lib.mod.CloseAllSessions(c.slot())
		})
		if closing != nil {
			c.log(ctx, slog.LevelDebug, "closing sessions failed", slog.Any("cause", closing))
		}
		return err
	}
	c.cache.clear()
	c.mu.Lock()
	c.generation++
	gen := c.generation
	keeper.gen = gen
	c.keeper, c.lastErr, c.pause = keeper, nil, 0
	c.mu.Unlock()
	c.epoch.Store(c.lib.epoch.Load())
	c.pool.reset(gen, c.ceilingNow())
	c.live.Store(gen)
	if c.cache.primes.Load() {
		c.prime()
	}
	return nil
}

// first reports whether the token has not been logged in to since it was opened.
func (c *core) first() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.generation == 0
}

// inspectAs makes a call while the token is not live: through its closed gate,
// which the caller holds.
func inspectAs[T any](ctx context.Context, c *core, s *lease, op string, fn func(Session) (T, error)) (T, error) {
	if s == nil {
		s = &lease{}
	}
	c.gate.force()
	return inside(ctx, c, s, op, fn)
}

func (c *core) inspect(ctx context.Context, s *lease, op string, fn func(Session) (any, error)) (any, error) {
	return inspectAs(ctx, c, s, op, fn)
}

// authenticate logs the keeper in. "Already logged in" proves nothing about the
// PIN, so whoever is logged in is logged out first.
func (c *core) authenticate(ctx context.Context, keeper *lease) error {
	pin := c.goodPIN()
	if pin.Empty() {
		return nil
	}
	try := func() error {
		_, err := c.inspect(ctx, keeper, "C_Login", func(raw Session) (any, error) {
			return nil, raw.Login(User, pin)
		})
		return err
	}
	err := try()
	if CodeOf(err) == uint(ckrUserAlreadyLoggedIn) {
		if _, err := c.inspect(ctx, keeper, "C_Logout", func(raw Session) (any, error) {
			return nil, raw.Logout()
		}); err != nil {
			return err
		}
		err = try()
	}
	switch ClassOf(err) {
	case PINIncorrect, PINLocked, PINExpired, PINNotSet:
		if err != nil {
			c.mu.Lock()
			c.refused = true // never tried again by ourselves
			c.mu.Unlock()
		}
	}
	return err
}

// Pauses between tries to bring a lost token back.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// ensure returns when the token is live, or says why it is not. One try to
// bring it back serves all who wait; between tries callers fail at once.
func (c *core) ensure(ctx context.Context) error {
	if c.live.Load() != 0 {
		return nil
	}
	c.mu.Lock()
	if c.live.Load() != 0 {
		c.mu.Unlock()
		return nil
	}
	if c.ctx.Err() != nil {
		c.mu.Unlock()
		return &Error{Op: "use token", Class: Closed}
	}
	over := c.recovering
	if over == nil {
		if c.refused || c.cfg.Now().Sub(c.lastTry) < c.pause {
			err := c.lastErr
			c.mu.Unlock()
			return lost(err)
		}
		over = make(chan struct{})
		c.recovering = over
		c.spawnLocked(func() { c.revive(over) })
	}
	c.mu.Unlock()
	select {
	case <-over:
	case <-ctx.Done():
		return &Error{Op: "wait for token", Class: TokenGone, Err: context.Cause(ctx)}
	}
	if c.live.Load() != 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return lost(c.lastErr)
}

// lost says that the token is gone, with the reason, unless the reason is one
// that a person must see as it is.
func lost(cause error) error {
	switch ClassOf(cause) {
	case PINIncorrect, PINLocked, PINExpired, PINNotSet, TokenDoubtful, Stuck, Timeout, Closed:
		return cause
	}
	return &Error{Op: "use token", Class: TokenGone, Code: CodeOf(cause), Err: cause}
}

// revive makes one try to bring the token back.
func (c *core) revive(over chan struct{}) {
	ctx, cancel := context.WithTimeout(c.ctx, 4*c.cfg.CallTimeout)
	defer cancel()
	err := c.reviveLocked(ctx)
	c.mu.Lock()
	c.lastTry = c.cfg.Now()
	if err != nil {
		c.lastErr = err
		c.pause = min(max(2*c.pause, firstPause), lastPause)
	}
	c.recovering = nil
	c.mu.Unlock()
	close(over)
	if err != nil {
		c.log(ctx, slog.LevelWarn, "token could not be brought back", slog.Any("cause", err))
		return
	}
	c.log(ctx, slog.LevelInfo, "token is back", slog.Uint64("slot", uint64(c.slot())))
}

// reviveLocked logs in anew; if that does not do, it initialises the module
// anew and logs in again.
func (c *core) reviveLocked(ctx context.Context) error {
	if err := c.lib.lock(ctx); err != nil {
		return err
	}
	defer c.lib.unlock()
	if c.live.Load() != 0 {
		return nil
	}
	fresh := c.epoch.Load() != c.lib.epoch.Load() // someone has initialised it anew already
	err := failf("use token", TokenGone, "the module must be initialised anew")
	if fresh || !c.profile.ReinitOnly {
		if err = c.relogin(ctx); err == nil {
			return nil
		}
	}
	switch ClassOf(err) {
	case PINIncorrect, PINLocked, PINExpired, PINNotSet, Stuck, Timeout:
		return err
	}
	if !c.lib.mayReinit(c.cfg) {
		return err
	}
	if again := c.lib.reinitLocked(ctx, c.cfg.CallTimeout); again != nil {
		return errors.Join(err, again)
	}
	return c.afterReinit(ctx)
}

func (c *core) afterReinit(ctx context.Context) error {
	err := c.relogin(ctx)
	if err == nil {
		c.lib.reinitHelped()
	}
	return err
}

// relogin finds the token again, whatever slot it is in now, and logs in. The
// management lock is held.
func (c *core) relogin(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, c.cfg.CallTimeout/drainTimeoutDivisor)
	defer cancel()
	if !c.gate.drain(wait) {
		return failf("use token", Stuck, "calls are still inside the module")
	}
	defer c.gate.open()
	if !c.lib.ready.Load() {
		if err := c.lib.initialize(ctx, c.cfg.CallTimeout); err != nil {
			return err
		}
	}
	tokens, err := c.lib.tokens(ctx, c.cfg.CallTimeout)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.info.identity() == c.id {
			c.setInfo(t.slot, t.info)
			return c.login(ctx)
		}
	}
	return failf("find token", TokenGone, "it is in none of the module's slots")
}

// retire logs the token out at the end. The management lock is held.
func (c *core) retire(ctx context.Context) error {
	live := c.live.Swap(0) != 0
	c.pool.reset(0, c.ceilingNow())
	c.stop(ctx)
	if !live {
		return nil
	}
	if !c.gate.drain(ctx) {
		return failf("C_CloseAllSessions", Stuck, "calls are still inside the module")
	}
	_, err := c.inspect(ctx, nil, "C_CloseAllSessions", func(Session) (any, error) {
		return nil, c.lib.mod.CloseAllSessions(c.slot())
	})
	return err
}
