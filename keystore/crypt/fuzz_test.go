package crypt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/mldsa"
	mldsax509 "filippo.io/mldsa/x509"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/crypt"
)

// Public keys come from key stores and from callers (DeriveSharedSecret): any bytes are a key of the spec, or an error.
func FuzzParsePublic(f *testing.F) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "testdata", "vectors", "lattice", "wycheproof.json"))
	require.NoError(f, err)
	var v latticeVectors
	require.NoError(f, json.Unmarshal(raw, &v))
	for _, set := range v.Signatures {
		f.Add(set.PublicKeyDer)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(f, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(f, err)
	f.Add(der)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, spec := range keystore.Specs() {
			info, _ := keystore.LookupSpec(spec)
			got, err := crypt.ParsePublic(info, der)
			if err != nil {
				continue
			}
			if !info.Asymmetric() {
				t.Fatalf("a public key of %s", spec)
			}
			if public, ok := got.(*mldsa.PublicKey); ok {
				again, err := mldsax509.MarshalPKIXPublicKey(public)
				require.NoError(t, err)
				require.LessOrEqual(t, len(again), len(der))
			}
		}
	})
}
