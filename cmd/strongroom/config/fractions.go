package config

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fractions finds numbers with a fraction where a whole one is wanted: the decoder would cut the fraction off in silence.
func fractions(n *yaml.Node, t reflect.Type) (bad []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n.Kind {
	case yaml.DocumentNode, yaml.SequenceNode:
		if n.Kind == yaml.SequenceNode {
			if t.Kind() != reflect.Slice {
				return nil
			}
			t = t.Elem()
		}
		for _, e := range n.Content {
			bad = append(bad, fractions(e, t)...)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if of := fieldType(t, n.Content[i].Value); of != nil {
				bad = append(bad, fractions(n.Content[i+1], of)...)
			}
		}
	case yaml.AliasNode:
		return fractions(n.Alias, t)
	case yaml.ScalarNode:
		if t.Kind() == reflect.Int && n.ShortTag() == "!!float" {
			bad = append(bad, fmt.Sprintf("line %d: %s is no whole number", n.Line, n.Value))
		}
	}
	return bad
}

// fieldType gives the type of a structure's field, or of a map's values, nil where there is none.
func fieldType(t reflect.Type, name string) reflect.Type {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem()
	case reflect.Struct:
	default:
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if tag == name && f.IsExported() {
			return f.Type
		}
		if options == "inline" {
			if of := fieldType(f.Type, name); of != nil {
				return of
			}
		}
	}
	return nil
}
