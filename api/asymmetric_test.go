package api_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/cloudflare/circl/kem/mlkem/mlkem512"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/secp256k1"
)

// bits of the keys of each spec that SoftHSM2 can hold, and the curves of those that have one in Go's library.
var tokenSpecs = []struct {
	spec  types.KeySpec
	bits  int
	curve elliptic.Curve
	ecdh  ecdh.Curve
}{
	{spec: types.KeySpecRsa2048, bits: 2048}, {spec: types.KeySpecRsa3072, bits: 3072}, {spec: types.KeySpecRsa4096, bits: 4096},
	{spec: types.KeySpecEccNistP256, bits: 256, curve: elliptic.P256(), ecdh: ecdh.P256()},
	{spec: types.KeySpecEccNistP384, bits: 384, curve: elliptic.P384(), ecdh: ecdh.P384()},
	{spec: types.KeySpecEccNistP521, bits: 521, curve: elliptic.P521(), ecdh: ecdh.P521()},
	{spec: types.KeySpecEccSecgP256k1, bits: 256}, {spec: types.KeySpecEccNistEdwards25519, bits: 255},
	{spec: types.KeySpecHmac224, bits: 224}, {spec: types.KeySpecHmac256, bits: 256},
	{spec: types.KeySpecHmac384, bits: 384}, {spec: types.KeySpecHmac512, bits: 512},
}

// signHashes has the hash of each signing algorithm but ED25519_SHA_512.
var signHashes = map[types.SigningAlgorithmSpec]crypto.Hash{
	"RSASSA_PKCS1_V1_5_SHA_256": crypto.SHA256, "RSASSA_PKCS1_V1_5_SHA_384": crypto.SHA384, "RSASSA_PKCS1_V1_5_SHA_512": crypto.SHA512,
	"RSASSA_PSS_SHA_256": crypto.SHA256, "RSASSA_PSS_SHA_384": crypto.SHA384, "RSASSA_PSS_SHA_512": crypto.SHA512,
	"ECDSA_SHA_256": crypto.SHA256, "ECDSA_SHA_384": crypto.SHA384, "ECDSA_SHA_512": crypto.SHA512,
}

// subject is a key under test.
type subject struct {
	t      *testing.T
	a      *appliance
	c      *kms.Client
	md     *types.KeyMetadata
	der    []byte           // SubjectPublicKeyInfo; nil for HMAC keys
	public crypto.PublicKey // as Go's library, or secp256k1, reads it
}

func fails(t *testing.T, err error, exception, message string) {
	t.Helper()
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, exception, e.ErrorCode(), "%v", err)
	if message == "" {
		assert.Contains(t, []string{"", "UnknownError"}, e.ErrorMessage(), "the recorded answer has no message")
		return
	}
	assert.Equal(t, message, e.ErrorMessage())
}

// subjectOf makes a key and holds what the API says of it against the specification's table.
func subjectOf(t *testing.T, a *appliance, spec types.KeySpec, usage keystore.Usage) *subject {
	t.Helper()
	ctx := context.Background()
	s := &subject{t: t, a: a, c: a.client(a.root)}
	made, err := s.c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageType(usage)})
	require.NoError(t, err)
	s.md = made.KeyMetadata
	assert.Equal(t, spec, s.md.KeySpec)
	assert.Equal(t, types.KeyStateEnabled, s.md.KeyState)
	assert.Nil(t, s.md.CurrentKeyMaterialId, "for symmetric encryption keys only")
	info, _ := keystore.LookupSpec(keystore.Spec(spec))
	lists := map[keystore.Usage][]string{
		keystore.UsageEncryptDecrypt: plain(s.md.EncryptionAlgorithms), keystore.UsageSignVerify: plain(s.md.SigningAlgorithms),
		keystore.UsageMAC: plain(s.md.MacAlgorithms), keystore.UsageKeyAgreement: plain(s.md.KeyAgreementAlgorithms),
		keystore.UsageEncapsulateDecp: plain(s.md.EncapsulationAlgorithms),
	}
	for u, list := range lists {
		if u == usage {
			assert.ElementsMatch(t, info.Algorithms(u), list)
		} else {
			assert.Empty(t, list, "%s lists no algorithms of %s", usage, u)
		}
	}
	if info.Family == keystore.FamilyHMAC {
		_, err = s.c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: s.md.KeyId})
		var unsupported *types.UnsupportedOperationException
		require.ErrorAs(t, err, &unsupported)
		return s
	}
	got, err := s.c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: s.md.Arn})
	require.NoError(t, err)
	assert.Equal(t, s.md.Arn, got.KeyId)
	assert.Equal(t, spec, got.KeySpec)
	assert.Equal(t, types.KeyUsageType(usage), got.KeyUsage)
	assert.Equal(t, s.md.SigningAlgorithms, got.SigningAlgorithms)
	assert.Equal(t, s.md.EncryptionAlgorithms, got.EncryptionAlgorithms)
	assert.Equal(t, s.md.KeyAgreementAlgorithms, got.KeyAgreementAlgorithms)
	s.der = got.PublicKey
	if spec == types.KeySpecEccSecgP256k1 {
		s.public, err = secp256k1.ParsePublicKey(s.der)
	} else {
		s.public, err = x509.ParsePKIXPublicKey(s.der)
	}
	require.NoError(t, err)
	return s
}

func plain[S ~string](list []S) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

// TestEverySpecUsageAndAlgorithm makes a key of every spec for every usage and does with it all that its algorithms allow.
func TestEverySpecUsageAndAlgorithm(t *testing.T) {
	a := start(t)
	for _, row := range tokenSpecs {
		info, known := keystore.LookupSpec(keystore.Spec(row.spec))
		require.True(t, known)
		require.Equal(t, row.bits, info.Bits)
		for usage := range info.Usages {
			t.Run(fmt.Sprintf("%s/%s", row.spec, usage), func(t *testing.T) {
				s := subjectOf(t, a, row.spec, usage)
				switch usage {
				case keystore.UsageSignVerify:
					for _, algorithm := range s.md.SigningAlgorithms {
						t.Run(string(algorithm), func(t *testing.T) { s.t = t; s.signs(algorithm) })
					}
				case keystore.UsageEncryptDecrypt:
					for _, algorithm := range s.md.EncryptionAlgorithms {
						t.Run(string(algorithm), func(t *testing.T) { s.t = t; s.encrypts(algorithm, row.bits) })
					}
				case keystore.UsageKeyAgreement:
					s.agrees(row.ecdh)
				case keystore.UsageMAC:
					s.authenticates(row.bits)
				}
			})
		}
	}
}

