package api_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"hash"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// wrapFor encrypts key material as its owner does.
func wrapFor(t testing.TB, algorithm types.AlgorithmSpec, public, material []byte) []byte {
	t.Helper()
	parsed, err := x509.ParsePKIXPublicKey(public)
	require.NoError(t, err)
	pub := parsed.(*rsa.PublicKey)
	var h hash.Hash = sha256.New()
	if strings.HasSuffix(string(algorithm), "SHA_1") {
		h = sha1.New()
	}
	if strings.HasPrefix(string(algorithm), "RSAES") {
		out, err := rsa.EncryptOAEP(h, rand.Reader, pub, material, nil)
		require.NoError(t, err)
		return out
	}
	kek := make([]byte, 32)
	_, _ = rand.Read(kek)
	out, err := rsa.EncryptOAEP(h, rand.Reader, pub, kek, nil)
	require.NoError(t, err)
	return append(out, hsmtest.WrapKWP(t, kek, material)...)
}

// external makes a key without material.
func (u *user) external(t testing.TB, spec types.KeySpec, usage types.KeyUsageType, multi bool) *types.KeyMetadata {
	t.Helper()
	out, err := u.CreateKey(t.Context(), &kms.CreateKeyInput{Origin: types.OriginTypeExternal, KeySpec: spec, KeyUsage: usage, MultiRegion: &multi})
	require.NoError(t, err)
	assert.Equal(t, types.KeyStatePendingImport, out.KeyMetadata.KeyState)
	assert.False(t, out.KeyMetadata.Enabled)
	assert.Nil(t, out.KeyMetadata.CurrentKeyMaterialId)
	assert.Empty(t, out.KeyMetadata.ExpirationModel)
	return out.KeyMetadata
}

func (u *user) parameters(t testing.TB, id *string, alg types.AlgorithmSpec, spec types.WrappingKeySpec) *kms.GetParametersForImportOutput {
	t.Helper()
	out, err := u.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{KeyId: id, WrappingAlgorithm: alg, WrappingKeySpec: spec})
	require.NoError(t, err)
	return out
}

// wrapped makes an import request for material under fresh parameters; it does not expire.
func (u *user) wrapped(t testing.TB, id *string, material []byte) *kms.ImportKeyMaterialInput {
	t.Helper()
	p := u.parameters(t, id, types.AlgorithmSpecRsaesOaepSha256, types.WrappingKeySpecRsa2048)
	return &kms.ImportKeyMaterialInput{KeyId: id, ImportToken: p.ImportToken, ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire,
		EncryptedKeyMaterial: wrapFor(t, types.AlgorithmSpecRsaesOaepSha256, p.PublicKey, material)}
}

func (u *user) importMaterial(t testing.TB, id *string, material []byte) string {
	t.Helper()
	out, err := u.ImportKeyMaterial(t.Context(), u.wrapped(t, id, material))
	require.NoError(t, err)
	return aws.ToString(out.KeyMaterialId)
}

func (u *user) describe(t testing.TB, id *string) *types.KeyMetadata {
	t.Helper()
	out, err := u.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: id})
	require.NoError(t, err)
	return out.KeyMetadata
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return der
}

