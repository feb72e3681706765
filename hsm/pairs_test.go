package hsm_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

const signs = hsm.UseSign | hsm.UseVerify

func pair(t testing.TB, token *hsm.Token, kind hsm.Kind, usage hsm.Usage) hsm.KeyRef {
	t.Helper()
	ref := hsmtest.Ref(kind.String())
	made, err := token.GeneratePair(context.Background(), hsm.Template{KeyRef: ref, Kind: kind, Usage: usage})
	require.NoError(t, err)
	require.Equal(t, kind, made.Private.Kind)
	require.Equal(t, kind, made.Public.Kind)
	require.Equal(t, "CKO_PRIVATE_KEY", made.Private.Class)
	require.Equal(t, "CKO_PUBLIC_KEY", made.Public.Class)
	require.True(t, made.Private.Sensitive && made.Private.Private && !made.Private.Extractable)
	require.Equal(t, ref, made.Private.KeyRef)
	return ref
}

func digest(t testing.TB, hash crypto.Hash, message string) []byte {
	t.Helper()
	h := hash.New()
	_, err := h.Write([]byte(message))
	require.NoError(t, err)
	return h.Sum(nil)
}

// verify checks a signature with Go's own cryptography.
func verify(t testing.TB, pub hsm.PublicKey, how hsm.Signing, data, sig []byte) {
	t.Helper()
	switch key := pub.Key.(type) {
	case *rsa.PublicKey:
		if how.Scheme == hsm.SignPSS {
			require.NoError(t, rsa.VerifyPSS(key, how.Hash, data, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
			return
		}
		require.NoError(t, rsa.VerifyPKCS1v15(key, how.Hash, data, sig))
	case *ecdsa.PublicKey:
		require.Len(t, sig, 2*((key.Curve.Params().BitSize+7)/8))
		der, err := hsm.ECDSASignatureDER(sig)
		require.NoError(t, err)
		require.True(t, ecdsa.VerifyASN1(key, data, der))
	case ed25519.PublicKey:
		require.True(t, ed25519.Verify(key, data, sig))
	default:
		require.Equal(t, hsm.ECSecp256k1, pub.Kind)
		require.True(t, hsm.VerifySecp256k1(pub.Point, data, sig))
		sig[40] ^= 1
		require.False(t, hsm.VerifySecp256k1(pub.Point, data, sig))
	}
}

func TestSign(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	rsaWays := []hsm.Signing{
		{Scheme: hsm.SignPKCS1, Hash: crypto.SHA256}, {Scheme: hsm.SignPKCS1, Hash: crypto.SHA384}, {Scheme: hsm.SignPKCS1, Hash: crypto.SHA512},
		{Scheme: hsm.SignPSS, Hash: crypto.SHA256}, {Scheme: hsm.SignPSS, Hash: crypto.SHA384}, {Scheme: hsm.SignPSS, Hash: crypto.SHA512},
	}
	tests := map[hsm.Kind][]hsm.Signing{
		hsm.RSA2048:     rsaWays,
		hsm.RSA3072:     rsaWays,
		hsm.RSA4096:     rsaWays,
		hsm.ECP256:      {{Scheme: hsm.SignECDSA, Hash: crypto.SHA256}},
		hsm.ECP384:      {{Scheme: hsm.SignECDSA, Hash: crypto.SHA384}},
		hsm.ECP521:      {{Scheme: hsm.SignECDSA, Hash: crypto.SHA512}},
		hsm.ECSecp256k1: {{Scheme: hsm.SignECDSA, Hash: crypto.SHA256}},
		hsm.Ed25519:     {{Scheme: hsm.SignEd25519}},
	}
	for kind, ways := range tests {
		t.Run(kind.String(), func(t *testing.T) {
			key := pair(t, token, kind, signs)
			pub, err := token.PublicKey(ctx, key)
			require.NoError(t, err)
			require.Equal(t, kind, pub.Kind)
			if pub.Key != nil {
				parsed, err := x509.ParsePKIXPublicKey(pub.DER)
				require.NoError(t, err)
				require.Equal(t, pub.Key, parsed)
			}
			for _, how := range ways {
				data := []byte("a message")
				if how.Hash != 0 {
					data = digest(t, how.Hash, "a message")
				}
				sig, err := token.Sign(ctx, key, how, data)
				require.NoError(t, err)
				verify(t, pub, how, data, sig)
			}
			n, err := token.Destroy(ctx, key)
			require.NoError(t, err)
			require.Equal(t, 2, n, "both halves")
			_, err = token.Sign(ctx, key, ways[0], digest(t, crypto.SHA256, "x"))
			require.Error(t, err)
			_, err = token.PublicKey(ctx, key)
			require.ErrorIs(t, err, hsm.KeyMissing)
		})
	}
}

func TestSignRefusesNonsense(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	key := pair(t, token, hsm.ECP256, signs)
	for name, tc := range map[string]struct {
		how  hsm.Signing
		data []byte
	}{
		"no scheme":             {hsm.Signing{Hash: crypto.SHA256}, make([]byte, 32)},
		"no hash":               {hsm.Signing{Scheme: hsm.SignECDSA}, make([]byte, 32)},
		"short digest":          {hsm.Signing{Scheme: hsm.SignECDSA, Hash: crypto.SHA256}, make([]byte, 31)},
		"long digest":           {hsm.Signing{Scheme: hsm.SignECDSA, Hash: crypto.SHA256}, make([]byte, 48)},
		"long message":          {hsm.Signing{Scheme: hsm.SignEd25519}, make([]byte, hsm.MaxMessage+1)},
		"another kind's hash":   {hsm.Signing{Scheme: hsm.SignPSS, Hash: crypto.MD5}, make([]byte, 16)},
		"scheme beyond the end": {hsm.Signing{Scheme: 99, Hash: crypto.SHA256}, make([]byte, 32)},
	} {
		_, err := token.Sign(ctx, key, tc.how, tc.data)
		require.ErrorIs(t, err, hsm.BadInput, name)
	}
	_, err := token.Sign(ctx, key, hsm.Signing{Scheme: hsm.SignPKCS1, Hash: crypto.SHA256}, make([]byte, 32))
	require.ErrorIs(t, err, hsm.BadInput, "an EC key does not sign so")
	_, err = token.MAC(ctx, hsmtest.AES(t, token, "no MAC key"), crypto.SHA256, nil)
	require.ErrorIs(t, err, hsm.BadInput)
	reading := pair(t, token, hsm.ECP256, hsm.UseDerive)
	_, err = token.Sign(ctx, reading, hsm.Signing{Scheme: hsm.SignECDSA, Hash: crypto.SHA256}, make([]byte, 32))
	require.ErrorIs(t, err, hsm.Refused, "a key does only what it was made for")
	require.NoError(t, token.Health(ctx))
}

func TestRSADecrypt(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	for _, kind := range []hsm.Kind{hsm.RSA2048, hsm.RSA3072} {
		key := pair(t, token, kind, hsm.UseEncrypt|hsm.UseDecrypt)
		pub, err := token.PublicKey(ctx, key)
		require.NoError(t, err)
		rsaPub, ok := pub.Key.(*rsa.PublicKey)
		require.True(t, ok)
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
			most := rsaPub.Size() - 2*hash.Size() - 2
			for _, size := range []int{0, 1, 32, most} {
				plaintext := make([]byte, size)
				_, _ = rand.Read(plaintext)
				sealed, err := rsa.EncryptOAEP(hash.New(), rand.Reader, rsaPub, plaintext, nil)
				require.NoError(t, err)
				opened, err := token.DecryptOAEP(ctx, key, hash, sealed)
				require.NoError(t, err)
				require.Equal(t, string(plaintext), string(opened))
			}
			sealed, err := rsa.EncryptOAEP(hash.New(), rand.Reader, rsaPub, []byte("x"), nil)
			require.NoError(t, err)
			labelled, err := rsa.EncryptOAEP(hash.New(), rand.Reader, rsaPub, []byte("x"), []byte("label"))
			require.NoError(t, err)
			other := map[crypto.Hash]crypto.Hash{crypto.SHA1: crypto.SHA256, crypto.SHA256: crypto.SHA1}[hash]
			altered := append([]byte(nil), sealed...)
			altered[len(altered)-1] ^= 1
			for name, bad := range map[string]func() ([]byte, error){
				"altered":    func() ([]byte, error) { return token.DecryptOAEP(ctx, key, hash, altered) },
				"other hash": func() ([]byte, error) { return token.DecryptOAEP(ctx, key, other, sealed) },
				"label":      func() ([]byte, error) { return token.DecryptOAEP(ctx, key, hash, labelled) },
				"short":      func() ([]byte, error) { return token.DecryptOAEP(ctx, key, hash, sealed[1:]) },
				"too large":  func() ([]byte, error) { return token.DecryptOAEP(ctx, key, hash, rsaPub.N.Bytes()) },
				"empty":      func() ([]byte, error) { return token.DecryptOAEP(ctx, key, hash, nil) },
			} {
				_, err := bad()
				require.ErrorIs(t, err, hsm.BadCiphertext, name)
			}
		}
	}
}

// TestOAEPOnTheToken: a token without raw RSA takes the padding off itself, and
// its answer to bad padding is told from its own troubles.
func TestOAEPOnTheToken(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	key := pair(t, token, hsm.RSA2048, hsm.UseEncrypt|hsm.UseDecrypt)
	pub, err := token.PublicKey(ctx, key)
	require.NoError(t, err)
	rsaPub, ok := pub.Key.(*rsa.PublicKey)
	require.True(t, ok)
	sealed, err := rsa.EncryptOAEP(crypto.SHA1.New(), rand.Reader, rsaPub, []byte("text"), nil)
	require.NoError(t, err)

	f.Set("fail C_DecryptInit 0x70 times 1") // no CKM_RSA_X_509
	opened, err := token.DecryptOAEP(ctx, key, crypto.SHA1, sealed)
	require.NoError(t, err)
	require.Equal(t, "text", string(opened))
	sealed[9] ^= 1
	_, err = token.DecryptOAEP(ctx, key, crypto.SHA1, sealed)
	require.ErrorIs(t, err, hsm.BadCiphertext)
	f.Set("fail C_Decrypt 0x05", "fail C_Encrypt 0x05")
	_, err = token.DecryptOAEP(ctx, key, crypto.SHA1, sealed)
	require.Error(t, err)
	require.NotErrorIs(t, err, hsm.BadCiphertext, "the token is at fault")
	f.Set()
	eventually(t, func() error { return token.Health(ctx) })
	_, err = token.DecryptOAEP(ctx, key, crypto.SHA256, sealed)
	require.ErrorIs(t, err, hsm.Unsupported, "SoftHSM2 has no OAEP with SHA-256 of its own")
}

func TestMAC(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	for kind, hash := range map[hsm.Kind]crypto.Hash{
		hsm.HMAC224: crypto.SHA224, hsm.HMAC256: crypto.SHA256, hsm.HMAC384: crypto.SHA384, hsm.HMAC512: crypto.SHA512,
	} {
		value := make([]byte, kind.Bits()/8)
		_, _ = rand.Read(value)
		ref := hsmtest.Ref(kind.String())
		_, err := token.ImportSecret(ctx, hsm.Template{KeyRef: ref, Kind: kind, Usage: signs}, value)
		require.NoError(t, err)
		for _, message := range [][]byte{nil, []byte("m"), make([]byte, 4096)} {
			got, err := token.MAC(ctx, ref, hash, message)
			require.NoError(t, err)
			require.Equal(t, goMAC(hash, value, message), got, "%s of %d bytes", kind, len(message))
		}
	}
	_, err := token.MAC(ctx, hsmtest.Ref("none"), crypto.SHA1, nil)
	require.ErrorIs(t, err, hsm.BadInput)
	_, err = token.MAC(ctx, hsmtest.Ref("none"), crypto.SHA256, nil)
	require.ErrorIs(t, err, hsm.KeyMissing)
}

func TestSecp256k1(t *testing.T) {
	// The generator, and 2G, of SEC 2 section 2.4.1.
	g := hsmtest.Hex(t, "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8")
	require.True(t, hsm.OnSecp256k1(g))
	off := append([]byte(nil), g...)
	off[64] ^= 1
	for _, bad := range [][]byte{nil, g[1:], off, make([]byte, 65), append([]byte{2}, g[1:]...)} {
		require.False(t, hsm.OnSecp256k1(bad))
	}
	d := sha256.Sum256([]byte("x"))
	for name, sig := range map[string][]byte{"zero": make([]byte, 64), "short": make([]byte, 63), "ones": bytesOf(0xff, 64)} {
		require.False(t, hsm.VerifySecp256k1(g, d[:], sig), name)
	}
	require.False(t, hsm.VerifySecp256k1(off, d[:], make([]byte, 64)))
}
