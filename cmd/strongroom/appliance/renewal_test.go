package appliance

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
)

// pair makes a certificate for a name, and its key.
func pair(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// A certificate that is renewed is shown from the next look on; a renewal that is half done, or that others can read, is not.
func TestCertificatesAreRenewed(t *testing.T) {
	dir := t.TempDir()
	files := &config.TLS{Certificate: filepath.Join(dir, "crt"), Key: filepath.Join(dir, "key")}
	moment := time.Now()
	// Each file is written with a time of its own: a file system may keep no more than seconds.
	write := func(path string, data []byte) {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		moment = moment.Add(time.Minute)
		require.NoError(t, os.Chtimes(path, moment, moment))
	}
	oldCert, oldKey := pair(t, "old")
	write(files.Certificate, oldCert)
	write(files.Key, oldKey)
	cert, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	require.NoError(t, err)

	var log bytes.Buffer
	now := time.Now()
	r := newRenewing("kms", files, cert, slog.New(slog.NewTextHandler(&log, nil)), func() time.Time { return now })
	shown := func() string {
		c, err := r.Get(nil)
		require.NoError(t, err)
		return c.Leaf.Subject.CommonName
	}
	later := func() string { now = now.Add(renewalPause); return shown() }
	assert.Equal(t, "old", shown())
	assert.Equal(t, "old", later())
	assert.Empty(t, log.String(), "nothing changed")

	newCert, newKey := pair(t, "new")
	write(files.Certificate, newCert)
	assert.Equal(t, "old", later(), "its key is not there yet")
	assert.Contains(t, log.String(), "cannot be used")
	log.Reset()
	assert.Equal(t, "old", later())
	assert.Empty(t, log.String(), "it is said once")
	write(files.Key, newKey)
	assert.Equal(t, "old", shown(), "it is not looked at for each connection")
	assert.Equal(t, "new", later())
	assert.Contains(t, log.String(), "a changed certificate is in use")

	require.NoError(t, os.Chmod(files.Key, 0o644))
	write(files.Certificate, oldCert)
	assert.Equal(t, "new", later(), "others can read the key")
	require.NoError(t, os.Chmod(files.Key, 0o600))
	require.NoError(t, os.Remove(files.Certificate))
	assert.Equal(t, "new", later(), "the files are away")
	write(files.Certificate, oldCert)
	write(files.Key, oldKey)
	assert.Equal(t, "old", later())
}