// Every wrapping algorithm with every wrapping key, for symmetric material.
func TestImportBySymmetricWrappings(t *testing.T) {
	a := start(t)
	u := a.rootUser()
	for _, alg := range []types.AlgorithmSpec{types.AlgorithmSpecRsaesOaepSha1, types.AlgorithmSpecRsaesOaepSha256,
		types.AlgorithmSpecRsaAesKeyWrapSha1, types.AlgorithmSpecRsaAesKeyWrapSha256} {
		for _, spec := range []types.WrappingKeySpec{types.WrappingKeySpecRsa2048, types.WrappingKeySpecRsa3072, types.WrappingKeySpecRsa4096} {
			if spec == types.WrappingKeySpecRsa4096 && alg != types.AlgorithmSpecRsaesOaepSha256 {
				continue // one is enough: making them takes long
			}
			t.Run(fmt.Sprint(alg, " ", spec), func(t *testing.T) {
				k := u.external(t, types.KeySpecSymmetricDefault, "", false)
				before := time.Now()
				p := u.parameters(t, k.KeyId, alg, spec)
				assert.Equal(t, *k.Arn, *p.KeyId)
				between(t, *p.ParametersValidTo, before, day)
				out, err := u.ImportKeyMaterial(t.Context(), &kms.ImportKeyMaterialInput{KeyId: k.KeyId, ImportToken: p.ImportToken,
					EncryptedKeyMaterial: wrapFor(t, alg, p.PublicKey, randomBytes(32)), ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire})
				require.NoError(t, err)
				assert.Equal(t, *k.Arn, *out.KeyId)
				assert.Len(t, *out.KeyMaterialId, 64)
				now := u.describe(t, k.KeyId)
				assert.Equal(t, types.KeyStateEnabled, now.KeyState)
				assert.True(t, now.Enabled)
				assert.Equal(t, *out.KeyMaterialId, *now.CurrentKeyMaterialId)
				assert.Equal(t, types.ExpirationModelTypeKeyMaterialDoesNotExpire, now.ExpirationModel)
				assert.Nil(t, now.ValidTo)
				blob, err := u.Encrypt(t.Context(), &kms.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("gold")})
				require.NoError(t, err)
				require.NoError(t, u.decrypt(t, blob.CiphertextBlob, nil))
			})
		}
	}
	a.noStrays(t)
}

// noStrays holds tokens and ledger against each other: no object of a wrapping key is left, and every object has its row.
func (a *appliance) noStrays(t testing.TB) {
	t.Helper()
	report, err := a.orphans.Scan(t.Context(), lifecycle.ScanFilter{})
	require.NoError(t, err)
	assert.Empty(t, report.Unknown)
	assert.Empty(t, report.Missing)
	assert.Empty(t, report.Orphaned)
	assert.Empty(t, report.Gone)
	require.NoError(t, a.db.View(t.Context(), func(tx keystore.Tx) error {
		rows, err := tx.Materials(keystore.MaterialID{}, 10_000)
		for _, m := range rows {
			assert.Contains(t, []keystore.MaterialState{keystore.MaterialLive, keystore.MaterialDestroyed}, m.State, "%s %s", m.Label, m.Reason)
		}
		return err
	}))
}

