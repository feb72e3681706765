package hsm_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

func TestSealOpen(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	key := hsmtest.AES(t, token, "arn:aws:kms:us-east-1:000000000000:key/1")
	tests := map[string]struct{ aad, plaintext []byte }{
		"empty":       {nil, nil},
		"no aad":      {nil, []byte("hello")},
		"aad only":    {[]byte("context"), nil},
		"both":        {[]byte("context"), []byte("hello")},
		"kms maximum": {make([]byte, 8192), make([]byte, 4096)},
		"our maximum": {make([]byte, hsm.MaxAAD), make([]byte, hsm.MaxPlaintext)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			sealed, err := token.Seal(ctx, key, tc.aad, tc.plaintext, []byte("pre"))
			require.NoError(t, err)
			require.Equal(t, "pre", string(sealed[:3]))
			sealed = sealed[3:]
			require.Len(t, sealed, len(tc.plaintext)+hsm.SealOverhead)
			opened, err := token.Open(ctx, key, tc.aad, sealed, []byte("pre"))
			require.NoError(t, err)
			require.Equal(t, "pre", string(opened[:3]))
			require.Equal(t, string(tc.plaintext), string(opened[3:]))

			for _, at := range []int{0, len(sealed) / 2, len(sealed) - 1} {
				bad := append([]byte(nil), sealed...)
				bad[at] ^= 1
				_, err = token.Open(ctx, key, tc.aad, bad, nil)
				require.ErrorIs(t, err, hsm.BadCiphertext)
			}
			_, err = token.Open(ctx, key, append([]byte("x"), tc.aad[:min(len(tc.aad), hsm.MaxAAD-1)]...), sealed, nil)
			require.ErrorIs(t, err, hsm.BadCiphertext)
		})
	}
}
