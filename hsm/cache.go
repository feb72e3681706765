package hsm

import (
	"sync"
	"sync/atomic"
)

// cache knows the handles of keys, for one login generation. It is bounded:
// keys in use stay, others are found again.
type cache struct {
	limit int
	clock atomic.Uint64 // coarse time for "least recently used"; ticks with the watchdog

	mu      sync.RWMutex
	entries map[cacheKey]*entry
}

type cacheKey struct {
	id    string
	class uint
}

// entry is one key's handles.
type entry struct {
	key    cacheKey
	gen    uint64
	label  string
	kind   Kind
	object Handle // the token object
	work   Handle // what calls use: the object or its session copy
	copied bool
	public atomic.Pointer[PublicKey] // of a public key, once it was read
	used   atomic.Uint64
	users  atomic.Int64
	dead   atomic.Bool // no longer in the cache: the copy goes with its last user
	reaped atomic.Bool // its copy is gone, or about to be
}

// handlesKept bounds the cache where a profile makes no session copies.
const handlesKept = 16384

func newCache(p Profile) *cache {
	c := &cache{limit: p.SessionCopies, entries: make(map[cacheKey]*entry)}
	if c.limit == 0 {
		c.limit = handlesKept
	}
	return c
}

// acquire returns the entry of a key, counted as in use, or nil.
func (c *cache) acquire(id []byte, class uint, gen uint64) *entry {
	c.mu.RLock()
	e := c.entries[cacheKey{string(id), class}]
	if e != nil && e.gen == gen {
		e.users.Add(1)
		c.mu.RUnlock()
		if now := c.clock.Load(); e.used.Load() != now {
			e.used.Store(now)
		}
		return e
	}
	c.mu.RUnlock()
	return nil
}

// insert adds an entry and returns one that had to give way, or nil.
func (c *cache) insert(e *entry) *entry {
	e.used.Store(c.clock.Load())
	c.mu.Lock()
	defer c.mu.Unlock()
	var gone *entry
	if old, ok := c.entries[e.key]; ok {
		gone = old
	} else if len(c.entries) >= c.limit {
		gone = c.victimLocked()
	}
	if gone != nil {
		delete(c.entries, gone.key)
		gone.dead.Store(true)
	}
	c.entries[e.key] = e
	return gone
}

// victimLocked picks the least recently used of a few entries; maps are walked
// in random order.
func (c *cache) victimLocked() *entry {
	const sample = 16
	var oldest *entry
	n := 0
	for _, e := range c.entries {
		if oldest == nil || e.used.Load() < oldest.used.Load() {
			oldest = e
		}
		if n++; n == sample {
			break
		}
	}
	return oldest
}

// remove takes an entry out, if it is the one that is in.
func (c *cache) remove(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[e.key] == e {
		delete(c.entries, e.key)
	}
	e.dead.Store(true)
}

// take removes every entry of a key id and returns them.
func (c *cache) take(id []byte) []*entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*entry
	for _, class := range [...]uint{ckoSecretKey, ckoPrivateKey, ckoPublicKey} {
		key := cacheKey{string(id), class}
		if e, ok := c.entries[key]; ok {
			delete(c.entries, key)
			e.dead.Store(true)
			out = append(out, e)
		}
	}
	return out
}

// clear forgets everything: handles do not survive a login, and copies end
// with the session that made them.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}

// snapshot returns the entries, for checks in the background.
func (c *cache) snapshot() []*entry {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]*entry, 0, len(c.entries))
	for _, e := range c.entries {
		out = append(out, e)
	}
	return out
}

func (c *cache) counts() (keys, copies int) {
	for _, e := range c.snapshot() {
		keys++
		if e.copied {
			copies++
		}
	}
	return keys, copies
}
