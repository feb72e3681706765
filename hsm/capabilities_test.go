package hsm_test

import (
	"context"
	"crypto"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

func TestCapabilities(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a", "b")
	token := f.Open("a")
	f.ResetCalls()
	got, err := token.Capabilities(ctx)
	require.NoError(t, err)
	calls := f.Calls()
	assert.Equal(t, calls["C_GenerateKey"]+2*calls["C_GenerateKeyPair"]+calls["C_UnwrapKey"]+calls["C_DeriveKey"], calls["C_DestroyObject"],
		"no object of a session is left in it: %v", calls)
	const decrypts = hsm.UseSign | hsm.UseDecrypt
	const agrees = hsm.UseSign | hsm.UseDerive
	assert.Equal(t, map[hsm.Kind]hsm.Usage{
		hsm.AES256:  hsm.UseEncrypt | hsm.UseDecrypt | hsm.UseWrap | hsm.UseUnwrap,
		hsm.HMAC224: hsm.UseSign, hsm.HMAC256: hsm.UseSign, hsm.HMAC384: hsm.UseSign, hsm.HMAC512: hsm.UseSign,
		hsm.RSA2048: decrypts, hsm.RSA3072: decrypts, hsm.RSA4096: decrypts,
		hsm.ECP256: agrees, hsm.ECP384: agrees, hsm.ECP521: agrees, hsm.ECSecp256k1: agrees,
		hsm.Ed25519: hsm.UseSign,
	}, got.Uses, "%v", got.Reasons)
	assert.True(t, got.PSS)
	assert.True(t, got.OAEP[crypto.SHA1] && got.OAEP[crypto.SHA256])
	assert.Equal(t, hsm.WrapRFC5649, got.Wrap)
	assert.False(t, got.Prehash, "SoftHSM2 overlooks the parameter, and its signature is of pure Ed25519")
	for what, reason := range map[string]string{"Ed25519ph signature": "ed25519", "ML_DSA_44": "lists no", "ML_DSA_65": "lists no",
		"ML_DSA_87": "lists no", "ML_KEM_512": "lists no", "ML_KEM_768": "lists no", "ML_KEM_1024": "lists no"} {
		assert.Contains(t, got.Reasons[what], reason, what)
	}
	assert.Len(t, got.Reasons, 7)
	assert.True(t, got.Can(hsm.RSA4096, hsm.UseEncrypt|hsm.UseDecrypt))
	assert.False(t, got.Can(hsm.Ed25519, hsm.UseDerive))
	assert.False(t, got.Can(hsm.NoKind, 0))
	n := 0
	require.NoError(t, token.Objects(ctx, func(hsm.Object) error { n++; return nil }))
	require.Equal(t, 1, n, "nothing stays but the canary")

	f.ResetCalls()
	again, err := f.Open("b").Capabilities(ctx)
	require.NoError(t, err)
	require.Equal(t, got, again)
	require.Zero(t, f.Calls()["C_GenerateKeyPair"], "one make of token is tried once")
}

func TestCapabilitiesOfAPoorToken(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	f.Set("fail C_GenerateKeyPair 0x54", "fail C_WrapKey 0x70", "fail C_SignInit 0x70")
	got, err := token.Capabilities(ctx)
	require.NoError(t, err)
	require.Equal(t, map[hsm.Kind]hsm.Usage{hsm.AES256: hsm.UseEncrypt | hsm.UseDecrypt}, got.Uses)
	require.Empty(t, got.Wrap)
	require.Contains(t, got.Reasons["RSA_2048 OAEP"], "CKR_FUNCTION_NOT_SUPPORTED")
	require.Contains(t, got.Reasons["AES_256 key wrapping"], "CKR_MECHANISM_INVALID")
	require.NoError(t, roundTrip(token, hsmtest.AES(t, token, "key")))
}

func TestCapabilitiesOfADeadToken(t *testing.T) {
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	f.Set("gone")
	_, err := token.Capabilities(context.Background())
	require.ErrorIs(t, err, hsm.TokenGone, "what a dead token cannot do says nothing")
}
