package hsm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Library owns one module in this process: who initialises it, which tokens of
// it are open, and the lock that orders management calls. There must be one
// Library for a module; package hsm/pkcs11 keeps that promise.
//
// Order of locks: a session of the pool, then the management lock, then a
// token's gate. Every call into the module is made under a token's gate or
// under the management lock.
type Library struct {
	mod    Module
	manage chan struct{} // the management lock; has room for its one holder
	epoch  atomic.Uint64 // changes with every initialisation
	ready  atomic.Bool   // it is initialised, as far as is known

	mu    sync.Mutex // guards what follows
	cores map[string]*core
	// left are cores that were closed while calls of theirs hung in the module.
	left []*core
	// lastReinit and reinitPause say when the module may be initialised anew.
	lastReinit  time.Time
	reinitPause time.Duration
	// capabilities has what each make of token was seen to do.
	capabilities map[string]*seen

	inside atomic.Int64 // calls under way that belong to no token
}

// NewLibrary makes the owner of a module that nobody has initialised yet.
func NewLibrary(m Module) *Library {
	return &Library{mod: m, manage: make(chan struct{}, 1), cores: make(map[string]*core),
		capabilities: make(map[string]*seen)}
}

// lock takes the management lock.
func (l *Library) lock(ctx context.Context) error {
	select {
	case l.manage <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &Error{Op: "wait for management lock", Class: Busy, Err: context.Cause(ctx)}
	}
}

func (l *Library) unlock() { <-l.manage }

// Open opens the token that cfg selects, logs in, and shows that the token is
// well. A token that is open already is shared: the first opener's settings
// stay, and the PIN must be the one that the token took from him. An incorrect
// PIN reaches the token once and is not tried again.
func (l *Library) Open(ctx context.Context, cfg Config) (*Token, error) {
	cfg = cfg.withDefaults()
	type result struct {
		token *Token
		err   error
	}
	done := make(chan result, 1)
	go func() {
		// A login is not left half-way because a caller goes: it comes to
		// its end, and is undone if nobody wants it any more.
		inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), openTimeouts*cfg.CallTimeout)
		defer cancel()
		t, err := l.open(inner, cfg)
		done <- result{t, err}
	}()
	select {
	case r := <-done:
		return r.token, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.token != nil {
				_ = r.token.Close() // nobody is left to be told
			}
		}()
		return nil, &Error{Op: "open token", Class: Timeout, Err: context.Cause(ctx)}
	}
}

// openTimeouts is how many call deadlines an opening may take in all.
const openTimeouts = 4

