package hsm

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// core is the one inner half of all handles on a token.
type core struct {
	id      string // TokenInfo.identity
	lib     *Library
	cfg     Config
	profile Profile
	pool    *Pool
	gate    *gate
	cache   *cache
	light   *lanes // short calls: AES, HMAC
	heavy   *lanes // RSA and curves

	refs int // handles beyond the first; guarded by lib.mu

	info atomic.Pointer[Info]
	// live is the login generation, or 0 while the token is down. It
	// changes only under the library's management lock, except to 0.
	live     atomic.Uint64
	epoch    atomic.Uint64 // the library's epoch that live belongs to
	noRawRSA atomic.Bool   // the token was seen to have no CKM_RSA_X_509
	// blindUnwrap: the token was seen not to tell the length of what it unwraps
	blindUnwrap atomic.Bool
	// prehash: whether the token makes signatures of Ed25519ph; nil until it was tried
	prehash atomic.Pointer[bool]
	stuck   atomic.Int64 // calls that overran their deadline and still hang

	mu         sync.Mutex // guards what follows
	pin        Secret     // that the token takes
	lastErr    error      // why it is down
	lastTry    time.Time
	pause      time.Duration // before the next try to come back
	recovering chan struct{} // closed when the try under way is over; nil without one
	refused    bool          // the token refused the PIN: no more tries
	generation uint64        // the last one used
	keeper     *lease        // holds the login and the session copies
	canary     *canary       // nil: the token cannot have one

	ctx  context.Context // ends with stop
	quit context.CancelFunc
	wg   sync.WaitGroup // all goroutines of the core, but for calls that hang
}

const minSessions = 2

func newCore(l *Library, cfg Config, slot uint, info TokenInfo) (*core, error) {
	profile := DetectProfile(l.mod.Path(), info.Manufacturer)
	if cfg.Profile != "" {
		var ok bool
		if profile, ok = LookupProfile(cfg.Profile); !ok {
			return nil, failf("open token", BadInput, "no profile is named %q", cfg.Profile)
		}
	}
	c := &core{id: info.identity(), lib: l, cfg: cfg, profile: profile, gate: newGate(), cache: newCache(profile), pin: cfg.PIN}
	c.cfg.PIN = Secret{}
	c.setInfo(slot, info)
	c.pool = newPool(c.ceiling(info), c.openSession, c.endSession)
	c.light = newLanes(c, atOnce(profile.LightAtOnce))
	c.heavy = newLanes(c, atOnce(profile.HeavyAtOnce))
	c.ctx, c.quit = context.WithCancel(context.Background())
	return c, nil
}

func atOnce(n int) int {
	if n == 0 {
		return runtime.GOMAXPROCS(0)
	}
	return n
}

// ceiling is how many sessions may be open beside the keeper.
func (c *core) ceiling(info TokenInfo) int {
	n := c.cfg.MaxSessions
	if n == 0 {
		n = c.profile.MaxSessions
	}
	// 0 and values near the end of the range mean that it was not said.
	for _, limit := range []uint{info.MaxSessions, info.MaxRWSessions} {
		if limit != 0 && limit < 1<<20 {
			n = min(n, int(limit)) //nolint:gosec // bounded above
		}
	}
	return max(n, minSessions) - 1
}

func (c *core) setInfo(slot uint, info TokenInfo) {
	c.info.Store(&Info{
		ModulePath: c.lib.mod.Path(), Label: info.Label, Serial: info.Serial,
		Manufacturer: info.Manufacturer, Model: info.Model, Firmware: info.Firmware,
		Slot: slot, Profile: c.profile.Name, ReadOnly: info.Flags&ckfWriteProtected != 0,
	})
}

// start begins the core's own goroutines.
func (c *core) start() {
	c.light.start()
	c.heavy.start()
	c.wg.Add(2)
	go c.watch()
	go c.monitor()
}

// stop ends them and waits. Calls that hang are left behind.
func (c *core) stop(ctx context.Context) {
	c.mu.Lock()
	c.quit()
	c.mu.Unlock()
	c.wg.Wait()
	c.light.join(ctx)
	c.heavy.join(ctx)
}

// spawn runs fn on a goroutine of the core; at the end of the core it does
// nothing.
func (c *core) spawn(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spawnLocked(fn)
}

func (c *core) spawnLocked(fn func()) {
	if c.ctx.Err() == nil {
		c.wg.Go(fn)
	}
}

func (c *core) log(ctx context.Context, level slog.Level, msg string, args ...any) {
	info := c.info.Load()
	args = append(args, slog.String("token", info.Label), slog.String("serial", info.Serial))
	c.cfg.Logger.Log(ctx, level, msg, args...)
}

// down takes the token out of use until it is logged in to again.
func (c *core) down(cause error) {
	if c.live.Swap(0) == 0 {
		return
	}
	c.mu.Lock()
	c.lastErr, c.pause, c.lastTry = cause, 0, time.Time{}
	c.mu.Unlock()
	c.pool.reset(0, c.ceilingNow())
	c.log(c.ctx, slog.LevelWarn, "token is out of use", slog.Any("cause", cause))
}

func (c *core) ceilingNow() int {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return c.pool.ceiling
}

// openSession opens a session for the pool. The management lock keeps it apart
// from logins, so that the session surely belongs to the generation it says.
func (c *core) openSession(ctx context.Context) (*lease, error) {
	if err := c.lib.lock(ctx); err != nil {
		return nil, err
	}
	defer c.lib.unlock()
	s := &lease{gen: c.live.Load()}
	if s.gen == 0 {
		return nil, failf("C_OpenSession", SessionLost, "not logged in")
	}
	raw, err := call(ctx, c, s, "C_OpenSession", func(Session) (Session, error) {
		return c.lib.mod.OpenSession(c.slot(), !c.info.Load().ReadOnly)
	})
	if err != nil {
		return nil, err
	}
	s.raw = raw
	return s, nil
}

func (c *core) slot() uint { return c.info.Load().Slot }

// endSession closes a session whose state is in doubt, beside the caller.
func (c *core) endSession(s *lease) {
	c.spawn(func() {
		defer c.pool.forget(s)
		if s.hangs != nil {
			select {
			case <-s.hangs:
			case <-c.ctx.Done():
				return
			}
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.cfg.CallTimeout)
		defer cancel()
		if c.lib.lock(ctx) != nil {
			return
		}
		defer c.lib.unlock()
		_, err := call(ctx, c, s, "C_CloseSession", func(raw Session) (struct{}, error) {
			return struct{}{}, raw.Close()
		})
		if err != nil {
			c.log(ctx, slog.LevelDebug, "closing a session failed", slog.Any("cause", err))
		}
	})
}

// call makes one call into the module on a lent session, under the call
// deadline. It refuses a session of an earlier generation: its handle may be
// someone else's by now. If the call overruns, or the caller goes away, the
// session is marked; a result that comes later is dropped.
func call[T any](ctx context.Context, c *core, s *lease, op string, fn func(Session) (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil {
		return zero, &Error{Op: op, Class: Busy, Err: context.Cause(ctx)}
	}
	if c.tooManyStuck() {
		return zero, failf(op, Stuck, "%d calls hang", c.stuck.Load())
	}
	if s.hanging() {
		return zero, failf(op, Stuck, "an earlier call on the session hangs")
	}
	if !c.gate.enter() {
		return zero, failf(op, SessionLost, "the token is being opened anew")
	}
	if s.gen == 0 || s.gen != c.live.Load() {
		c.gate.leave()
		return zero, failf(op, SessionLost, "the session is of an earlier login")
	}
	return inside(ctx, c, s, op, fn)
}