// good verifies a signature outside of the appliance.
func (s *subject) good(algorithm types.SigningAlgorithmSpec, message, signature []byte) bool {
	s.t.Helper()
	if public, ok := s.public.(ed25519.PublicKey); ok {
		return ed25519.Verify(public, message, signature)
	}
	hash := signHashes[algorithm]
	h := hash.New()
	h.Write(message)
	digest := h.Sum(nil)
	switch public := s.public.(type) {
	case *rsa.PublicKey:
		if strings.HasPrefix(string(algorithm), "RSASSA_PSS_") {
			// The salt is as long as the hash: other lengths do not verify.
			return rsa.VerifyPSS(public, hash, digest, signature, &rsa.PSSOptions{SaltLength: hash.Size()}) == nil
		}
		return rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, digest, signature)
	case *secp256k1.PublicKey:
		return public.Verify(digest, signature)
	}
	require.Failf(s.t, "no key", "%T", s.public)
	return false
}

func (s *subject) signs(algorithm types.SigningAlgorithmSpec) {
	t, ctx := s.t, context.Background()
	if algorithm == types.SigningAlgorithmSpecEd25519PhSha512 {
		s.verifiesOnly()
		return
	}
	hash := signHashes[algorithm]
	for _, size := range []int{1, 32, 4096} {
		message := bytes.Repeat([]byte("m"), size)
		out, err := s.c.Sign(ctx, &kms.SignInput{KeyId: s.md.KeyId, Message: message, SigningAlgorithm: algorithm})
		require.NoError(t, err)
		assert.Equal(t, s.md.Arn, out.KeyId)
		assert.Equal(t, algorithm, out.SigningAlgorithm)
		assert.True(t, s.good(algorithm, message, out.Signature), "verified outside")
		s.verify(algorithm, types.MessageTypeRaw, message, out.Signature, true)
		if hash == 0 {
			continue
		}
		h := hash.New()
		h.Write(message)
		digest := h.Sum(nil)
		s.verify(algorithm, types.MessageTypeDigest, digest, out.Signature, true)
		byDigest, err := s.c.Sign(ctx, &kms.SignInput{KeyId: s.md.Arn, Message: digest, MessageType: types.MessageTypeDigest, SigningAlgorithm: algorithm})
		require.NoError(t, err)
		assert.True(t, s.good(algorithm, message, byDigest.Signature), "the digest was not hashed again")
		s.verify(algorithm, types.MessageTypeRaw, digest, byDigest.Signature, false)
	}
	s.refusesSignatures(algorithm)
}

func (s *subject) verify(algorithm types.SigningAlgorithmSpec, kind types.MessageType, message, signature []byte, good bool) {
	s.t.Helper()
	out, err := s.c.Verify(context.Background(), &kms.VerifyInput{KeyId: s.md.KeyId, Message: message, MessageType: kind,
		SigningAlgorithm: algorithm, Signature: signature})
	if good {
		require.NoError(s.t, err)
		assert.True(s.t, out.SignatureValid)
		assert.Equal(s.t, s.md.Arn, out.KeyId)
		return
	}
	fails(s.t, err, "KMSInvalidSignatureException", "")
}

// refusesSignatures is about signatures that are none, and about requests that cannot be.
func (s *subject) refusesSignatures(algorithm types.SigningAlgorithmSpec) {
	t, ctx := s.t, context.Background()
	message := []byte("message")
	out, err := s.c.Sign(ctx, &kms.SignInput{KeyId: s.md.KeyId, Message: message, SigningAlgorithm: algorithm})
	require.NoError(t, err)
	for _, at := range []int{0, len(out.Signature) / 2, len(out.Signature) - 1} {
		bad := bytes.Clone(out.Signature)
		bad[at] ^= 1
		s.verify(algorithm, types.MessageTypeRaw, message, bad, false)
	}
	s.verify(algorithm, types.MessageTypeRaw, []byte("another"), out.Signature, false)
	s.verify(algorithm, types.MessageTypeRaw, message, out.Signature[:len(out.Signature)-1], false)
	s.verify(algorithm, types.MessageTypeRaw, message, append(bytes.Clone(out.Signature), 0), false)
	s.verify(algorithm, types.MessageTypeRaw, message, bytes.Repeat([]byte{1}, 6144), false)
	for _, other := range s.md.SigningAlgorithms {
		if other != algorithm && other != types.SigningAlgorithmSpecEd25519PhSha512 {
			s.verify(other, types.MessageTypeRaw, message, out.Signature, false)
		}
	}
	if hash := signHashes[algorithm]; hash != 0 {
		for _, size := range []int{1, hash.Size() - 1, hash.Size() + 1} {
			text := fmt.Sprintf("Digest is invalid length for algorithm %s.", algorithm)
			_, err := s.c.Sign(ctx, &kms.SignInput{KeyId: s.md.KeyId, Message: make([]byte, size), MessageType: types.MessageTypeDigest, SigningAlgorithm: algorithm})
			fails(t, err, "ValidationException", text)
			_, err = s.c.Verify(ctx, &kms.VerifyInput{KeyId: s.md.KeyId, Message: make([]byte, size), MessageType: types.MessageTypeDigest,
				SigningAlgorithm: algorithm, Signature: out.Signature})
			fails(t, err, "ValidationException", text)
		}
	} else {
		_, err := s.c.Sign(ctx, &kms.SignInput{KeyId: s.md.KeyId, Message: make([]byte, 64), MessageType: types.MessageTypeDigest, SigningAlgorithm: algorithm})
		fails(t, err, "ValidationException", "Message type DIGEST is incompatible with algorithm ED25519_SHA_512.")
	}
	_, err = s.c.Sign(ctx, &kms.SignInput{KeyId: s.md.KeyId, Message: make([]byte, 64), MessageType: types.MessageTypeExternalMu, SigningAlgorithm: algorithm})
	fails(t, err, "ValidationException", fmt.Sprintf("Message type EXTERNAL_MU is incompatible with key spec %s.", s.md.KeySpec))
	wrong := types.SigningAlgorithmSpecMlDsaShake256
	_, err = s.c.Sign(ctx, &kms.SignInput{KeyId: s.md.KeyId, Message: message, SigningAlgorithm: wrong})
	fails(t, err, "InvalidKeyUsageException", fmt.Sprintf("Algorithm %s is incompatible with key spec %s.", wrong, s.md.KeySpec))
}

