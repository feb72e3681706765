package hsm_test

import (
	"context"
	"encoding/asn1"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// Public keys of ML-DSA and ML-KEM, as a token gives them, become the SubjectPublicKeyInfo of RFC 9881 and RFC 9935; those
// that can't be keys are refused.
func TestLatticePublicKeys(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "vectors", "lattice", "wycheproof.json"))
	require.NoError(t, err)
	var known struct {
		Signatures []struct {
			Spec                    string
			PublicKey, PublicKeyDer []byte
		}
		EncapsulationKeys []struct {
			Spec, Comment string
			Key           []byte
			Valid         bool
		}
	}
	require.NoError(t, json.Unmarshal(raw, &known))
	kinds := map[string]hsm.Kind{}
	for kind := hsm.MLDSA44; kind <= hsm.MLKEM1024; kind++ {
		kinds[kind.String()] = kind
	}
	require.Len(t, kinds, 6)
	require.Len(t, known.Signatures, 3)
	for _, c := range known.Signatures {
		got, err := hsm.LatticePublic(kinds[c.Spec], c.PublicKey)
		require.NoError(t, err)
		assert.Equal(t, c.PublicKeyDer, got.DER)
		assert.Equal(t, c.PublicKey, got.Raw)
		assert.Nil(t, got.Key)
		for _, bad := range [][]byte{nil, c.PublicKey[1:], append(c.PublicKey, 0)} {
			_, err := hsm.LatticePublic(kinds[c.Spec], bad)
			assert.ErrorIs(t, err, hsm.KeyInvalid)
		}
	}
	require.NotEmpty(t, known.EncapsulationKeys)
	for _, c := range known.EncapsulationKeys {
		got, err := hsm.LatticePublic(kinds[c.Spec], c.Key)
		if !c.Valid {
			require.ErrorIs(t, err, hsm.KeyInvalid, "%s: %s", c.Spec, c.Comment)
			continue
		}
		require.NoError(t, err, "%s: %s", c.Spec, c.Comment)
		var info struct {
			Algorithm asn1.RawValue
			Key       asn1.BitString
		}
		rest, err := asn1.Unmarshal(got.DER, &info)
		require.NoError(t, err)
		assert.Empty(t, rest)
		last := byte(kinds[c.Spec] - hsm.MLKEM512 + 1)
		assert.Equal(t, []byte{0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, last}, info.Algorithm.Bytes, "no parameters")
		assert.Equal(t, c.Key, info.Key.Bytes)
		assert.Equal(t, 8*len(c.Key), info.Key.BitLength)
	}
}

// SoftHSM2 has none of these, and says so wherever it is asked.
func TestTokenWithoutLattices(t *testing.T) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(t, "a").Open("a")
	for kind := hsm.MLDSA44; kind <= hsm.MLKEM1024; kind++ {
		usage := hsm.UseSign | hsm.UseVerify
		if kind >= hsm.MLKEM512 {
			usage = hsm.UseEncapsulate | hsm.UseDecapsulate
		}
		can, err := token.CanMake(ctx, kind, usage)
		require.NoError(t, err)
		assert.False(t, can, kind)
		_, err = token.GeneratePair(ctx, hsm.Template{KeyRef: hsmtest.Ref("none"), Kind: kind, Usage: usage})
		require.ErrorIs(t, err, hsm.Unsupported, kind)
	}
	key := pair(t, token, hsm.Ed25519, signs)
	can, err := token.CanSign(ctx, hsm.SignEd25519ph)
	require.NoError(t, err)
	assert.False(t, can)
	_, err = token.Sign(ctx, key, hsm.Signing{Scheme: hsm.SignEd25519ph}, []byte("message"))
	require.ErrorIs(t, err, hsm.Unsupported, "and no signature of another scheme")
	pure, err := token.Sign(ctx, key, hsm.Signing{Scheme: hsm.SignEd25519}, []byte("message"))
	require.NoError(t, err)
	_, err = token.Verify(ctx, key, hsm.Signing{Scheme: hsm.SignEd25519ph}, []byte("message"), pure)
	require.ErrorIs(t, err, hsm.Unsupported)
	_, err = token.Encapsulate(ctx, key)
	require.ErrorIs(t, err, hsm.BadInput)
	_, err = token.Decapsulate(ctx, key, make([]byte, 768))
	require.ErrorIs(t, err, hsm.BadInput)
	require.NoError(t, token.Health(ctx))
}

// A token that fails is not taken for one that cannot.
func TestCanMakeOfATokenInTrouble(t *testing.T) {
	ctx := context.Background()
	f := hsmtest.Fault(t, "a")
	token := f.Open("a")
	f.Set("fail C_GenerateKeyPair 0x54")
	can, err := token.CanMake(ctx, hsm.ECP384, hsm.UseSign)
	require.NoError(t, err)
	assert.False(t, can)
	f.ResetCalls()
	can, err = token.CanMake(ctx, hsm.ECP384, hsm.UseSign)
	require.NoError(t, err)
	assert.False(t, can)
	assert.Zero(t, f.Calls()["C_GenerateKeyPair"], "a clear no is kept")
	f.Set("fail C_GenerateKeyPair 0x31")
	_, err = token.CanMake(ctx, hsm.ECP521, hsm.UseSign)
	require.ErrorIs(t, err, hsm.Full, "CKR_DEVICE_MEMORY says nothing of what the token can do")
	f.Set()
	can, err = token.CanMake(ctx, hsm.ECP521, hsm.UseSign|hsm.UseVerify)
	require.NoError(t, err)
	assert.True(t, can)
	f.ResetCalls()
	can, err = token.CanMake(ctx, hsm.ECP521, hsm.UseDerive)
	require.NoError(t, err)
	assert.True(t, can)
	can, err = token.CanMake(ctx, hsm.AES256, hsm.UseEncrypt|hsm.UseDecrypt)
	require.NoError(t, err)
	assert.True(t, can)
	assert.Zero(t, f.Calls()["C_GenerateKeyPair"]+f.Calls()["C_GenerateKey"], "what is known is not tried again")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = token.CanMake(ended, hsm.ECP256, hsm.UseSign)
	require.Error(t, err)
}
