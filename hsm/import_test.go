package hsm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

func goMAC(hash crypto.Hash, key, message []byte) []byte {
	m := hmac.New(hash.New, key)
	m.Write(message)
	return m.Sum(nil)
}

func bytesOf(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

// goOpen opens what a token sealed, with Go's own cryptography.
func goOpen(t testing.TB, key, aad, sealed []byte) string {
	t.Helper()
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	out, err := gcm.Open(nil, sealed[:hsm.IVSize], sealed[hsm.IVSize:], aad)
	require.NoError(t, err)
	return string(out)
}

func TestImportSecret(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	value := bytesOf(0x5a, 32)
	order := hsm.Template{KeyRef: hsmtest.Ref("imported"), Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt}
	o, err := token.ImportSecret(ctx, order, value)
	require.NoError(t, err)
	require.True(t, o.Sensitive && !o.Extractable && !o.Local)
	require.Equal(t, bytesOf(0x5a, 32), value, "the caller's bytes are his")
	sealed, err := token.Seal(ctx, order.KeyRef, []byte("aad"), []byte("text"), nil)
	require.NoError(t, err)
	require.Equal(t, "text", goOpen(t, value, []byte("aad"), sealed))
	for _, bad := range [][]byte{nil, value[:31], append([]byte{1}, value...)} {
		_, err = token.ImportSecret(ctx, order, bad)
		require.ErrorIs(t, err, hsm.BadInput)
	}
	order.Kind = hsm.RSA2048
	_, err = token.ImportSecret(ctx, order, value)
	require.ErrorIs(t, err, hsm.BadInput)
}

func TestImportPrivate(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	keys := map[hsm.Kind]crypto.Signer{hsm.RSA2048: rsaKey, hsm.Ed25519: edKey}
	for kind, curve := range map[hsm.Kind]elliptic.Curve{
		hsm.ECP256: elliptic.P256(), hsm.ECP384: elliptic.P384(), hsm.ECP521: elliptic.P521(),
	} {
		keys[kind], err = ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
	}
	ways := map[hsm.Kind]hsm.Signing{
		hsm.RSA2048: {Scheme: hsm.SignPSS, Hash: crypto.SHA256}, hsm.Ed25519: {Scheme: hsm.SignEd25519},
		hsm.ECP256: {Scheme: hsm.SignECDSA, Hash: crypto.SHA256}, hsm.ECP384: {Scheme: hsm.SignECDSA, Hash: crypto.SHA384},
		hsm.ECP521: {Scheme: hsm.SignECDSA, Hash: crypto.SHA512},
	}
	for kind, key := range keys {
		t.Run(kind.String(), func(t *testing.T) {
			der, err := x509.MarshalPKCS8PrivateKey(key)
			require.NoError(t, err)
			order := hsm.Template{KeyRef: hsmtest.Ref("imported"), Kind: kind, Usage: signs}
			wrong := order
			wrong.Kind = hsm.RSA4096
			_, err = token.ImportPrivate(ctx, wrong, der)
			require.ErrorIs(t, err, hsm.BadInput)
			made, err := token.ImportPrivate(ctx, order, der)
			require.NoError(t, err)
			require.True(t, made.Private.Sensitive && !made.Private.Extractable)
			pub, err := token.PublicKey(ctx, order.KeyRef)
			require.NoError(t, err)
			require.Equal(t, key.Public(), pub.Key)
			data := []byte("a message")
			if ways[kind].Hash != 0 {
				data = digest(t, ways[kind].Hash, "a message")
			}
			sig, err := token.Sign(ctx, order.KeyRef, ways[kind], data)
			require.NoError(t, err)
			verify(t, pub, ways[kind], data, sig)
		})
	}
}

// TestImportSecp256k1: a key that OpenSSL made, and what it signs.
func TestImportSecp256k1(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	out, err := exec.Command("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1").Output()
	require.NoError(t, err)
	block, _ := pem.Decode(out)
	require.NotNil(t, block)
	order := hsm.Template{KeyRef: hsmtest.Ref("imported"), Kind: hsm.ECSecp256k1, Usage: signs}
	_, err = token.ImportPrivate(ctx, order, block.Bytes)
	require.NoError(t, err)
	pub, err := token.PublicKey(ctx, order.KeyRef)
	require.NoError(t, err)
	data := digest(t, crypto.SHA256, "a message")
	how := hsm.Signing{Scheme: hsm.SignECDSA, Hash: crypto.SHA256}
	sig, err := token.Sign(ctx, order.KeyRef, how, data)
	require.NoError(t, err)
	verify(t, pub, how, data, sig)

	cmd := exec.Command("openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER")
	cmd.Stdin = bytes.NewReader(block.Bytes)
	want, err := cmd.Output()
	require.NoError(t, err)
	require.Equal(t, want, pub.DER)
}

func FuzzImportPrivate(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(f, err)
	f.Add(der)
	f.Add([]byte("0"))
	f.Fuzz(func(t *testing.T, der []byte) {
		if kind, err := hsm.ParsePrivate(der); err != nil {
			require.ErrorIs(t, err, hsm.BadInput)
		} else {
			require.NotEqual(t, hsm.NoKind, kind)
		}
	})
}

func TestAgree(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	for kind, curve := range map[hsm.Kind]ecdh.Curve{hsm.ECP256: ecdh.P256(), hsm.ECP384: ecdh.P384(), hsm.ECP521: ecdh.P521()} {
		t.Run(kind.String(), func(t *testing.T) {
			ref := pair(t, token, kind, hsm.UseDerive)
			pub, err := token.PublicKey(ctx, ref)
			require.NoError(t, err)
			mine, err := curve.NewPublicKey(pub.Point)
			require.NoError(t, err)
			for range 8 {
				theirs, err := curve.GenerateKey(rand.Reader)
				require.NoError(t, err)
				want, err := theirs.ECDH(mine)
				require.NoError(t, err)
				got, err := token.Agree(ctx, ref, theirs.PublicKey().Bytes())
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			off := append([]byte(nil), pub.Point...)
			off[len(off)-1] ^= 1
			for _, bad := range [][]byte{nil, {0}, off, pub.Point[1:]} {
				_, err := token.Agree(ctx, ref, bad)
				require.ErrorIs(t, err, hsm.BadInput)
			}
		})
	}
	t.Run("secp256k1", func(t *testing.T) {
		a, b := pair(t, token, hsm.ECSecp256k1, hsm.UseDerive), pair(t, token, hsm.ECSecp256k1, hsm.UseDerive)
		pubA, err := token.PublicKey(ctx, a)
		require.NoError(t, err)
		pubB, err := token.PublicKey(ctx, b)
		require.NoError(t, err)
		one, err := token.Agree(ctx, a, pubB.Point)
		require.NoError(t, err)
		two, err := token.Agree(ctx, b, pubA.Point)
		require.NoError(t, err)
		require.Equal(t, one, two)
		require.Len(t, one, 32)
	})
	objects := 0
	require.NoError(t, token.Objects(ctx, func(o hsm.Object) error {
		if o.Class == "CKO_SECRET_KEY" {
			objects++
		}
		return nil
	}))
	require.Equal(t, 1, objects, "no secret stays on the token; the one is the canary")
	_, err := token.Agree(ctx, pair(t, token, hsm.RSA2048, hsm.UseDecrypt|hsm.UseEncrypt), []byte{4})
	require.ErrorIs(t, err, hsm.BadInput)
}

// TestCarry: a key goes from token to token without being seen.
func TestCarry(t *testing.T) {
	ctx := context.Background()
	tokens := hsmtest.SoftHSM(t, "from", "to")
	from, to := tokens.Open("from"), tokens.Open("to")

	carrier := pair(t, to, hsm.RSA3072, hsm.UseUnwrap|hsm.UseDecrypt)
	pub, err := to.PublicKey(ctx, carrier)
	require.NoError(t, err)
	rsaPub, ok := pub.Key.(*rsa.PublicKey)
	require.True(t, ok)
	kek := hsm.Template{KeyRef: hsmtest.Ref("transport"), Kind: hsm.AES256, Usage: hsm.UseWrap | hsm.UseUnwrap, Extractable: true}
	_, err = from.Generate(ctx, kek)
	require.NoError(t, err)
	blob, err := from.WrapOAEP(ctx, rsaPub, crypto.SHA1, kek.KeyRef)
	require.NoError(t, err)
	kekThere := kek
	kekThere.Extractable = false
	_, err = to.UnwrapOAEP(ctx, kekThere, carrier, crypto.SHA1, blob)
	require.NoError(t, err)

	t.Run("AES", func(t *testing.T) {
		order := hsm.Template{KeyRef: hsmtest.Ref("multi-Region"), Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt, Extractable: true}
		_, err = from.Generate(ctx, order)
		require.NoError(t, err)
		w, err := from.Wrap(ctx, kek.KeyRef, order.KeyRef, order.Kind)
		require.NoError(t, err)
		require.Equal(t, hsm.WrapRFC5649, w.Format)
		_, err = to.Unwrap(ctx, order, kek.KeyRef, w)
		require.NoError(t, err)
		sealed, err := from.Seal(ctx, order.KeyRef, nil, []byte("text"), nil)
		require.NoError(t, err)
		opened, err := to.Open(ctx, order.KeyRef, nil, sealed, nil)
		require.NoError(t, err)
		require.Equal(t, "text", string(opened))

		w.Blob[3] ^= 1
		other := order
		other.KeyRef = hsmtest.Ref("spoilt")
		_, err = to.Unwrap(ctx, other, kek.KeyRef, w)
		require.Error(t, err)
		w.Format = hsm.WrapPKCS7
		_, err = to.Unwrap(ctx, other, kek.KeyRef, w)
		require.ErrorIs(t, err, hsm.Unsupported)
		found, err := to.Find(ctx, other.KeyRef)
		require.NoError(t, err)
		require.Empty(t, found)
	})
	for kind, hash := range map[hsm.Kind]crypto.Hash{hsm.HMAC224: crypto.SHA224, hsm.HMAC512: crypto.SHA512} {
		t.Run(kind.String(), func(t *testing.T) {
			order := hsm.Template{KeyRef: hsmtest.Ref("multi-Region"), Kind: kind, Usage: signs, Extractable: true}
			_, err = from.Generate(ctx, order)
			require.NoError(t, err)
			w, err := from.Wrap(ctx, kek.KeyRef, order.KeyRef, order.Kind)
			require.NoError(t, err)
			_, err = to.Unwrap(ctx, order, kek.KeyRef, w)
			require.NoError(t, err)
			one, err := from.MAC(ctx, order.KeyRef, hash, []byte("m"))
			require.NoError(t, err)
			two, err := to.MAC(ctx, order.KeyRef, hash, []byte("m"))
			require.NoError(t, err)
			require.Equal(t, one, two)
		})
	}
	for _, kind := range []hsm.Kind{hsm.RSA2048, hsm.ECP256, hsm.ECP384, hsm.ECSecp256k1} {
		t.Run(kind.String(), func(t *testing.T) {
			order := hsm.Template{KeyRef: hsmtest.Ref("multi-Region"), Kind: kind, Usage: signs, Extractable: true}
			_, err = from.GeneratePair(ctx, order)
			require.NoError(t, err)
			w, err := from.Wrap(ctx, kek.KeyRef, order.KeyRef, kind)
			require.NoError(t, err)
			_, err = to.Unwrap(ctx, order, kek.KeyRef, w)
			require.NoError(t, err)
			pub, err := from.PublicKey(ctx, order.KeyRef)
			require.NoError(t, err)
			_, err = to.ImportPublic(ctx, order, pub.DER)
			require.NoError(t, err)
			there, err := to.PublicKey(ctx, order.KeyRef)
			require.NoError(t, err)
			require.Equal(t, pub, there)
			how := hsm.Signing{Scheme: hsm.SignECDSA, Hash: crypto.SHA256}
			if kind == hsm.RSA2048 {
				how.Scheme = hsm.SignPKCS1
			}
			data := digest(t, crypto.SHA256, "m")
			sig, err := to.Sign(ctx, order.KeyRef, how, data)
			require.NoError(t, err)
			verify(t, pub, how, data, sig)
		})
	}
	t.Run("Ed25519", func(t *testing.T) { // SoftHSM2 wraps every kind but this
		order := hsm.Template{KeyRef: hsmtest.Ref("multi-Region"), Kind: hsm.Ed25519, Usage: signs, Extractable: true}
		_, err = from.GeneratePair(ctx, order)
		require.NoError(t, err)
		_, err := from.Wrap(ctx, kek.KeyRef, order.KeyRef, hsm.Ed25519)
		require.ErrorIs(t, err, hsm.Refused)
	})
	t.Run("not extractable", func(t *testing.T) {
		key := hsmtest.AES(t, from, "stays")
		_, err := from.Wrap(ctx, kek.KeyRef, key, hsm.AES256)
		require.ErrorIs(t, err, hsm.Refused)
		_, err = from.WrapOAEP(ctx, rsaPub, crypto.SHA1, key)
		require.ErrorIs(t, err, hsm.Refused)
	})
	t.Run("SHA-256, by way of this process", func(t *testing.T) {
		value := bytesOf(0x33, 32)
		blob, err := rsa.EncryptOAEP(crypto.SHA256.New(), rand.Reader, rsaPub, value, nil)
		require.NoError(t, err)
		order := hsm.Template{KeyRef: hsmtest.Ref("imported"), Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt}
		_, err = to.UnwrapOAEP(ctx, order, carrier, crypto.SHA256, blob)
		require.NoError(t, err)
		sealed, err := to.Seal(ctx, order.KeyRef, nil, []byte("text"), nil)
		require.NoError(t, err)
		require.Equal(t, "text", goOpen(t, value, nil, sealed))
		blob[7] ^= 1
		order.KeyRef = hsmtest.Ref("spoilt")
		_, err = to.UnwrapOAEP(ctx, order, carrier, crypto.SHA256, blob)
		require.ErrorIs(t, err, hsm.BadCiphertext)
		short, err := rsa.EncryptOAEP(crypto.SHA256.New(), rand.Reader, rsaPub, value[:16], nil)
		require.NoError(t, err)
		_, err = to.UnwrapOAEP(ctx, order, carrier, crypto.SHA256, short)
		require.ErrorIs(t, err, hsm.BadInput)
	})
}