// verifiesOnly: SoftHSM2 has no prehashed Ed25519. Signing is refused; Verify does not need the token and takes signatures
// that are made elsewhere.
func (s *subject) verifiesOnly() {
	t, ctx := s.t, context.Background()
	const algorithm = types.SigningAlgorithmSpecEd25519PhSha512
	for _, dry := range []bool{false, true} {
		_, err := s.c.Sign(ctx, &kms.SignInput{KeyId: s.md.KeyId, Message: make([]byte, 64), MessageType: types.MessageTypeDigest,
			SigningAlgorithm: algorithm, DryRun: aws.Bool(dry)})
		fails(t, err, "UnsupportedOperationException", fmt.Sprintf("The key store of %s can't make signatures of %s.", *s.md.Arn, algorithm))
	}
	_, err := s.c.Sign(ctx, &kms.SignInput{KeyId: s.md.KeyId, Message: make([]byte, 64), SigningAlgorithm: algorithm})
	fails(t, err, "ValidationException", "Message type RAW is incompatible with algorithm ED25519_PH_SHA_512.")
	s.verify(algorithm, types.MessageTypeDigest, make([]byte, 64), make([]byte, 64), false)

	// A key whose private half is known here shows what Verify takes.
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	known := s.known(pkcs8)
	digest := sha512.Sum512([]byte("message"))
	again := sha512.Sum512(digest[:])
	signature, err := private.Sign(nil, again[:], &ed25519.Options{Hash: crypto.SHA512})
	require.NoError(t, err)
	out, err := s.c.Verify(ctx, &kms.VerifyInput{KeyId: known, Message: digest[:], MessageType: types.MessageTypeDigest,
		SigningAlgorithm: algorithm, Signature: signature})
	require.NoError(t, err)
	assert.True(t, out.SignatureValid)
}

func (s *subject) encrypts(algorithm types.EncryptionAlgorithmSpec, bits int) {
	t, ctx := s.t, context.Background()
	public, ok := s.public.(*rsa.PublicKey)
	require.True(t, ok)
	hash := crypto.SHA1
	if algorithm == types.EncryptionAlgorithmSpecRsaesOaepSha256 {
		hash = crypto.SHA256
	}
	limit := bits/8 - 2*hash.Size() - 2
	for _, size := range []int{1, limit - 1, limit} {
		plaintext := make([]byte, size)
		_, err := rand.Read(plaintext)
		require.NoError(t, err)
		outside, err := rsa.EncryptOAEP(hash.New(), rand.Reader, public, plaintext, nil)
		require.NoError(t, err)
		inside, err := s.c.Encrypt(ctx, &kms.EncryptInput{KeyId: s.md.KeyId, Plaintext: plaintext, EncryptionAlgorithm: algorithm})
		require.NoError(t, err)
		assert.Equal(t, algorithm, inside.EncryptionAlgorithm)
		assert.Equal(t, s.md.Arn, inside.KeyId)
		assert.Len(t, inside.CiphertextBlob, bits/8)
		for name, blob := range map[string][]byte{"made outside": outside, "made by Encrypt": inside.CiphertextBlob} {
			out, err := s.c.Decrypt(ctx, &kms.DecryptInput{KeyId: s.md.Arn, CiphertextBlob: blob, EncryptionAlgorithm: algorithm})
			require.NoError(t, err, name)
			assert.Equal(t, plaintext, out.Plaintext, name)
			assert.Equal(t, algorithm, out.EncryptionAlgorithm)
			assert.Nil(t, out.KeyMaterialId)
		}
	}
	_, err := s.c.Encrypt(ctx, &kms.EncryptInput{KeyId: s.md.KeyId, Plaintext: make([]byte, limit+1), EncryptionAlgorithm: algorithm})
	fails(t, err, "ValidationException", fmt.Sprintf("Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", algorithm, s.md.KeySpec, limit))
	s.refusesCiphertexts(algorithm, hash, public)
	s.reEncrypts(algorithm)
}

func (s *subject) refusesCiphertexts(algorithm types.EncryptionAlgorithmSpec, hash crypto.Hash, public *rsa.PublicKey) {
	t, ctx := s.t, context.Background()
	good, err := rsa.EncryptOAEP(hash.New(), rand.Reader, public, []byte("x"), nil)
	require.NoError(t, err)
	labelled, err := rsa.EncryptOAEP(hash.New(), rand.Reader, public, []byte("x"), []byte("label"))
	require.NoError(t, err)
	//lint:ignore SA1019 a ciphertext that must not open
	pkcs1, err := rsa.EncryptPKCS1v15(rand.Reader, public, []byte("x"))
	require.NoError(t, err)
	altered := bytes.Clone(good)
	altered[len(altered)-1] ^= 1
	for name, blob := range map[string][]byte{
		"altered": altered, "with a label": labelled, "PKCS #1 v1.5": pkcs1, "short": good[:len(good)-1], "long": append(bytes.Clone(good), 0),
		"one byte": {1}, "zeros": make([]byte, len(good)), "above the modulus": bytes.Repeat([]byte{0xff}, len(good)),
	} {
		_, err := s.c.Decrypt(ctx, &kms.DecryptInput{KeyId: s.md.KeyId, CiphertextBlob: blob, EncryptionAlgorithm: algorithm})
		require.Error(t, err, name)
		fails(t, err, "InvalidCiphertextException", "")
	}
	for _, other := range s.md.EncryptionAlgorithms {
		if other != algorithm {
			_, err := s.c.Decrypt(ctx, &kms.DecryptInput{KeyId: s.md.KeyId, CiphertextBlob: good, EncryptionAlgorithm: other})
			fails(t, err, "InvalidCiphertextException", "")
		}
	}
	incompatible := fmt.Sprintf("Algorithm SYMMETRIC_DEFAULT is incompatible with key spec %s.", s.md.KeySpec)
	_, err = s.c.Decrypt(ctx, &kms.DecryptInput{KeyId: s.md.KeyId, CiphertextBlob: good})
	fails(t, err, "InvalidKeyUsageException", incompatible)
	_, err = s.c.Encrypt(ctx, &kms.EncryptInput{KeyId: s.md.KeyId, Plaintext: []byte("x")})
	fails(t, err, "InvalidKeyUsageException", incompatible)
	_, err = s.c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: good, EncryptionAlgorithm: algorithm})
	fails(t, err, "ValidationException", "1 validation error detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null")
	_, err = s.c.Encrypt(ctx, &kms.EncryptInput{KeyId: s.md.KeyId, Plaintext: []byte("x"), EncryptionAlgorithm: algorithm, EncryptionContext: map[string]string{"a": "b"}})
	fails(t, err, "ValidationException", fmt.Sprintf("EncryptionContext is not supported with key spec %s.", s.md.KeySpec))
	_, err = s.c.Decrypt(ctx, &kms.DecryptInput{KeyId: s.md.KeyId, CiphertextBlob: good, EncryptionAlgorithm: algorithm, EncryptionContext: map[string]string{"a": "b"}})
	fails(t, err, "ValidationException", fmt.Sprintf("EncryptionContext is not supported with key spec %s.", s.md.KeySpec))
}