// Imported HMAC keys and key pairs do what the same keys do outside.
func TestImportOfEveryType(t *testing.T) {
	a := start(t)
	u := a.rootUser()
	t.Run("HMAC", func(t *testing.T) {
		for spec, c := range map[types.KeySpec]struct {
			size int
			alg  types.MacAlgorithmSpec
			hash func() hash.Hash
		}{
			types.KeySpecHmac224: {28, types.MacAlgorithmSpecHmacSha224, sha256.New224},
			types.KeySpecHmac256: {32, types.MacAlgorithmSpecHmacSha256, sha256.New},
			types.KeySpecHmac384: {48, types.MacAlgorithmSpecHmacSha384, sha512.New384},
			types.KeySpecHmac512: {64, types.MacAlgorithmSpecHmacSha512, sha512.New},
		} {
			k := u.external(t, spec, types.KeyUsageTypeGenerateVerifyMac, false)
			material := randomBytes(c.size)
			assert.Empty(t, u.importMaterial(t, k.KeyId, material))
			out, err := u.GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: k.KeyId, MacAlgorithm: c.alg, Message: []byte("m")})
			require.NoError(t, err)
			h := hmac.New(c.hash, material)
			h.Write([]byte("m"))
			assert.Equal(t, h.Sum(nil), out.Mac)
			_, err = u.ImportKeyMaterial(t.Context(), u.wrapped(t, k.KeyId, randomBytes(c.size)))
			isException(t, err, "IncorrectKeyMaterialException", "The key material in the request is not the key material that was imported into KMS key "+*k.Arn+".")
			u.importMaterial(t, k.KeyId, material)
		}
	})
	t.Run("ECC", func(t *testing.T) { a.importCurves(t, u) })
	t.Run("RSA", func(t *testing.T) { a.importRSA(t, u) })
	t.Run("secp256k1", func(t *testing.T) {
		k := u.external(t, types.KeySpecEccSecgP256k1, types.KeyUsageTypeSignVerify, false)
		der := k1PKCS8(t)
		u.importMaterial(t, k.KeyId, der)
		out, err := u.Sign(t.Context(), &kms.SignInput{KeyId: k.KeyId, Message: []byte("m"), SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
		require.NoError(t, err)
		_, err = u.Verify(t.Context(), &kms.VerifyInput{KeyId: k.KeyId, Message: []byte("m"), Signature: out.Signature,
			SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256})
		require.NoError(t, err)
	})
	a.noStrays(t)
}

// k1PKCS8 is the PKCS#8 form of the private key 7 on secp256k1.
func k1PKCS8(t testing.TB) []byte {
	t.Helper()
	d := make([]byte, 32)
	d[31] = 7
	inner, err := asn1.Marshal(struct {
		Version int
		D       []byte
	}{1, d})
	require.NoError(t, err)
	der, err := asn1.Marshal(struct {
		Version   int
		Algorithm struct{ Algorithm, Curve asn1.ObjectIdentifier }
		Key       []byte
	}{Algorithm: struct{ Algorithm, Curve asn1.ObjectIdentifier }{
		asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}, asn1.ObjectIdentifier{1, 3, 132, 0, 10}}, Key: inner})
	require.NoError(t, err)
	return der
}

func (a *appliance) importCurves(t *testing.T, u *user) {
	for spec, c := range map[types.KeySpec]struct {
		curve elliptic.Curve
		alg   types.SigningAlgorithmSpec
		wrap  types.AlgorithmSpec
		under types.WrappingKeySpec
		sum   func([]byte) []byte
	}{
		types.KeySpecEccNistP256: {elliptic.P256(), types.SigningAlgorithmSpecEcdsaSha256, types.AlgorithmSpecRsaesOaepSha256, types.WrappingKeySpecRsa2048,
			func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }},
		types.KeySpecEccNistP384: {elliptic.P384(), types.SigningAlgorithmSpecEcdsaSha384, types.AlgorithmSpecRsaesOaepSha1, types.WrappingKeySpecRsa3072,
			func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }},
		types.KeySpecEccNistP521: {elliptic.P521(), types.SigningAlgorithmSpecEcdsaSha512, types.AlgorithmSpecRsaAesKeyWrapSha256, types.WrappingKeySpecRsa2048,
			func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }},
	} {
		key, err := ecdsa.GenerateKey(c.curve, rand.Reader)
		require.NoError(t, err)
		k := u.external(t, spec, types.KeyUsageTypeSignVerify, false)
		p := u.parameters(t, k.KeyId, c.wrap, c.under)
		in := &kms.ImportKeyMaterialInput{KeyId: k.KeyId, ImportToken: p.ImportToken, ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire,
			EncryptedKeyMaterial: wrapFor(t, c.wrap, p.PublicKey, pkcs8(t, key))}
		_, err = u.ImportKeyMaterial(t.Context(), in)
		require.NoError(t, err, "%s", spec)
		pub, err := u.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: k.KeyId})
		require.NoError(t, err)
		want, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		require.NoError(t, err)
		assert.Equal(t, want, pub.PublicKey)
		out, err := u.Sign(t.Context(), &kms.SignInput{KeyId: k.KeyId, Message: []byte("m"), SigningAlgorithm: c.alg})
		require.NoError(t, err)
		assert.True(t, ecdsa.VerifyASN1(&key.PublicKey, c.sum([]byte("m")), out.Signature))
	}
	k := u.external(t, types.KeySpecEccNistP521, types.KeyUsageTypeSignVerify, false)
	_, err := u.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{KeyId: k.KeyId,
		WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	isException(t, err, "ValidationException",
		"WrappingAlgorithm RSAES_OAEP_SHA_256 with WrappingKeySpec RSA_2048 cannot be used to import key material for KeySpec ECC_NIST_P521.")
}

