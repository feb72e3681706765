package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/xks/proxy"
)

// A file that we write for KMS is one that we read, and reading is total.
func FuzzReadProxyFile(f *testing.F) {
	good := proxy.ConfigurationFile("/a/kms/xks/v1", proxy.Credential{AccessKeyID: "AAAAAAAAAAAAAAAAAAAA", Secret: []byte(strings.Repeat("s", 43))})
	f.Add(good)
	f.Add([]byte(`{"XksProxyUriPath":"/kms/xks/v1","XksProxyAuthenticationCredential":{"AccessKeyId":"A","RawSecretAccessKey":"s"},"more":1}`))
	f.Add([]byte(`{"XksProxyUriPath":1}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "f")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		path, cred, err := readProxyFile(file)
		if err == nil {
			assert.NotEmpty(t, path)
			assert.NotEmpty(t, cred.AccessKeyID)
			assert.NotEmpty(t, cred.Secret)
			return
		}
		assert.Empty(t, cred.Secret)
	})
}

func TestReadProxyFileKeepsSecretsToItself(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	const secret = "SECRETSECRETSECRETSECRETSECRETSECRETSECRETS"
	for _, text := range []string{secret, `{"XksProxyUriPath":"` + secret, `{"XksProxyAuthenticationCredential":{"RawSecretAccessKey":"` + secret + `"}}`,
		`{"XksProxyUriPath":{"` + secret + `":1}}`, strings.Repeat(secret, 2000)} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, _, err := readProxyFile(file)
		require.ErrorContains(t, err, "proxy configuration file")
		assert.NotContains(t, err.Error(), "SECRET")
	}
	require.NoError(t, os.Chmod(file, 0o640))
	_, _, err := readProxyFile(file)
	require.ErrorContains(t, err, "can be read by others")
}

func TestRates(t *testing.T) {
	got, err := rates(1800, "")
	require.NoError(t, err)
	assert.Equal(t, []float64{1800}, got)
	got, err = rates(1800, "100:400:4")
	require.NoError(t, err)
	assert.Equal(t, []float64{100, 200, 300, 400}, got)
	for _, bad := range []string{"100", "100:400", "400:100:4", "0:100:2", "NaN:1:2", "1:NaN:2", "1:2:1", "1:2:51", "1:2:x", "1:2:3:4", "::"} {
		_, err := rates(1800, bad)
		require.ErrorContains(t, err, "want FROM:TO:STEPS", bad)
	}
}
