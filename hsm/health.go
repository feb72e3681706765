package hsm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"time"
)

// CanaryLabel labels the key that each token carries to prove itself by. It is
// Strongroom's own and of no use for anything else.
const CanaryLabel = "strongroom:canary"

// canaryRef names the canary; its id is the same on every token.
func canaryRef() KeyRef {
	sum := sha256.Sum256([]byte(CanaryLabel))
	return KeyRef{ID: sum[:16], Label: CanaryLabel}
}

// canary is a key whose use has a known result. Only the token that had it when
// it was first opened gives that result.
type canary struct {
	handle Handle
	mech   uint   // a deterministic cipher that the token has
	known  []byte // canaryPlain under it
}

var canaryPlain = []byte("strongroom-alive")

// canaryMechanisms are tried in this order: every module that was tried has one.
var canaryMechanisms = [...]uint{ckmAESCBC, ckmAESECB}

// canaryMechanism makes the parameters; the IV of CBC is zero, for the plain
// text is no secret.
func canaryMechanism(mech uint) Mechanism {
	m := Mechanism{Type: mech}
	if mech == ckmAESCBC {
		m.Param = make([]byte, 16)
	}
	return m
}

// showWell finds the canary again and uses it; at the first login it makes one
// if there is none. Having found it proves that searching works, and its use
// that the login and the token do.
func (c *core) showWell(ctx context.Context, keeper *lease) error {
	ref := canaryRef()
	handles, err := inspectAs(ctx, c, keeper, "C_FindObjects", func(raw Session) ([]Handle, error) {
		return raw.Find([]Attribute{boolAttr(ckaToken, true), ulongAttr(ckaClass, ckoSecretKey),
			bytesAttr(ckaID, ref.ID), textAttr(ckaLabel, ref.Label)}, findAtOnce)
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	known, first := c.canary, c.generation == 0
	c.mu.Unlock()
	if len(handles) == 0 {
		if !first && known != nil {
			return failf("check token", TokenDoubtful, "its canary key is missing: the token was erased, or shows only a part of itself")
		}
		if c.info.Load().ReadOnly || !first {
			return nil
		}
		h, err := c.makeCanary(ctx, keeper, ref)
		if err != nil {
			return c.withoutCanary(ctx, err)
		}
		handles = []Handle{h}
	}
	if known != nil {
		return c.sameCanary(ctx, keeper, known, handles)
	}
	return c.learnCanary(ctx, keeper, handles[0])
}

func (c *core) makeCanary(ctx context.Context, keeper *lease, ref KeyRef) (Handle, error) {
	t := Template{KeyRef: ref, Kind: AES256, Usage: UseEncrypt | UseDecrypt}
	return inspectAs(ctx, c, keeper, "C_GenerateKey", func(raw Session) (Handle, error) {
		return raw.GenerateKey(Mechanism{Type: ckmAESKeyGen}, secretTemplate(t, true))
	})
}

// withoutCanary decides whether a token that takes no canary can be used: one
// that cannot make AES keys at all can, on weaker proof.
func (c *core) withoutCanary(ctx context.Context, cause error) error {
	switch ClassOf(cause) {
	case Unsupported, ReadOnly, Refused:
		c.log(ctx, slog.LevelWarn, "token takes no canary key; its health is judged by C_GetTokenInfo alone",
			slog.Any("cause", cause))
		return nil
	}
	return cause
}

// learnCanary finds a cipher that works and remembers its result.
func (c *core) learnCanary(ctx context.Context, keeper *lease, h Handle) error {
	var errs []error
	for _, mech := range canaryMechanisms {
		out, err := c.useCanary(ctx, keeper, mech, h)
		if err == nil {
			c.mu.Lock()
			c.canary = &canary{handle: h, mech: mech, known: out}
			c.mu.Unlock()
			return nil
		}
		errs = append(errs, err)
		if ClassOf(err) != Unsupported {
			break
		}
	}
	return errors.Join(errs...)
}

// sameCanary shows that one of the handles is the canary that was known before.
func (c *core) sameCanary(ctx context.Context, keeper *lease, known *canary, handles []Handle) error {
	for _, h := range handles {
		out, err := c.useCanary(ctx, keeper, known.mech, h)
		if err != nil {
			return err
		}
		if bytes.Equal(out, known.known) {
			c.mu.Lock()
			c.canary = &canary{handle: h, mech: known.mech, known: known.known}
			c.mu.Unlock()
			return nil
		}
	}
	return failf("check token", TokenDoubtful, "its canary key is another one: this is not the token that was opened")
}

func (c *core) useCanary(ctx context.Context, keeper *lease, mech uint, h Handle) ([]byte, error) {
	return inspectAs(ctx, c, keeper, "C_Encrypt", func(raw Session) ([]byte, error) {
		return encryptCanary(raw, mech, h)
	})
}

func encryptCanary(raw Session, mech uint, h Handle) ([]byte, error) {
	m, out := canaryMechanism(mech), make([]byte, 2*len(canaryPlain))
	n, err := raw.Encrypt(&m, h, canaryPlain, out)
	return out[:n], err
}

// check shows that the token is well: the canary gives its known result, and
// the token describes itself. Each alone misses a fault of some module.
func (c *core) check(ctx context.Context) error {
	return c.with(ctx, func(s *lease) error {
		c.mu.Lock()
		known := c.canary
		c.mu.Unlock()
		if known != nil {
			out, err := call(ctx, c, s, "C_Encrypt", func(raw Session) ([]byte, error) {
				return encryptCanary(raw, known.mech, known.handle)
			})
			if err != nil {
				return err
			}
			if !bytes.Equal(out, known.known) {
				return failf("check token", TokenDoubtful, "its canary key gave a wrong result")
			}
		}
		info, err := call(ctx, c, s, "C_GetTokenInfo", func(Session) (TokenInfo, error) {
			return c.lib.mod.TokenInfo(c.slot())
		})
		if err != nil {
			return err
		}
		if info.identity() != c.id {
			return failf("check token", TokenGone, "another token is in its slot")
		}
		return nil
	})
}

// Health uses the token's canary key and asks for its description. A token that
// fails is brought back first if that can be done.
func (t *Token) Health(ctx context.Context) error {
	return t.repeat(ctx, "check token", t.core.check)
}

// mayHelp reports whether another try may succeed after err, and takes the
// token out of use if it turns out not to be well; then the next try brings it
// back first. gen is the generation that the failed try was made in.
func (c *core) mayHelp(ctx context.Context, gen uint64, err error) bool {
	switch ClassOf(err) {
	case SessionLost, NotLoggedIn, TokenGone, TokenDoubtful, Internal:
	default:
		return false
	}
	if c.live.Load() != gen {
		return true // brought back, or taken out of use, meanwhile
	}
	if bad := c.check(ctx); bad != nil && c.live.Load() == gen {
		switch ClassOf(bad) {
		case Busy, Timeout, Stuck:
			return false // says nothing about the token's login
		}
		c.down(errors.Join(bad, err))
	}
	return true
}

// monitor looks after the token when nobody uses it: it notices a loss, brings
// a lost token back, and lets a shrunken pool grow again.
func (c *core) monitor() {
	defer c.wg.Done()
	timer := time.NewTimer(c.cfg.HealthInterval)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-c.ctx.Done():
			return
		}
		timer.Reset(c.look())
	}
}

