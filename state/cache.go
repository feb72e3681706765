package state

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

// cache holds shared values by ref within a bound of estimated bytes. get takes no lock and allocates nothing. Values
// that were used least since the hand last came by leave first: each use, up to mostUses, earns another round (clock with
// a count; with a single bit a value in constant use would leave when all others had been used just once).
//
// Coherence: whoever loads a value from the database takes the generation before it reads and hands it to fill; put, drop
// and change, which follow a commit, raise the generation, so that a value read before the commit is not kept after it.
type cache[V any] struct {
	seed  maphash.Seed
	table atomic.Pointer[table[V]]
	// gens is raised under mu and read without; a ref has the generation that its hash selects.
	gens [256]atomic.Uint64

	mu    sync.Mutex // guards every change to the table, and what follows
	size  func(*V) int64
	limit int64
	bytes int64
	count int
	hand  int
}

// table is a hash table of chains. Readers walk it while one writer, under the cache's mutex, links and unlinks nodes:
// an unlinked node keeps its successor, so that a reader that stands on it finds its way on.
type table[V any] struct {
	buckets []atomic.Pointer[node[V]]
	mask    uint64
}

type node[V any] struct {
	ref   ref
	hash  uint64
	bytes int64
	value atomic.Pointer[V]
	uses  atomic.Uint32 // since the hand came by, and at most mostUses
	next  atomic.Pointer[node[V]]
}

const (
	firstBuckets = 64
	mostUses     = 3
)

func newTable[V any](n int) *table[V] {
	return &table[V]{buckets: make([]atomic.Pointer[node[V]], n), mask: uint64(n - 1)}
}

func (t *table[V]) bucket(hash uint64) *atomic.Pointer[node[V]] { return &t.buckets[hash&t.mask] }

func (c *cache[V]) init(limit int64, size func(*V) int64) {
	c.seed, c.limit, c.size = maphash.MakeSeed(), limit, size
	c.table.Store(newTable[V](firstBuckets))
}

func (c *cache[V]) hash(r ref) uint64 {
	h := maphash.String(c.seed, r.name) ^ bits.RotateLeft64(maphash.String(c.seed, r.region), 17)
	if r.grantee != "" {
		h ^= bits.RotateLeft64(maphash.String(c.seed, r.grantee), 31)
	}
	return h
}

func (c *cache[V]) gen(hash uint64) *atomic.Uint64 { return &c.gens[hash>>56] }

// get gives the value, nil where it is not held.
func (c *cache[V]) get(r ref) *V {
	hash := c.hash(r)
	n := c.table.Load().find(hash, r)
	if n == nil {
		return nil
	}
	n.use()
	return n.value.Load()
}

// use counts one use. It looks first: a write would take the cache line from the other cores. Of uses at one instant some
// may go uncounted.
func (n *node[V]) use() {
	if uses := n.uses.Load(); uses < mostUses {
		n.uses.Store(uses + 1)
	}
}

func (t *table[V]) find(hash uint64, r ref) *node[V] {
	for n := t.bucket(hash).Load(); n != nil; n = n.next.Load() {
		if n.hash == hash && n.ref == r {
			return n
		}
	}
	return nil
}

// generation is to be taken before the database is read for fill.
func (c *cache[V]) generation(r ref) uint64 { return c.gen(c.hash(r)).Load() }

// fill keeps a value that was read from the database, unless a commit came between.
func (c *cache[V]) fill(r ref, v *V, generation uint64) {
	hash := c.hash(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gen(hash).Load() == generation {
		c.setLocked(r, hash, v)
	}
}

// put keeps a value that was committed.
func (c *cache[V]) put(r ref, v *V) {
	hash := c.hash(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen(hash).Add(1)
	c.setLocked(r, hash, v)
}

// drop forgets a value that a commit changed or removed.
func (c *cache[V]) drop(r ref) {
	hash := c.hash(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen(hash).Add(1)
	if n := c.table.Load().find(hash, r); n != nil {
		c.unlinkLocked(n)
	}
}

// change replaces a value that is held by what fn makes of it, after a commit that changed it; nil forgets it.
func (c *cache[V]) change(r ref, fn func(held *V) *V) {
	hash := c.hash(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen(hash).Add(1)
	n := c.table.Load().find(hash, r)
	if n == nil {
		return
	}
	if next := fn(n.value.Load()); next != nil {
		c.setLocked(r, hash, next)
	} else {
		c.unlinkLocked(n)
	}
}

func (c *cache[V]) setLocked(r ref, hash uint64, v *V) {
	t := c.table.Load()
	n := t.find(hash, r)
	bytes := c.size(v)
	switch {
	case bytes > c.limit && n != nil:
		c.unlinkLocked(n)
		return
	case bytes > c.limit:
		return
	case n != nil:
		n.value.Store(v)
		c.bytes += bytes - n.bytes
		n.bytes = bytes
	default:
		n = &node[V]{ref: r, hash: hash, bytes: bytes}
		n.value.Store(v)
		head := t.bucket(hash)
		n.next.Store(head.Load())
		head.Store(n)
		c.bytes += bytes
		c.count++
		if c.count > len(t.buckets) {
			c.growLocked()
		}
	}
	if c.bytes > c.limit {
		c.evictLocked(r)
	}
}

func (c *cache[V]) unlinkLocked(gone *node[V]) {
	link := c.table.Load().bucket(gone.hash)
	for n := link.Load(); n != nil; n = link.Load() {
		if n == gone {
			link.Store(n.next.Load())
			c.bytes -= n.bytes
			c.count--
			return
		}
		link = &n.next
	}
}

// growLocked doubles the table. It copies the nodes: readers may still be walking the chains of the old one.
func (c *cache[V]) growLocked() {
	old := c.table.Load()
	t := newTable[V](2 * len(old.buckets))
	for i := range old.buckets {
		for n := old.buckets[i].Load(); n != nil; n = n.next.Load() {
			m := &node[V]{ref: n.ref, hash: n.hash, bytes: n.bytes}
			m.value.Store(n.value.Load())
			m.uses.Store(n.uses.Load())
			head := t.bucket(n.hash)
			m.next.Store(head.Load())
			head.Store(m)
		}
	}
	c.table.Store(t)
}

// evictLocked makes room, sparing the value that has just come. mostUses rounds of the hand take every count to nothing,
// one more takes those values out, and the last takes what readers keep using all the while.
func (c *cache[V]) evictLocked(keep ref) {
	t := c.table.Load()
	fair := (mostUses + 1) * len(t.buckets)
	for step := 0; c.bytes > c.limit && step < fair+len(t.buckets); step++ {
		c.hand = (c.hand + 1) & int(t.mask)
		for n := t.buckets[c.hand].Load(); n != nil && c.bytes > c.limit; n = n.next.Load() {
			uses := n.uses.Load()
			switch {
			case n.ref == keep:
			case uses > 0 && step < fair:
				n.uses.Store(uses - 1)
			default:
				c.unlinkLocked(n)
			}
		}
	}
}
