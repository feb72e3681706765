package access_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore/access"
)

func TestRenamePrincipal(t *testing.T) {
	const ann, id = "arn:aws:iam::111122223333:user/ann", "AIDACKCEVSQ6C2EXAMPLE"
	statement := func(s string) string { return `{ "Statement" : ` + s + ` }` }
	for name, c := range map[string]struct{ text, want string }{
		"one":              {statement(`{"Principal": {"AWS" :"` + ann + `"}, "Action":"x"}`), statement(`{"Principal": {"AWS" :"` + id + `"}, "Action":"x"}`)},
		"in a list":        {statement(`[{"Principal":{"AWS":["a", "` + ann + `" ,"b","` + ann + `"]}}]`), statement(`[{"Principal":{"AWS":["a", "` + id + `" ,"b","` + id + `"]}}]`)},
		"NotPrincipal":     {statement(`[{},{"NotPrincipal":{"AWS":"` + ann + `"}}]`), statement(`[{},{"NotPrincipal":{"AWS":"` + id + `"}}]`)},
		"with escapes":     {statement(`{"Principal":{"AWS":"arn:aws:iam::111122223333:user\/\u0061nn"}}`), statement(`{"Principal":{"AWS":"` + id + `"}}`)},
		"a longer name":    {statement(`{"Principal":{"AWS":"` + ann + `a"}}`), ""},
		"in a condition":   {statement(`{"Principal":"*","Condition":{"ArnEquals":{"aws:PrincipalArn":"` + ann + `"}}}`), ""},
		"of another kind":  {statement(`{"Principal":{"Federated":"` + ann + `"}}`), ""},
		"nobody":           {access.DefaultPolicy("111122223333"), ""},
		"everybody":        {statement(`{"Principal":"*"}`), ""},
		"both and a trail": {statement(`{"Principal":{"AWS":"` + ann + `"},"Sid":"` + ann + `"}`), statement(`{"Principal":{"AWS":"` + id + `"},"Sid":"` + ann + `"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			got, changed, err := access.RenamePrincipal(c.text, ann, id)
			require.NoError(t, err)
			want := c.want
			if want == "" {
				want = c.text
			}
			assert.Equal(t, want, got)
			assert.Equal(t, c.want != "", changed)
		})
	}
	_, _, err := access.RenamePrincipal("{", ann, id)
	require.Error(t, err)
}
