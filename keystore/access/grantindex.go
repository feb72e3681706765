package access

import (
	"maps"
	"slices"
	"sync"

	"github.com/strongroom/strongroom/keystore"
)

// longGrants is how many grants of one grantee on one key are looked through one by one. Longer lists get an index: programs
// that make a grant for each volume or file have thousands that differ in their encryption context alone.
const longGrants = 64

// pair is one member of an encryption context.
type pair struct{ name, value string }

// grantIndex finds the grants of a long list that an encryption context can fulfil. A grant with constraints stands under
// one of the pairs that it asks for: a request without that pair does not fulfil it.
type grantIndex struct {
	list       []*keystore.Grant
	free       []*keystore.Grant // without constraints
	byPair     map[pair][]*keystore.Grant
	operations map[string]bool // that any of them allows
}

func indexGrants(list []*keystore.Grant) *grantIndex {
	x := &grantIndex{list: list, byPair: map[pair][]*keystore.Grant{}, operations: map[string]bool{}}
	for _, g := range list {
		for _, op := range g.Operations {
			x.operations[op] = true
		}
		constraint := g.ContextEquals
		if len(constraint) == 0 {
			constraint = g.ContextSubset
		}
		if len(constraint) == 0 {
			x.free = append(x.free, g)
			continue
		}
		name := slices.Min(slices.Collect(maps.Keys(constraint)))
		p := pair{name, constraint[name]}
		x.byPair[p] = append(x.byPair[p], g)
	}
	return x
}

// find gives a grant that allows the request.
func (x *grantIndex) find(e *evaluation) *keystore.Grant {
	operation := e.permission.name[len(permissionPrefix):]
	switch {
	case !x.operations[operation]:
		return nil
	case slices.Contains(unconstrained, operation):
		return e.firstOf(x.list)
	}
	if g := e.firstOf(x.free); g != nil {
		return g
	}
	for name, value := range e.req.EncryptionContext {
		if g := e.firstOf(x.byPair[pair{name, value}]); g != nil {
			return g
		}
	}
	return nil
}

// grantIndexes keeps the indexes of the long lists that were asked for last. Lists are shared and never changed, so that a
// list is known by where it lies.
type grantIndexes struct {
	mu   sync.Mutex
	kept [16]*grantIndex // guarded by mu
	next int             // guarded by mu; the place to be used again
}

func (k *grantIndexes) of(list []*keystore.Grant) *grantIndex {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, x := range k.kept {
		if x != nil && len(x.list) == len(list) && &x.list[0] == &list[0] {
			return x
		}
	}
	x := indexGrants(list)
	k.kept[k.next] = x
	k.next = (k.next + 1) % len(k.kept)
	return x
}
