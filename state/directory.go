package state

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/strongroom/strongroom/keystore"
)

// changes is what a transaction did to the rows that the directory may hold. A nil value is a row that is gone.
type changes struct {
	keys       map[ref]*keystore.Key
	aliases    map[ref]*keystore.Alias
	grants     map[ref][]grantChange // by key and grantee
	stores     map[ref]*keystore.Store
	principals bool
}

func note[V any](m *map[ref]V, r ref, v V) {
	if *m == nil {
		*m = map[ref]V{}
	}
	(*m)[r] = v
}

// directory is what is kept in memory. Keys, aliases and grants come when they are first asked for and leave when they
// are not used; stores are all there.
type directory struct {
	keys    cache[keystore.Key]
	aliases cache[keystore.Alias]
	grants  cache[grantList]

	stores     atomic.Pointer[map[ref]*keystore.Store] // replaced whole; nil: to be read
	storesMu   sync.Mutex                              // guards the replacing, and storesGen
	storesGen  uint64                                  // raised with every commit that touched a store
	principals atomic.Uint64
}

func (d *directory) init(bytes int64) {
	d.keys.init(bytes/2, keyBytes)
	d.grants.init(bytes*3/8, func(l *grantList) int64 { return emptyGrantList + l.bytes })
	d.aliases.init(bytes/8, aliasBytes)
}

// apply makes a commit visible.
func (d *directory) apply(c *changes) {
	for r, k := range c.keys {
		if k == nil {
			d.keys.drop(r)
		} else {
			d.keys.put(r, k)
		}
	}
	for r, a := range c.aliases {
		if a == nil {
			d.aliases.drop(r)
		} else {
			d.aliases.put(r, a)
		}
	}
	for r, list := range c.grants {
		d.grants.change(r, func(held *grantList) *grantList { return held.with(list) })
	}
	d.applyStores(c.stores)
	if c.principals {
		d.principals.Add(1)
	}
}

func (d *directory) applyStores(stores map[ref]*keystore.Store) {
	if len(stores) == 0 {
		return
	}
	d.storesMu.Lock()
	defer d.storesMu.Unlock()
	d.storesGen++
	held := d.stores.Load()
	if held == nil {
		return
	}
	next := maps.Clone(*held)
	for r, s := range stores {
		if s == nil {
			delete(next, r)
		} else {
			next[r] = s
		}
	}
	d.stores.Store(&next)
}

// forget drops what a transaction touched whose commit failed: the database alone knows whether it is stored.
func (d *directory) forget(c *changes) {
	for r := range c.keys {
		d.keys.drop(r)
	}
	for r := range c.aliases {
		d.aliases.drop(r)
	}
	for r := range c.grants {
		d.grants.drop(r)
	}
	if len(c.stores) > 0 {
		d.storesMu.Lock()
		d.storesGen++
		d.stores.Store(nil)
		d.storesMu.Unlock()
	}
	if c.principals {
		d.principals.Add(1)
	}
}

// load reads for the directory, outside any transaction.
func (d *DB) load(ctx context.Context, fn func(t *tx) error) error {
	return d.loads.with(ctx, func(s *session) error { return fn(d.newTx(ctx, s, false)) })
}

// LookupKey gives the key, or ErrNoRow.
func (d *DB) LookupKey(ctx context.Context, region string, id keystore.KeyID) (*keystore.Key, error) {
	r := ref{region: region, name: string(id)}
	if k := d.directory.keys.get(r); k != nil {
		return k, nil
	}
	return lookup(ctx, d, &d.directory.keys, r, func(t *tx) (*keystore.Key, error) { return t.Key(region, id) })
}

// LookupAlias gives the alias by its full name, or ErrNoRow.
func (d *DB) LookupAlias(ctx context.Context, region, name string) (*keystore.Alias, error) {
	r := ref{region: region, name: name}
	if a := d.directory.aliases.get(r); a != nil {
		return a, nil
	}
	return lookup(ctx, d, &d.directory.aliases, r, func(t *tx) (*keystore.Alias, error) { return t.Alias(region, name) })
}

// LookupGrants gives the grants on a key to one grantee, by id; nil where there are none, which is kept as well.
func (d *DB) LookupGrants(ctx context.Context, region string, id keystore.KeyID, grantee string) ([]*keystore.Grant, error) {
	r := ref{region, string(id), grantee}
	if g := d.directory.grants.get(r); g != nil {
		return g.grants, nil
	}
	g, err := lookup(ctx, d, &d.directory.grants, r, func(t *tx) (*grantList, error) {
		grants, err := t.grantsTo(region, id, grantee)
		return newGrantList(grants), err
	})
	if err != nil {
		return nil, err
	}
	return g.grants, nil
}

// lookup reads a row that is not held and keeps it. That a row does not exist is not kept.
func lookup[V any](ctx context.Context, d *DB, c *cache[V], r ref, read func(t *tx) (*V, error)) (*V, error) {
	generation := c.generation(r)
	var v *V
	err := d.load(ctx, func(t *tx) (err error) {
		v, err = read(t)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.fill(r, v, generation)
	return v, nil
}

// LookupStore gives the custom key store, or ErrNoRow.
func (d *DB) LookupStore(ctx context.Context, region string, id keystore.StoreID) (*keystore.Store, error) {
	held := d.directory.stores.Load()
	if held == nil {
		var err error
		if held, err = d.loadStores(ctx); err != nil {
			return nil, err
		}
	}
	if s := (*held)[ref{region: region, name: string(id)}]; s != nil {
		return s, nil
	}
	return nil, about(keystore.ErrNoRow, "custom key store %s in %s", id, region)
}

func (d *DB) loadStores(ctx context.Context) (*map[ref]*keystore.Store, error) {
	d.directory.storesMu.Lock()
	generation := d.directory.storesGen
	d.directory.storesMu.Unlock()
	held := map[ref]*keystore.Store{}
	err := d.load(ctx, func(t *tx) error {
		all, err := t.allStores()
		for _, s := range all {
			held[ref{region: s.Region, name: string(s.ID)}] = s
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	d.directory.storesMu.Lock()
	defer d.directory.storesMu.Unlock()
	if d.directory.storesGen == generation {
		d.directory.stores.Store(&held)
	}
	return &held, nil
}

// PrincipalGeneration changes with every commit that touched a principal or a credential, before Update returns. Whoever
// keeps something derived from them asks it before reading what it is derived from, and again before each use. It takes
// no lock.
func (d *DB) PrincipalGeneration() uint64 { return d.directory.principals.Load() }

// The estimates count text and a flat sum for structures and bookkeeping.

func keyBytes(k *keystore.Key) int64 {
	n := 1024 + len(k.Policy) + len(k.Description) + len(k.XksKeyID) + 320*len(k.Materials)
	for _, t := range k.Tags {
		n += 32 + len(t.Key) + len(t.Value)
	}
	return int64(n)
}

func aliasBytes(a *keystore.Alias) int64 { return int64(400 + len(a.Name)) }