// look is one round of the monitor; it returns the time to the next.
func (c *core) look() time.Duration {
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.CallTimeout)
	defer cancel()
	gen := c.live.Load()
	if gen != 0 {
		err := c.check(ctx)
		if err == nil {
			c.pool.relax()
			c.verifyCached(ctx, gen)
			return c.cfg.HealthInterval
		}
		if !c.mayHelp(ctx, gen, err) {
			return c.cfg.HealthInterval
		}
	}
	if err := c.ensure(ctx); err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		return min(max(c.pause, firstPause), c.cfg.HealthInterval)
	}
	return c.cfg.HealthInterval
}

// verifiedAtOnce bounds how many cached keys a round of the monitor looks at.
const verifiedAtOnce = 256

// verifyCached drops the session copies of keys that are no longer on the
// token: someone else may have destroyed them there.
func (c *core) verifyCached(ctx context.Context, gen uint64) {
	n := 0
	for _, e := range c.cache.snapshot() {
		if !e.copied || e.gen != gen || n == verifiedAtOnce {
			continue
		}
		n++
		err := c.manage(ctx, func(s *lease) error {
			if err := e.on(s, "C_GetAttributeValue"); err != nil {
				return err
			}
			_, err := c.attributes(ctx, s, e.object, ckaID)
			return err
		})
		if err != nil {
			c.dropEntry(e)
		}
		if ClassOf(err) != SessionLost && err != nil {
			return
		}
	}
}
