package access

import (
	"slices"
	"strconv"
	"strings"
)

// RenamePrincipal puts another text in the place of a principal's ARN wherever a policy's Principal and NotPrincipal elements
// name it, and leaves the rest of the document as it is written. changed is false where nothing names it.
func RenamePrincipal(policy, from, to string) (renamed string, changed bool, err error) {
	root, err := parseJSON(policy)
	if err != nil {
		return policy, false, err
	}
	named := root.principalTexts()
	slices.Reverse(named) // from the end, so that places before stay where they are
	for _, n := range named {
		if n.text != from {
			continue
		}
		quote := int(n.begin) + strings.IndexByte(policy[n.begin:n.end], '"')
		policy, changed = policy[:quote]+strconv.Quote(to)+policy[n.end:], true
	}
	return policy, changed, nil
}

// NamedPrincipals lists the users, roles and sessions that a policy's Principal and NotPrincipal elements name.
func (p *Policy) NamedPrincipals() []string {
	var all []string
	for _, s := range p.Statements {
		for _, who := range s.principals {
			if who.kind == namedPrincipal && !slices.Contains(all, who.text) {
				all = append(all, who.text)
			}
		}
	}
	return all
}

// principalTexts gives the AWS principals of a document's statements, in the order in which they stand.
func (n *node) principalTexts() []*node {
	var all []*node
	for _, statement := range n.member("Statement").all() {
		for _, m := range statement.members {
			if m.name == "Principal" || m.name == "NotPrincipal" {
				all = append(all, m.value.member("AWS").all()...)
			}
		}
	}
	return all
}

// member gives a member of an object, nil for none.
func (n *node) member(name string) *node {
	if n == nil {
		return nil
	}
	for _, m := range n.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// all gives the items of a list, or the one value that stands for a list of one.
func (n *node) all() []*node {
	switch {
	case n == nil:
		return nil
	case n.kind == nodeList:
		return n.items
	default:
		return []*node{n}
	}
}
