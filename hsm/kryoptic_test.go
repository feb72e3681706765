//go:build tokens

package hsm_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

func TestSuiteOnKryoptic(t *testing.T) {
	cfg := hsmtest.Kryoptic(t, "suite").Config("suite")
	hsmtest.Suite(t, func(t testing.TB) *hsm.Token { return hsmtest.Open(t, cfg) })
}

func TestCapabilitiesOfKryoptic(t *testing.T) {
	token := hsmtest.Kryoptic(t, "capabilities").Open("capabilities")
	require.Equal(t, "kryoptic", token.Info().Profile)
	got, err := token.Capabilities(t.Context())
	require.NoError(t, err)
	const decrypts = hsm.UseSign | hsm.UseDecrypt
	const agrees = hsm.UseSign | hsm.UseDerive
	assert.Equal(t, map[hsm.Kind]hsm.Usage{
		hsm.AES256:  hsm.UseEncrypt | hsm.UseDecrypt | hsm.UseWrap | hsm.UseUnwrap,
		hsm.HMAC224: hsm.UseSign, hsm.HMAC256: hsm.UseSign, hsm.HMAC384: hsm.UseSign, hsm.HMAC512: hsm.UseSign,
		hsm.RSA2048: decrypts, hsm.RSA3072: decrypts, hsm.RSA4096: decrypts,
		hsm.ECP256: agrees, hsm.ECP384: agrees, hsm.ECP521: agrees,
		hsm.Ed25519: hsm.UseSign,
		hsm.MLDSA44: hsm.UseSign, hsm.MLDSA65: hsm.UseSign, hsm.MLDSA87: hsm.UseSign,
		hsm.MLKEM512: hsm.UseDecapsulate, hsm.MLKEM768: hsm.UseDecapsulate, hsm.MLKEM1024: hsm.UseDecapsulate,
	}, got.Uses, "%v", got.Reasons)
	assert.True(t, got.PSS && got.Prehash && got.OAEP[crypto.SHA1] && got.OAEP[crypto.SHA256])
	assert.Equal(t, hsm.WrapRFC5649, got.Wrap)
	for kind, usage := range map[hsm.Kind]hsm.Usage{hsm.MLDSA65: hsm.UseSign | hsm.UseVerify, hsm.MLKEM768: hsm.UseEncapsulate | hsm.UseDecapsulate} {
		can, err := token.CanMake(t.Context(), kind, usage)
		require.NoError(t, err)
		assert.True(t, can, kind)
	}
	can, err := token.CanMake(t.Context(), hsm.ECSecp256k1, hsm.UseSign)
	require.NoError(t, err, "Kryoptic answers CKR_GENERAL_ERROR, and is well")
	assert.False(t, can)
	n := 0
	require.NoError(t, token.Objects(t.Context(), func(hsm.Object) error { n++; return nil }))
	assert.Equal(t, 1, n, "nothing stays but the canary")
}

// A pair of these kinds is found, described, verified with and destroyed like any other, over a new login too.
func TestLatticeKeysOnKryoptic(t *testing.T) {
	ctx := context.Background()
	tokens := hsmtest.Kryoptic(t, "lattice")
	cfg := tokens.Config("lattice")
	token, err := pkcs11.Open(ctx, cfg)
	require.NoError(t, err)
	dsa, kem := hsmtest.Ref("a signer"), hsmtest.Ref("a receiver")
	for _, order := range []hsm.Template{
		{KeyRef: dsa, Kind: hsm.MLDSA87, Usage: hsm.UseSign | hsm.UseVerify},
		{KeyRef: kem, Kind: hsm.MLKEM512, Usage: hsm.UseEncapsulate | hsm.UseDecapsulate},
	} {
		pair, err := token.GeneratePair(ctx, order)
		require.NoError(t, err)
		for _, half := range []hsm.Object{pair.Private, pair.Public} {
			assert.Equal(t, order.Kind, half.Kind)
			assert.Equal(t, order.KeyRef, half.KeyRef)
		}
		assert.True(t, pair.Private.Sensitive && !pair.Private.Extractable && pair.Private.Private)
	}
	message := []byte("a message")
	how := hsm.Signing{Scheme: hsm.SignMLDSA}
	sig, err := token.Sign(ctx, dsa, how, message)
	require.NoError(t, err)
	made, err := token.Encapsulate(ctx, kem)
	require.NoError(t, err)
	assert.NotContains(t, made.String()+made.GoString(), string(made.Secret))
	require.NoError(t, token.Close())
	token = hsmtest.Open(t, cfg)
	good, err := token.Verify(ctx, dsa, how, message, sig)
	require.NoError(t, err)
	assert.True(t, good)
	good, err = token.Verify(ctx, dsa, how, []byte("b message"), sig)
	require.NoError(t, err)
	assert.False(t, good)
	secret, err := token.Decapsulate(ctx, kem, made.Ciphertext)
	require.NoError(t, err)
	assert.Equal(t, made.Secret, secret)

	_, err = token.Decapsulate(ctx, dsa, made.Ciphertext)
	require.ErrorIs(t, err, hsm.BadInput, "not a key that carries secrets")
	_, err = token.Encapsulate(ctx, dsa)
	require.ErrorIs(t, err, hsm.BadInput)
	_, err = token.Sign(ctx, kem, how, message)
	require.ErrorIs(t, err, hsm.BadInput, "not a key that signs")
	_, err = token.Encapsulate(ctx, hsmtest.Ref("nobody"))
	require.ErrorIs(t, err, hsm.KeyMissing)

	for _, ref := range []hsm.KeyRef{dsa, kem} {
		n, err := token.Destroy(ctx, ref)
		require.NoError(t, err)
		assert.Equal(t, 2, n)
	}
	n := 0
	require.NoError(t, token.Objects(ctx, func(hsm.Object) error { n++; return nil }))
	assert.Equal(t, 1, n, "no shared secret stays, and only the canary")
}

