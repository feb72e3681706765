package state

import (
	"maps"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/keystore"
)

// grantList is the grants on a key to one grantee, by id. It is shared and never changed.
type grantList struct {
	grants []*keystore.Grant
	bytes  int64 // estimated
}

func newGrantList(grants []*keystore.Grant) *grantList {
	l := &grantList{grants: grants}
	for _, g := range grants {
		l.bytes += grantBytes(g)
	}
	return l
}

// grantChange is a grant that a transaction added or removed. The zero value is a list that is to be read anew.
type grantChange struct {
	added   *keystore.Grant
	removed string // id
}

// noteGrant takes a change in. What comes after a list that is to be read anew changes nothing about that.
func (c *changes) noteGrant(r ref, change grantChange) {
	if c.grants == nil {
		c.grants = map[ref][]grantChange{}
	}
	c.grants[r] = append(c.grants[r], change)
}

// with gives the list after changes; nil where it has to be read anew. A grantee with very many grants, who gets one more,
// does not wait for all of them to be read.
func (l *grantList) with(list []grantChange) *grantList {
	next := &grantList{grants: slices.Clone(l.grants), bytes: l.bytes}
	for _, c := range list {
		id := c.removed
		if c.added != nil {
			id = c.added.ID
		}
		at, found := slices.BinarySearchFunc(next.grants, id, func(g *keystore.Grant, id string) int { return strings.Compare(g.ID, id) })
		switch {
		case c.added != nil && !found:
			next.grants = slices.Insert(next.grants, at, c.added)
			next.bytes += grantBytes(c.added)
		case c.removed != "" && found:
			next.bytes -= grantBytes(next.grants[at])
			next.grants = slices.Delete(next.grants, at, at+1)
		default:
			return nil
		}
	}
	if len(next.grants) == 0 {
		next.grants = nil
	}
	return next
}

// ownGrant copies a grant that its maker may change, with times as they are read from the database.
func ownGrant(g *keystore.Grant) *keystore.Grant {
	c := *g
	c.Created = c.Created.UTC()
	c.Operations, c.ContextEquals, c.ContextSubset = slices.Clone(g.Operations), maps.Clone(g.ContextEquals), maps.Clone(g.ContextSubset)
	return &c
}

const emptyGrantList = 160

func grantBytes(g *keystore.Grant) int64 {
	n := 640 + len(g.Grantee) + len(g.Retiring) + len(g.Token) + len(g.Issuer) + 24*len(g.Operations)
	for k, v := range g.ContextEquals {
		n += 64 + len(k) + len(v)
	}
	for k, v := range g.ContextSubset {
		n += 64 + len(k) + len(v)
	}
	return int64(n)
}
