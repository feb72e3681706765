package hsm

import (
	"context"
	"fmt"
	"slices"
)

// opProbe is the name of trying something.
const opProbe = "probe token"

// seen is what was seen of one make of token in this process, kind by kind.
type seen struct {
	busy chan struct{} // held while something is tried; has room for its one holder
	out  Capabilities  // guarded by busy
	done map[Kind]bool // guarded by busy: kinds that out tells all about
}

// seen gives the memory of the token's make, held for the caller: he frees it.
func (t *Token) seen(ctx context.Context) (s *seen, free func(), err error) {
	info, l := t.Info(), t.core.lib
	id := fmt.Sprintf("%s\x00%s\x00%s\x00%s", info.Manufacturer, info.Model, info.Firmware, info.Profile)
	l.mu.Lock()
	s, ok := l.capabilities[id]
	if !ok {
		s = &seen{busy: make(chan struct{}, 1), done: make(map[Kind]bool), out: noCapabilities()}
		l.capabilities[id] = s
	}
	l.mu.Unlock()
	select {
	case s.busy <- struct{}{}:
		return s, func() { <-s.busy }, nil
	case <-ctx.Done():
		return nil, nil, &Error{Op: opProbe, Class: Busy, Err: context.Cause(ctx)}
	}
}

// Capabilities tries what the token can do. It is done once for each make of
// token in a process; it takes about as long as the token needs for an RSA key
// of 2048 bits. Larger RSA keys are taken for possible if the token says so.
func (t *Token) Capabilities(ctx context.Context) (Capabilities, error) {
	if err := t.usable(opProbe); err != nil {
		return Capabilities{}, err
	}
	s, free, err := t.seen(ctx)
	if err != nil {
		return Capabilities{}, err
	}
	defer free()
	p := &prober{c: t.core, seen: s}
	for kind := AES256; kind <= lastKind; kind++ {
		if err := p.kind(ctx, t, kind); err != nil {
			return Capabilities{}, err
		}
	}
	return s.out.clone(), nil
}

// CanMake tells whether keys of a kind can be made for all of the usages. What
// is not known of the token's make is tried first, with keys that live in a
// session only. A token that refuses is an answer, also one that names no cause
// (Kryoptic's CKR_GENERAL_ERROR for a curve that it does not know) and then is
// well; that answer is not kept. A token that fails in another way is an error.
func (t *Token) CanMake(ctx context.Context, kind Kind, usage Usage) (bool, error) {
	if kind == AES256 && usage&^(UseEncrypt|UseDecrypt) == 0 && t.core.canaried() {
		return true, nil
	}
	out, err := t.capability(ctx, kind)
	return out.Can(kind, usage), err
}

// CanSign tells whether the keys that a token makes sign by a scheme; see
// [Token.CanMake]. It is cheap once it is known.
func (t *Token) CanSign(ctx context.Context, scheme Scheme) (bool, error) {
	if scheme != SignEd25519ph {
		return true, nil // a key of its type that signs at all signs so
	}
	if known := t.core.prehash.Load(); known != nil {
		return *known, nil
	}
	out, err := t.capability(ctx, Ed25519)
	if out.Can(Ed25519, UseSign) {
		t.core.prehash.Store(&out.Prehash)
	}
	return out.Prehash, err
}

// capability makes sure that a kind was tried.
func (t *Token) capability(ctx context.Context, kind Kind) (Capabilities, error) {
	if err := t.usable(opProbe); err != nil {
		return Capabilities{}, err
	}
	s, free, err := t.seen(ctx)
	if err != nil {
		return Capabilities{}, err
	}
	defer free()
	p := &prober{c: t.core, seen: s}
	if err := p.kind(ctx, t, kind); err != nil {
		return Capabilities{}, err
	}
	if p.unsure != nil && ClassOf(p.unsure) != Internal {
		return Capabilities{}, p.unsure
	}
	return s.out.clone(), nil
}

// canaried: the token showed at the login that it does AES-GCM.
func (c *core) canaried() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.canary != nil
}

// prober adds to what was seen.
type prober struct {
	c *core
	*seen
	unsure error // the last failure that is no clear no
}