// What was encrypted outside to an imported key opens inside, and what it signs verifies outside.
func (a *appliance) importRSA(t *testing.T, u *user) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	k := u.external(t, types.KeySpecRsa2048, types.KeyUsageTypeEncryptDecrypt, false)
	_, err = u.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{KeyId: k.KeyId,
		WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa4096})
	isException(t, err, "ValidationException",
		"WrappingAlgorithm RSAES_OAEP_SHA_256 with WrappingKeySpec RSA_4096 cannot be used to import key material for KeySpec RSA_2048.")
	load := func(k *types.KeyMetadata, alg types.AlgorithmSpec, material []byte) error {
		p := u.parameters(t, k.KeyId, alg, types.WrappingKeySpecRsa2048)
		_, err := u.ImportKeyMaterial(t.Context(), &kms.ImportKeyMaterialInput{KeyId: k.KeyId, ImportToken: p.ImportToken,
			EncryptedKeyMaterial: wrapFor(t, alg, p.PublicKey, material), ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire})
		return err
	}
	require.NoError(t, load(k, types.AlgorithmSpecRsaAesKeyWrapSha1, pkcs8(t, key)))
	blob, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, []byte("gold"), nil)
	require.NoError(t, err)
	out, err := u.Decrypt(t.Context(), &kms.DecryptInput{KeyId: k.KeyId, CiphertextBlob: blob, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256})
	require.NoError(t, err)
	assert.Equal(t, "gold", string(out.Plaintext))

	s := u.external(t, types.KeySpecRsa2048, types.KeyUsageTypeSignVerify, false)
	require.NoError(t, load(s, types.AlgorithmSpecRsaAesKeyWrapSha256, pkcs8(t, key)))
	sig, err := u.Sign(t.Context(), &kms.SignInput{KeyId: s.KeyId, Message: []byte("m"), SigningAlgorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha256})
	require.NoError(t, err)
	sum := sha256.Sum256([]byte("m"))
	require.NoError(t, rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], sig.Signature))

	other, err := rsa.GenerateKey(rand.Reader, 3072)
	require.NoError(t, err)
	require.Error(t, load(s, types.AlgorithmSpecRsaAesKeyWrapSha256, pkcs8(t, other)), "a key of another size")
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	isException(t, load(s, types.AlgorithmSpecRsaAesKeyWrapSha256, pkcs8(t, ec)), "IncorrectKeyMaterialException", "*")
	isException(t, load(s, types.AlgorithmSpecRsaAesKeyWrapSha256, randomBytes(1200)), "IncorrectKeyMaterialException", "*")
	assert.Equal(t, types.KeyStateEnabled, u.describe(t, s.KeyId).KeyState)
}

