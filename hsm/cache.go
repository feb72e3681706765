package hsm

import (
	"sync"
	"sync/atomic"
)

// cache knows the handles of keys, for one login generation. It is bounded:
// keys in use stay, others are found again.
type cache struct {
	limit  int           // of entries
	copies int           // of entries with a session copy; 0 is none
	clock  atomic.Uint64 // coarse time for "least recently used"; ticks with the watchdog
	turn   chan struct{} // has room for the one who searches for a key
	primes atomic.Bool   // all keys are to be found after every login

	mu      sync.RWMutex
	entries map[cacheKey]*entry
	copied  int      // how many of them have a session copy
	wanting []*entry // that are to get one
	making  bool     // somebody works on wanting
	pass    *pass    // over all objects, the last one that began by itself
	filled  uint64   // generation of which all objects were seen
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
	proved atomic.Bool               // the handle was seen to be the key's when it was to be used
	public atomic.Pointer[PublicKey] // of a public key, once it was read
	used   atomic.Uint64
	asked  atomic.Uint64 // when a session copy was asked for last, plus one
	users  atomic.Int64
	dead   atomic.Bool // no longer in the cache: the copy goes with its last user
	reaped atomic.Bool // its copy is gone, or about to be
}

// on refuses a session of another login than the entry's: the handle would be
// another object's there, or nobody's.
func (e *entry) on(s *lease, op string) error {
	if s.gen != e.gen {
		return failf(op, SessionLost, "the token was logged in to anew meanwhile")
	}
	return nil
}

const (
	// handlesKept bounds the cache: some 20 MB.
	handlesKept = 65536
	// copiesWanted bounds how many keys wait for a session copy.
	copiesWanted = 256
	// lately is how many ticks a key counts as in use, and how long it waits
	// before it asks for a session copy again.
	lately = ticksLimit
	// sampled and visited bound the search for an entry that gives way.
	sampled, visited = 16, 256
)

func newCache(p Profile) *cache {
	return &cache{limit: handlesKept, copies: p.SessionCopies, turn: make(chan struct{}, 1), entries: make(map[cacheKey]*entry)}
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
	gone := c.entries[e.key]
	if gone == nil && len(c.entries) >= c.limit {
		gone = c.victimLocked(func(*entry) bool { return true })
	}
	c.dropLocked(gone)
	c.keepLocked(e)
	return gone
}

func (c *cache) keepLocked(e *entry) {
	c.entries[e.key] = e
	if e.copied {
		c.copied++
	}
}

// dropLocked takes an entry out; nil is none.
func (c *cache) dropLocked(e *entry) {
	if e == nil {
		return
	}
	if c.entries[e.key] == e {
		delete(c.entries, e.key)
		if e.copied {
			c.copied--
		}
	}
	e.dead.Store(true)
}

// victimLocked picks the least recently used of a few entries that fit, or
// nil; maps are walked in random order.
func (c *cache) victimLocked(fits func(*entry) bool) *entry {
	var oldest *entry
	n, seen := 0, 0
	for _, e := range c.entries {
		if seen++; seen > visited {
			break
		}
		if !fits(e) {
			continue
		}
		if oldest == nil || e.used.Load() < oldest.used.Load() {
			oldest = e
		}
		if n++; n == sampled {
			break
		}
	}
	return oldest
}

// replace puts one entry in the place of another, if that is still in.
func (c *cache) replace(old, e *entry) bool {
	e.used.Store(old.used.Load())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[old.key] != old {
		return false
	}
	c.dropLocked(old)
	c.keepLocked(e)
	return true
}

// remove takes an entry out, if it is the one that is in.
func (c *cache) remove(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropLocked(e)
}

// take removes every entry of a key id and returns them.
func (c *cache) take(id []byte) []*entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*entry
	for _, class := range keyClasses {
		if e, ok := c.entries[cacheKey{string(id), class}]; ok {
			c.dropLocked(e)
			out = append(out, e)
		}
	}
	return out
}

var keyClasses = [...]uint{ckoSecretKey, ckoPrivateKey, ckoPublicKey}

// clear forgets everything: handles do not survive a login, and copies end
// with the session that made them.
func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
	c.copied, c.wanting = 0, nil
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
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.entries), c.copied
}
