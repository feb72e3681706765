package crypt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/crypt"
)

// latticeVectors are known answers: testdata/vectors/lattice.
type latticeVectors struct {
	Signatures []struct {
		Spec         keystore.Spec
		PublicKeyDer []byte
		Tests        []struct {
			Comment                     string
			Context, Message, Signature []byte
			Valid                       bool
		}
	}
}

func readLattice(t *testing.T) latticeVectors {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", "lattice", "wycheproof.json"))
	require.NoError(t, err)
	var v latticeVectors
	require.NoError(t, json.Unmarshal(raw, &v))
	require.Len(t, v.Signatures, 3)
	return v
}

// Verify takes the known good signatures of ML-DSA with an empty context, and no other.
func TestVerifyOfKnownMLDSASignatures(t *testing.T) {
	for _, set := range readLattice(t).Signatures {
		t.Run(string(set.Spec), func(t *testing.T) {
			w, token := softWorld(t)
			k := w.pair(set.Spec, keystore.UsageSignVerify)
			token.lies = set.PublicKeyDer
			for _, c := range set.Tests {
				_, err := w.Verify(t.Context(), w.root, &crypt.VerifyInput{KeyID: k.ARN(), Message: c.Message, Signature: c.Signature,
					SigningAlgorithm: "ML_DSA_SHAKE_256"})
				if c.Valid && len(c.Context) == 0 {
					require.NoError(t, err, c.Comment)
				} else {
					faulty(t, err, keystore.KindInvalidSignature, "")
				}
			}
		})
	}
}

// What a store shows as the public key of another spec, or in another form, is not believed.
func TestLatticePublicKeysAreOfTheirSpec(t *testing.T) {
	sets := readLattice(t).Signatures
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	_, err := asn1.Unmarshal(sets[1].PublicKeyDer, &info)
	require.NoError(t, err)
	info.Key.BitLength -= 8
	info.Key.Bytes = info.Key.Bytes[1:]
	short, err := asn1.Marshal(info)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ecc, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	for name, der := range map[string][]byte{"of another set": sets[0].PublicKeyDer, "of another algorithm": ecc,
		"no DER": []byte("rubbish"), "more than a key": append(sets[1].PublicKeyDer, 0), "cut short": sets[1].PublicKeyDer[:100],
		"a byte short": short} {
		w, token := softWorld(t)
		k := w.pair(keystore.MLDSA65, keystore.UsageSignVerify)
		token.lies = der
		_, err := w.GetPublicKey(t.Context(), w.root, &crypt.PublicKeyInput{KeyID: k.ARN()})
		assert.Equal(t, keystore.KindInternal, keystore.KindOf(err), name)
	}
}

func TestMessageTypesOfMLDSA(t *testing.T) {
	w, token := softWorld(t)
	k := w.pair(keystore.MLDSA44, keystore.UsageSignVerify)
	for _, row := range []struct {
		kind string
		size int
		want keystore.Kind
		text string
	}{
		{"DIGEST", 64, keystore.KindValidation, "Message type DIGEST is incompatible with algorithm ML_DSA_SHAKE_256."},
		{"EXTERNAL_MU", 65, keystore.KindValidation, "Message of type EXTERNAL_MU must be 64 bytes long."},
		{"EXTERNAL_MU", 64, keystore.KindUnsupportedOperation, "Message type EXTERNAL_MU is not supported. Use RAW."},
	} {
		_, err := w.Sign(t.Context(), w.root, &crypt.SignInput{KeyID: k.ARN(), Message: make([]byte, row.size), MessageType: row.kind,
			SigningAlgorithm: "ML_DSA_SHAKE_256"})
		faulty(t, err, row.want, row.text)
	}
	assert.Zero(t, token.count("Sign"), "nothing reached the token")
	message := []byte("a message")
	out, err := w.Sign(t.Context(), w.root, &crypt.SignInput{KeyID: k.ARN(), Message: message, SigningAlgorithm: "ML_DSA_SHAKE_256"})
	require.NoError(t, err)
	_, err = w.Verify(t.Context(), w.root, &crypt.VerifyInput{KeyID: k.ARN(), Message: message, Signature: out.Signature,
		SigningAlgorithm: "ML_DSA_SHAKE_256"})
	require.NoError(t, err)
}

// A secret that is carried to a key is found again by its ciphertext, and only of a key for that.
func TestEncapsulateAndDecapsulate(t *testing.T) {
	w, _ := softWorld(t)
	k := w.pair(keystore.MLKEM768, keystore.UsageEncapsulateDecp)
	made, err := w.Encapsulate(t.Context(), w.root, &crypt.EncapsulateInput{KeyID: k.ARN(), EncapsulationAlgorithm: "ML_KEM"})
	require.NoError(t, err)
	assert.Equal(t, k.ARN(), made.KeyARN)
	assert.Equal(t, "ML_KEM", made.EncapsulationAlgorithm)
	open := func(ciphertext []byte) (*crypt.EncapsulateOutput, error) {
		return w.Decapsulate(t.Context(), w.root, &crypt.DecapsulateInput{Ciphertext: ciphertext,
			EncapsulateInput: crypt.EncapsulateInput{KeyID: k.ARN(), EncapsulationAlgorithm: "ML_KEM"}})
	}
	opened, err := open(made.Ciphertext)
	require.NoError(t, err)
	assert.Equal(t, made.SharedSecret, opened.SharedSecret)
	assert.Nil(t, opened.Ciphertext)
	_, err = open(made.Ciphertext[1:])
	faulty(t, err, keystore.KindInvalidCiphertext, "")

	signer := w.pair(keystore.MLDSA65, keystore.UsageSignVerify)
	_, err = w.Encapsulate(t.Context(), w.root, &crypt.EncapsulateInput{KeyID: signer.ARN(), EncapsulationAlgorithm: "ML_KEM"})
	faulty(t, err, keystore.KindInvalidKeyUsage, signer.ARN()+" key usage is SIGN_VERIFY which is not valid for Encapsulate.")
	_, err = w.Encapsulate(t.Context(), w.root, &crypt.EncapsulateInput{KeyID: k.ARN(), EncapsulationAlgorithm: "ECDH"})
	faulty(t, err, keystore.KindInvalidKeyUsage, "Algorithm ECDH is incompatible with key spec ML_KEM_768.")

	w.stores[""] = w.token // a store without ML-KEM
	_, err = w.Encapsulate(t.Context(), w.root, &crypt.EncapsulateInput{KeyID: k.ARN(), EncapsulationAlgorithm: "ML_KEM"})
	faulty(t, err, keystore.KindUnsupportedOperation, "*")
}
