package hsm

import (
	"context"
	"log/slog"
	"time"
)

// Objects calls fn for every object on the token, the canary included, and
// stops at its first error. fn is called outside all locks. Objects that come
// or go meanwhile may be seen or not. A token that does not show its own canary
// key is an error of class TokenDoubtful. The keys that it saw need no search
// when they are used.
func (t *Token) Objects(ctx context.Context, fn func(Object) error) error {
	c := t.core
	var gen uint64
	var handles []Handle
	err := t.repeat(ctx, "C_FindObjects", func(ctx context.Context) (err error) {
		gen, handles, err = c.allHandles(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return c.walk(ctx, gen, handles, fn)
}

// Prime finds all keys in one pass over the token, in the background, now and
// after every later login, so that the first use of a key needs no search. The
// channel is closed when the pass of this moment is over; a pass that fails is
// logged, and keys are then found one by one.
func (t *Token) Prime() <-chan struct{} {
	t.core.cache.primes.Store(true)
	return t.core.prime()
}

// pass is a pass over all objects of the token.
type pass struct {
	gen   uint64
	began time.Time
	done  chan struct{}
}

// passPatience is how old a pass may be for a call to wait for it: with many
// calls before it, a search for the call's key alone would take longer. Past
// that the token has so many objects, or is so slow, that a search does better.
const passPatience = 3 * time.Second

// prime begins the pass of this login, if there was none yet.
func (c *core) prime() <-chan struct{} {
	gen := c.live.Load()
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	if p := c.cache.pass; p != nil && p.gen == gen {
		return p.done
	}
	p := &pass{gen: gen, began: c.cfg.Now(), done: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if gen == 0 || c.cache.filled == gen || c.ctx.Err() != nil {
		close(p.done)
		return p.done
	}
	c.cache.pass = p
	c.spawnLocked(func() {
		defer close(p.done)
		gen, handles, err := c.allHandles(c.ctx)
		if err == nil {
			err = c.walk(c.ctx, gen, handles, func(Object) error { return nil })
		}
		if err != nil && c.ctx.Err() == nil {
			c.log(c.ctx, slog.LevelWarn, "the token could not be listed; its keys are found one by one", slog.Any("cause", err))
		}
	})
	return p.done
}

// awaitPass waits for a pass that is under way and young.
func (c *core) awaitPass(ctx context.Context) error {
	c.cache.mu.RLock()
	p := c.cache.pass
	c.cache.mu.RUnlock()
	if p == nil || p.gen != c.live.Load() {
		return nil
	}
	left := passPatience - c.cfg.Now().Sub(p.began)
	if left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
	case <-ctx.Done():
		return &Error{Op: "find key", Class: Busy, Err: context.Cause(ctx)}
	case <-c.ctx.Done():
		return &Error{Op: "find key", Class: Closed}
	}
	return nil
}

// allHandles gives every token object's handle, and the login that they are of.
func (c *core) allHandles(ctx context.Context) (gen uint64, handles []Handle, err error) {
	const most = 1 << 20
	err = c.manage(ctx, func(s *lease) (err error) {
		gen = s.gen
		handles, err = call(ctx, c, s, "C_FindObjects", func(raw Session) ([]Handle, error) {
			return raw.Find([]Attribute{boolAttr(ckaToken, true)}, most) // not our session copies
		})
		return err
	})
	return gen, handles, err
}

// walk describes objects, and keeps the handles of the keys among them once it
// has seen all.
func (c *core) walk(ctx context.Context, gen uint64, handles []Handle, fn func(Object) error) error {
	const chunk = 64
	seen, canarySeen := sightings{}, false
	for len(handles) > 0 {
		n := min(chunk, len(handles))
		objects, err := c.readAll(ctx, gen, handles[:n])
		if err != nil {
			return err
		}
		handles = handles[n:]
		for i := range objects {
			o := &objects[i]
			canarySeen = canarySeen || o.Label == CanaryLabel
			seen.add(gen, o)
			if err := fn(o.Object); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	expected := c.canary != nil
	c.mu.Unlock()
	if expected && !canarySeen {
		return failf("C_FindObjects", TokenDoubtful, "the token does not show all of its objects")
	}
	if err := c.provenWell(ctx, gen); err != nil {
		return err
	}
	for _, e := range c.cache.fill(gen, seen) {
		if e.copied && e.users.Load() == 0 {
			c.spawn(func() { c.reap(e) })
		}
	}
	return nil
}

// readAll describes objects found in a generation; handles of another mean
// nothing.
func (c *core) readAll(ctx context.Context, gen uint64, handles []Handle) ([]located, error) {
	var out []located
	err := c.manage(ctx, func(s *lease) error {
		if s.gen != gen {
			return failf("C_FindObjects", TokenDoubtful, "the token was lost during the search")
		}
		for _, h := range handles {
			o, err := c.read(ctx, s, h)
			if s.went(err) {
				continue
			}
			if err != nil {
				return err
			}
			out = append(out, located{h, o})
		}
		return nil
	})
	return out, err
}

// sightings are the keys that a pass saw.
type sightings map[cacheKey]*sighting

// sighting is a key that a pass saw; several says that different objects have
// its id.
type sighting struct {
	*entry
	keyType string
	usage   Usage
	several bool
}

func (s sightings) add(gen uint64, l *located) {
	class, ok := keyClass(l.Class)
	if !ok || l.check("find key") != nil {
		return
	}
	key := cacheKey{string(l.ID), class}
	first := s[key]
	switch {
	case first != nil:
		same := Object{KeyRef: KeyRef{Label: first.label}, KeyType: first.keyType, Usage: first.usage}
		first.several = first.several || !sameKey(same, l.Object)
	case len(s) < handlesKept:
		s[key] = &sighting{entry: newEntry(key, gen, l), keyType: l.KeyType, usage: l.Usage}
	}
}

func keyClass(name string) (class uint, ok bool) {
	for _, class := range keyClasses {
		if classNames[class] == name {
			return class, true
		}
	}
	return 0, false
}

// fill takes over what a pass saw. An entry that is there stays, for it may be
// in use, with a session copy; one whose id several objects turned out to have
// goes and is returned, so that its next use is refused.
func (c *cache) fill(gen uint64, seen sightings) (gone []*entry) {
	now := c.clock.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range seen {
		old := c.entries[key]
		switch {
		case e.several && old != nil:
			c.dropLocked(old)
			gone = append(gone, old)
		case e.several, old != nil && old.gen == gen, old == nil && len(c.entries) >= c.limit:
		default:
			e.used.Store(now)
			c.dropLocked(old)
			c.keepLocked(e.entry)
		}
	}
	c.filled = gen
	return gone
}