// try runs one attempt. A token that says no, in whatever way, cannot do it; a
// token that is not well fails the whole.
func (p *prober) try(ctx context.Context, t *Token, what string, fn func(raw Session, found *Capabilities) error) (bool, error) {
	found, err := p.attempt(ctx, t, fn)
	if err == nil {
		p.out.add(found)
		delete(p.out.Reasons, what) // of an attempt that failed for something else
		return true, nil
	}
	switch ClassOf(err) {
	case Busy, Timeout, Stuck, Closed:
		return false, err
	}
	if bad := t.Health(ctx); bad != nil {
		return false, bad
	}
	p.out.Reasons[what] = err.Error()
	if !clearNo(err) {
		p.unsure = err
	}
	return false, nil
}

// clearNo tells a token that cannot do something from one that failed to. Its
// wrong answers are a clear no too.
func clearNo(err error) bool {
	if CodeOf(err) == 0 {
		return true
	}
	switch ClassOf(err) {
	case Unsupported, Refused, BadInput, KeyInvalid:
		return true
	}
	return false
}

// attempt gives what fn found. It is the call's own until the call is over: one
// that overran may go on writing.
func (p *prober) attempt(ctx context.Context, t *Token, fn func(Session, *Capabilities) error) (found Capabilities, err error) {
	err = t.repeat(ctx, opProbe, func(ctx context.Context) error {
		return p.c.manage(ctx, func(s *lease) error {
			found, err = call(ctx, p.c, s, opProbe, func(raw Session) (Capabilities, error) {
				out := noCapabilities()
				return out, fn(raw, &out)
			})
			return err
		})
	})
	return found, err
}

// kind tries all that is done with a kind of keys, unless that was done.
func (p *prober) kind(ctx context.Context, t *Token, kind Kind) error {
	if p.done[kind] {
		return nil
	}
	p.unsure = nil
	var err error
	switch {
	case kind == RSA3072 || kind == RSA4096:
		err = p.largerRSA(ctx, t, kind)
	case kinds[kind].lattice != nil:
		err = p.listed(ctx, t, kind)
	default:
		err = p.uses(ctx, t, kind)
	}
	p.done[kind] = err == nil && p.unsure == nil
	return err
}

func (p *prober) uses(ctx context.Context, t *Token, kind Kind) error {
	for _, use := range probes[kinds[kind].keyType] {
		what := kind.String() + " " + use.what
		_, err := p.try(ctx, t, what, func(raw Session, found *Capabilities) error {
			pub, priv, err := probeKey(raw, kind, use.usage)
			if err == nil {
				err = use.run(p.c, raw, found, kind, pub, priv)
			}
			if err != nil {
				return err // and the session is closed, with all that it made
			}
			found.Uses[kind] = use.usage
			return discard(raw, pub, priv)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// discard destroys what was made to be tried; 0 is no handle.
func discard(raw Session, handles ...Handle) error {
	for _, h := range handles {
		if h == 0 {
			continue
		}
		if err := raw.DestroyObject(h); err != nil {
			return err
		}
	}
	return nil
}

// listed tries a kind only if the token lists the mechanism that makes it: what
// is newer than a module should not be asked of it.
func (p *prober) listed(ctx context.Context, t *Token, kind Kind) error {
	ok, err := p.try(ctx, t, kind.String(), func(Session, *Capabilities) error {
		list, err := p.c.lib.mod.Mechanisms(p.c.slot())
		if err == nil && !slices.Contains(list, kinds[kind].generate) {
			err = failf(opProbe, Unsupported, "the token lists no mechanism that makes such keys")
		}
		return err
	})
	if err != nil || !ok {
		return err
	}
	return p.uses(ctx, t, kind)
}

// largerRSA takes the token's word for the size and what RSA-2048 showed for
// the rest.
func (p *prober) largerRSA(ctx context.Context, t *Token, kind Kind) error {
	if err := p.kind(ctx, t, RSA2048); err != nil || !p.done[RSA2048] {
		return err
	}
	ok, err := p.try(ctx, t, kind.String()+" size", func(Session, *Capabilities) error {
		most, err := p.c.lib.mod.MaxKeySize(p.c.slot(), ckmRSAPairGen)
		if err == nil && most < uint(kind.Bits()) { //nolint:gosec // small constants
			err = fmt.Errorf("the token says that it makes RSA keys of at most %d bits", most)
		}
		return err
	})
	if uses, made := p.out.Uses[RSA2048]; ok && made {
		p.out.Uses[kind] = uses
	}
	return err
}
