package hsm

import (
	"context"
	"time"
)

// Inside the package, for the tests of its parts.

// Cache is the handle cache.
type Cache = cache

// Entry is one of its entries.
type Entry = entry

// NewCache makes one with room for so many entries.
func NewCache(limit int) *Cache {
	c := newCache(Profile{})
	c.limit = limit
	return c
}

// Put inserts an entry for an id and returns the one that gave way.
func (c *cache) Put(id string, gen uint64) *Entry {
	return c.insert(&entry{key: cacheKey{id, ckoSecretKey}, gen: gen})
}

// Get acquires an entry.
func (c *cache) Get(id string, gen uint64) *Entry { return c.acquire([]byte(id), ckoSecretKey, gen) }

// Tick lets time pass.
func (c *cache) Tick() { c.clock.Add(1) }

// Dead says whether the entry is out of the cache.
func (e *entry) Dead() bool { return e.dead.Load() }

// ID is the key's.
func (e *entry) ID() string { return e.key.id }

// Lease is a lent session.
type Lease = lease

// NewTestPool makes a pool that opens sessions with open.
func NewTestPool(ceiling int, open func(gen uint64) error) *Pool {
	var p *Pool
	p = newPool(ceiling, func(context.Context) (*lease, error) {
		p.mu.Lock()
		gen := p.gen
		p.mu.Unlock()
		if err := open(gen); err != nil {
			return nil, err
		}
		return &lease{gen: gen}, nil
	}, func(s *lease) { p.forget(s) })
	return p
}

// Borrow, Return, Spoil, Reset and Counts drive a pool.
func (p *Pool) Borrow(ctx context.Context) (*Lease, error) { return p.get(ctx) }

// Return gives a session back.
func (p *Pool) Return(s *Lease) { p.put(s) }

// Spoil marks a session.
func (s *lease) Spoil() { s.dirty = true }

// Reset begins a generation.
func (p *Pool) Reset(gen uint64, ceiling int) { p.reset(gen, ceiling) }

// Counts are the sessions in all and lent.
func (p *Pool) Counts() (total, lent int) { return p.counts() }

// ParsePrivate is parsePrivate.
func ParsePrivate(der []byte) (Kind, error) {
	k, err := parsePrivate(der)
	return k.kind, err
}

// Fill takes over what a pass saw.
func (c *cache) Fill(gen uint64, ids ...string) {
	seen := sightings{}
	for _, id := range ids {
		seen.add(gen, &located{1, Object{KeyRef: KeyRef{ID: []byte(id), Label: id}, Class: "CKO_SECRET_KEY"}})
	}
	c.fill(gen, seen)
}

// Len is how many entries there are.
func (c *cache) Len() int { return len(c.entries) }

// SetCopies sets how many session copies there may be.
func (c *cache) SetCopies(n int) { c.copies = n }

// PutCopied inserts an entry with a session copy.
func (c *cache) PutCopied(id string, gen uint64) {
	c.insert(&entry{key: cacheKey{id, ckoSecretKey}, gen: gen, copied: true})
}

// Room makes room for a copy.
func (c *cache) Room() (gone *Entry, ok bool) { return c.room() }

// LatticePublic is latticePublic.
var LatticePublic = latticePublic

// AbandonedCall makes a call whose caller gives up while the module works on it, and finishes it; it gives what is left in
// the call's memory.
func AbandonedCall(secret []byte) []byte {
	h := newHotCall(hotEncrypt, ckmAESGCM, ckkAES, nil, nil, secret, len(secret))
	h.state.Store(hotRunning)
	_ = h.giveUp(context.Canceled) // what the caller gets
	copy(h.out, secret)
	h.finish(hotRunning, len(secret), nil)
	h.release()
	return h.mem
}

// HoldSession takes a session of the pool until it is given back.
func (t *Token) HoldSession(ctx context.Context) (giveBack func(), err error) {
	s, err := t.core.pool.get(ctx)
	if err != nil {
		return nil, err
	}
	return func() { t.core.pool.put(s) }, nil
}

// Waiting is how many wait for a session.
func (t *Token) Waiting() int {
	p := t.core.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting)
}

// Relogin logs in anew, as after a loss.
func (t *Token) Relogin(ctx context.Context) error {
	if err := t.core.lib.lock(ctx); err != nil {
		return err
	}
	defer t.core.lib.unlock()
	return t.core.relogin(ctx)
}

// DestroyCopy destroys the session copy of a key that was made in a login.
func (t *Token) DestroyCopy(ctx context.Context, gen uint64, copied Handle) error {
	c := t.core
	return c.manage(ctx, func(s *lease) error {
		return c.destroyCopy(ctx, s, &entry{gen: gen, work: copied, copied: true})
	})
}

// Overruns waits for the end of a call in a process that first stands still, and tells whether the call overran its
// deadline.
func Overruns(deadline, still time.Duration, over <-chan struct{}) bool {
	p := newPatience(deadline)
	time.Sleep(still)
	return p.await(nil, over) == callOverran
}
