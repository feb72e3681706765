package hsmstore_test

import (
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/keystore"
)

func FuzzPeerPublicKey(f *testing.F) {
	for _, curve := range curves {
		key, err := curve.GenerateKey(rand.Reader)
		require.NoError(f, err)
		der, err := x509.MarshalPKIXPublicKey(key.PublicKey())
		require.NoError(f, err)
		f.Add(der)
	}
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		for spec, curve := range curves {
			point, err := hsmstore.PeerPoint(spec, der)
			if err != nil {
				continue
			}
			_, err = curve.NewPublicKey(point)
			require.NoError(t, err, "what comes out is a point of the curve")
		}
		_, err := hsmstore.PeerPoint(keystore.RSA2048, der)
		require.Error(t, err)
	})
}
