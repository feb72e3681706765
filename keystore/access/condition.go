package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// condition is one operator and key of a Condition element: its values are alternatives.
type condition struct {
	name     string // the operator as written
	key      condKey
	values   []operand
	set      quantifier
	negated  bool
	ifExists bool
	null     []bool // operator Null: whether the key must be absent
}

type quantifier uint8

const (
	single quantifier = iota
	forAllValues
	forAnyValue
)

// compileConditions reads a Condition element.
func compileConditions(n *node, vars bool) ([]condition, error) {
	if n.kind != nodeObject {
		return nil, errors.New("condition must be an object")
	}
	var out []condition
	for _, op := range n.members {
		if op.value.kind != nodeObject {
			return nil, fmt.Errorf("condition operator %s must hold an object", op.name)
		}
		for _, key := range op.value.members {
			c, err := compileCondition(op.name, key.name, key.value, vars)
			if err != nil {
				return nil, fmt.Errorf("condition %s on %s: %w", op.name, key.name, err)
			}
			out = append(out, c)
		}
	}
	return out, nil
}

func compileCondition(name, key string, n *node, vars bool) (condition, error) {
	c := condition{name: name, key: lookupCondKey(key)}
	if !strings.Contains(key, ":") {
		return c, fmt.Errorf("%q is not a condition key", key)
	}
	texts, err := n.texts(true)
	if err != nil {
		return c, err
	}
	base := name
	if rest, found := strings.CutPrefix(base, "ForAllValues:"); found {
		c.set, base = forAllValues, rest
	} else if rest, found := strings.CutPrefix(base, "ForAnyValue:"); found {
		c.set, base = forAnyValue, rest
	}
	if base == "Null" {
		return c, c.compileNull(texts)
	}
	base, c.ifExists = strings.CutSuffix(base, "IfExists")
	op, found := operators[base]
	if !found {
		return c, fmt.Errorf("there is no such operator")
	}
	c.negated = op.negated
	for _, text := range texts {
		v, err := op.compile(text, vars)
		if err != nil {
			return c, err
		}
		c.values = append(c.values, v)
	}
	return c, nil
}

func (c *condition) compileNull(texts []string) error {
	for _, text := range texts {
		absent, err := compileBool(text, false)
		if err != nil {
			return err
		}
		c.null = append(c.null, bool(absent.(boolOperand)))
	}
	return nil
}

// holds decides the condition (IAM user guide, "Conditions with multiple context keys or values" and "Single-valued vs.
// multivalued context keys"). A key that is not in the request's context fails a condition, but fulfils a negated operator,
// IfExists and ForAllValues; the latter also where all that is there is empty text, which AWS calls a null dataset.
func (c *condition) holds(e *evaluation) bool {
	var room [4]string
	values := e.values(&c.key, room[:0])
	if c.null != nil {
		return slices.Contains(c.null, len(values) == 0)
	}
	if len(values) == 0 {
		return c.ifExists || c.set == forAllValues || c.set == single && c.negated
	}
	if c.set == forAllValues && !slices.ContainsFunc(values, func(v string) bool { return v != "" }) {
		return true
	}
	// A key with several values under no qualifier: one that fits is enough, but a negated operator wants none to equal.
	any := c.set == forAnyValue || c.set == single && !c.negated
	for _, v := range values {
		if c.fits(e, v) == any {
			return any
		}
	}
	return !any
}

// fits tells whether one value of the request fulfils the condition.
func (c *condition) fits(e *evaluation, value string) bool {
	for _, v := range c.values {
		if v.equals(e, value) {
			return !c.negated
		}
	}
	return c.negated
}
