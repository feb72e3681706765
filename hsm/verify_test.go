package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// TestVerify: the token takes its own signatures, and refuses them altered, of other data, of other lengths and by
// other keys, without an error.
func TestVerify(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	for kind, how := range map[hsm.Kind]hsm.Signing{
		hsm.RSA2048:     {Scheme: hsm.SignPSS, Hash: crypto.SHA384},
		hsm.ECP384:      {Scheme: hsm.SignECDSA, Hash: crypto.SHA384},
		hsm.ECP521:      {Scheme: hsm.SignECDSA, Hash: crypto.SHA512},
		hsm.ECSecp256k1: {Scheme: hsm.SignECDSA, Hash: crypto.SHA256},
		hsm.Ed25519:     {Scheme: hsm.SignEd25519},
	} {
		t.Run(kind.String(), func(t *testing.T) {
			key, other := pair(t, token, kind, signs), pair(t, token, kind, signs)
			data, wrong := []byte("a message"), []byte("b message")
			if how.Hash != 0 {
				data, wrong = digest(t, how.Hash, "a message"), digest(t, how.Hash, "b message")
			}
			sig, err := token.Sign(ctx, key, how, data)
			require.NoError(t, err)
			altered := bytes.Clone(sig)
			altered[len(altered)/2] ^= 4
			for name, tc := range map[string]struct {
				key       hsm.KeyRef
				data, sig []byte
				good      bool
			}{
				"its own":        {key, data, sig, true},
				"altered":        {key, data, altered, false},
				"other data":     {key, wrong, sig, false},
				"another key":    {other, data, sig, false},
				"a byte short":   {key, data, sig[:len(sig)-1], false},
				"a byte long":    {key, data, append(bytes.Clone(sig), 0), false},
				"empty":          {key, data, nil, false},
				"far too long":   {key, data, make([]byte, 10_000), false},
				"its own, again": {key, data, sig, true},
			} {
				good, err := token.Verify(ctx, tc.key, how, tc.data, tc.sig)
				require.NoError(t, err, name)
				require.Equal(t, tc.good, good, name)
			}
		})
	}
	key := pair(t, token, hsm.ECP256, signs)
	_, err := token.Verify(ctx, key, hsm.Signing{Scheme: hsm.SignPKCS1, Hash: crypto.SHA256}, make([]byte, 32), make([]byte, 256))
	require.ErrorIs(t, err, hsm.BadInput, "an EC key does not sign so")
	_, err = token.Verify(ctx, hsmtest.Ref("nobody"), hsm.Signing{Scheme: hsm.SignECDSA, Hash: crypto.SHA256}, make([]byte, 32), make([]byte, 64))
	require.ErrorIs(t, err, hsm.KeyMissing)
}

func TestECDSASignatureForms(t *testing.T) {
	raw := append(bytes.Repeat([]byte{0}, 31), 1)
	raw = append(raw, bytes.Repeat([]byte{0xff}, 32)...)
	der, err := hsm.ECDSASignatureDER(raw)
	require.NoError(t, err)
	back, ok := hsm.ECDSASignatureRaw(der, 32)
	require.True(t, ok)
	require.Equal(t, raw, back)
	for name, bad := range map[string][]byte{
		"nothing":        nil,
		"no DER":         []byte("signature"),
		"more after it":  append(bytes.Clone(der), 0),
		"more after s":   append([]byte{0x30, der[1] + 2}, append(bytes.Clone(der[2:]), 5, 0)...),
		"cut short":      der[:len(der)-1],
		"zero":           {0x30, 6, 2, 1, 0, 2, 1, 1},
		"negative":       {0x30, 6, 2, 1, 1, 2, 1, 0x81},
		"of other curve": {0x30, 6, 2, 1, 1, 2, 1, 1},
	} {
		size := 32
		if name == "of other curve" {
			size = 0
		}
		_, ok := hsm.ECDSASignatureRaw(bad, size)
		require.False(t, ok, name)
	}
}