// Ed25519 keys go from one Kryoptic token to another without being seen; those of ML-DSA and ML-KEM do not.
func TestCarryOnKryoptic(t *testing.T) {
	ctx := context.Background()
	tokens := hsmtest.Kryoptic(t, "from", "to")
	from, to := tokens.Open("from"), tokens.Open("to")
	carrier := pair(t, to, hsm.RSA3072, hsm.UseUnwrap|hsm.UseDecrypt)
	pub, err := to.PublicKey(ctx, carrier)
	require.NoError(t, err)
	rsaPub, ok := pub.Key.(*rsa.PublicKey)
	require.True(t, ok)
	kek := hsm.Template{KeyRef: hsmtest.Ref("transport"), Kind: hsm.AES256, Usage: hsm.UseWrap, Extractable: true}
	_, err = from.Generate(ctx, kek)
	require.NoError(t, err)
	blob, err := from.WrapOAEP(ctx, rsaPub, crypto.SHA1, kek.KeyRef)
	require.NoError(t, err)
	kek.Usage, kek.Extractable = hsm.UseUnwrap, false
	_, err = to.UnwrapInside(ctx, kek, carrier, crypto.SHA1, blob)
	require.NoError(t, err)
	move := func(kind hsm.Kind, usage hsm.Usage) (hsm.KeyRef, error) {
		order := hsm.Template{KeyRef: hsmtest.Ref("multi-Region"), Kind: kind, Usage: usage, Extractable: true}
		_, err := from.GeneratePair(ctx, order)
		require.NoError(t, err)
		w, err := from.Wrap(ctx, kek.KeyRef, order.KeyRef, kind)
		if err != nil {
			return order.KeyRef, err
		}
		_, err = to.Unwrap(ctx, order, kek.KeyRef, w)
		require.NoError(t, err)
		public, err := from.PublicKey(ctx, order.KeyRef)
		require.NoError(t, err)
		_, err = to.ImportPublic(ctx, order, public.DER)
		return order.KeyRef, err
	}
	ref, err := move(hsm.Ed25519, signs)
	require.NoError(t, err)
	for _, scheme := range []hsm.Scheme{hsm.SignEd25519, hsm.SignEd25519ph} {
		how := hsm.Signing{Scheme: scheme}
		sig, err := to.Sign(ctx, ref, how, []byte("m"))
		require.NoError(t, err)
		good, err := from.Verify(ctx, ref, how, []byte("m"), sig)
		require.NoError(t, err)
		require.True(t, good)
	}
	_, err = move(hsm.MLDSA65, signs)
	require.ErrorIs(t, err, hsm.Unsupported, "Kryoptic does not wrap them")
	_, err = move(hsm.MLKEM768, hsm.UseEncapsulate|hsm.UseDecapsulate)
	require.ErrorIs(t, err, hsm.Unsupported)
}

// What a token in trouble does to the calls of PKCS#11 3.2.
func TestEncapsulationOnAFaultyKryoptic(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.FaultyKryoptic(t, "a")
	cfg := f.Config("a")
	cfg.CallTimeout = 2 * time.Second
	token := f.OpenConfig(cfg)
	ref := hsmtest.Ref("a receiver")
	_, err := token.GeneratePair(ctx, hsm.Template{KeyRef: ref, Kind: hsm.MLKEM768, Usage: hsm.UseEncapsulate | hsm.UseDecapsulate})
	require.NoError(t, err)
	made, err := token.Encapsulate(ctx, ref)
	require.NoError(t, err)
	works := func() {
		t.Helper()
		require.Eventually(t, func() bool {
			secret, err := token.Decapsulate(ctx, ref, made.Ciphertext)
			return err == nil && assert.Equal(t, made.Secret, secret)
		}, time.Minute, 10*time.Millisecond)
	}

	f.Set("lose-sessions")
	secret, err := token.Decapsulate(ctx, ref, made.Ciphertext)
	require.NoError(t, err, "a fresh session does it")
	assert.Equal(t, made.Secret, secret)

	f.Set("fail C_EncapsulateKey 0xb3 times 1")
	_, err = token.Encapsulate(ctx, ref)
	require.NoError(t, err, "tried once more")

	f.Set("fail C_DecapsulateKey 0x5")
	_, err = token.Decapsulate(ctx, ref, made.Ciphertext)
	require.ErrorIs(t, err, hsm.Internal)
	f.Set()
	works()

	// The secret was made and cannot be read: no answer without it.
	f.Set("fail C_GetAttributeValue 0x5")
	_, err = token.Encapsulate(ctx, ref)
	require.Error(t, err)
	f.Set()
	works()

	f.Set("hang C_EncapsulateKey")
	_, err = token.Encapsulate(ctx, ref)
	require.ErrorIs(t, err, hsm.Timeout)
	f.Set()
	works()

	f.Set("gone")
	_, err = token.Encapsulate(ctx, ref)
	require.Error(t, err)
	f.Set()
	works()
	n := 0
	require.NoError(t, token.Objects(ctx, func(hsm.Object) error { n++; return nil }))
	assert.Equal(t, 3, n, "the pair and the canary")
}
