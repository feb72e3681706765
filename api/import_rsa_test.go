package api_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The larger RSA keys: material of up to 2400 bytes, which RSA_AES_KEY_WRAP alone carries, under each wrapping key.
func TestImportOfLargerRSAKeys(t *testing.T) {
	a := start(t)
	u := a.rootUser()
	for bits, row := range map[int]struct {
		spec  types.KeySpec
		wrap  types.AlgorithmSpec
		under types.WrappingKeySpec
	}{
		3072: {types.KeySpecRsa3072, types.AlgorithmSpecRsaAesKeyWrapSha256, types.WrappingKeySpecRsa3072},
		4096: {types.KeySpecRsa4096, types.AlgorithmSpecRsaAesKeyWrapSha1, types.WrappingKeySpecRsa4096},
	} {
		t.Run(fmt.Sprint(row.spec), func(t *testing.T) {
			key, err := rsa.GenerateKey(rand.Reader, bits)
			require.NoError(t, err)
			load := func(k *types.KeyMetadata, material []byte) error {
				under := types.WrappingKeySpecRsa2048
				if k.KeyUsage == types.KeyUsageTypeEncryptDecrypt {
					under = row.under // once is enough: making them takes long
				}
				p := u.parameters(t, k.KeyId, row.wrap, under)
				_, err := u.ImportKeyMaterial(t.Context(), &kms.ImportKeyMaterialInput{KeyId: k.KeyId, ImportToken: p.ImportToken,
					EncryptedKeyMaterial: wrapFor(t, row.wrap, p.PublicKey, material),
					ExpirationModel:      types.ExpirationModelTypeKeyMaterialDoesNotExpire})
				return err
			}
			for _, alg := range []types.AlgorithmSpec{types.AlgorithmSpecRsaesOaepSha1, types.AlgorithmSpecRsaesOaepSha256} {
				k := u.external(t, row.spec, types.KeyUsageTypeSignVerify, false)
				_, err := u.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{KeyId: k.KeyId,
					WrappingAlgorithm: alg, WrappingKeySpec: row.under})
				isException(t, err, "ValidationException", fmt.Sprintf(
					"WrappingAlgorithm %s with WrappingKeySpec %s cannot be used to import key material for KeySpec %s.", alg, row.under, row.spec))
			}

			signer := u.external(t, row.spec, types.KeyUsageTypeSignVerify, false)
			require.NoError(t, load(signer, pkcs8(t, key)))
			shown, err := u.GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: signer.KeyId})
			require.NoError(t, err)
			want, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
			require.NoError(t, err)
			assert.Equal(t, want, shown.PublicKey)
			a.signsAs(t, u, signer, key)

			opener := u.external(t, row.spec, types.KeyUsageTypeEncryptDecrypt, false)
			require.NoError(t, load(opener, pkcs8(t, key)))
			a.opensAs(t, u, opener, key)

			// The same material only, before and after it was deleted.
			other, err := rsa.GenerateKey(rand.Reader, bits)
			require.NoError(t, err)
			refused := "The key material in the request is not the key material that was imported into KMS key " + *signer.Arn + "."
			isException(t, load(signer, pkcs8(t, other)), "IncorrectKeyMaterialException", refused)
			_, err = u.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: signer.KeyId})
			require.NoError(t, err)
			assert.Equal(t, types.KeyStatePendingImport, u.describe(t, signer.KeyId).KeyState)
			isException(t, load(signer, pkcs8(t, other)), "IncorrectKeyMaterialException", refused)
			require.NoError(t, load(signer, pkcs8(t, key)))
			a.signsAs(t, u, signer, key)

			small, err := rsa.GenerateKey(rand.Reader, 2048)
			require.NoError(t, err)
			empty := u.external(t, row.spec, types.KeyUsageTypeSignVerify, false)
			isException(t, load(empty, pkcs8(t, small)), "IncorrectKeyMaterialException", "*")
			assert.Equal(t, types.KeyStatePendingImport, u.describe(t, empty.KeyId).KeyState)
		})
	}
	a.noStrays(t)
}

// signsAs: a KMS key signs as the key outside does.
func (a *appliance) signsAs(t *testing.T, u *user, k *types.KeyMetadata, key *rsa.PrivateKey) {
	t.Helper()
	sign := func(alg types.SigningAlgorithmSpec) []byte {
		out, err := u.Sign(t.Context(), &kms.SignInput{KeyId: k.KeyId, Message: []byte("m"), SigningAlgorithm: alg})
		require.NoError(t, err)
		return out.Signature
	}
	short, long := sha256.Sum256([]byte("m")), sha512.Sum512([]byte("m"))
	require.NoError(t, rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, short[:], sign(types.SigningAlgorithmSpecRsassaPkcs1V15Sha256)))
	require.NoError(t, rsa.VerifyPSS(&key.PublicKey, crypto.SHA512, long[:], sign(types.SigningAlgorithmSpecRsassaPssSha512), nil))
}

// opensAs: a KMS key opens what was encrypted to the key outside.
func (a *appliance) opensAs(t *testing.T, u *user, k *types.KeyMetadata, key *rsa.PrivateKey) {
	t.Helper()
	blob, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, []byte("gold"), nil)
	require.NoError(t, err)
	out, err := u.Decrypt(t.Context(), &kms.DecryptInput{KeyId: k.KeyId, CiphertextBlob: blob,
		EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256})
	require.NoError(t, err)
	assert.Equal(t, "gold", string(out.Plaintext))
}
