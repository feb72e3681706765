package hsm

import (
	"context"
	"log/slog"
)

// resolve returns the handles of a key, counted as in use: give them back with
// release. On a hit it costs two atomic operations. On a miss it searches the
// token by id, once however many callers wait, checks the label, and makes the
// session copy where the profile says that it pays.
func (c *core) resolve(ctx context.Context, ref KeyRef, class uint) (*entry, error) {
	gen := c.live.Load()
	if e := c.cache.acquire(ref.ID, class, gen); e != nil {
		if e.label == ref.Label {
			return e, nil
		}
		c.release(e)
		return nil, failf("find key", KeyInvalid, "CKA_ID %x has another label than %q", ref.ID, ref.Label)
	}
	if err := ref.check("find key"); err != nil {
		return nil, err
	}
	var e *entry
	err := c.with(ctx, func(s *lease) error {
		// Always one at a time: many callers may have missed the same key.
		if err := c.lib.lock(ctx); err != nil {
			return err
		}
		defer c.lib.unlock()
		if e = c.cache.acquire(ref.ID, class, s.gen); e != nil {
			return nil
		}
		var err error
		e, err = c.locateKey(ctx, s, ref, class)
		return err
	})
	if err != nil {
		return nil, err
	}
	if e == nil {
		if err := c.provenWell(ctx); err != nil {
			return nil, err
		}
		return nil, failf("find key", KeyMissing, "%s", ref)
	}
	if e.label != ref.Label {
		c.release(e)
		return nil, failf("find key", KeyInvalid, "CKA_ID %x has another label than %q", ref.ID, ref.Label)
	}
	return e, nil
}

// release gives an entry back.
func (c *core) release(e *entry) {
	if e.users.Add(-1) == 0 && e.dead.Load() {
		c.spawn(func() { c.reap(e) })
	}
}

// locateKey searches the token for a key and caches what it finds; nothing
// found is no error here. The management lock is held.
func (c *core) locateKey(ctx context.Context, s *lease, ref KeyRef, class uint) (*entry, error) {
	found, err := c.search(ctx, s, []Attribute{ulongAttr(ckaClass, class), bytesAttr(ckaID, ref.ID)}, findAtOnce)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	// Two objects of one id are one key if they agree: SoftHSM2 can list one
	// object twice when another process made it.
	pick := found[0]
	for _, f := range found[1:] {
		if f.Label != pick.Label || f.KeyType != pick.KeyType || f.Usage != pick.Usage {
			return nil, failf("find key", KeyInvalid, "%d different objects have CKA_ID %x", len(found), ref.ID)
		}
	}
	e := &entry{
		key: cacheKey{string(ref.ID), class}, gen: s.gen, label: pick.Label,
		kind: pick.Kind, object: pick.handle, work: pick.handle,
	}
	if c.profile.SessionCopies > 0 && pick.Label == ref.Label {
		c.copyKey(ctx, e)
	}
	e.users.Add(1)
	if gone := c.cache.insert(e); gone != nil && gone.users.Load() == 0 {
		c.reapOn(ctx, s, gone)
	}
	return e, nil
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

// dropEntry takes an entry out of the cache, because its handles went wrong.
func (c *core) dropEntry(e *entry) {
	c.cache.remove(e)
	if e.users.Load() == 0 {
		c.spawn(func() { c.reap(e) })
	}
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

func (c *core) destroyCopy(ctx context.Context, s *lease, e *entry) error {
	return do(ctx, c, s, "C_DestroyObject", func(raw Session) error { return raw.DestroyObject(e.work) })
}