// Material expires by the clock; the same one brings the key back, with its ciphertexts, and nothing else does.
func TestImportedMaterialExpiresAndComesBack(t *testing.T) {
	a := start(t)
	u := a.rootUser()
	k := u.external(t, types.KeySpecSymmetricDefault, "", false)
	_, err := u.Encrypt(t.Context(), &kms.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("x")})
	isException(t, err, "KMSInvalidStateException", *k.Arn+" is pending import.")
	material := randomBytes(32)
	in := u.wrapped(t, k.KeyId, material)
	in.ExpirationModel, in.KeyMaterialDescription = types.ExpirationModelTypeKeyMaterialExpires, aws.String("from the safe")
	_, err = u.ImportKeyMaterial(t.Context(), in)
	isException(t, err, "ValidationException", "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")
	validTo := a.clock.Now().Add(7 * 24 * time.Hour).UTC().Truncate(time.Second)
	in.ValidTo, in.ExpirationModel = &validTo, ""
	first, err := u.ImportKeyMaterial(t.Context(), in)
	require.NoError(t, err, "a refused import leaves the token unused")
	now := u.describe(t, k.KeyId)
	assert.Equal(t, types.ExpirationModelTypeKeyMaterialExpires, now.ExpirationModel)
	assert.Equal(t, validTo, now.ValidTo.UTC())
	blob, err := u.Encrypt(t.Context(), &kms.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("gold")})
	require.NoError(t, err)

	a.clock.advance(8 * 24 * time.Hour)
	report, err := a.expirer.ExpireOnce(t.Context(), a.clock.Now())
	require.NoError(t, err)
	assert.Equal(t, 1, report.Materials)
	now = u.describe(t, k.KeyId)
	assert.Equal(t, types.KeyStatePendingImport, now.KeyState)
	assert.Empty(t, now.ExpirationModel)
	assert.Nil(t, now.ValidTo)
	assert.Equal(t, *first.KeyMaterialId, *now.CurrentKeyMaterialId, "it is still shown")
	isException(t, u.decrypt(t, blob.CiphertextBlob, nil), "KMSInvalidStateException", *k.Arn+" is pending import.")
	a.noStrays(t)

	_, err = u.ImportKeyMaterial(t.Context(), u.wrapped(t, k.KeyId, randomBytes(32)))
	isException(t, err, "IncorrectKeyMaterialException", "*")
	again := u.importMaterial(t, k.KeyId, material)
	assert.Equal(t, *first.KeyMaterialId, again)
	require.NoError(t, u.decrypt(t, blob.CiphertextBlob, nil))
	assert.Equal(t, types.ExpirationModelTypeKeyMaterialDoesNotExpire, u.describe(t, k.KeyId).ExpirationModel)
	list := u.allMaterial(t, k.KeyId)
	require.Len(t, list, 1)
	assert.Equal(t, "from the safe", *list[0].KeyMaterialDescription, "retained")
	assert.Equal(t, types.ImportStateImported, list[0].ImportState)

	// Once more over present material: what is there stays, its expiry changes.
	in = u.wrapped(t, k.KeyId, material)
	validTo = a.clock.Now().Add(time.Hour).UTC().Truncate(time.Second)
	in.ValidTo, in.ExpirationModel, in.KeyMaterialId = &validTo, types.ExpirationModelTypeKeyMaterialExpires, &again
	_, err = u.ImportKeyMaterial(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, validTo, u.describe(t, k.KeyId).ValidTo.UTC())
	require.NoError(t, u.decrypt(t, blob.CiphertextBlob, nil))
	a.noStrays(t)
	found := 0
	for _, r := range a.records(t) {
		if r["eventName"] == "DeleteExpiredKeyMaterial" {
			found++
		}
	}
	assert.Equal(t, 1, found)
}

func (u *user) allMaterial(t testing.TB, id *string) []types.RotationsListEntry {
	t.Helper()
	out, err := u.ListKeyRotations(t.Context(), &kms.ListKeyRotationsInput{KeyId: id, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial})
	require.NoError(t, err)
	return out.Rotations
}

