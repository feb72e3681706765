package hsm

import (
	"context"
	"slices"
	"time"
)

// Pauses between two re-initialisations of a module. Each disturbs every token of
// the module: for as long as the module takes to load, and by the search for
// every key in use. So tries for a token that stays away become rare, and rarer
// if the module has healthy tokens.
const (
	reinitPauseFirst    = 500 * time.Millisecond
	reinitPauseAlone    = 5 * time.Second
	reinitPauseCrowded  = time.Minute
	drainTimeoutDivisor = 2 // a drain may take half a call's deadline
)

// mayReinit reports whether the module may be initialised anew now, and takes
// note that it will be.
func (l *Library) mayReinit(cfg Config) bool {
	now := cfg.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	longest := reinitPauseAlone
	for _, c := range l.cores {
		if c.live.Load() != 0 {
			longest = reinitPauseCrowded
		}
	}
	if !l.lastReinit.IsZero() && now.Sub(l.lastReinit) < l.reinitPause {
		return false
	}
	l.lastReinit = now
	l.reinitPause = min(max(2*l.reinitPause, reinitPauseFirst), longest)
	return true
}

// reinitHelped forgets the pauses: the token that was away is back.
func (l *Library) reinitHelped() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reinitPause = reinitPauseFirst
}

// reinitLocked ends and begins the module anew: C_Finalize, C_Initialize. Every
// token of the module loses its sessions, handles and login, and gets them back
// at its next use. The management lock is held, so no management call is under
// way; the gates are closed and drained first, so no other call is either.
func (l *Library) reinitLocked(ctx context.Context, timeout time.Duration) error {
	const op = "re-initialise module"
	drain, cancel := context.WithTimeout(ctx, timeout/drainTimeoutDivisor)
	defer cancel()
	cores := l.openCores()
	for i, c := range cores {
		if !c.gate.drain(drain) {
			openGates(cores[:i])
			return failf(op, Stuck, "calls are still inside the module")
		}
	}
	defer openGates(cores)
	if l.inside.Load() != 0 {
		return failf(op, Stuck, "a call without a session is still inside the module")
	}
	if l.leftInside("") {
		return failf(op, Stuck, "calls of a token that was closed are still inside the module")
	}
	for _, c := range cores {
		c.down(failf(op, SessionLost, "the module is being initialised anew"))
	}
	l.epoch.Add(1)
	l.ready.Store(false)
	if _, err := bounded(ctx, l, timeout, "C_Finalize", func() (struct{}, error) {
		return struct{}{}, l.mod.Finalize()
	}); err != nil && CodeOf(err) != uint(ckrNotInitialized) {
		return err
	}
	return l.initialize(ctx, timeout)
}

func (l *Library) openCores() []*core {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]*core, 0, len(l.cores))
	for _, c := range l.cores {
		out = append(out, c)
	}
	return out
}

// leave takes note of a core that is given up, if calls of it are still inside
// the module: nothing may be torn down under them.
func (l *Library) leave(c *core) {
	if c.gate.inside.Load() == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = append(l.left, c)
}

// leftInside reports whether such calls are still inside: of the token of an
// identity, or of any token for "".
func (l *Library) leftInside(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = slices.DeleteFunc(l.left, func(c *core) bool { return c.gate.inside.Load() == 0 })
	return slices.ContainsFunc(l.left, func(c *core) bool { return id == "" || c.id == id })
}

func openGates(cores []*core) {
	for _, c := range cores {
		c.gate.open()
	}
}

// Close finalises the module if no token of it is open. It is for the end of
// the process.
func (l *Library) Close(ctx context.Context) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if n := len(l.openCores()); n != 0 {
		return failf("C_Finalize", Busy, "%d tokens are still open", n)
	}
	if l.inside.Load() != 0 || l.leftInside("") {
		return failf("C_Finalize", Stuck, "calls are still inside the module")
	}
	if !l.ready.Load() {
		return nil
	}
	_, err := bounded(ctx, l, DefaultCallTimeout, "C_Finalize", func() (struct{}, error) {
		return struct{}{}, l.mod.Finalize()
	})
	if err != nil && CodeOf(err) != uint(ckrNotInitialized) {
		return err
	}
	l.ready.Store(false)
	return nil
}
