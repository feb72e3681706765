package access

import (
	"maps"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/keystore"
)

// unconstrained are the permissions for which a grant's encryption context constraints do not count (key-lifecycle.md
// section 13): they have no encryption context. CreateGrant has none either, but there the grant that is asked for must be
// no wider than the one that allows it, which GrantCovers tells.
var unconstrained = []string{"DescribeKey", "RetireGrant", "CreateGrant"}

// grantees are the texts that grants name a caller by: the principal, and for the root the account's number too.
func grantees(c *keystore.Caller) [2]string {
	if c.Root {
		return [2]string{c.Principal, c.Account}
	}
	return [2]string{c.Principal}
}

// findGrant gives a grant that allows the request. In a long list those that the request has tokens of are looked at first,
// and the others by an index. grants are in the order of their ids.
func (e *evaluation) findGrant(grants []*keystore.Grant, indexes *grantIndexes) *keystore.Grant {
	if len(grants) <= longGrants {
		return e.firstOf(grants)
	}
	for _, token := range e.req.GrantTokens {
		_, id, err := keystore.ParseGrantToken(token)
		if err != nil {
			continue
		}
		i, found := slices.BinarySearchFunc(grants, id, func(g *keystore.Grant, id string) int { return strings.Compare(g.ID, id) })
		if found && e.accepts(grants[i]) {
			return grants[i]
		}
	}
	return indexes.of(grants).find(e)
}

// firstOf gives the first grant that allows the request.
func (e *evaluation) firstOf(grants []*keystore.Grant) *keystore.Grant {
	for _, g := range grants {
		if e.accepts(g) {
			return g
		}
	}
	return nil
}

func (e *evaluation) accepts(g *keystore.Grant) bool {
	return e.grantAllows(g) && (e.req.AcceptGrant == nil || e.req.AcceptGrant(g))
}

func (e *evaluation) grantAllows(g *keystore.Grant) bool {
	c := e.req.Caller
	operation := e.permission.name[len(permissionPrefix):]
	switch {
	case !grantedTo(g, c):
		return false
	case !slices.Contains(g.Operations, operation):
		return false
	case g.SourceARN != "": // a constraint on AWS services acting for a resource: no caller of the appliance is one
		return false
	case slices.Contains(unconstrained, operation):
		return true
	default:
		return contextFits(g, e.req.EncryptionContext)
	}
}

// grantedTo: the grantee is the caller, or the caller's account as a whole, which stands for its root.
func grantedTo(g *keystore.Grant, c *keystore.Caller) bool {
	if g.Grantee == "" {
		return false
	}
	if account, is := accountOf(g.Grantee); is {
		return c.Root && account == c.Account
	}
	return g.Grantee == c.Principal
}

// contextFits checks the constraints EncryptionContextEquals and EncryptionContextSubset. Names and values are compared
// exactly.
func contextFits(g *keystore.Grant, ctx map[string]string) bool {
	if len(g.ContextEquals) > 0 && !maps.Equal(g.ContextEquals, ctx) {
		return false
	}
	return contains(ctx, g.ContextSubset)
}

// contains tells whether every pair of part is in all.
func contains(all, part map[string]string) bool {
	for name, value := range part {
		if got, found := all[name]; !found || got != value {
			return false
		}
	}
	return true
}

// GrantCovers tells whether a grant that allows CreateGrant allows this child: no operation that the parent lacks, and
// constraints that are equal or stricter (API reference, CreateGrant: "the grant ... must be equally or more restrictive").
func GrantCovers(parent, child *keystore.Grant) bool {
	for _, op := range child.Operations {
		if !slices.Contains(parent.Operations, op) {
			return false
		}
	}
	if len(parent.ContextEquals) > 0 && !maps.Equal(parent.ContextEquals, child.ContextEquals) {
		return false
	}
	if len(parent.ContextSubset) == 0 {
		return true
	}
	return contains(child.ContextEquals, parent.ContextSubset) || contains(child.ContextSubset, parent.ContextSubset)
}