func (l *Library) open(ctx context.Context, cfg Config) (*Token, error) {
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	t, err := l.openLocked(ctx, cfg)
	l.unlock()
	if err != nil {
		return nil, err
	}
	// A shared token may be down just now: then this is no success.
	if err := t.core.ensure(ctx); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

func (l *Library) openLocked(ctx context.Context, cfg Config) (*Token, error) {
	slot, info, err := l.locate(ctx, cfg)
	if errors.Is(err, TokenMissing) && l.mayReinit(cfg) {
		// The token may have been made by another process since: modules
		// such as SoftHSM2 look only when they are initialised.
		if err := l.reinitLocked(ctx, cfg.CallTimeout); err != nil {
			return nil, err
		}
		if slot, info, err = l.locate(ctx, cfg); err == nil {
			l.reinitHelped()
		}
	}
	if err != nil {
		return nil, err
	}
	if err := checkUsable(info, cfg); err != nil {
		return nil, err
	}
	return l.share(ctx, cfg, slot, info)
}

// share returns a handle on the core of a token, which it makes if needed. The
// management lock is held.
func (l *Library) share(ctx context.Context, cfg Config, slot uint, info TokenInfo) (*Token, error) {
	id := info.identity()
	l.mu.Lock()
	c, open := l.cores[id]
	l.mu.Unlock()
	if open {
		if !cfg.PIN.Equal(c.goodPIN()) {
			return nil, failf("C_Login", PINIncorrect, "another PIN is known to be good")
		}
		l.mu.Lock()
		c.refs++
		l.mu.Unlock()
		return &Token{core: c}, nil
	}
	c, err := newCore(l, cfg, slot, info)
	if err != nil {
		return nil, err
	}
	if l.leftInside(id) {
		c.quit()
		return nil, failf("open token", Stuck, "calls from before it was closed are still inside the module")
	}
	if err := l.firstLogin(ctx, c); err != nil {
		c.stop(ctx)
		l.leave(c)
		return nil, err
	}
	c.start()
	l.mu.Lock()
	l.cores[id] = c
	l.mu.Unlock()
	return &Token{core: c}, nil
}

// firstLogin logs in to a token that was not open. A module may remember a token
// that was replaced since; then it is initialised anew, but never after the
// token has judged the PIN.
func (l *Library) firstLogin(ctx context.Context, c *core) error {
	err := c.login(ctx)
	switch ClassOf(err) {
	case Internal, TokenGone, SessionLost, NotLoggedIn, TokenDoubtful:
	default:
		return err
	}
	if err == nil || !l.mayReinit(c.cfg) {
		return err
	}
	if again := l.reinitLocked(ctx, c.cfg.CallTimeout); again != nil {
		return errors.Join(err, again)
	}
	return c.afterReinit(ctx)
}

// checkUsable refuses a token that cannot be logged in to, before any PIN
// reaches it.
func checkUsable(info TokenInfo, cfg Config) error {
	switch {
	case info.Flags&ckfTokenInitialized == 0:
		return failf("C_GetTokenInfo", NotInitialized, "token %q has no contents yet", info.Label)
	case cfg.PIN.Empty():
		return nil
	case info.Flags&ckfUserPINInitialized == 0:
		return failf("C_GetTokenInfo", PINNotSet, "token %q has no user PIN", info.Label)
	case info.Flags&ckfUserPINLocked != 0:
		return failf("C_GetTokenInfo", PINLocked, "token %q says that its user PIN is locked", info.Label)
	}
	return nil
}

// locate finds the slot of the selected token. The management lock is held.
func (l *Library) locate(ctx context.Context, cfg Config) (uint, TokenInfo, error) {
	if !l.ready.Load() {
		if err := l.initialize(ctx, cfg.CallTimeout); err != nil {
			return 0, TokenInfo{}, err
		}
	}
	tokens, err := l.tokens(ctx, cfg.CallTimeout)
	if err != nil {
		return 0, TokenInfo{}, err
	}
	var found []slotToken
	for _, t := range tokens {
		if cfg.matches(t.slot, t.info) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 1:
		return found[0].slot, found[0].info, nil
	case 0:
		return 0, TokenInfo{}, failf("find token", TokenMissing, "%s: none of %d tokens fits", cfg.URI(), len(tokens))
	}
	return 0, TokenInfo{}, failf("find token", TokenAmbiguous, "%s fits %d tokens; add the serial number", cfg.URI(), len(found))
}

type slotToken struct {
	slot uint
	info TokenInfo
}

// tokens lists what is in the slots. A slot that fails is passed over: it is
// not the one that is looked for, or will be missed. The lock is held.
func (l *Library) tokens(ctx context.Context, timeout time.Duration) ([]slotToken, error) {
	slots, err := bounded(ctx, l, timeout, "C_GetSlotList", func() ([]uint, error) { return l.mod.Slots(true) })
	if CodeOf(err) == uint(ckrNotInitialized) {
		l.ready.Store(false) // somebody else finalised it; the next try begins there
	}
	if err != nil {
		return nil, err
	}
	out := make([]slotToken, 0, len(slots))
	for _, slot := range slots {
		info, err := bounded(ctx, l, timeout, "C_GetTokenInfo", func() (TokenInfo, error) { return l.mod.TokenInfo(slot) })
		if errors.Is(err, Timeout) {
			return nil, err
		}
		if err == nil {
			out = append(out, slotToken{slot, info})
		}
	}
	return out, nil
}

// initialize calls C_Initialize. A module that something else in the process
// initialised is used as it is. The lock is held.
func (l *Library) initialize(ctx context.Context, timeout time.Duration) error {
	_, err := bounded(ctx, l, timeout, "C_Initialize", func() (struct{}, error) { return struct{}{}, l.mod.Initialize() })
	if err != nil && CodeOf(err) != uint(ckrAlreadyInitialized) {
		return err
	}
	l.epoch.Add(1)
	l.ready.Store(true)
	return nil
}

// bounded runs a call that belongs to no session, with a deadline. One that
// overruns goes on by itself; its result is dropped.
func bounded[T any](ctx context.Context, l *Library, timeout time.Duration, op string, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done, over := make(chan result, 1), make(chan struct{})
	l.inside.Add(1)
	go func() {
		v, err := call()
		l.inside.Add(-1)
		close(over)
		done <- result{v, err}
	}()
	var zero T
	switch newPatience(timeout).await(ctx.Done(), over) {
	case callOverran:
		return zero, &Error{Op: op, Class: Timeout, Err: errOverrun}
	case callerLeft:
		return zero, &Error{Op: op, Class: Timeout, Err: context.Cause(ctx)}
	}
	r := <-done
	if r.err != nil {
		return zero, fail(op, r.err)
	}
	return r.value, nil
}

var errOverrun = errors.New("the call overran its deadline")

// TokenEntry is one token that a module shows.
type TokenEntry struct {
	Slot uint
	TokenInfo
	Initialized, UserPINSet bool
}

// Tokens lists the tokens of the module, blank ones included.
func (l *Library) Tokens(ctx context.Context) ([]TokenEntry, error) {
	if err := l.lock(ctx); err != nil {
		return nil, err
	}
	defer l.unlock()
	if !l.ready.Load() {
		if err := l.initialize(ctx, DefaultCallTimeout); err != nil {
			return nil, err
		}
	}
	tokens, err := l.tokens(ctx, DefaultCallTimeout)
	if err != nil {
		return nil, err
	}
	out := make([]TokenEntry, len(tokens))
	for i, t := range tokens {
		out[i] = TokenEntry{
			Slot: t.slot, TokenInfo: t.info,
			Initialized: t.info.Flags&ckfTokenInitialized != 0,
			UserPINSet:  t.info.Flags&ckfUserPINInitialized != 0,
		}
	}
	return out, nil
}

// identity tells one physical token from another, wherever it is plugged in.
func (i TokenInfo) identity() string {
	return i.Label + "\x00" + i.Serial + "\x00" + i.Manufacturer + "\x00" + i.Model
}
