package hsmstore_test

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"hash"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// beyond are the specs and algorithms that SoftHSM2 has no mechanism for.
var beyond = map[string]bool{"ED25519_PH_SHA_512": true, "ML_DSA_44": true, "ML_DSA_65": true, "ML_DSA_87": true,
	"ML_KEM_512": true, "ML_KEM_768": true, "ML_KEM_1024": true, "SM2": true}

func digestOf(algorithm string, message []byte) (crypto.Hash, []byte) {
	var h crypto.Hash
	switch {
	case strings.HasSuffix(algorithm, "SHA_256"):
		h = crypto.SHA256
	case strings.HasSuffix(algorithm, "SHA_384"):
		h = crypto.SHA384
	default:
		h = crypto.SHA512
	}
	d := h.New()
	d.Write(message)
	return h, d.Sum(nil)
}

// verify checks a signature with Go's own cryptography.
func verify(t *testing.T, der []byte, spec keystore.Spec, algorithm string, message, signature []byte) bool {
	t.Helper()
	hash, digest := digestOf(algorithm, message)
	if kind, ok := map[keystore.Spec]hsm.Kind{keystore.MLDSA44: hsm.MLDSA44, keystore.MLDSA65: hsm.MLDSA65,
		keystore.MLDSA87: hsm.MLDSA87}[spec]; ok {
		var info struct {
			Algorithm struct{ OID asn1.ObjectIdentifier }
			Key       asn1.BitString
		}
		rest, err := asn1.Unmarshal(der, &info)
		require.NoError(t, err)
		require.Empty(t, rest)
		return hsmtest.VerifyMLDSA(kind, info.Key.Bytes, message, signature) == nil
	}
	if spec == keystore.ECCSecp256k1 {
		var rs struct{ R, S *big.Int }
		_, err := asn1.Unmarshal(signature, &rs)
		require.NoError(t, err)
		raw := append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...)
		return hsm.VerifySecp256k1(der[len(der)-65:], digest, raw) // the point ends the SubjectPublicKeyInfo
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	require.NoError(t, err)
	switch key := parsed.(type) {
	case *rsa.PublicKey:
		if strings.Contains(algorithm, "PSS") {
			return rsa.VerifyPSS(key, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(key, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, signature)
	case ed25519.PublicKey:
		if algorithm == "ED25519_PH_SHA_512" {
			return ed25519.VerifyWithOptions(key, digest, signature, &ed25519.Options{Hash: hash}) == nil
		}
		return ed25519.Verify(key, message, signature)
	}
	t.Fatalf("public key of type %T", parsed)
	return false
}

func pairHandle(t testing.TB, spec keystore.Spec, usage keystore.Usage) backend.Handle {
	t.Helper()
	h := handle(t)
	h.Spec, h.Usage = spec, usage
	return h
}

func TestEverySpecAndAlgorithmOnTheToken(t *testing.T) {
	token := hsmtest.SoftHSM(t, "default").Open("default")
	everySpecAndAlgorithm(t, token, beyond)
}

// everySpecAndAlgorithm makes and uses keys of all specs, and sees to it that those beyond the token are refused.
func everySpecAndAlgorithm(t *testing.T, token *hsm.Token, beyond map[string]bool) {
	b := hsmstore.NewDefault(token).AllSpecs()
	message := []byte("a message")
	for _, spec := range keystore.Specs() {
		info, _ := keystore.LookupSpec(spec)
		for usage, algorithms := range info.Usages {
			t.Run(string(spec)+"/"+string(usage), func(t *testing.T) {
				supported, err := b.Supports(t.Context(), spec, usage)
				require.NoError(t, err)
				require.Equal(t, !beyond[string(spec)], supported)
				h := pairHandle(t, spec, usage)
				if !supported {
					_, err := b.CreateKey(t.Context(), h)
					if hsm.CodeOf(err) != 0x5 { // CKR_GENERAL_ERROR, Kryoptic's word for it
						assert.Equal(t, keystore.KindUnsupportedOperation, keystore.KindOf(err))
					}
					require.Error(t, err)
					return
				}
				created, err := b.CreateKey(t.Context(), h)
				require.NoError(t, err)
				h.CheckValue = created.CheckValue
				objects, err := token.FindID(t.Context(), h.ID[:])
				require.NoError(t, err)
				assert.Len(t, objects, len(created.Classes))
				for _, o := range objects {
					assert.Equal(t, keyARN, o.Label)
					assert.Equal(t, created.KeyType, o.KeyType)
					if o.Class != "CKO_PUBLIC_KEY" {
						assert.True(t, o.Sensitive)
						assert.False(t, o.Extractable)
					}
				}
				for _, algorithm := range algorithms {
					exercise(t, b, &h, algorithm, message, beyond)
				}
				found, err := b.DestroyKey(t.Context(), h)
				require.NoError(t, err)
				assert.True(t, found)
				left, err := token.FindID(t.Context(), h.ID[:])
				require.NoError(t, err)
				assert.Empty(t, left, "both halves are gone")
			})
		}
	}
}

func exercise(t *testing.T, b *hsmstore.Backend, h *backend.Handle, algorithm string, message []byte, beyond map[string]bool) {
	t.Helper()
	switch h.Usage {
	case keystore.UsageSignVerify:
		input := message
		if h.Spec != keystore.ECCEd25519 && algorithm != "ML_DSA_SHAKE_256" {
			_, input = digestOf(algorithm, message)
		}
		can, err := b.Signs(t.Context(), algorithm)
		require.NoError(t, err)
		require.Equal(t, !beyond[algorithm], can, algorithm)
		if !can {
			_, err := b.Sign(t.Context(), h, algorithm, input)
			assert.ErrorIs(t, err, hsm.Unsupported)
			return
		}
		signature, err := b.Sign(t.Context(), h, algorithm, input)
		require.NoError(t, err, algorithm)
		der, err := b.PublicKey(t.Context(), h)
		require.NoError(t, err)
		assert.True(t, verify(t, der, h.Spec, algorithm, message, signature), algorithm)
		assert.False(t, verify(t, der, h.Spec, algorithm, []byte("another"), signature), algorithm)
	case keystore.UsageMAC:
		mac, err := b.MAC(t.Context(), h, algorithm, message)
		require.NoError(t, err)
		again, err := b.MAC(t.Context(), h, algorithm, message)
		require.NoError(t, err)
		assert.Equal(t, mac, again)
		other, err := b.MAC(t.Context(), h, algorithm, []byte("another"))
		require.NoError(t, err)
		assert.NotEqual(t, mac, other)
	case keystore.UsageKeyAgreement:
		agree(t, b, h)
	case keystore.UsageEncapsulateDecp:
		encapsulate(t, b, h)
	case keystore.UsageEncryptDecrypt:
		if h.Spec == keystore.SymmetricDefault {
			return // TestSealOpensOnlyWhatItSealed
		}
		der, err := b.PublicKey(t.Context(), h)
		require.NoError(t, err)
		parsed, err := x509.ParsePKIXPublicKey(der)
		require.NoError(t, err)
		public := parsed.(*rsa.PublicKey)
		newHash := map[string]func() hash.Hash{"RSAES_OAEP_SHA_1": sha1.New, "RSAES_OAEP_SHA_256": sha256.New}[algorithm]
		for _, plain := range [][]byte{{}, {0}, message, make([]byte, public.Size()-2*newHash().Size()-2)} {
			sealed, err := rsa.EncryptOAEP(newHash(), rand.Reader, public, plain, nil)
			require.NoError(t, err)
			got, err := b.Decrypt(t.Context(), h, algorithm, sealed)
			require.NoError(t, err)
			assert.Equal(t, string(plain), string(got))
			sealed[len(sealed)-1] ^= 1
			_, err = b.Decrypt(t.Context(), h, algorithm, sealed)
			assert.Equal(t, keystore.KindInvalidCiphertext, keystore.KindOf(err))
		}
		for _, bad := range [][]byte{nil, {1}, make([]byte, public.Size()), make([]byte, public.Size()+1)} {
			_, err := b.Decrypt(t.Context(), h, algorithm, bad)
			assert.Equal(t, keystore.KindInvalidCiphertext, keystore.KindOf(err))
		}
	}
}

var curves = map[keystore.Spec]ecdh.Curve{keystore.ECCP256: ecdh.P256(), keystore.ECCP384: ecdh.P384(), keystore.ECCP521: ecdh.P521()}

func agree(t *testing.T, b *hsmstore.Backend, h *backend.Handle) {
	t.Helper()
	mine, err := curves[h.Spec].GenerateKey(rand.Reader)
	require.NoError(t, err)
	peer, err := x509.MarshalPKIXPublicKey(mine.PublicKey())
	require.NoError(t, err)
	secret, err := b.Agree(t.Context(), h, peer)
	require.NoError(t, err)
	der, err := b.PublicKey(t.Context(), h)
	require.NoError(t, err)
	parsed, err := x509.ParsePKIXPublicKey(der)
	require.NoError(t, err)
	theirs, err := parsed.(*ecdsa.PublicKey).ECDH()
	require.NoError(t, err)
	want, err := mine.ECDH(theirs)
	require.NoError(t, err)
	assert.Equal(t, want, secret)

	other := elliptic.P256()
	if h.Spec == keystore.ECCP256 {
		other = elliptic.P384()
	}
	strange, err := ecdsa.GenerateKey(other, rand.Reader)
	require.NoError(t, err)
	otherCurve, err := x509.MarshalPKIXPublicKey(&strange.PublicKey)
	require.NoError(t, err)
	offCurve := append([]byte(nil), peer...)
	offCurve[len(offCurve)-1] ^= 1
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	notEC, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	require.NoError(t, err)
	for name, bad := range map[string][]byte{"none": nil, "another curve": otherCurve, "off the curve": offCurve, "RSA": notEC,
		"cut": peer[:40], "huge": make([]byte, 1<<20)} {
		_, err := b.Agree(t.Context(), h, bad)
		var f *keystore.Fault
		require.ErrorAs(t, err, &f, name)
		assert.Equal(t, keystore.KindValidation, f.Kind, name)
		assert.Empty(t, f.Text, "AWS gives no text")
	}
}

func encapsulate(t *testing.T, b *hsmstore.Backend, h *backend.Handle) {
	t.Helper()
	secret, ciphertext, err := b.Encapsulate(t.Context(), h)
	require.NoError(t, err)
	assert.Len(t, secret, hsm.SharedSecretSize)
	again, err := b.Decapsulate(t.Context(), h, ciphertext)
	require.NoError(t, err)
	assert.Equal(t, secret, again)
	ciphertext[0] ^= 1
	rejected, err := b.Decapsulate(t.Context(), h, ciphertext)
	require.NoError(t, err, "implicit rejection")
	assert.NotEqual(t, secret, rejected)
	assert.Len(t, rejected, hsm.SharedSecretSize)
	for name, bad := range map[string][]byte{"nothing": nil, "a byte": {1}, "cut short": ciphertext[1:], "too long": append(ciphertext, 0)} {
		_, err := b.Decapsulate(t.Context(), h, bad)
		assert.Equal(t, keystore.KindInvalidCiphertext, keystore.KindOf(err), name)
	}
}

func TestUnknownAlgorithmsAreRefused(t *testing.T) {
	b, _ := openDefault(t)
	h := handle(t)
	for name, call := range map[string]func() error{
		"sign":    func() error { _, err := b.Sign(t.Context(), &h, "SM2DSA", nil); return err },
		"mac":     func() error { _, err := b.MAC(t.Context(), &h, "", nil); return err },
		"decrypt": func() error { _, err := b.Decrypt(t.Context(), &h, "SM2PKE", nil); return err },
	} {
		assert.Equal(t, keystore.KindUnsupportedOperation, keystore.KindOf(call()), name)
	}
}

func TestImportedMaterialIsTheSameKey(t *testing.T) {
	b, token := openDefault(t)
	b.AllSpecs()
	message := []byte("a message")
	t.Run("symmetric", func(t *testing.T) {
		value := make([]byte, 32)
		_, err := rand.Read(value)
		require.NoError(t, err)
		one, two := handle(t), handle(t)
		for _, h := range []backend.Handle{one, two} {
			_, err := b.ImportKey(t.Context(), h, value)
			require.NoError(t, err)
		}
		sealed, err := b.Seal(t.Context(), &one, nil, message, nil)
		require.NoError(t, err)
		plain, err := b.Open(t.Context(), &two, nil, sealed, nil)
		require.NoError(t, err)
		assert.Equal(t, message, plain)
		found, err := token.FindID(t.Context(), one.ID[:])
		require.NoError(t, err)
		require.Len(t, found, 1)
		assert.True(t, found[0].Sensitive)
		assert.False(t, found[0].Extractable)
	})
	t.Run("HMAC", func(t *testing.T) {
		value := make([]byte, 48)
		h := pairHandle(t, keystore.HMAC384, keystore.UsageMAC)
		_, err := b.ImportKey(t.Context(), h, value)
		require.NoError(t, err)
		mac, err := b.MAC(t.Context(), &h, "HMAC_SHA_384", message)
		require.NoError(t, err)
		want := hmac.New(sha512.New384, value)
		want.Write(message)
		assert.Equal(t, want.Sum(nil), mac)
	})
	t.Run("key pair", func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		require.NoError(t, err)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		h := pairHandle(t, keystore.ECCP384, keystore.UsageSignVerify)
		_, err = b.ImportKey(t.Context(), h, der)
		require.NoError(t, err)
		digest := sha512.Sum384(message)
		signature, err := b.Sign(t.Context(), &h, "ECDSA_SHA_384", digest[:])
		require.NoError(t, err)
		assert.True(t, ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature))
	})
	t.Run("what does not fit", func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		for name, c := range map[string]struct {
			h        backend.Handle
			material []byte
		}{
			"too short":     {handle(t), make([]byte, 31)},
			"nothing":       {handle(t), nil},
			"another curve": {pairHandle(t, keystore.ECCP384, keystore.UsageSignVerify), der},
			"another kind":  {pairHandle(t, keystore.RSA2048, keystore.UsageSignVerify), der},
			"no key":        {pairHandle(t, keystore.RSA2048, keystore.UsageSignVerify), []byte("rubbish")},
		} {
			_, err := b.ImportKey(t.Context(), c.h, c.material)
			assert.Equal(t, keystore.KindIncorrectKeyMaterial, keystore.KindOf(err), name)
			found, err := b.Find(t.Context(), c.h)
			require.NoError(t, err)
			assert.Empty(t, found)
		}
	})
}

func TestAsymmetricCallsOnAMissingKey(t *testing.T) {
	b := hsmstore.NewDefault(hsmtest.SoftHSM(t, "x").Open("x"))
	h := pairHandle(t, keystore.ECCP256, keystore.UsageSignVerify)
	digest := sha256.Sum256(nil)
	_, err := b.Sign(t.Context(), &h, "ECDSA_SHA_256", digest[:])
	assert.Equal(t, keystore.KindKeyUnavailable, keystore.KindOf(err))
	_, err = b.PublicKey(t.Context(), &h)
	assert.Equal(t, keystore.KindKeyUnavailable, keystore.KindOf(err))
}