// reEncrypts goes from a symmetric key to this one and back.
func (s *subject) reEncrypts(algorithm types.EncryptionAlgorithmSpec) {
	t, ctx := s.t, context.Background()
	other, err := s.c.CreateKey(ctx, &kms.CreateKeyInput{})
	require.NoError(t, err)
	id := other.KeyMetadata.KeyId
	context := map[string]string{"a": "b"}
	first, err := s.c.Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: []byte("travels"), EncryptionContext: context})
	require.NoError(t, err)
	there, err := s.c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: first.CiphertextBlob, SourceEncryptionContext: context,
		DestinationKeyId: s.md.KeyId, DestinationEncryptionAlgorithm: algorithm})
	require.NoError(t, err)
	assert.Equal(t, algorithm, there.DestinationEncryptionAlgorithm)
	assert.Equal(t, s.md.Arn, there.KeyId)
	assert.NotNil(t, there.SourceKeyMaterialId)
	assert.Nil(t, there.DestinationKeyMaterialId)
	back, err := s.c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: there.CiphertextBlob, SourceKeyId: s.md.KeyId,
		SourceEncryptionAlgorithm: algorithm, DestinationKeyId: id})
	require.NoError(t, err)
	opened, err := s.c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: back.CiphertextBlob})
	require.NoError(t, err)
	assert.Equal(t, "travels", string(opened.Plaintext))

	long, err := s.c.Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: make([]byte, 4096)})
	require.NoError(t, err)
	_, err = s.c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: long.CiphertextBlob, DestinationKeyId: s.md.KeyId, DestinationEncryptionAlgorithm: algorithm})
	var e smithy.APIError
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "ValidationException", e.ErrorCode())
	assert.Contains(t, e.ErrorMessage(), "cannot encrypt data larger than")
}

func (s *subject) agrees(curve ecdh.Curve) {
	t, ctx := s.t, context.Background()
	public, ok := s.public.(*ecdsa.PublicKey)
	require.True(t, ok)
	ours, err := public.ECDH()
	require.NoError(t, err)
	for range 5 {
		theirs, err := curve.GenerateKey(rand.Reader)
		require.NoError(t, err)
		der, err := x509.MarshalPKIXPublicKey(theirs.PublicKey())
		require.NoError(t, err)
		want, err := theirs.ECDH(ours)
		require.NoError(t, err)
		out, err := s.c.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: s.md.KeyId, PublicKey: der, KeyAgreementAlgorithm: "ECDH"})
		require.NoError(t, err)
		assert.Equal(t, want, out.SharedSecret, "the same as outside")
		assert.Equal(t, s.md.Arn, out.KeyId)
		assert.Equal(t, types.OriginTypeAwsKms, out.KeyOrigin)
		assert.Equal(t, types.KeyAgreementAlgorithmSpecEcdh, out.KeyAgreementAlgorithm)
	}
	for name, bad := range s.badPeers() {
		for _, dry := range []bool{false, true} {
			_, err := s.c.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: s.md.KeyId, PublicKey: bad, KeyAgreementAlgorithm: "ECDH", DryRun: aws.Bool(dry)})
			require.Error(t, err, name)
			fails(t, err, "ValidationException", "")
		}
	}
	record := fmt.Sprint(s.a.lastRecord(t, "DeriveSharedSecret"))
	assert.Contains(t, record, *s.md.Arn)
}

// badPeers are public keys that this key cannot agree with.
func (s *subject) badPeers() map[string][]byte {
	bad := map[string][]byte{"one byte": {0}, "no DER": []byte("public key"), "half": s.der[:len(s.der)/2]}
	off := bytes.Clone(s.der)
	off[len(off)-1] ^= 1
	bad["not on the curve"] = off
	for _, row := range tokenSpecs {
		if row.curve == nil || row.spec == s.md.KeySpec {
			continue
		}
		key, err := ecdsa.GenerateKey(row.curve, rand.Reader)
		require.NoError(s.t, err)
		bad["of "+string(row.spec)], err = x509.MarshalPKIXPublicKey(key.Public())
		require.NoError(s.t, err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(s.t, err)
	bad["RSA"], err = x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(s.t, err)
	k1, err := secp256k1.GenerateKey(rand.Reader)
	require.NoError(s.t, err)
	bad["secp256k1"] = k1.Public().DER()
	return bad
}

func (s *subject) authenticates(bits int) {
	t, ctx := s.t, context.Background()
	algorithm := s.md.MacAlgorithms[0]
	for _, size := range []int{1, 100, 4096} {
		message := bytes.Repeat([]byte("m"), size)
		out, err := s.c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: s.md.KeyId, Message: message, MacAlgorithm: algorithm})
		require.NoError(t, err)
		assert.Len(t, out.Mac, bits/8)
		assert.Equal(t, s.md.Arn, out.KeyId)
		assert.Equal(t, algorithm, out.MacAlgorithm)
		good, err := s.c.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: s.md.Arn, Message: message, Mac: out.Mac, MacAlgorithm: algorithm})
		require.NoError(t, err)
		assert.True(t, good.MacValid)
		altered := bytes.Clone(out.Mac)
		altered[0] ^= 1
		for name, bad := range map[string][]byte{"altered": altered, "short": out.Mac[:len(out.Mac)-1], "long": append(bytes.Clone(out.Mac), 0), "one byte": {1}} {
			_, err = s.c.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: s.md.KeyId, Message: message, Mac: bad, MacAlgorithm: algorithm})
			require.Error(t, err, name)
			fails(t, err, "KMSInvalidMacException", "")
		}
		_, err = s.c.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: s.md.KeyId, Message: append(message[1:], 'n'), Mac: out.Mac, MacAlgorithm: algorithm})
		fails(t, err, "KMSInvalidMacException", "")
	}
	for _, row := range tokenSpecs {
		info, _ := keystore.LookupSpec(keystore.Spec(row.spec))
		if info.Family != keystore.FamilyHMAC || row.spec == s.md.KeySpec {
			continue
		}
		wrong := info.Algorithms(keystore.UsageMAC)[0]
		_, err := s.c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: s.md.KeyId, Message: []byte("m"), MacAlgorithm: types.MacAlgorithmSpec(wrong)})
		fails(t, err, "InvalidKeyUsageException", fmt.Sprintf("Algorithm %s is incompatible with key spec %s.", wrong, s.md.KeySpec))
	}
	s.knownMac(algorithm, bits)
}

