package hsm

import (
	"bytes"
	"context"
)

// resolve returns the handles of a key, counted as in use: give them back with
// release. On a hit it costs two atomic operations. On a miss it searches the
// token by id, checks the label, and makes the session copy where the profile
// says that it pays.
func (c *core) resolve(ctx context.Context, ref KeyRef, class uint) (*entry, error) {
	if e, err := c.recall(ctx, ref, class); e != nil || err != nil {
		return e, err
	}
	if err := ref.check("find key"); err != nil {
		return nil, err
	}
	gen := c.live.Load()
	e, err := c.find(ctx, ref, class)
	if err != nil {
		return nil, err
	}
	if e == nil {
		if err := c.provenWell(ctx, gen); err != nil {
			return nil, err
		}
		return nil, failf("find key", KeyMissing, "%s", ref)
	}
	return c.labelled(e, ref)
}

// labelled gives an entry of the key that was asked for, and nothing else.
func (c *core) labelled(e *entry, ref KeyRef) (*entry, error) {
	if e.label == ref.Label {
		return e, nil
	}
	c.release(e)
	return nil, failf("find key", KeyInvalid, "CKA_ID %x has another label than %q", ref.ID, ref.Label)
}

// release gives an entry back.
func (c *core) release(e *entry) {
	if e.users.Add(-1) == 0 && e.copied && e.dead.Load() {
		c.spawn(func() { c.reap(e) })
	}
}

// recall gives what is known of a key; nothing is nil without an error. A
// handle that a pass over all objects found is looked at before its first use:
// the object may be gone, and its handle another one's.
func (c *core) recall(ctx context.Context, ref KeyRef, class uint) (*entry, error) {
	e := c.cache.acquire(ref.ID, class, c.live.Load())
	if e == nil {
		return nil, nil
	}
	if e.proved.Load() {
		if !e.copied && c.cache.copies > 0 {
			c.wantCopy(e)
		}
		return c.labelled(e, ref)
	}
	same, err := c.prove(ctx, e)
	if err != nil {
		c.release(e)
		return nil, err
	}
	if !same {
		c.dropEntry(e)
		c.release(e)
		return nil, nil
	}
	e.proved.Store(true)
	return c.labelled(e, ref)
}

// prove reports whether a handle is that of the key still.
func (c *core) prove(ctx context.Context, e *entry) (same bool, err error) {
	err = c.with(ctx, func(s *lease) error {
		if s.gen != e.gen {
			return nil
		}
		attrs, err := c.attributes(ctx, s, e.object, ckaID, ckaLabel)
		if s.went(err) {
			return nil
		}
		o := describe(attrs)
		same = bytes.Equal(o.ID, []byte(e.key.id)) && o.Label == e.label
		return err
	})
	return same, err
}

// find searches for a key that is not known. One search runs at a time: many
// callers may want the same key, and a search holds the management lock, so
// that more of them would only keep sessions from those whose keys are known.
// It goes on when its caller gives up, for somebody will want the key again.
func (c *core) find(ctx context.Context, ref KeyRef, class uint) (*entry, error) {
	if err := c.awaitPass(ctx); err != nil {
		return nil, err
	}
	select {
	case c.cache.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, &Error{Op: "find key", Class: Busy, Err: context.Cause(ctx)}
	case <-c.ctx.Done():
		return nil, &Error{Op: "find key", Class: Closed}
	}
	if e, err := c.recall(ctx, ref, class); e != nil || err != nil {
		<-c.cache.turn
		return e, err
	}
	type result struct {
		e   *entry
		err error
	}
	found := make(chan result)
	c.spawn(func() {
		defer func() { <-c.cache.turn }()
		inner, cancel := context.WithTimeout(c.ctx, 2*c.cfg.CallTimeout)
		defer cancel()
		e, err := c.locate(inner, ref, class)
		select {
		case found <- result{e, err}:
			return
		case <-ctx.Done():
		case <-c.ctx.Done():
		}
		if e != nil {
			c.release(e) // nobody waits any more
		}
	})
	select {
	case r := <-found:
		return r.e, r.err
	case <-ctx.Done():
		return nil, &Error{Op: "find key", Class: Busy, Err: context.Cause(ctx)}
	case <-c.ctx.Done():
		return nil, &Error{Op: "find key", Class: Closed}
	}
}

// locate is locateKey with a session and the management lock.
func (c *core) locate(ctx context.Context, ref KeyRef, class uint) (e *entry, err error) {
	err = c.with(ctx, func(s *lease) error {
		if err := c.lib.lock(ctx); err != nil {
			return err
		}
		defer c.lib.unlock()
		e, err = c.locateKey(ctx, s, ref, class)
		return err
	})
	return e, err
}

// locateKey searches the token for a key and caches what it finds; nothing
// found is no error here. The management lock is held.
func (c *core) locateKey(ctx context.Context, s *lease, ref KeyRef, class uint) (*entry, error) {
	found, err := c.search(ctx, s, []Attribute{ulongAttr(ckaClass, class), bytesAttr(ckaID, ref.ID)}, findAtOnce)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	pick := found[0]
	for _, f := range found[1:] {
		if !sameKey(f.Object, pick.Object) {
			return nil, failf("find key", KeyInvalid, "%d different objects have CKA_ID %x", len(found), ref.ID)
		}
	}
	e := newEntry(cacheKey{string(ref.ID), class}, s.gen, &pick)
	e.proved.Store(true)
	if c.profile.SessionCopies > 0 && pick.Label == ref.Label {
		gone, ok := c.cache.room()
		if gone != nil {
			c.reapOn(ctx, s, gone)
		}
		if ok {
			c.copyKey(ctx, e)
		}
	}
	e.users.Add(1)
	if gone := c.cache.insert(e); gone != nil && gone.users.Load() == 0 {
		c.reapOn(ctx, s, gone)
	}
	return e, nil
}

// sameKey reports whether two objects of one id and class are one key: SoftHSM2
// can list an object twice when another process made it.
func sameKey(a, b Object) bool {
	return a.Label == b.Label && a.KeyType == b.KeyType && a.Usage == b.Usage
}

func newEntry(key cacheKey, gen uint64, l *located) *entry {
	return &entry{key: key, gen: gen, label: l.Label, kind: l.Kind, object: l.handle, work: l.handle}
}

// dropEntry takes an entry out of the cache, because its handles went wrong.
func (c *core) dropEntry(e *entry) {
	c.cache.remove(e)
	if e.copied && e.users.Load() == 0 {
		c.spawn(func() { c.reap(e) })
	}
}