// New material of a symmetric key waits for its rotation; then both open what they sealed, and the key needs both.
func TestImportedMaterialRotates(t *testing.T) {
	a := start(t)
	u := a.rootUser()
	k := u.external(t, types.KeySpecSymmetricDefault, "", false)
	one, two := randomBytes(32), randomBytes(32)
	idOne := u.importMaterial(t, k.KeyId, one)
	blobOne, err := u.Encrypt(t.Context(), &kms.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("one")})
	require.NoError(t, err)
	_, err = u.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: k.KeyId})
	isException(t, err, "KMSInvalidStateException", "No available key material pending rotation for the key: "+*k.Arn+".")
	newly := func(material []byte) (*kms.ImportKeyMaterialOutput, error) {
		in := u.wrapped(t, k.KeyId, material)
		in.ImportType = types.ImportTypeNewKeyMaterial
		return u.ImportKeyMaterial(t.Context(), in)
	}
	_, err = newly(one)
	isException(t, err, "IncorrectKeyMaterialException", "*")
	out, err := newly(two)
	require.NoError(t, err)
	idTwo := *out.KeyMaterialId
	assert.NotEqual(t, idOne, idTwo)
	assert.Equal(t, idOne, *u.describe(t, k.KeyId).CurrentKeyMaterialId)
	list := u.allMaterial(t, k.KeyId)
	require.Len(t, list, 2)
	assert.Equal(t, types.KeyMaterialStatePendingRotation, list[1].KeyMaterialState)
	_, err = newly(randomBytes(32))
	isException(t, err, "KMSInvalidStateException", "*")
	assert.ErrorContains(t, err, "cannot be imported into KMS key "+*k.Arn+", because another key material (id: "+idTwo+") is pending rotation.")

	// What waits can be deleted, and replaced.
	gone, err := u.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: k.KeyId, KeyMaterialId: &idTwo})
	require.NoError(t, err)
	assert.Equal(t, idTwo, *gone.KeyMaterialId)
	assert.Equal(t, types.KeyStateEnabled, u.describe(t, k.KeyId).KeyState)
	require.Len(t, u.allMaterial(t, k.KeyId), 1)
	out, err = newly(two)
	require.NoError(t, err)
	idTwo = *out.KeyMaterialId
	_, err = u.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, idTwo, *u.describe(t, k.KeyId).CurrentKeyMaterialId)
	require.NoError(t, u.decrypt(t, blobOne.CiphertextBlob, nil))
	require.NoError(t, u.encrypt(t, *k.KeyId, nil))

	_, err = u.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: k.KeyId, KeyMaterialId: &idOne})
	require.NoError(t, err)
	isException(t, u.encrypt(t, *k.KeyId, nil), "KMSInvalidStateException", *k.Arn+" is pending import.")
	in := u.wrapped(t, k.KeyId, two)
	in.KeyMaterialId = &idOne
	_, err = u.ImportKeyMaterial(t.Context(), in)
	isException(t, err, "IncorrectKeyMaterialException", "*")
	_, err = u.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, idTwo, u.importMaterial(t, k.KeyId, two))
	assert.Equal(t, types.KeyStatePendingImport, u.describe(t, k.KeyId).KeyState, "the first one is missing still")
	assert.Equal(t, idOne, u.importMaterial(t, k.KeyId, one))
	require.NoError(t, u.decrypt(t, blobOne.CiphertextBlob, nil))
	a.noStrays(t)
}

