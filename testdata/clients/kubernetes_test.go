//lint:file-ignore SA1019 KMS v1 is what older API servers speak.

//go:build heavy

package clients_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	v1 "k8s.io/kms/apis/v1beta1"
	v2 "k8s.io/kms/apis/v2"
)

// TestKubernetesProvider starts the provider of sigs.k8s.io/aws-encryption-provider, whose binary AWS_ENCRYPTION_PROVIDER names,
// and does what an API server does: it speaks KMS v2 to the provider's socket, and KMS v1 as older ones do.
func TestKubernetesProvider(t *testing.T) {
	provider := os.Getenv("AWS_ENCRYPTION_PROVIDER")
	require.FileExists(t, provider, "AWS_ENCRYPTION_PROVIDER names the provider's binary")
	a := startAppliance(t)
	arn := a.createKey(t)
	// The variable is taken away: the provider has an option for it.
	t.Setenv("AWS_ENDPOINT_URL_KMS", "")
	socket, health := startProvider(t, provider, "--kms-endpoint="+a.endpoint, "--region="+a.region, "--key="+arn,
		"--encryption-context=cluster=one")

	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	server := v2.NewKeyManagementServiceClient(conn)
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()

	status, err := server.Status(ctx, &v2.StatusRequest{}, grpc.WaitForReady(true))
	require.NoError(t, err)
	require.Equal(t, "ok", status.Healthz)
	require.Eventually(t, func() bool { return isHealthy(health) }, readyTimeout, 50*time.Millisecond)

	seed := []byte("a seed of an API server")
	sealed, err := server.Encrypt(ctx, &v2.EncryptRequest{Plaintext: seed, Uid: "1"})
	require.NoError(t, err)
	opened, err := server.Decrypt(ctx, &v2.DecryptRequest{Ciphertext: sealed.Ciphertext, KeyId: sealed.KeyId, Uid: "2"})
	require.NoError(t, err)
	require.Equal(t, seed, opened.Plaintext)

	old := v1.NewKeyManagementServiceClient(conn)
	version, err := old.Version(ctx, &v1.VersionRequest{})
	require.NoError(t, err)
	require.Equal(t, "v1beta1", version.Version)
	sealedOld, err := old.Encrypt(ctx, &v1.EncryptRequest{Plain: seed})
	require.NoError(t, err)
	openedOld, err := old.Decrypt(ctx, &v1.DecryptRequest{Cipher: sealedOld.Cipher})
	require.NoError(t, err)
	require.Equal(t, seed, openedOld.Plain)

	_, err = a.kms.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &arn})
	require.NoError(t, err)
	opened, err = server.Decrypt(ctx, &v2.DecryptRequest{Ciphertext: sealed.Ciphertext, KeyId: sealed.KeyId, Uid: "rotated"})
	require.NoError(t, err)
	require.Equal(t, seed, opened.Plaintext)

	_, err = a.kms.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &arn})
	require.NoError(t, err)
	_, err = server.Decrypt(ctx, &v2.DecryptRequest{Ciphertext: sealed.Ciphertext, KeyId: sealed.KeyId, Uid: "3"})
	requireDisabled(t, err)
	_, err = a.kms.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &arn})
	require.NoError(t, err)
	opened, err = server.Decrypt(ctx, &v2.DecryptRequest{Ciphertext: sealed.Ciphertext, KeyId: sealed.KeyId, Uid: "4"})
	require.NoError(t, err)
	require.Equal(t, seed, opened.Plaintext)
}

// startProvider starts the provider and gives its socket and the address of its health check.
func startProvider(t *testing.T, program string, args ...string) (socket, health string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "kms") // short: the path of a socket has 107 bytes at most
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	health = free.Addr().String()
	require.NoError(t, free.Close())
	socket = filepath.Join(dir, "s")
	cmd := exec.Command(program, append(args, "--listen="+socket, "--health-port="+health, "--health-kms-version=v2")...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return socket, health
}

func isHealthy(addr string) bool {
	answer, err := http.Get("http://" + addr + "/healthz")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}