// known makes a key like the subject of material that is known here, and gives its id.
func (s *subject) known(material []byte) *string {
	s.t.Helper()
	k := s.row()
	b, _ := s.a.manager.Resolve(region, "")
	importer, ok := b.(backend.Importer)
	require.True(s.t, ok)
	handle := backend.Handle{ID: k.Current().ID, Label: k.ARN(), Spec: k.Spec, Usage: k.Usage}
	_, err := importer.ImportKey(context.Background(), handle, material)
	require.NoError(s.t, err)
	return aws.String(string(k.ID))
}

// knownMac compares with Go's HMAC.
func (s *subject) knownMac(algorithm types.MacAlgorithmSpec, bits int) {
	t, ctx := s.t, context.Background()
	secret := make([]byte, bits/8)
	_, err := rand.Read(secret)
	require.NoError(t, err)
	h := map[int]crypto.Hash{224: crypto.SHA224, 256: crypto.SHA256, 384: crypto.SHA384, 512: crypto.SHA512}[bits]
	mac := hmac.New(h.New, secret)
	mac.Write([]byte("message"))
	out, err := s.c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: s.known(secret), Message: []byte("message"), MacAlgorithm: algorithm})
	require.NoError(t, err)
	assert.Equal(t, mac.Sum(nil), out.Mac)
}

// row adds a key like the subject to the database, with material that is not on the token yet.
func (s *subject) row() *keystore.Key {
	t := s.t
	id, err := keystore.NewKeyID(rand.Reader, false)
	require.NoError(t, err)
	material, err := keystore.NewMaterialID(rand.Reader)
	require.NoError(t, err)
	k := &keystore.Key{ID: id, Account: account, Region: region, Origin: keystore.OriginKMS, Spec: keystore.Spec(s.md.KeySpec),
		Usage: keystore.Usage(s.md.KeyUsage), Created: time.Now(), State: keystore.Enabled, Policy: access.DefaultPolicy(account),
		Materials: []keystore.KeyMaterial{{ID: material, State: keystore.MaterialCurrent, Created: time.Now()}}}
	require.NoError(t, s.a.db.Update(context.Background(), func(tx keystore.Tx) error { return tx.InsertKey(k) }))
	return k
}

func TestRequestsForTheWrongKey(t *testing.T) {
	a := start(t)
	c, ctx := a.client(a.root), context.Background()
	keys := map[keystore.Usage]*types.KeyMetadata{}
	for usage, spec := range map[keystore.Usage]types.KeySpec{
		keystore.UsageEncryptDecrypt: types.KeySpecSymmetricDefault, keystore.UsageSignVerify: types.KeySpecEccNistP256,
		keystore.UsageKeyAgreement: types.KeySpecEccNistP256, keystore.UsageMAC: types.KeySpecHmac256,
	} {
		made, err := c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageType(usage)})
		require.NoError(t, err)
		keys[usage] = made.KeyMetadata
	}
	// The usage is checked before the state.
	_, err := c.DisableKey(ctx, &kms.DisableKeyInput{KeyId: keys[keystore.UsageMAC].KeyId})
	require.NoError(t, err)
	calls := map[string]struct {
		usage keystore.Usage
		do    func(id *string) error
	}{
		"Sign": {keystore.UsageSignVerify, func(id *string) error {
			_, err := c.Sign(ctx, &kms.SignInput{KeyId: id, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256"})
			return err
		}},
		"Verify": {keystore.UsageSignVerify, func(id *string) error {
			_, err := c.Verify(ctx, &kms.VerifyInput{KeyId: id, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256", Signature: []byte("s")})
			return err
		}},
		"GenerateMac": {keystore.UsageMAC, func(id *string) error {
			_, err := c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: id, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"})
			return err
		}},
		"VerifyMac": {keystore.UsageMAC, func(id *string) error {
			_, err := c.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: id, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256", Mac: []byte("m")})
			return err
		}},
		"DeriveSharedSecret": {keystore.UsageKeyAgreement, func(id *string) error {
			_, err := c.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: id, KeyAgreementAlgorithm: "ECDH", PublicKey: []byte("p")})
			return err
		}},
		"Encrypt": {keystore.UsageEncryptDecrypt, func(id *string) error {
			_, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: []byte("m")})
			return err
		}},
		"GenerateDataKeyPair": {keystore.UsageEncryptDecrypt, func(id *string) error {
			_, err := c.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: id, KeyPairSpec: "ECC_NIST_P256"})
			return err
		}},
		"Encapsulate": {keystore.UsageEncapsulateDecp, func(id *string) error {
			_, err := c.Encapsulate(ctx, &kms.EncapsulateInput{KeyId: id, EncapsulationAlgorithm: "ML_KEM"})
			return err
		}},
		"Decapsulate": {keystore.UsageEncapsulateDecp, func(id *string) error {
			_, err := c.Decapsulate(ctx, &kms.DecapsulateInput{KeyId: id, EncapsulationAlgorithm: "ML_KEM", SharedSecretCiphertextBlob: make([]byte, 768)})
			return err
		}},
	}
	for name, call := range calls {
		for usage, md := range keys {
			if usage == call.usage {
				continue
			}
			t.Run(name+" "+string(usage), func(t *testing.T) {
				fails(t, call.do(md.KeyId), "InvalidKeyUsageException", fmt.Sprintf("%s key usage is %s which is not valid for %s.", *md.Arn, usage, name))
			})
		}
	}
	err = calls["GenerateMac"].do(keys[keystore.UsageMAC].KeyId)
	fails(t, err, "DisabledException", *keys[keystore.UsageMAC].Arn+" is disabled.")
}

