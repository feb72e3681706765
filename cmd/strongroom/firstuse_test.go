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
	r := newRig(t, "--xks-timeout", "1m")
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
	assert.Empty(t, loadProxy(t, r).Errors)
	calls, err := os.ReadFile(log)
	require.NoError(t, err)
	assert.Contains(t, string(calls), "C_EncryptInit\n", "the calls were made on the token")
	assert.NotContains(t, string(calls), "C_FindObjectsInit\n")
	r.shutdown()
}

// loadProxy makes twenty calls of the dev proxy in a second, with all of its keys.
func loadProxy(t *testing.T, r *rig) xksbench.Step {
	t.Helper()
	ca, err := os.ReadFile(r.vars["STRONGROOM_XKS_CA"])
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	report, err := xksbench.Run(t.Context(), xksbench.Options{
		Endpoint: r.vars["STRONGROOM_XKS_URI"], URIPath: r.vars["STRONGROOM_XKS_PATH"], Region: "us-east-1", RootCAs: roots,
		Credential: sigv4.Credential{AccessKeyID: r.vars["STRONGROOM_XKS_ACCESS_KEY"], Secret: []byte(r.vars["STRONGROOM_XKS_SECRET_KEY"])},
		KeyIDs:     strings.Split(r.vars["STRONGROOM_XKS_KEY_IDS"], ","), Operation: xksbench.Encrypt, Size: 32,
		Rates: []float64{20}, Duration: time.Second, Connections: 2,
		Patience: time.Minute, Timeout: time.Minute, // how fast it is, is not what this is about
	}, nil)
	require.NoError(t, err)
	return report.Steps[0]
}

// TestDevProxyTakesTheTimeThatIsGiven: what a store may wait for its proxy, the proxy may wait for its token.
func TestDevProxyTakesTheTimeThatIsGiven(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		late bool
	}{
		{"as KMS", nil, true},
		{"a minute", []string{"--xks-timeout", "1m"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, tt.args...)
			control := shim(t, r)
			r.start()
			require.NoError(t, os.WriteFile(control, []byte("slow C_EncryptInit 300\n"), 0o600))
			if errors := loadProxy(t, r).Errors; tt.late {
				assert.Contains(t, errors, "DependencyTimeoutException")
			} else {
				assert.Empty(t, errors)
			}
			require.NoError(t, os.Remove(control))
			r.shutdown()
		})
	}
}
