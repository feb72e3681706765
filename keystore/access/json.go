package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// node is a JSON value of a policy document. Unlike maps it keeps the order of members and shows duplicates.
type node struct {
	kind    nodeKind
	text    string // of a string, a number or a boolean, as policies compare it
	begin   int64  // of a string: where it stands in the document, perhaps with white space or a colon before it
	end     int64
	members []member
	items   []*node
}

type nodeKind uint8

const (
	nodeText nodeKind = iota // string
	nodeBare                 // number or boolean
	nodeNull
	nodeObject
	nodeList
)

type member struct {
	name  string
	value *node
}

// maxDepth bounds nesting: Statement, Condition, operator, key and value list make six.
const maxDepth = 12

var errDepth = errors.New("nested too deeply")

// parseJSON reads exactly one JSON value.
func parseJSON(text string) (*node, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	n, err := readNode(dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the policy's closing brace")
	}
	return n, nil
}

func readNode(dec *json.Decoder, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	begin := dec.InputOffset()
	tok, err := dec.Token()
	if err != nil {
		return nil, atOffset(dec, err)
	}
	switch v := tok.(type) {
	case json.Delim:
		if v == '{' {
			return readObject(dec, depth)
		}
		return readList(dec, depth)
	case string:
		return &node{kind: nodeText, text: v, begin: begin, end: dec.InputOffset()}, nil
	case json.Number:
		return &node{kind: nodeBare, text: v.String()}, nil
	case bool:
		return &node{kind: nodeBare, text: fmt.Sprint(v)}, nil
	default:
		return &node{kind: nodeNull}, nil
	}
}

func readObject(dec *json.Decoder, depth int) (*node, error) {
	n := &node{kind: nodeObject}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, atOffset(dec, err)
		}
		name, isText := tok.(string)
		if !isText {
			return nil, fmt.Errorf("at byte %d: an object needs names", dec.InputOffset())
		}
		for _, m := range n.members {
			if m.name == name {
				return nil, fmt.Errorf("%q is there twice", name)
			}
		}
		value, err := readNode(dec, depth+1)
		if err != nil {
			return nil, err
		}
		n.members = append(n.members, member{name, value})
	}
	_, err := dec.Token() // the closing brace
	if err != nil {
		return nil, atOffset(dec, err)
	}
	return n, nil
}

func readList(dec *json.Decoder, depth int) (*node, error) {
	n := &node{kind: nodeList}
	for dec.More() {
		item, err := readNode(dec, depth+1)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	_, err := dec.Token() // the closing bracket
	if err != nil {
		return nil, atOffset(dec, err)
	}
	return n, nil
}

func atOffset(dec *json.Decoder, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the text ends too early")
	}
	return fmt.Errorf("at byte %d: %w", dec.InputOffset(), err)
}

// texts reads a string or a list of strings. bare also takes numbers and booleans, as conditions do.
func (n *node) texts(bare bool) ([]string, error) {
	one := []*node{n}
	if n.kind == nodeList {
		one = n.items
	}
	out := make([]string, 0, len(one))
	for _, v := range one {
		if v.kind != nodeText && (!bare || v.kind != nodeBare) {
			return nil, errors.New("must be a string or a list of strings")
		}
		out = append(out, v.text)
	}
	return out, nil
}
