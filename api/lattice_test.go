//go:build tokens

package api_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// startOnKryoptic starts an appliance whose tokens have PKCS#11 3.2.
func startOnKryoptic(t *testing.T) *appliance {
	t.Setenv("STRONGROOM_TEST_TOKENS", "kryoptic")
	return start(t)
}

func TestMLDSAKeys(t *testing.T) {
	a := startOnKryoptic(t)
	ctx := context.Background()
	const algorithm = types.SigningAlgorithmSpecMlDsaShake256
	for spec, size := range map[types.KeySpec]int{"ML_DSA_44": 2420, "ML_DSA_65": 3309, "ML_DSA_87": 4627} {
		t.Run(string(spec), func(t *testing.T) {
			c := a.client(a.root)
			md := latticeKey(t, c, spec, types.KeyUsageTypeSignVerify)
			assert.Equal(t, []types.SigningAlgorithmSpec{algorithm}, md.SigningAlgorithms)
			shown, err := c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: md.KeyId})
			require.NoError(t, err)
			assert.Equal(t, md.SigningAlgorithms, shown.SigningAlgorithms)
			parsed, err := mldsax509.ParsePKIXPublicKey(shown.PublicKey)
			require.NoError(t, err, "RFC 9881")
			public, ok := parsed.(*mldsa.PublicKey)
			require.True(t, ok)
			again, err := mldsax509.MarshalPKIXPublicKey(public)
			require.NoError(t, err)
			assert.Equal(t, again, shown.PublicKey)

			verify := func(message, signature []byte) error {
				_, err := c.Verify(ctx, &kms.VerifyInput{KeyId: md.Arn, Message: message, SigningAlgorithm: algorithm, Signature: signature})
				return err
			}
			for _, n := range []int{1, 64, 4096} {
				message := bytes.Repeat([]byte{5}, n)
				out, err := c.Sign(ctx, &kms.SignInput{KeyId: md.KeyId, Message: message, SigningAlgorithm: algorithm, MessageType: types.MessageTypeRaw})
				require.NoError(t, err)
				assert.Len(t, out.Signature, size)
				require.NoError(t, mldsa.Verify(public, message, out.Signature, nil), "verified outside")
				require.NoError(t, verify(message, out.Signature))
				fails(t, verify(append(message[1:], 6), out.Signature), "KMSInvalidSignatureException", "")
				for _, at := range []int{0, size / 2, size - 1} {
					bad := bytes.Clone(out.Signature)
					bad[at] ^= 1
					fails(t, verify(message, bad), "KMSInvalidSignatureException", "")
				}
				fails(t, verify(message, out.Signature[1:]), "KMSInvalidSignatureException", "")
			}
			for _, row := range []struct {
				kind            types.MessageType
				size            int
				exception, text string
			}{
				{types.MessageTypeDigest, 64, "ValidationException", "Message type DIGEST is incompatible with algorithm ML_DSA_SHAKE_256."},
				{types.MessageTypeExternalMu, 63, "ValidationException", "Message of type EXTERNAL_MU must be 64 bytes long."},
				{types.MessageTypeExternalMu, 64, "UnsupportedOperationException", "Message type EXTERNAL_MU is not supported. Use RAW."},
			} {
				_, err := c.Sign(ctx, &kms.SignInput{KeyId: md.KeyId, Message: make([]byte, row.size), MessageType: row.kind, SigningAlgorithm: algorithm})
				fails(t, err, row.exception, row.text)
				_, err = c.Verify(ctx, &kms.VerifyInput{KeyId: md.KeyId, Message: make([]byte, row.size), MessageType: row.kind,
					SigningAlgorithm: algorithm, Signature: make([]byte, size)})
				fails(t, err, row.exception, row.text)
			}
			_, err = c.Sign(ctx, &kms.SignInput{KeyId: md.KeyId, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256"})
			fails(t, err, "InvalidKeyUsageException", fmt.Sprintf("Algorithm ECDSA_SHA_256 is incompatible with key spec %s.", spec))
			_, err = c.Encapsulate(ctx, &kms.EncapsulateInput{KeyId: md.KeyId, EncapsulationAlgorithm: "ML_KEM"})
			fails(t, err, "InvalidKeyUsageException", *md.Arn+" key usage is SIGN_VERIFY which is not valid for Encapsulate.")
			latticeLife(t, a, md, func() error {
				_, err := c.Sign(ctx, &kms.SignInput{KeyId: md.KeyId, Message: []byte("m"), SigningAlgorithm: algorithm})
				return err
			})
		})
	}
}

