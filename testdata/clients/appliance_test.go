// Package clients_test runs other people's programs and libraries, unchanged, against an appliance: what they need to be told is
// what docs/clients.md says. It is a module of its own so that their dependencies are not the appliance's.
package clients_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"
)

// program is the strongroom binary of this tree, built by TestMain.
var program string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "strongroom-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "strongroom")
	if err := goBuild(filepath.Join("..", ".."), program, "./cmd/strongroom"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// goBuild builds a program of the module in a directory.
func goBuild(dir, to, what string) error {
	cmd := exec.Command("go", "build", "-o", to, what)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", what, err, out)
	}
	return nil
}

// readyTimeout is for machines that are busy with other tests; a start takes a fraction of a second.
const readyTimeout = time.Minute

// appliance is a `strongroom dev` of a test.
type appliance struct {
	endpoint  string
	region    string
	accessKey string
	secretKey string
	kms       *kms.Client
}

// startAppliance starts an appliance of two Regions for the test and sets the variables that AWS's clients read: endpoint,
// Region and credential, and nothing of the machine's own configuration. What the appliance has besides, for custom key
// stores, is in variables too.
func startAppliance(t *testing.T) *appliance {
	t.Helper()
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	defer log.Close()
	kept := filepath.Join(dir, "appliance")
	cmd := exec.Command(program, "dev", "--quiet", "--dir", kept, "--kms-addr", "127.0.0.1:0", "--xks-addr", "127.0.0.1:0",
		"--admin-addr", "127.0.0.1:0", "--region", "us-east-1,eu-west-1")
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			text, _ := os.ReadFile(log.Name())
			t.Errorf("the appliance ended with %v\n%s", err, text)
		}
	})
	vars := waitUntilReady(t, filepath.Join(kept, "dev.env"), cmd.Process.Pid, log.Name(), ended)
	for _, name := range []string{"AWS_ENDPOINT_URL_KMS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		require.NotEmpty(t, vars[name], name)
	}
	for name, value := range vars {
		if strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "STRONGROOM_") {
			t.Setenv(name, value)
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(dir, "no-aws-config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "no-aws-credentials"))
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"} {
		t.Setenv(name, "") // so that it comes back afterwards
		require.NoError(t, os.Unsetenv(name))
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	require.NoError(t, err)
	return &appliance{endpoint: vars["AWS_ENDPOINT_URL_KMS"], region: vars["AWS_REGION"], accessKey: vars["AWS_ACCESS_KEY_ID"],
		secretKey: vars["AWS_SECRET_ACCESS_KEY"], kms: kms.NewFromConfig(cfg)}
}

// waitUntilReady waits for the process's dev.env. If the process ends before, its end stays in the channel for the cleanup.
func waitUntilReady(t *testing.T, path string, pid int, log string, ended chan error) map[string]string {
	t.Helper()
	deadline := time.After(readyTimeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			ended <- err
			text, _ := os.ReadFile(log)
			require.FailNow(t, "the appliance ended before it was ready", "%v\n%s", err, text)
		case <-deadline:
			require.FailNow(t, "the appliance was not ready in time", "%s", readyTimeout)
		case <-tick.C:
			vars := readVars(path)
			if vars["STRONGROOM_PID"] == strconv.Itoa(pid) {
				return vars
			}
		}
	}
}

// readVars reads lines of the form export NAME='value'; there are none while there is no file.
func readVars(path string) map[string]string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		vars[name] = strings.Trim(value, "'")
	}
	return vars
}

// createKey makes a symmetric key and gives its ARN.
func (a *appliance) createKey(t *testing.T) string {
	t.Helper()
	out, err := a.kms.CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	return aws.ToString(out.KeyMetadata.Arn)
}

// disableKey takes the key away, so that a client that still opens something did not ask the appliance.
func (a *appliance) disableKey(t *testing.T, arn string) {
	t.Helper()
	_, err := a.kms.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &arn})
	require.NoError(t, err)
}

// requireDisabled asserts that a client passes on the appliance's refusal to use a disabled key.
func requireDisabled(t *testing.T, err error) {
	t.Helper()
	require.ErrorContains(t, err, "DisabledException")
}

// decrypt opens a wrapped key with AWS's SDK: a second opinion on what a library had wrapped.
func (a *appliance) decrypt(ctx context.Context, blob []byte, encryptionContext map[string]string) ([]byte, error) {
	out, err := a.kms.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: encryptionContext,
		EncryptionAlgorithm: types.EncryptionAlgorithmSpecSymmetricDefault})
	if err != nil {
		return nil, err
	}
	return out.Plaintext, nil
}