// Deleted material is gone at once; the operations keep to the table of states.
func TestDeleteImportedKeyMaterial(t *testing.T) {
	a := start(t)
	u := a.rootUser()
	k := u.external(t, types.KeySpecSymmetricDefault, "", false)
	del := func() (*kms.DeleteImportedKeyMaterialOutput, error) {
		return u.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: k.KeyId})
	}
	out, err := del()
	require.NoError(t, err)
	assert.Equal(t, *k.Arn, *out.KeyId)
	assert.Nil(t, out.KeyMaterialId)
	material := randomBytes(32)
	id := u.importMaterial(t, k.KeyId, material)
	out, err = del()
	require.NoError(t, err)
	assert.Equal(t, id, *out.KeyMaterialId)
	assert.Equal(t, types.KeyStatePendingImport, u.describe(t, k.KeyId).KeyState)
	_, err = del()
	require.NoError(t, err, "no effect")
	u.importMaterial(t, k.KeyId, material)
	_, err = u.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: k.KeyId})
	require.NoError(t, err)
	u.importMaterial(t, k.KeyId, material)
	assert.Equal(t, types.KeyStateDisabled, u.describe(t, k.KeyId).KeyState)

	waiting := u.wrapped(t, k.KeyId, material)
	_, err = u.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: k.KeyId})
	require.NoError(t, err)
	_, err = u.ImportKeyMaterial(t.Context(), waiting)
	isException(t, err, "KMSInvalidStateException", *k.Arn+" is pending deletion.")
	_, err = u.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{KeyId: k.KeyId,
		WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	isException(t, err, "KMSInvalidStateException", *k.Arn+" is pending deletion.")
	_, err = del()
	require.NoError(t, err)
	assert.Equal(t, types.KeyStatePendingDeletion, u.describe(t, k.KeyId).KeyState)
	_, err = u.CancelKeyDeletion(t.Context(), &kms.CancelKeyDeletionInput{KeyId: k.KeyId})
	require.NoError(t, err)
	assert.Equal(t, types.KeyStatePendingImport, u.describe(t, k.KeyId).KeyState)

	_, err = u.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: k.KeyId, PendingWindowInDays: aws.Int32(7)})
	require.NoError(t, err)
	a.clock.advance(8 * 24 * time.Hour)
	_, err = a.sweeper.SweepOnce(t.Context(), a.clock.Now())
	require.NoError(t, err)
	_, err = a.expirer.ExpireOnce(t.Context(), a.clock.Now())
	require.NoError(t, err)
	a.noStrays(t)

	own := u.newKey(t, "")
	_, err = u.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: own.KeyId})
	isException(t, err, "UnsupportedOperationException", *own.Arn+" origin is AWS_KMS which is not valid for this operation.")
}