func TestWhatTheTokenCannotHold(t *testing.T) {
	a := start(t)
	c, ctx := a.client(a.root), context.Background()
	for _, row := range []struct {
		spec  types.KeySpec
		usage types.KeyUsageType
	}{
		{"ML_DSA_44", "SIGN_VERIFY"}, {"ML_DSA_65", "SIGN_VERIFY"}, {"ML_DSA_87", "SIGN_VERIFY"},
		{"ML_KEM_512", "ENCAPSULATE_DECAPSULATE"}, {"ML_KEM_768", "ENCAPSULATE_DECAPSULATE"}, {"ML_KEM_1024", "ENCAPSULATE_DECAPSULATE"},
		{"SM2", "SIGN_VERIFY"}, {"SM2", "ENCRYPT_DECRYPT"}, {"SM2", "KEY_AGREEMENT"},
	} {
		_, err := c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: row.spec, KeyUsage: row.usage})
		text := fmt.Sprintf("KeySpec %s with KeyUsage %s is not supported by the token of this key store.", row.spec, row.usage)
		if row.spec == "SM2" {
			text = "KeySpec SM2 is not supported in this Region."
		}
		fails(t, err, "UnsupportedOperationException", text)
	}
	listed, err := c.ListKeys(ctx, &kms.ListKeysInput{})
	require.NoError(t, err)
	assert.Empty(t, listed.Keys)
	for _, row := range tokenSpecs {
		info, _ := keystore.LookupSpec(keystore.Spec(row.spec))
		for _, usage := range types.KeyUsageType("").Values() {
			if info.Algorithms(keystore.Usage(usage)) != nil {
				continue
			}
			_, err := c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: row.spec, KeyUsage: usage})
			fails(t, err, "ValidationException", fmt.Sprintf("KeyUsage %s is not compatible with KeySpec %s", usage, row.spec))
		}
		_, err := c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: row.spec})
		fails(t, err, "ValidationException", "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
	}
}

// TestDeletedPairsAreGone: both halves of a pair lie under one CKA_ID, are named by one row of the ledger, and go together.
func TestDeletedPairsAreGone(t *testing.T) {
	a := start(t)
	c, ctx := a.client(a.root), context.Background()
	b, _ := a.manager.Resolve(region, "")
	finder, ok := b.(backend.Finder)
	require.True(t, ok)
	for spec, want := range map[types.KeySpec][]string{
		types.KeySpecEccNistP256: {"CKO_PRIVATE_KEY", "CKO_PUBLIC_KEY"}, types.KeySpecEccSecgP256k1: {"CKO_PRIVATE_KEY", "CKO_PUBLIC_KEY"},
		types.KeySpecEccNistEdwards25519: {"CKO_PRIVATE_KEY", "CKO_PUBLIC_KEY"}, types.KeySpecRsa2048: {"CKO_PRIVATE_KEY", "CKO_PUBLIC_KEY"},
		types.KeySpecHmac384: {"CKO_SECRET_KEY"},
	} {
		t.Run(string(spec), func(t *testing.T) {
			usage := types.KeyUsageTypeSignVerify
			if spec == types.KeySpecHmac384 {
				usage = types.KeyUsageTypeGenerateVerifyMac
			}
			made, err := c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
			require.NoError(t, err)
			row := ledgerRow(t, a, *made.KeyMetadata.Arn)
			assert.Equal(t, keystore.MaterialLive, row.State)
			assert.Equal(t, want, row.Classes)
			assert.NotEmpty(t, row.KeyType)
			handle := backend.Handle{ID: row.ID, Label: row.Label, Spec: keystore.Spec(spec), Usage: keystore.Usage(usage)}
			found, err := finder.Find(ctx, handle)
			require.NoError(t, err)
			var classes []string
			for _, o := range found {
				classes = append(classes, o.Class)
				assert.Equal(t, *made.KeyMetadata.Arn, o.Label)
			}
			assert.ElementsMatch(t, want, classes)

			_, err = c.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: made.KeyMetadata.KeyId, PendingWindowInDays: aws.Int32(7)})
			require.NoError(t, err)
			if usage == types.KeyUsageTypeSignVerify {
				_, err = c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: made.KeyMetadata.KeyId})
				fails(t, err, "KMSInvalidStateException", *made.KeyMetadata.Arn+" is pending deletion.")
			}
			a.clock.advance(8 * 24 * time.Hour)
			_, err = a.sweeper.SweepOnce(ctx, a.clock.Now())
			require.NoError(t, err)
			found, err = finder.Find(ctx, handle)
			require.NoError(t, err)
			assert.Empty(t, found, "nothing is left on the token")
			assert.Equal(t, keystore.MaterialDestroyed, ledgerRow(t, a, *made.KeyMetadata.Arn).State)
		})
	}
}

func ledgerRow(t *testing.T, a *appliance, arn string) *keystore.Material {
	t.Helper()
	var rows []*keystore.Material
	require.NoError(t, a.db.View(context.Background(), func(tx keystore.Tx) (err error) {
		rows, err = tx.MaterialsOfKey(arn)
		return err
	}))
	require.Len(t, rows, 1, "a pair is one material")
	return rows[0]
}

