package hsm_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// TestSignerServesTLS: certificates signed by keys on the token, and TLS served
// with them, to Go's own client.
func TestSignerServesTLS(t *testing.T) {
	token := hsmtest.SoftHSM(t, "a").Open("a")
	for _, kind := range []hsm.Kind{hsm.RSA2048, hsm.ECP256, hsm.ECP384, hsm.Ed25519} {
		t.Run(kind.String(), func(t *testing.T) {
			signer, err := token.NewSigner(t.Context(), pair(t, token, kind, signs), 10*time.Second)
			require.NoError(t, err)
			template := &x509.Certificate{
				SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
				NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
			}
			der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
			require.NoError(t, err)
			cert, err := x509.ParseCertificate(der)
			require.NoError(t, err)
			roots := x509.NewCertPool()
			roots.AddCert(cert)

			near, far := net.Pipe()
			served := make(chan error, 1)
			go func() {
				server := tls.Server(far, &tls.Config{MinVersion: tls.VersionTLS12,
					Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: signer}}})
				_, err := io.WriteString(server, "hello")
				served <- err
				assert.NoError(t, far.Close())
			}()
			client := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12})
			got := make([]byte, 5)
			_, err = io.ReadFull(client, got)
			require.NoError(t, err)
			require.NoError(t, <-served)
			require.Equal(t, "hello", string(got))
		})
	}
}

func TestSignerRefuses(t *testing.T) {
	token := hsmtest.SoftHSM(t, "a").Open("a")
	_, err := token.NewSigner(t.Context(), pair(t, token, hsm.ECSecp256k1, signs), time.Second)
	require.ErrorIs(t, err, hsm.Unsupported)
	_, err = token.NewSigner(t.Context(), hsmtest.Ref("none"), time.Second)
	require.ErrorIs(t, err, hsm.KeyMissing)
	signer, err := token.NewSigner(t.Context(), pair(t, token, hsm.RSA2048, signs), 10*time.Second)
	require.NoError(t, err)
	_, err = signer.Sign(nil, make([]byte, 32), &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256})
	require.ErrorIs(t, err, hsm.BadInput)
	_, err = signer.Sign(nil, make([]byte, 20), crypto.SHA256)
	require.ErrorIs(t, err, hsm.BadInput)
}
