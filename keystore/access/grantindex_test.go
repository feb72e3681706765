package access_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
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

// moving is a Directory whose one long list changes.
type moving struct {
	keystore.Directory
	list []*keystore.Grant
}

func (m *moving) LookupGrants(context.Context, string, keystore.KeyID, string) ([]*keystore.Grant, error) {
	return m.list, nil
}

// TestGrantsThatComeAndGo: an index that grew with its list finds what one that is made anew would.
func TestGrantsThatComeAndGo(t *testing.T) {
	k := key(policy(allow(bob, `"kms:*"`)))
	r := rand.New(rand.NewPCG(1, 2))
	byID := func(a, b *keystore.Grant) int { return cmp.Compare(a.ID, b.ID) }
	fresh := func(volume int) *keystore.Grant {
		return grant(func(g *keystore.Grant) {
			g.ID = fmt.Sprintf("%016x", r.Uint64())
			g.Operations = []string{"Encrypt"}
			switch volume % 5 {
			case 0:
				g.ContextSubset = map[string]string{"volume": fmt.Sprint(volume)}
			case 1:
				g.Operations = []string{"Decrypt", "DescribeKey"}
				g.ContextEquals = map[string]string{"volume": fmt.Sprint(volume)}
			default:
				g.ContextEquals = map[string]string{"volume": fmt.Sprint(volume), "z": "1"}
			}
		})
	}
	d := &moving{}
	for v := range 150 {
		d.list = append(d.list, fresh(v))
	}
	slices.SortFunc(d.list, byID)
	g := access.New(access.Config{Directory: d})
	for round := range 400 {
		next := slices.Clone(d.list)
		for range 1 + r.IntN(3) {
			if r.IntN(2) == 0 && len(next) > 100 {
				at := r.IntN(len(next))
				next = slices.Delete(next, at, at+1)
			} else {
				next = append(next, fresh(r.IntN(200)))
			}
		}
		slices.SortFunc(next, byID)
		d.list = next
		for range 8 {
			volume := r.IntN(200)
			ctx := map[string]string{"volume": fmt.Sprint(volume)}
			if r.IntN(2) == 0 {
				ctx["z"] = "1"
			}
			action := []keystore.Action{"Encrypt", "Decrypt", "DescribeKey", "Sign"}[r.IntN(4)]
			req := access.Request{Caller: caller(alice), Action: action, Key: k, EncryptionContext: ctx}
			got, err := g.Authorize(t.Context(), &req)
			require.NoError(t, err)
			want, err := access.New(access.Config{Directory: d}).Authorize(t.Context(), &req)
			require.NoError(t, err)
			require.Equal(t, want.Allowed, got.Allowed, "round %d: %s with %v", round, action, ctx)
			if got.Allowed {
				require.Contains(t, d.list, got.Grant, "a grant that is there")
			}
		}
	}
}