func TestMLKEMKeys(t *testing.T) {
	a := startOnKryoptic(t)
	ctx := context.Background()
	const algorithm = types.EncapsulationAlgorithmSpecMlKem
	for spec, row := range map[types.KeySpec]struct {
		kind hsm.Kind
		size int
	}{"ML_KEM_512": {hsm.MLKEM512, 768}, "ML_KEM_768": {hsm.MLKEM768, 1088}, "ML_KEM_1024": {hsm.MLKEM1024, 1568}} {
		t.Run(string(spec), func(t *testing.T) {
			c := a.client(a.root)
			md := latticeKey(t, c, spec, types.KeyUsageTypeEncapsulateDecapsulate)
			assert.Equal(t, []types.EncapsulationAlgorithmSpec{algorithm}, md.EncapsulationAlgorithms)
			shown, err := c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: md.KeyId})
			require.NoError(t, err)
			assert.Equal(t, md.EncapsulationAlgorithms, shown.EncapsulationAlgorithms)
			raw := mlkemPublic(t, spec, shown.PublicKey)

			open := func(ciphertext []byte) ([]byte, error) {
				out, err := c.Decapsulate(ctx, &kms.DecapsulateInput{KeyId: md.KeyId, EncapsulationAlgorithm: algorithm, SharedSecretCiphertextBlob: ciphertext})
				if err != nil {
					return nil, err
				}
				assert.Equal(t, md.Arn, out.KeyId)
				assert.Equal(t, algorithm, out.EncapsulationAlgorithm)
				assert.Len(t, out.SharedSecret, 32)
				return out.SharedSecret, nil
			}
			made, err := c.Encapsulate(ctx, &kms.EncapsulateInput{KeyId: md.Arn, EncapsulationAlgorithm: algorithm})
			require.NoError(t, err)
			assert.Equal(t, md.Arn, made.KeyId)
			assert.Equal(t, algorithm, made.EncapsulationAlgorithm)
			require.Len(t, made.SharedSecretCiphertextBlob, row.size)
			require.Len(t, made.SharedSecret, 32)
			secret, err := open(made.SharedSecretCiphertextBlob)
			require.NoError(t, err)
			assert.Equal(t, made.SharedSecret, secret)
			other, err := c.Encapsulate(ctx, &kms.EncapsulateInput{KeyId: md.Arn, EncapsulationAlgorithm: algorithm})
			require.NoError(t, err)
			assert.NotEqual(t, made.SharedSecret, other.SharedSecret)
			capsule := hsmtest.EncapsulateOutside(t, row.kind, raw)
			secret, err = open(capsule.Ciphertext)
			require.NoError(t, err)
			assert.Equal(t, capsule.Secret, secret, "what was sealed outside")

			altered := bytes.Clone(made.SharedSecretCiphertextBlob)
			altered[7] ^= 1
			secret, err = open(altered)
			require.NoError(t, err, "implicit rejection")
			assert.NotEqual(t, made.SharedSecret, secret)
			for _, bad := range [][]byte{{1}, altered[1:], append(bytes.Clone(altered), 0)} {
				_, err := open(bad)
				fails(t, err, "InvalidCiphertextException", "")
			}
			_, err = c.Encapsulate(ctx, &kms.EncapsulateInput{KeyId: md.KeyId, EncapsulationAlgorithm: algorithm, DryRun: aws.Bool(true)})
			fails(t, err, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
			_, err = c.Decapsulate(ctx, &kms.DecapsulateInput{KeyId: md.KeyId, EncapsulationAlgorithm: algorithm,
				SharedSecretCiphertextBlob: altered, DryRun: aws.Bool(true)})
			fails(t, err, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
			_, err = c.Sign(ctx, &kms.SignInput{KeyId: md.KeyId, Message: []byte("m"), SigningAlgorithm: "ML_DSA_SHAKE_256"})
			fails(t, err, "InvalidKeyUsageException", *md.Arn+" key usage is ENCAPSULATE_DECAPSULATE which is not valid for Sign.")

			for operation, read := range map[string]bool{"Encapsulate": true, "Decapsulate": true} {
				record := a.lastRecord(t, operation)
				assert.Equal(t, read, record["readOnly"], operation)
				assert.Nil(t, record["responseElements"], operation)
				assert.NotContains(t, fmt.Sprint(record), "sharedSecret", operation)
			}
			latticeLife(t, a, md, func() error {
				_, err := open(made.SharedSecretCiphertextBlob)
				return err
			})
		})
	}
}

