package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// Wrapped material that is wrong in any way is one and the same failure; material of another kind is another.
func TestImportWrapped(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "x").Open("x")
	carrier := pair(t, token, hsm.RSA2048, hsm.UseUnwrap|hsm.UseDecrypt)
	public, err := token.PublicKey(ctx, carrier)
	require.NoError(t, err)
	pub := public.Key.(*rsa.PublicKey)
	how := hsm.ImportWrapping{Hash: crypto.SHA256, AES: true}
	wrap := func(kek, material []byte) []byte {
		head, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, pub, kek, nil)
		require.NoError(t, err)
		return append(head, hsmtest.WrapKWP(t, kek, material)...)
	}
	kek := bytesOf(7, 32)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	order := hsm.Template{KeyRef: hsmtest.Ref("imported"), Kind: hsm.ECP256, Usage: signs}
	made, err := token.ImportWrapped(ctx, order, carrier, how, wrap(kek, der))
	require.NoError(t, err)
	require.Len(t, made, 2)
	assert.True(t, made[0].Sensitive)
	assert.False(t, made[0].Extractable)
	there, err := token.PublicKey(ctx, order.KeyRef)
	require.NoError(t, err)
	assert.True(t, key.PublicKey.Equal(there.Key))

	other := order
	other.KeyRef = hsmtest.Ref("other")
	good := wrap(kek, der)
	spoilt := func(i int) []byte {
		b := bytes.Clone(good)
		b[i] ^= 1
		return b
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "head alone": good[:256], "short head": good[:100], "RSA part": spoilt(9), "last byte": spoilt(len(good) - 1),
		"first of AES": spoilt(256), "cut": good[:len(good)-8], "odd": good[:len(good)-1], "long": append(bytes.Clone(good), bytesOf(0, 9000)...),
		"AES-128 inside": wrap(bytesOf(7, 16), der), "other hash": func() []byte { b := bytes.Clone(good); clear(b[:256]); return b }(),
	} {
		_, err := token.ImportWrapped(ctx, other, carrier, how, bad)
		assert.ErrorIs(t, err, hsm.BadCiphertext, name)
	}
	for name, material := range map[string][]byte{"no key": bytesOf(1, 64), "half": der[:len(der)/2], "another kind": func() []byte {
		k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		require.NoError(t, err)
		d, err := x509.MarshalPKCS8PrivateKey(k)
		require.NoError(t, err)
		return d
	}()} {
		_, err := token.ImportWrapped(ctx, other, carrier, how, wrap(kek, material))
		assert.ErrorIs(t, err, hsm.BadInput, name)
	}
	found, err := token.Find(ctx, other.KeyRef)
	require.NoError(t, err)
	assert.Empty(t, found)
}
