package main

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/cmd/strongroom/xksbench"
)

// TestFirstUseAfterAStartSearchesNoToken: KMS keys and external keys are known before the first call.
func TestFirstUseAfterAStartSearchesNoToken(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t)
	shim(t, r)
	log := filepath.Join(t.TempDir(), "calls")
	r.env = append(r.env, "P11FAULT_LOG="+log)
	r.start()
	var keys []*string
	for range 6 {
		key, err := r.kms.CreateKey(ctx, &kms.CreateKeyInput{})
		require.NoError(t, err)
		keys = append(keys, key.KeyMetadata.KeyId)
	}
	r.shutdown()

	r.start()
	require.NoError(t, os.Remove(log))
	for _, id := range keys {
		_, err := r.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: id, Plaintext: []byte("a")})
		require.NoError(t, err)
	}
	ca, err := os.ReadFile(r.vars["STRONGROOM_XKS_CA"])
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	external := strings.Split(r.vars["STRONGROOM_XKS_KEY_IDS"], ",")
	report, err := xksbench.Run(ctx, xksbench.Options{
		Endpoint: r.vars["STRONGROOM_XKS_URI"], URIPath: r.vars["STRONGROOM_XKS_PATH"], Region: "us-east-1", RootCAs: roots,
		Credential: sigv4.Credential{AccessKeyID: r.vars["STRONGROOM_XKS_ACCESS_KEY"], Secret: []byte(r.vars["STRONGROOM_XKS_SECRET_KEY"])},
		KeyIDs:     external, Operation: xksbench.Encrypt, Size: 32, Rates: []float64{20}, Duration: time.Second, Connections: 2,
		Patience: time.Minute, Timeout: time.Minute, // how fast it is, is not what this is about
	}, nil)
	require.NoError(t, err)
	for name := range report.Steps[0].Errors {
		assert.Equal(t, "DependencyTimeoutException", name, "a busy machine may overrun the proxy's deadline")
	}
	calls, err := os.ReadFile(log)
	require.NoError(t, err)
	assert.Contains(t, string(calls), "C_EncryptInit\n", "the calls were made on the token")
	assert.NotContains(t, string(calls), "C_FindObjectsInit\n")
	r.shutdown()
}
