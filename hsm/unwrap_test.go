package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// Unwrapping leaves one object on a token, or none: also where the token dislikes a template, the bytes, or their length.
// The token's files are counted, since SoftHSM2 does not show what it made and did not finish.
func TestUnwrapLeavesNothingBehind(t *testing.T) {
	ctx := context.Background()
	tokens := hsmtest.SoftHSM(t, "from", "to")
	from, to := tokens.Open("from"), tokens.Open("to")
	carrier := pair(t, to, hsm.RSA2048, hsm.UseUnwrap|hsm.UseDecrypt)
	key, err := to.PublicKey(ctx, carrier)
	require.NoError(t, err)
	pub := key.Key.(*rsa.PublicKey)
	files := func() int {
		found, err := filepath.Glob(tokens.Dir("to") + "/*.object")
		require.NoError(t, err)
		return len(found)
	}
	require.NotZero(t, files())
	for kind, use := range map[hsm.Kind]hsm.Usage{hsm.AES256: hsm.UseEncrypt | hsm.UseDecrypt, hsm.HMAC224: signs, hsm.HMAC512: signs} {
		t.Run(kind.String(), func(t *testing.T) {
			order := hsm.Template{KeyRef: hsmtest.Ref("carried"), Kind: kind, Usage: use, Extractable: true}
			_, err := from.Generate(ctx, order)
			require.NoError(t, err)
			blob, err := from.WrapOAEP(ctx, pub, crypto.SHA1, order.KeyRef)
			require.NoError(t, err)
			before := files()
			_, err = to.UnwrapInside(ctx, order, carrier, crypto.SHA1, blob)
			require.NoError(t, err)
			assert.Equal(t, before+1, files(), "one key is one object")

			bad := bytes.Clone(blob)
			bad[7] ^= 1
			other := order
			other.KeyRef = hsmtest.Ref("other")
			_, err = to.UnwrapInside(ctx, other, carrier, crypto.SHA1, bad)
			require.Error(t, err)
			for _, n := range []int{0, 1, 16, 31, 33, 65} {
				wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, pub, make([]byte, n), nil)
				require.NoError(t, err)
				_, err = to.UnwrapOAEP(ctx, other, carrier, crypto.SHA1, wrapped)
				require.ErrorIs(t, err, hsm.BadInput, "%d bytes", n)
			}
			assert.Equal(t, before+1, files())
		})
	}
	_, err = to.UnwrapInside(ctx, hsm.Template{KeyRef: hsmtest.Ref("pair"), Kind: hsm.RSA2048, Usage: signs}, carrier, crypto.SHA1, []byte{1})
	require.ErrorIs(t, err, hsm.BadInput, "OAEP carries no key pair")
}
