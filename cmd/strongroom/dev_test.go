package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
)

// The variables that dev.env promises are there, and what they name is too.
func TestDevEnv(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.start()
	for _, name := range []string{
		"AWS_ENDPOINT_URL_KMS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION",
		"STRONGROOM_CLUSTER_ID", "STRONGROOM_TRUST_ANCHOR", "STRONGROOM_KMSUSER_PASSWORD",
		"STRONGROOM_CLUSTER_ID_2", "STRONGROOM_TRUST_ANCHOR_2", "STRONGROOM_KMSUSER_PASSWORD_2",
		"STRONGROOM_XKS_URI", "STRONGROOM_XKS_PATH", "STRONGROOM_XKS_ACCESS_KEY", "STRONGROOM_XKS_SECRET_KEY",
		"STRONGROOM_XKS_KEY_IDS", "STRONGROOM_XKS_CA", "STRONGROOM_ADMIN_SOCKET", "STRONGROOM_ADMIN_URL", "STRONGROOM_DIR",
		"SOFTHSM2_CONF", "STRONGROOM_PKCS11_MODULE",
	} {
		assert.NotEmpty(t, r.vars[name], name)
	}
	token, there := r.vars["AWS_SESSION_TOKEN"]
	assert.True(t, there && token == "", "a token that the shell has does not belong to these keys")
	for _, name := range []string{"STRONGROOM_TRUST_ANCHOR", "STRONGROOM_TRUST_ANCHOR_2", "STRONGROOM_XKS_CA", "SOFTHSM2_CONF", "STRONGROOM_PKCS11_MODULE"} {
		assert.FileExists(t, r.vars[name], name)
	}
	assert.Regexp(t, `^cluster-[2-7a-zA-Z]{11,16}$`, r.vars["STRONGROOM_CLUSTER_ID"])
	assert.Regexp(t, `^[a-zA-Z0-9]{7,32}$`, r.vars["STRONGROOM_KMSUSER_PASSWORD"])
	assert.Regexp(t, `^[A-Z2-7]{20,30}$`, r.vars["STRONGROOM_XKS_ACCESS_KEY"])
	assert.Regexp(t, `^[a-zA-Z0-9/+=]{43,64}$`, r.vars["STRONGROOM_XKS_SECRET_KEY"])
	assert.GreaterOrEqual(t, len(strings.Split(r.vars["STRONGROOM_XKS_KEY_IDS"], ",")), 5)

	// Nobody else can read what is secret.
	require.NoError(t, filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		if err == nil {
			assert.Zero(t, info.Mode().Perm()&0o077, path)
		}
		return nil
	}))
	r.shutdown()
	assert.NoFileExists(t, filepath.Join(r.dir, "dev.env"))
	assert.NoFileExists(t, filepath.Join(r.dir, "admin.sock"))
}

// Every ready external key encrypts through the proxy, over TLS that the CA of dev.env vouches for.
func TestDevXKS(t *testing.T) {
	t.Parallel()
	r := newRig(t, "--xks-timeout", "1m")
	r.start()
	pem, err := os.ReadFile(r.vars["STRONGROOM_XKS_CA"])
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	for _, key := range strings.Split(r.vars["STRONGROOM_XKS_KEY_IDS"], ",") {
		body := []byte(`{"requestMetadata":{"awsPrincipalArn":"arn:aws:iam::000000000000:root","kmsOperation":"Encrypt","kmsRequestId":"r",` +
			`"kmsKeyArn":"arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"},"plaintext":"YQ==",` +
			`"encryptionAlgorithm":"AES_GCM"}`)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost,
			r.vars["STRONGROOM_XKS_URI"]+r.vars["STRONGROOM_XKS_PATH"]+"/keys/"+key+"/encrypt", bytes.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		sigv4.SignRequest(req, body, sigv4.Credential{AccessKeyID: r.vars["STRONGROOM_XKS_ACCESS_KEY"], Secret: []byte(r.vars["STRONGROOM_XKS_SECRET_KEY"])},
			"us-east-1", "kms-xks-proxy", time.Now())
		resp, err := client.Do(req)
		require.NoError(t, err)
		var answer struct{ Ciphertext string }
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, key)
		sealed, err := base64.StdEncoding.DecodeString(answer.Ciphertext)
		require.NoError(t, err)
		assert.Len(t, sealed, 1)
	}
	client.CloseIdleConnections()
	r.shutdown()
}

// A stop in the middle of a start is no failure, and leaves nothing half done: it complains of nothing, and the next
// start goes on.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	self, err := os.Executable()
	require.NoError(t, err)
	for range 8 {
		require.NoError(t, os.RemoveAll(filepath.Join(r.dir, "strongroom.lock")))
		var printed bytes.Buffer
		cmd := exec.Command(self)
		cmd.Args = []string{"strongroom", "dev", "--quiet", "--dir", r.dir, "--kms-addr", "127.0.0.1:0", "--xks-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}
		cmd.Env, cmd.Stdout, cmd.Stderr = append(r.env, raceOptions()), &printed, &printed
		require.NoError(t, cmd.Start())
		// It listens to signals before it takes the lock.
		require.Eventually(t, func() bool {
			_, err := os.Stat(filepath.Join(r.dir, "strongroom.lock"))
			return err == nil
		}, time.Minute, time.Millisecond)
		time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait(), printed.String())
		assert.NotRegexp(t, `(?m)^strongroom: |level=ERROR|DATA RACE`, printed.String())
		assert.NoFileExists(t, filepath.Join(r.dir, "dev.env"))
	}
	r.start()
	r.honest(t.Context())
	r.shutdown()
	witness(t, r.dir)
}

// A terminal that is closed leaves nothing behind either.
func TestHangUp(t *testing.T) {
	t.Parallel()
	// Whoever runs the tests under nohup has them ignore the signal, and what they start with them. One that they catch they
	// do not hand down.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	r := newRig(t)
	r.start()
	p := r.process
	r.process = nil
	require.NoError(t, p.end(syscall.SIGHUP), p.printed())
	assert.NoFileExists(t, filepath.Join(r.dir, "dev.env"))
	assert.NoFileExists(t, filepath.Join(r.dir, "admin.sock"))
}

// A stop finishes the calls in flight.
func TestShutdownFinishesCalls(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := newRig(t)
	control := shim(t, r)
	log := filepath.Join(t.TempDir(), "calls")
	r.env = append(r.env, "P11FAULT_LOG="+log)
	r.start()
	pair := &kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeSignVerify}
	_, err := r.kms.CreateKey(ctx, pair) // for the first one the appliance finds out what the token can do
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(control, []byte("slow C_GenerateKeyPair 1500\n"), 0o600))
	require.NoError(t, os.Remove(log))
	answer := make(chan error, 1)
	go func() {
		_, err := r.kms.CreateKey(ctx, pair)
		answer <- err
	}()
	require.Eventually(t, func() bool { // nothing else makes key pairs: it is this call that is on the token
		calls, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(calls), "C_GenerateKeyPair\n")
	}, time.Minute, time.Millisecond)
	p := r.process
	r.process = nil
	require.NoError(t, p.end(syscall.SIGTERM), p.printed())
	assert.NoError(t, <-answer)
}
