package access

import (
	"errors"
	"fmt"
	"strings"
)

// Effect is a statement's effect.
type Effect string

// The effects.
const (
	Allow Effect = "Allow"
	Deny  Effect = "Deny"
)

// Policy is a compiled policy document. It is never changed: safe for concurrent use.
type Policy struct {
	Version    string // 2012-10-17, or 2008-10-17 where the document names none
	ID         string
	Statements []*Statement
}

// Statement is a compiled statement.
type Statement struct {
	Index  int    // from 1, as people count
	Sid    string // "" where it has none
	Effect Effect

	principals   []principal
	notPrincipal bool
	hasPrincipal bool

	actions    []pattern // "kms:…" in lower case
	notAction  bool
	allActions bool

	resources    []pattern
	notResource  bool
	allResources bool

	conditions []condition
	inert      bool // names no action or no resource: AWS stores such a statement, and it does nothing
}

// The versions of the policy language. Variables exist in the newer one only.
const (
	version2012 = "2012-10-17"
	version2008 = "2008-10-17"
)

// Parse compiles a policy document. It checks the language and no more: ValidatePolicy has the rules for key policies.
func Parse(text string) (*Policy, error) {
	n, err := parseJSON(text)
	if err != nil {
		return nil, err
	}
	if n.kind != nodeObject {
		return nil, errors.New("a policy must be an object")
	}
	p := &Policy{Version: version2008}
	var statements []*node
	for _, m := range n.members {
		switch m.name {
		case "Version":
			if m.value.text != version2012 && m.value.text != version2008 || m.value.kind != nodeText {
				return nil, fmt.Errorf("%s must be %q or %q", m.name, version2012, version2008)
			}
			p.Version = m.value.text
		case "Id":
			if m.value.kind != nodeText {
				return nil, fmt.Errorf("%s must be a string", m.name)
			}
			p.ID = m.value.text
		case "Statement":
			statements = []*node{m.value}
			if m.value.kind == nodeList {
				statements = m.value.items
			}
		default:
			return nil, fmt.Errorf("unknown element %q", m.name)
		}
	}
	if len(statements) == 0 {
		return nil, errors.New("there is no Statement")
	}
	for i, s := range statements {
		c, err := compileStatement(s, p.Version == version2012)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		c.Index = i + 1
		p.Statements = append(p.Statements, c)
	}
	return p, nil
}

func compileStatement(n *node, vars bool) (*Statement, error) {
	if n.kind != nodeObject {
		return nil, errors.New("must be an object")
	}
	s := &Statement{}
	seen := map[string]bool{}
	for _, m := range n.members {
		if err := s.compileElement(m, vars); err != nil {
			return nil, err
		}
		seen[m.name] = true
	}
	for _, twin := range []string{"Principal", "Action", "Resource"} {
		if seen[twin] && seen["Not"+twin] {
			return nil, fmt.Errorf("%s and Not%s exclude each other", twin, twin)
		}
	}
	if s.Effect == "" {
		return nil, errors.New("the Effect is missing")
	}
	if s.notPrincipal && s.Effect == Allow {
		return nil, errors.New("a NotPrincipal needs Effect Deny")
	}
	// An empty list names nothing, and with Not everything: it counts as missing.
	s.inert = len(s.actions) == 0 || len(s.resources) == 0
	return s, nil
}

func (s *Statement) compileElement(m member, vars bool) error {
	var err error
	switch m.name {
	case "Sid":
		if m.value.kind != nodeText {
			return fmt.Errorf("%s must be a string", m.name)
		}
		s.Sid = m.value.text
	case "Effect":
		s.Effect = Effect(m.value.text)
		if s.Effect != Allow && s.Effect != Deny || m.value.kind != nodeText {
			return fmt.Errorf("%s must be Allow or Deny", m.name)
		}
	case "Principal", "NotPrincipal":
		s.hasPrincipal, s.notPrincipal = true, m.name == "NotPrincipal"
		s.principals, err = compilePrincipals(m.value)
	case "Action", "NotAction":
		s.notAction = m.name == "NotAction"
		err = s.compileActions(m.value)
	case "Resource", "NotResource":
		s.notResource = m.name == "NotResource"
		err = s.compileResources(m.value, vars)
	case "Condition":
		s.conditions, err = compileConditions(m.value, vars)
		return err
	default:
		return fmt.Errorf("unknown element %q", m.name)
	}
	if err != nil {
		return fmt.Errorf("%s %w", m.name, err)
	}
	return nil
}

func (s *Statement) compileActions(n *node) error {
	texts, err := n.texts(false)
	if err != nil {
		return err
	}
	for _, text := range texts {
		service, name, found := strings.Cut(text, ":")
		if text != "*" && (!found || service == "" || name == "" || strings.ContainsAny(service, "*? ")) {
			return fmt.Errorf("%q is not an action", text)
		}
		p := compile(text, options{wild: true, fold: true})
		s.allActions = s.allActions || p.shape == shapeAny || p.shape == shapePrefix && p.lit == "kms:"
		s.actions = append(s.actions, p)
	}
	return nil
}

func (s *Statement) compileResources(n *node, vars bool) error {
	texts, err := n.texts(false)
	if err != nil {
		return err
	}
	for _, text := range texts {
		p := compile(text, options{wild: true, vars: vars})
		s.allResources = s.allResources || p.shape == shapeAny
		s.resources = append(s.resources, p)
	}
	return nil
}

// DefaultPolicy is the key policy that a key gets where its creator names none: the account decides (recorded from AWS).
func DefaultPolicy(account string) string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::` + account + `:root"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
}
