package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// goKWP is AES key wrap with padding (RFC 5649), for more than one semiblock.
func goKWP(t testing.TB, kek, key []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(kek)
	require.NoError(t, err)
	n := (len(key) + 7) / 8
	r := make([]byte, 8+8*n)
	copy(r, []byte{0xa6, 0x59, 0x59, 0xa6})
	binary.BigEndian.PutUint32(r[4:], uint32(len(key))) //nolint:gosec // short
	copy(r[8:], key)
	var b [16]byte
	for j := range 6 {
		for i := 1; i <= n; i++ {
			copy(b[:8], r[:8])
			copy(b[8:], r[8*i:])
			block.Encrypt(b[:], b[:])
			binary.BigEndian.PutUint64(r, binary.BigEndian.Uint64(b[:8])^uint64(n*j+i)) //nolint:gosec // positive
			copy(r[8*i:8*i+8], b[8:])
		}
	}
	return r
}

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
		return append(head, goKWP(t, kek, material)...)
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