// mlkemPublic reads a SubjectPublicKeyInfo of RFC 9935.
func mlkemPublic(t *testing.T, spec types.KeySpec, der []byte) []byte {
	t.Helper()
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &info)
	require.NoError(t, err)
	require.Empty(t, rest)
	last := map[types.KeySpec]byte{"ML_KEM_512": 1, "ML_KEM_768": 2, "ML_KEM_1024": 3}[spec]
	assert.Equal(t, []byte{0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, last}, info.Algorithm.Bytes, "an identifier without parameters")
	return info.Key.Bytes
}

func latticeKey(t *testing.T, c *kms.Client, spec types.KeySpec, usage types.KeyUsageType) *types.KeyMetadata {
	t.Helper()
	made, err := c.CreateKey(context.Background(), &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
	require.NoError(t, err)
	md := made.KeyMetadata
	assert.Equal(t, spec, md.KeySpec)
	assert.Equal(t, usage, md.KeyUsage)
	assert.Nil(t, md.CurrentKeyMaterialId)
	assert.Empty(t, md.EncryptionAlgorithms)
	return md
}

// latticeLife takes a key through its states to its end: its objects, its row in the ledger, what use answers.
func latticeLife(t *testing.T, a *appliance, md *types.KeyMetadata, use func() error) {
	t.Helper()
	c, ctx := a.client(a.root), context.Background()
	b, _ := a.manager.Resolve(region, "")
	row := ledgerRow(t, a, *md.Arn)
	assert.Equal(t, keystore.MaterialLive, row.State)
	assert.Equal(t, []string{"CKO_PRIVATE_KEY", "CKO_PUBLIC_KEY"}, row.Classes)
	assert.Equal(t, "CKK_"+string(md.KeySpec)[:strings.LastIndexByte(string(md.KeySpec), '_')], row.KeyType)
	handle := backend.Handle{ID: row.ID, Label: row.Label, Spec: keystore.Spec(md.KeySpec), Usage: keystore.Usage(md.KeyUsage)}
	found, err := b.(backend.Finder).Find(ctx, handle)
	require.NoError(t, err)
	assert.Len(t, found, 2)

	_, err = c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: md.KeyId})
	require.NoError(t, err)
	fails(t, use(), "DisabledException", *md.Arn+" is disabled.")
	_, err = c.EnableKey(ctx, &kms.EnableKeyInput{KeyId: md.KeyId})
	require.NoError(t, err)
	require.NoError(t, use())
	_, err = c.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: md.KeyId})
	var unsupported *types.UnsupportedOperationException
	require.ErrorAs(t, err, &unsupported, "asymmetric keys do not rotate")

	_, err = c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: md.KeyId, PendingWindowInDays: aws.Int32(7)})
	require.NoError(t, err)
	fails(t, use(), "KMSInvalidStateException", *md.Arn+" is pending deletion.")
	a.clock.advance(8 * 24 * time.Hour)
	_, err = a.sweeper.SweepOnce(ctx, a.clock.Now())
	require.NoError(t, err)
	found, err = b.(backend.Finder).Find(ctx, handle)
	require.NoError(t, err)
	assert.Empty(t, found, "nothing is left on the token")
	assert.Equal(t, keystore.MaterialDestroyed, ledgerRow(t, a, *md.Arn).State)
	require.NoError(t, b.(backend.Scanner).Objects(ctx, func(o backend.Object) error {
		assert.NotEqual(t, "CKK_GENERIC_SECRET", o.KeyType, "no shared secret stays")
		return nil
	}))
}

