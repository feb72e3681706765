package access

import (
	"slices"
	"strings"
	"sync"

	"github.com/strongroom/strongroom/keystore"
)

// longGrants is how many grants of one grantee on one key are looked through one by one. Longer lists get an index: programs
// that make a grant for each volume or file have thousands that differ in their encryption context alone.
const longGrants = 64

// pair is one member of an encryption context.
type pair struct{ name, value string }

// grantBase finds the grants of a long list that an encryption context can fulfil. A grant with constraints stands under
// one of the pairs that it asks for: a request without that pair does not fulfil it. It is never changed.
type grantBase struct {
	list       []*keystore.Grant
	free       []*keystore.Grant // without constraints
	byPair     map[pair][]*keystore.Grant
	operations map[string]bool // that any of them allows
}

func indexGrants(list []*keystore.Grant) *grantBase {
	x := &grantBase{list: list, byPair: make(map[pair][]*keystore.Grant, len(list)), operations: map[string]bool{}}
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
		p := firstPair(constraint)
		x.byPair[p] = append(x.byPair[p], g)
	}
	return x
}

// firstPair gives the member of a constraint whose name comes first.
func firstPair(constraint map[string]string) pair {
	var p pair
	found := false
	for name, value := range constraint {
		if !found || name < p.name {
			p, found = pair{name, value}, true
		}
	}
	return p
}

// grantIndex is the index of a list: that of the list which it grew from, and what has come and gone since. So a grant that is
// added to fifty thousand others costs no new index of them all.
type grantIndex struct {
	list    []*keystore.Grant
	base    *grantBase
	added   []*keystore.Grant
	removed map[string]bool // ids
}

// maxDrift is how many grants may come and go before a list is indexed anew.
const maxDrift = longGrants

// drifted gives the index of a list that grew from the one of base; nil where it did not, or is too far from it. Both are in
// the order of their ids.
func (base *grantBase) drifted(list []*keystore.Grant) *grantIndex {
	old := base.list
	if d := len(list) - len(old); d > maxDrift || -d > maxDrift || !sameGrantee(old[0], list[0]) {
		return nil
	}
	x := &grantIndex{list: list, base: base}
	i, j := 0, 0
	for i < len(old) || j < len(list) {
		order := 0
		switch {
		case i == len(old):
			order = 1
		case j == len(list):
			order = -1
		case old[i] != list[j]:
			order = strings.Compare(old[i].ID, list[j].ID)
		}
		switch {
		case order == 0:
			i, j = i+1, j+1
		case order > 0:
			x.added = append(x.added, list[j])
			j++
		default:
			if x.removed == nil {
				x.removed = map[string]bool{}
			}
			x.removed[old[i].ID] = true
			i++
		}
		if len(x.added)+len(x.removed) > maxDrift {
			return nil
		}
	}
	return x
}

// find gives a grant that allows the request.
func (x *grantIndex) find(e *evaluation) *keystore.Grant {
	operation := e.permission.name[len(permissionPrefix):]
	if slices.Contains(unconstrained, operation) && x.allows(operation) {
		return e.firstOf(x.list)
	}
	if g := e.firstOf(x.added); g != nil || !x.base.operations[operation] {
		return g
	}
	if g := e.firstBut(x.base.free, x.removed); g != nil {
		return g
	}
	for name, value := range e.req.EncryptionContext {
		if g := e.firstBut(x.base.byPair[pair{name, value}], x.removed); g != nil {
			return g
		}
	}
	return nil
}

// allows tells whether any grant of the list is for an operation, or one that was.
func (x *grantIndex) allows(operation string) bool {
	return x.base.operations[operation] ||
		slices.ContainsFunc(x.added, func(g *keystore.Grant) bool { return slices.Contains(g.Operations, operation) })
}

// firstBut gives the first grant that allows the request and was not removed.
func (e *evaluation) firstBut(grants []*keystore.Grant, removed map[string]bool) *keystore.Grant {
	for _, g := range grants {
		if !removed[g.ID] && e.accepts(g) {
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
	for i, x := range k.kept {
		if x == nil {
			continue
		}
		if grown := x.base.drifted(list); grown != nil {
			k.kept[i] = grown
			return grown
		}
	}
	x := &grantIndex{list: list, base: indexGrants(list)}
	for i, old := range k.kept {
		if old != nil && sameGrantee(old.list[0], list[0]) {
			k.kept[i] = x
			return x
		}
	}
	k.kept[k.next] = x
	k.next = (k.next + 1) % len(k.kept)
	return x
}

// sameGrantee tells whether two grants are of one list, at one time or another.
func sameGrantee(a, b *keystore.Grant) bool {
	return a.KeyID == b.KeyID && a.Region == b.Region && a.Grantee == b.Grantee
}
