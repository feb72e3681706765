package access

import (
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/keystore"
)

// principal is one entry of a Principal element.
type principal struct {
	kind principalKind
	text string // account id, ARN or service name
}

type principalKind uint8

const (
	everyone principalKind = iota
	accountPrincipal
	namedPrincipal
	servicePrincipal // AWS services call no appliance: never matches
	foreignPrincipal // Federated, CanonicalUser: never matches
)

// reach says how a statement's principals take in a caller.
type reach uint8

const (
	notReached reach = iota
	byAccount        // through the caller's account: the account's own policies decide further, except for its root
	directly
)

// compilePrincipals reads a Principal or NotPrincipal element.
func compilePrincipals(n *node) ([]principal, error) {
	if n.kind == nodeText && n.text == "*" {
		return []principal{{kind: everyone}}, nil
	}
	if n.kind != nodeObject {
		return nil, fmt.Errorf(`must be "*" or an object`)
	}
	var out []principal
	for _, m := range n.members {
		texts, err := m.value.texts(false)
		if err != nil {
			return nil, fmt.Errorf("%s %w", m.name, err)
		}
		for _, text := range texts {
			p, err := compilePrincipal(m.name, text)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	}
	return out, nil
}

func compilePrincipal(kind, text string) (principal, error) {
	switch kind {
	case "AWS":
		return awsPrincipal(text), nil
	case "Service":
		return principal{servicePrincipal, text}, nil
	case "Federated", "CanonicalUser":
		return principal{foreignPrincipal, text}, nil
	default:
		return principal{}, fmt.Errorf("%q is not a kind of principal", kind)
	}
}

func awsPrincipal(text string) principal {
	if text == "*" {
		return principal{kind: everyone}
	}
	if account, is := accountOf(text); is {
		return principal{accountPrincipal, account}
	}
	return principal{namedPrincipal, text}
}

// accountOf reads the two forms of an account as a principal: its id, and the ARN of its root.
func accountOf(text string) (string, bool) {
	if rest, found := strings.CutPrefix(text, "arn:aws:iam::"); found {
		text, found = strings.CutSuffix(rest, ":root")
		if !found {
			return "", false
		}
	}
	return text, isAccountID(text)
}

func isAccountID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// reaches tells how a statement's principals take in the caller. NotPrincipal takes in everyone whom the list does not name;
// an account in that list names its root only, so that it does not exempt every user of the account.
func (s *Statement) reaches(c *keystore.Caller) reach {
	if s.notPrincipal {
		for i := range s.principals {
			if s.principals[i].names(c) {
				return notReached
			}
		}
		return directly
	}
	best := notReached
	for i := range s.principals {
		p := &s.principals[i]
		switch {
		case p.names(c):
			return directly
		case p.kind == accountPrincipal && p.text == c.Account:
			best = byAccount
		}
	}
	return best
}

func (p *principal) names(c *keystore.Caller) bool {
	switch p.kind {
	case everyone:
		return true
	case accountPrincipal:
		return c.Root && p.text == c.Account
	case namedPrincipal:
		return p.text == c.Principal
	default:
		return false
	}
}