// Import tokens go with one key, one day and one use; what does not unwrap says nothing about why.
func TestImportRefusals(t *testing.T) {
	a := start(t)
	u := a.rootUser()
	k, other := u.external(t, types.KeySpecSymmetricDefault, "", false), u.external(t, types.KeySpecSymmetricDefault, "", false)
	bad := "The import token is invalid or is associated with a different KMS key."
	in := u.wrapped(t, k.KeyId, randomBytes(32))
	moved := *in
	moved.KeyId = other.KeyId
	_, err := u.ImportKeyMaterial(t.Context(), &moved)
	isException(t, err, "InvalidImportTokenException", bad)
	for i := range in.ImportToken {
		if i%17 != 0 {
			continue
		}
		forged := *in
		forged.ImportToken = bytes.Clone(in.ImportToken)
		forged.ImportToken[i] ^= 1
		_, err = u.ImportKeyMaterial(t.Context(), &forged)
		isException(t, err, "InvalidImportTokenException", bad)
	}
	forged := *in
	forged.EncryptedKeyMaterial = bytes.Clone(in.EncryptedKeyMaterial)
	forged.EncryptedKeyMaterial[9] ^= 1
	for _, c := range [][]byte{forged.EncryptedKeyMaterial, in.EncryptedKeyMaterial[1:], {1}, randomBytes(6144)} {
		forged.EncryptedKeyMaterial = c
		_, err = u.ImportKeyMaterial(t.Context(), &forged)
		isException(t, err, "InvalidCiphertextException", "")
	}
	for _, n := range []int{1, 16, 31, 33, 64} {
		_, err = u.ImportKeyMaterial(t.Context(), u.wrapped(t, k.KeyId, randomBytes(n)))
		isException(t, err, "IncorrectKeyMaterialException", "*")
	}
	for name, c := range map[string]struct {
		change func(*kms.ImportKeyMaterialInput)
		text   string
	}{
		"past": {func(in *kms.ImportKeyMaterialInput) {
			in.ExpirationModel, in.ValidTo = "", aws.Time(a.clock.Now().Add(-time.Hour))
		}, "The validTo date must be in the future"},
		"far": {func(in *kms.ImportKeyMaterialInput) {
			in.ExpirationModel, in.ValidTo = "", aws.Time(a.clock.Now().AddDate(1, 0, 2))
		}, "The validTo date must not be more than 365 days in the future"},
		"needless": {func(in *kms.ImportKeyMaterialInput) { in.ValidTo = aws.Time(a.clock.Now().Add(time.Hour)) }, "A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE"},
		"new and id": {func(in *kms.ImportKeyMaterialInput) {
			in.ImportType, in.KeyMaterialId = types.ImportTypeNewKeyMaterial, aws.String(strings.Repeat("a", 64))
		}, "You cannot specify a KeyMaterialId with ImportType NEW_KEY_MATERIAL"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := *in
			c.change(&changed)
			_, err := u.ImportKeyMaterial(t.Context(), &changed)
			isException(t, err, "ValidationException", c.text)
		})
	}
	mac := u.external(t, types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac, false)
	typed := u.wrapped(t, mac.KeyId, randomBytes(32))
	typed.ImportType = types.ImportTypeNewKeyMaterial
	_, err = u.ImportKeyMaterial(t.Context(), typed)
	isException(t, err, "ValidationException", "ImportType is valid only for symmetric encryption keys")
	existing := u.wrapped(t, k.KeyId, randomBytes(32))
	existing.ImportType = types.ImportTypeExistingKeyMaterial
	_, err = u.ImportKeyMaterial(t.Context(), existing)
	isException(t, err, "IncorrectKeyMaterialException", "*")

	_, err = u.ImportKeyMaterial(t.Context(), in)
	require.NoError(t, err, "the token was not used up by refusals")
	_, err = u.ImportKeyMaterial(t.Context(), in)
	isException(t, err, "InvalidImportTokenException", bad)

	late := u.wrapped(t, k.KeyId, randomBytes(32))
	a.clock.advance(25 * time.Hour)
	_, err = u.ImportKeyMaterial(t.Context(), late)
	isException(t, err, "ExpiredImportTokenException",
		"The import token is expired. Use GetParametersForImport to get a new import token and public key.")
	report, err := a.expirer.ExpireOnce(t.Context(), a.clock.Now())
	require.NoError(t, err)
	assert.NotZero(t, report.WrappingKeys)
	a.noStrays(t)

	for alg, spec := range map[types.AlgorithmSpec]types.WrappingKeySpec{
		types.AlgorithmSpecRsaesPkcs1V15: types.WrappingKeySpecRsa2048, types.AlgorithmSpecSm2pke: types.WrappingKeySpecSm2,
		types.AlgorithmSpecRsaesOaepSha256: types.WrappingKeySpecSm2,
	} {
		_, err = u.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{KeyId: k.KeyId, WrappingAlgorithm: alg, WrappingKeySpec: spec})
		isException(t, err, "UnsupportedOperationException", "*")
	}
	own := u.newKey(t, "")
	_, err = u.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{KeyId: own.KeyId,
		WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	isException(t, err, "UnsupportedOperationException", *own.Arn+" origin is AWS_KMS which is not valid for this operation.")
	_, err = u.CreateKey(t.Context(), &kms.CreateKeyInput{Origin: types.OriginTypeExternal, KeySpec: types.KeySpecMlDsa44, KeyUsage: types.KeyUsageTypeSignVerify})
	isException(t, err, "ValidationException", "KeySpec ML_DSA_44 is not supported for Origin EXTERNAL")
	for range 20 {
		if _, err = u.GetParametersForImport(context.Background(), &kms.GetParametersForImportInput{KeyId: other.KeyId,
			WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048}); err != nil {
			break
		}
	}
	require.NoError(t, err)
	_, err = u.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{KeyId: other.KeyId,
		WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048})
	isException(t, err, "LimitExceededException", "*")
}
