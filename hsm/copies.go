package hsm

import (
	"context"
	"log/slog"
)

// Session copies of keys, where the profile says that they pay. A key that a
// search found is copied at once; one that a pass found when it is used for the
// second time, in the background, so that no call waits for it. When all copies
// are given out, keys that were not used lately give theirs up; if there is
// none, a key is worked with as it is: with more keys in use than copies,
// making and destroying them would cost more than they save.

// want asks for a session copy of an entry. It reports whether the caller is
// to see that somebody makes them.
func (c *cache) want(e *entry) bool {
	now := c.clock.Load() + 1
	last := e.asked.Load()
	if last != 0 && now < last+lately || !e.asked.CompareAndSwap(last, now) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wanting) >= copiesWanted {
		return false
	}
	c.wanting = append(c.wanting, e)
	if c.making {
		return false
	}
	c.making = true
	return true
}

// wanted gives the next entry that is to get a copy; nil ends the work.
func (c *cache) wanted() *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wanting) == 0 {
		c.making, c.wanting = false, nil
		return nil
	}
	e := c.wanting[0]
	c.wanting = c.wanting[1:]
	return e
}

// room reports whether there may be one more copy. An entry that gave its own
// up for that is returned as well; its key stays known.
func (c *cache) room() (gone *entry, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.copied < c.copies {
		return nil, true
	}
	gone = c.victimLocked(func(e *entry) bool { return e.copied })
	if gone == nil || c.clock.Load() < gone.used.Load()+lately {
		return nil, false
	}
	plain := gone.again()
	c.dropLocked(gone)
	c.keepLocked(plain)
	return gone, true
}

// again makes an entry of the same key that works on the object itself.
func (e *entry) again() *entry {
	n := &entry{key: e.key, gen: e.gen, label: e.label, kind: e.kind, object: e.object, work: e.object}
	n.proved.Store(e.proved.Load())
	n.public.Store(e.public.Load())
	n.used.Store(e.used.Load())
	n.asked.Store(e.asked.Load())
	return n
}

// wantCopy asks for a session copy of a key that is used again.
func (c *core) wantCopy(e *entry) {
	if c.cache.want(e) {
		c.spawn(c.makeCopies)
	}
}

// makeCopies works until no copy is wanted.
func (c *core) makeCopies() {
	for e := c.cache.wanted(); e != nil; e = c.cache.wanted() {
		ctx, cancel := context.WithTimeout(c.ctx, c.cfg.CallTimeout)
		err := c.manage(ctx, func(s *lease) error { return c.promote(ctx, s, e) })
		cancel()
		if err != nil {
			c.log(c.ctx, slog.LevelDebug, "key is used without a session copy", slog.Any("cause", err))
		}
	}
}

// promote puts an entry with a session copy in the place of one without.
func (c *core) promote(ctx context.Context, s *lease, e *entry) error {
	if e.dead.Load() || e.gen != s.gen {
		return nil
	}
	gone, ok := c.cache.room()
	if gone != nil {
		c.reapOn(ctx, s, gone)
	}
	if !ok {
		return nil
	}
	better := e.again()
	c.copyKey(ctx, better)
	if better.copied && !c.cache.replace(e, better) {
		return c.destroyCopy(ctx, s, better)
	}
	return nil
}

// copyKey makes the session copy of a key: the same key, sensitive as it is,
// inside the module, in the session that lasts as long as the login. A token
// that refuses is used without.
func (c *core) copyKey(ctx context.Context, e *entry) {
	c.mu.Lock()
	keeper := c.keeper
	c.mu.Unlock()
	if keeper.gen != e.gen {
		return
	}
	h, err := call(ctx, c, keeper, "C_CopyObject", func(raw Session) (Handle, error) {
		return raw.CopyObject(e.object, []Attribute{boolAttr(ckaToken, false)})
	})
	if err != nil {
		keeper.dirty = false
		c.log(ctx, slog.LevelDebug, "key is used without a session copy", slog.Any("cause", err))
		return
	}
	e.work, e.copied = h, true
}

// reap destroys the session copy of an entry that nobody uses any more.
func (c *core) reap(e *entry) {
	if !e.copied || e.reaped.Swap(true) || c.live.Load() != e.gen {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.CallTimeout)
	defer cancel()
	err := c.manage(ctx, func(s *lease) error { return c.destroyCopy(ctx, s, e) })
	if err != nil {
		c.log(ctx, slog.LevelDebug, "session copy not destroyed; it ends with the login", slog.Any("cause", err))
	}
}

// reapOn is reap for a caller who has a session for management. An entry that
// is in use is left to its last user.
func (c *core) reapOn(ctx context.Context, s *lease, e *entry) {
	if e.users.Load() != 0 || !e.copied || e.reaped.Swap(true) || s.gen != e.gen {
		return
	}
	if err := c.destroyCopy(ctx, s, e); err != nil {
		s.dirty = false
		c.log(ctx, slog.LevelDebug, "session copy not destroyed; it ends with the login", slog.Any("cause", err))
	}
}

// destroyCopy destroys the copy of an entry, if the session is of the login that
// made it. In a later one the copy is gone, and its handle may be that of any
// object, of a key as well.
func (c *core) destroyCopy(ctx context.Context, s *lease, e *entry) error {
	if s.gen != e.gen {
		return nil
	}
	return do(ctx, c, s, "C_DestroyObject", func(raw Session) error { return raw.DestroyObject(e.work) })
}