// TestDataKeyPairs makes a pair of every KeyPairSpec, opens the encrypted private key and uses both halves outside.
func TestDataKeyPairs(t *testing.T) {
	a := start(t)
	c, ctx := a.client(a.root), context.Background()
	key, err := c.CreateKey(ctx, &kms.CreateKeyInput{})
	require.NoError(t, err)
	id, context := key.KeyMetadata.KeyId, map[string]string{"a": "b"}
	for _, spec := range types.DataKeyPairSpec("").Values() {
		t.Run(string(spec), func(t *testing.T) {
			out, err := c.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: id, KeyPairSpec: spec, EncryptionContext: context})
			bare, bareErr := c.GenerateDataKeyPairWithoutPlaintext(ctx, &kms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: id, KeyPairSpec: spec})
			if spec == "SM2" {
				fails(t, err, "UnsupportedOperationException", fmt.Sprintf("KeyPairSpec %s is not supported.", spec))
				fails(t, bareErr, "UnsupportedOperationException", fmt.Sprintf("KeyPairSpec %s is not supported.", spec))
				return
			}
			require.NoError(t, err)
			require.NoError(t, bareErr)
			assert.Equal(t, key.KeyMetadata.Arn, out.KeyId)
			assert.Equal(t, spec, out.KeyPairSpec)
			assert.Equal(t, key.KeyMetadata.CurrentKeyMaterialId, out.KeyMaterialId)
			opened, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: out.PrivateKeyCiphertextBlob, EncryptionContext: context})
			require.NoError(t, err)
			assert.Equal(t, out.PrivateKeyPlaintext, opened.Plaintext)
			matchPair(t, spec, out.PublicKey, out.PrivateKeyPlaintext)
			_, err = c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: out.PrivateKeyCiphertextBlob})
			fails(t, err, "InvalidCiphertextException", "")

			opened, err = c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: bare.PrivateKeyCiphertextBlob})
			require.NoError(t, err)
			matchPair(t, spec, bare.PublicKey, opened.Plaintext)
			assert.NotEqual(t, out.PublicKey, bare.PublicKey)
		})
	}
	_, err = c.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: id, KeyPairSpec: "RSA_4096", DryRun: aws.Bool(true)})
	fails(t, err, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
	record := fmt.Sprint(a.lastRecord(t, "GenerateDataKeyPair"))
	assert.Contains(t, record, "RSA_4096")
}

// matchPair proves that the private key is that of the public one.
func matchPair(t *testing.T, spec types.DataKeyPairSpec, public, private []byte) {
	t.Helper()
	switch spec {
	case "ECC_SECG_P256K1":
		pub, err := secp256k1.ParsePublicKey(public)
		require.NoError(t, err)
		d := private[33:65] // of the one form of PKCS #8 that there is (see the tests of package secp256k1, which ask OpenSSL)
		again, err := secp256k1.GenerateKey(bytes.NewReader(d))
		require.NoError(t, err)
		assert.Equal(t, pub.DER(), again.Public().DER())
		assert.Equal(t, private, again.PKCS8())
		return
	case "ML_KEM_512", "ML_KEM_768", "ML_KEM_1024":
		matchMLKEM(t, spec, public, private)
		return
	}
	key, err := x509.ParsePKCS8PrivateKey(private)
	require.NoError(t, err)
	signer, ok := key.(crypto.Signer)
	require.True(t, ok)
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	require.NoError(t, err)
	assert.Equal(t, der, public)
	info, _ := keystore.LookupSpec(keystore.Spec(spec))
	switch k := key.(type) {
	case *rsa.PrivateKey:
		assert.Equal(t, info.Bits, k.N.BitLen())
		require.NoError(t, k.Validate())
	case *ecdsa.PrivateKey:
		assert.Equal(t, info.Bits, k.Curve.Params().BitSize)
	case ed25519.PrivateKey:
		assert.Equal(t, keystore.ECCEd25519, info.Spec)
	default:
		assert.Failf(t, "another key", "%T", key)
	}
}

// matchMLKEM reads the keys as RFC 9935 describes them.
func matchMLKEM(t *testing.T, spec types.DataKeyPairSpec, public, private []byte) {
	t.Helper()
	var spki struct {
		Algorithm struct{ OID asn1.ObjectIdentifier }
		Key       asn1.BitString
	}
	rest, err := asn1.Unmarshal(public, &spki)
	require.NoError(t, err)
	require.Empty(t, rest)
	var pkcs8 struct {
		Version   int
		Algorithm struct{ OID asn1.ObjectIdentifier }
		Key       []byte
	}
	rest, err = asn1.Unmarshal(private, &pkcs8)
	require.NoError(t, err)
	require.Empty(t, rest)
	var seed asn1.RawValue
	_, err = asn1.Unmarshal(pkcs8.Key, &seed)
	require.NoError(t, err)
	assert.Equal(t, asn1.ClassContextSpecific, seed.Class)
	assert.Equal(t, spki.Algorithm.OID, pkcs8.Algorithm.OID)
	if spec == "ML_KEM_512" {
		assert.Equal(t, "2.16.840.1.101.3.4.4.1", spki.Algorithm.OID.String())
		require.Len(t, seed.Bytes, mlkem512.KeySeedSize)
		key, _ := mlkem512.NewKeyFromSeed(seed.Bytes)
		packed, err := key.MarshalBinary()
		require.NoError(t, err)
		assert.Equal(t, packed, spki.Key.Bytes)
		return
	}
	if spec == "ML_KEM_768" {
		assert.Equal(t, "2.16.840.1.101.3.4.4.2", spki.Algorithm.OID.String())
		key, err := mlkem.NewDecapsulationKey768(seed.Bytes)
		require.NoError(t, err)
		assert.Equal(t, key.EncapsulationKey().Bytes(), spki.Key.Bytes)
		return
	}
	assert.Equal(t, "2.16.840.1.101.3.4.4.3", spki.Algorithm.OID.String())
	key, err := mlkem.NewDecapsulationKey1024(seed.Bytes)
	require.NoError(t, err)
	assert.Equal(t, key.EncapsulationKey().Bytes(), spki.Key.Bytes)
}