func TestEd25519phSignatures(t *testing.T) {
	a := startOnKryoptic(t)
	c, ctx := a.client(a.root), context.Background()
	const algorithm = types.SigningAlgorithmSpecEd25519PhSha512
	md := latticeKey(t, c, types.KeySpecEccNistEdwards25519, types.KeyUsageTypeSignVerify)
	shown, err := c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: md.KeyId})
	require.NoError(t, err)
	parsed, err := x509.ParsePKIXPublicKey(shown.PublicKey)
	require.NoError(t, err)
	public, ok := parsed.(ed25519.PublicKey)
	require.True(t, ok)
	digest := sha512.Sum512([]byte("message"))
	out, err := c.Sign(ctx, &kms.SignInput{KeyId: md.KeyId, Message: digest[:], MessageType: types.MessageTypeDigest, SigningAlgorithm: algorithm})
	require.NoError(t, err)
	again := sha512.Sum512(digest[:])
	require.NoError(t, ed25519.VerifyWithOptions(public, again[:], out.Signature, &ed25519.Options{Hash: crypto.SHA512}),
		"the digest is hashed once more (API reference, Sign)")
	verify := func(algorithm types.SigningAlgorithmSpec, kind types.MessageType, message []byte) error {
		_, err := c.Verify(ctx, &kms.VerifyInput{KeyId: md.KeyId, Message: message, MessageType: kind, SigningAlgorithm: algorithm, Signature: out.Signature})
		return err
	}
	require.NoError(t, verify(algorithm, types.MessageTypeDigest, digest[:]))
	fails(t, verify(algorithm, types.MessageTypeDigest, again[:]), "KMSInvalidSignatureException", "")
	fails(t, verify(types.SigningAlgorithmSpecEd25519Sha512, types.MessageTypeRaw, digest[:]), "KMSInvalidSignatureException", "")
	fails(t, verify(algorithm, types.MessageTypeRaw, digest[:]), "ValidationException", "Message type RAW is incompatible with algorithm ED25519_PH_SHA_512.")
	_, err = c.Sign(ctx, &kms.SignInput{KeyId: md.KeyId, Message: digest[1:], MessageType: types.MessageTypeDigest, SigningAlgorithm: algorithm})
	fails(t, err, "ValidationException", "Digest is invalid length for algorithm ED25519_PH_SHA_512.")
}

// Keys of these specs can't be imported, and stay in their Region.
func TestLatticeKeysStay(t *testing.T) {
	a := startOnKryoptic(t)
	c, ctx := a.client(a.root), context.Background()
	_, err := c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: "ML_DSA_65", KeyUsage: "SIGN_VERIFY", Origin: types.OriginTypeExternal})
	fails(t, err, "ValidationException", "KeySpec ML_DSA_65 is not supported for Origin EXTERNAL")
	_, err = c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: "ECC_SECG_P256K1", KeyUsage: "SIGN_VERIFY"})
	fails(t, err, "UnsupportedOperationException",
		"KeySpec ECC_SECG_P256K1 with KeyUsage SIGN_VERIFY is not supported by the token of this key store.")
}
