package access_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// TestManyGrantsDecideAsFewDo: a long list is searched by an index, which must find what looking through would.
func TestManyGrantsDecideAsFewDo(t *testing.T) {
	k := key(policy(allow(bob, `"kms:*"`)))
	constraints := []func(g *keystore.Grant){
		func(g *keystore.Grant) {},
		func(g *keystore.Grant) { g.ContextEquals = map[string]string{"a": "1", "b": "2"} },
		func(g *keystore.Grant) { g.ContextSubset = map[string]string{"b": "2"} },
		func(g *keystore.Grant) { g.ContextSubset = map[string]string{"a": "1", "c": "3"} },
		func(g *keystore.Grant) {
			g.ContextEquals, g.ContextSubset = map[string]string{"c": "3"}, map[string]string{"c": "3"}
		},
		func(g *keystore.Grant) { g.SourceARN = "arn:aws:s3:::bucket-of-somebody" },
		func(g *keystore.Grant) {
			g.Operations = []string{"DescribeKey"}
			g.ContextSubset = map[string]string{"z": "0"}
		},
	}
	contexts := []map[string]string{nil, {"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}, {"a": "1", "b": "2", "c": "3"}, {"c": "3"}, {"a": "1", "c": "3"},
		{"a": "2", "b": "1"}}
	// What nobody's request fulfils makes a list long.
	var rest []*keystore.Grant
	for i := range 200 {
		rest = append(rest, grant(func(g *keystore.Grant) {
			g.ID, g.Operations = fmt.Sprintf("rest-%03d", i), []string{"Encrypt"}
			g.ContextEquals = map[string]string{"volume": fmt.Sprint(i)}
		}))
	}
	for n, constrain := range constraints {
		one := grant(constrain)
		few, many := gate(one), gate(append([]*keystore.Grant{one}, rest...)...)
		for _, action := range []keystore.Action{"Encrypt", "Sign", "DescribeKey"} {
			for _, ctx := range contexts {
				r := access.Request{Caller: caller(alice), Action: action, Key: k, EncryptionContext: ctx}
				want, err := few.Authorize(t.Context(), &r)
				require.NoError(t, err)
				for range 2 { // the index is made, and kept
					got, err := many.Authorize(t.Context(), &r)
					require.NoError(t, err)
					assert.Equal(t, want.Allowed, got.Allowed, "constraint %d, %s, %v", n, action, ctx)
				}
			}
		}
	}
	hit, err := gate(rest...).Authorize(t.Context(), &access.Request{Caller: caller(alice), Action: "Encrypt", Key: k,
		EncryptionContext: map[string]string{"volume": "77"}})
	require.NoError(t, err)
	require.True(t, hit.Allowed)
	assert.Equal(t, "rest-077", hit.Grant.ID)
}