// TestKeyIdentifiersAndDryRun: the operations take all four forms of identifier and DryRun.
func TestKeyIdentifiersAndDryRun(t *testing.T) {
	a := start(t)
	c, ctx := a.client(a.root), context.Background()
	create := func(alias string, spec types.KeySpec, usage types.KeyUsageType) *types.KeyMetadata {
		made, err := c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
		require.NoError(t, err)
		_, err = c.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/" + alias), TargetKeyId: made.KeyMetadata.KeyId})
		require.NoError(t, err)
		return made.KeyMetadata
	}
	signer := create("sign", types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	mac := create("mac", types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac)
	agreer := create("agree", types.KeySpecEccNistP384, types.KeyUsageTypeKeyAgreement)
	sealer := create("seal", types.KeySpecSymmetricDefault, types.KeyUsageTypeEncryptDecrypt)
	signature, err := c.Sign(ctx, &kms.SignInput{KeyId: signer.KeyId, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256"})
	require.NoError(t, err)
	code, err := c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: mac.KeyId, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"})
	require.NoError(t, err)
	peer, err := c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: agreer.KeyId})
	require.NoError(t, err)

	for name, call := range map[string]struct {
		md    *types.KeyMetadata
		alias string
		do    func(id *string, dry *bool) (*string, error)
	}{
		"Sign": {signer, "sign", func(id *string, dry *bool) (*string, error) {
			out, err := c.Sign(ctx, &kms.SignInput{KeyId: id, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256", DryRun: dry})
			return keyOf(out, err, func() *string { return out.KeyId })
		}},
		"Verify": {signer, "sign", func(id *string, dry *bool) (*string, error) {
			out, err := c.Verify(ctx, &kms.VerifyInput{KeyId: id, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256", Signature: signature.Signature, DryRun: dry})
			return keyOf(out, err, func() *string { return out.KeyId })
		}},
		"GenerateMac": {mac, "mac", func(id *string, dry *bool) (*string, error) {
			out, err := c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: id, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256", DryRun: dry})
			return keyOf(out, err, func() *string { return out.KeyId })
		}},
		"VerifyMac": {mac, "mac", func(id *string, dry *bool) (*string, error) {
			out, err := c.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: id, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256", Mac: code.Mac, DryRun: dry})
			return keyOf(out, err, func() *string { return out.KeyId })
		}},
		"DeriveSharedSecret": {agreer, "agree", func(id *string, dry *bool) (*string, error) {
			out, err := c.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: id, PublicKey: peer.PublicKey, KeyAgreementAlgorithm: "ECDH", DryRun: dry})
			return keyOf(out, err, func() *string { return out.KeyId })
		}},
		"GenerateDataKeyPair": {sealer, "seal", func(id *string, dry *bool) (*string, error) {
			out, err := c.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: id, KeyPairSpec: "ECC_NIST_P256", DryRun: dry})
			return keyOf(out, err, func() *string { return out.KeyId })
		}},
		"GenerateDataKeyPairWithoutPlaintext": {sealer, "seal", func(id *string, dry *bool) (*string, error) {
			out, err := c.GenerateDataKeyPairWithoutPlaintext(ctx, &kms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: id, KeyPairSpec: "ECC_NIST_P256", DryRun: dry})
			return keyOf(out, err, func() *string { return out.KeyId })
		}},
		"GetPublicKey": {signer, "sign", func(id *string, dry *bool) (*string, error) {
			if dry != nil {
				return nil, errNoDryRun
			}
			out, err := c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: id})
			return keyOf(out, err, func() *string { return out.KeyId })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			aliasARN := keystore.AliasARN(region, account, "alias/"+call.alias)
			for _, id := range []string{*call.md.KeyId, *call.md.Arn, "alias/" + call.alias, aliasARN} {
				got, err := call.do(&id, nil)
				require.NoError(t, err, id)
				assert.Equal(t, call.md.Arn, got, "the answer names the key")
			}
			_, err := call.do(aws.String("alias/absent"), nil)
			fails(t, err, "NotFoundException", "Alias "+keystore.AliasARN(region, account, "alias/absent")+" is not found.")
			if _, err = call.do(call.md.KeyId, aws.Bool(true)); !errors.Is(err, errNoDryRun) {
				fails(t, err, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set.")
			}
		})
	}
}

var errNoDryRun = errors.New("the operation has no DryRun")

func keyOf[O any](_ *O, err error, id func() *string) (*string, error) {
	if err != nil {
		return nil, err
	}
	return id(), nil
}

// TestAsymmetricRecords: the audit log has what CloudTrail shows of these operations, and no message, MAC or secret.
func TestAsymmetricRecords(t *testing.T) {
	a := start(t)
	c, ctx := a.client(a.root), context.Background()
	create := func(spec types.KeySpec, usage types.KeyUsageType) *types.KeyMetadata {
		made, err := c.CreateKey(ctx, &kms.CreateKeyInput{KeySpec: spec, KeyUsage: usage})
		require.NoError(t, err)
		return made.KeyMetadata
	}
	signer, mac := create("ECC_NIST_P256", "SIGN_VERIFY"), create("HMAC_256", "GENERATE_VERIFY_MAC")
	agreer, sealer := create("ECC_NIST_P256", "KEY_AGREEMENT"), create("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT")
	peer, err := c.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: agreer.KeyId})
	require.NoError(t, err)
	signed, err := c.Sign(ctx, &kms.SignInput{KeyId: signer.Arn, Message: []byte("m"), MessageType: "RAW", SigningAlgorithm: "ECDSA_SHA_256"})
	require.NoError(t, err)
	_, err = c.Verify(ctx, &kms.VerifyInput{KeyId: signer.Arn, Message: []byte("m"), SigningAlgorithm: "ECDSA_SHA_256", Signature: signed.Signature})
	require.NoError(t, err)
	code, err := c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: mac.Arn, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256"})
	require.NoError(t, err)
	_, err = c.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: mac.Arn, Message: []byte("m"), MacAlgorithm: "HMAC_SHA_256", Mac: code.Mac})
	require.NoError(t, err)
	_, err = c.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: agreer.Arn, PublicKey: peer.PublicKey, KeyAgreementAlgorithm: "ECDH"})
	require.NoError(t, err)
	_, err = c.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: sealer.Arn, KeyPairSpec: "ECC_NIST_P256"})
	require.NoError(t, err)

	for operation, want := range map[string]map[string]any{
		"Sign":                {"keyId": *signer.Arn, "messageType": "RAW", "signingAlgorithm": "ECDSA_SHA_256"},
		"Verify":              {"keyId": *signer.Arn, "signingAlgorithm": "ECDSA_SHA_256"},
		"GenerateMac":         {"keyId": *mac.Arn, "macAlgorithm": "HMAC_SHA_256"},
		"VerifyMac":           {"keyId": *mac.Arn, "macAlgorithm": "HMAC_SHA_256"},
		"GetPublicKey":        {"keyId": *agreer.KeyId},
		"DeriveSharedSecret":  {"keyId": *agreer.Arn, "keyAgreementAlgorithm": "ECDH"},
		"GenerateDataKeyPair": {"keyId": *sealer.Arn, "keyPairSpec": "ECC_NIST_P256"},
	} {
		record := a.lastRecord(t, operation)
		assert.Equal(t, want, record["requestParameters"], operation)
		assert.Nil(t, record["responseElements"], operation)
		assert.Equal(t, true, record["readOnly"], operation)
		resources, ok := record["resources"].([]any)
		require.True(t, ok)
		require.Len(t, resources, 1, operation)
		assert.Contains(t, fmt.Sprint(resources[0]), keystore.KeyARN(region, account, ""), operation)
	}
}
