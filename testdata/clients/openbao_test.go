//go:build heavy

package clients_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/require"
)

// TestOpenBao runs whole OpenBao servers whose seal is a key of the appliance: each start unseals itself, also after the key
// was rotated, and not while the key is disabled. The variables are also those of Vault, of which OpenBao is a fork.
func TestOpenBao(t *testing.T) {
	a := startAppliance(t)
	arn := a.createKey(t)
	_, err := a.kms.CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: aws.String("alias/openbao"), TargetKeyId: &arn})
	require.NoError(t, err)
	// Only the stanza tells the endpoint.
	t.Setenv("AWS_ENDPOINT_URL_KMS", "")
	b := newBao(t, prepared(t, "STRONGROOM_BAO")[0], a, "alias/openbao")

	stop := b.start()
	var init struct {
		Token string `json:"root_token"`
	}
	require.NoError(t, json.Unmarshal(b.must("operator", "init", "-recovery-shares=1", "-recovery-threshold=1", "-format=json"), &init))
	require.NotEmpty(t, init.Token)
	t.Setenv("BAO_TOKEN", init.Token)
	t.Setenv("VAULT_TOKEN", init.Token)
	b.untilSealed(false)
	b.untilOK("secrets", "enable", "-version=1", "-path=kept", "kv")
	b.must("kv", "put", "kept/one", "word=correct horse")
	stop()

	stop = b.start()
	b.untilSealed(false)
	require.Equal(t, "correct horse", b.word())
	stop()

	_, err = a.kms.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &arn})
	require.NoError(t, err)
	stop = b.start()
	b.untilSealed(false)
	require.Equal(t, "correct horse", b.word())
	stop()

	a.disableKey(t, arn)
	stop = b.start()
	defer stop()
	b.untilLogged("DisabledException: " + arn + " is disabled.")
	require.True(t, b.sealed())
	_, err = a.kms.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &arn})
	require.NoError(t, err)
	b.untilSealed(false)
	require.Equal(t, "correct horse", b.word())
}

// bao is an OpenBao server's directory.
type bao struct {
	t            *testing.T
	program      string
	config, logs string
}

func newBao(t *testing.T, program string, a *appliance, key string) *bao {
	t.Helper()
	dir := t.TempDir()
	api, cluster := freeAddr(t), freeAddr(t)
	b := &bao{t: t, program: program, config: filepath.Join(dir, "bao.hcl"), logs: filepath.Join(dir, "log")}
	data := filepath.Join(dir, "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	require.NoError(t, os.WriteFile(b.config, fmt.Appendf(nil, `
storage "raft" {
  path    = %q
  node_id = "one"
}
listener "tcp" {
  address         = %q
  cluster_address = %q
  tls_disable     = true
}
api_addr      = "http://%[2]s"
cluster_addr  = "http://%[3]s"
disable_mlock = true
seal "awskms" {
  endpoint   = %[4]q
  region     = %[5]q
  kms_key_id = %[6]q
}
`, data, api, cluster, a.endpoint, a.region, key), 0o600))
	t.Setenv("BAO_ADDR", "http://"+api)
	t.Setenv("VAULT_ADDR", "http://"+api)
	t.Setenv("HOME", dir)
	return b
}

// freeAddr gives an address of this machine that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// start starts the server and waits until it answers; what it gives stops it.
func (b *bao) start() (stop func()) {
	b.t.Helper()
	log, err := os.Create(b.logs)
	require.NoError(b.t, err)
	defer log.Close()
	cmd := exec.Command(b.program, "server", "-config="+b.config)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(b.t, cmd.Start())
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		}
	}
	b.t.Cleanup(stop)
	b.until("the server answers", func() bool { return b.status() != nil })
	return stop
}

// status is what the server says of its seal, nil if it does not answer. The program's exit code says sealed too.
func (b *bao) status() *bool {
	out, _ := exec.Command(b.program, "status", "-format=json").Output()
	var status struct {
		Sealed *bool `json:"sealed"`
	}
	if json.Unmarshal(out, &status) != nil {
		return nil
	}
	return status.Sealed
}

func (b *bao) sealed() bool {
	s := b.status()
	return s == nil || *s
}

func (b *bao) untilSealed(want bool) {
	b.t.Helper()
	b.until(fmt.Sprintf("sealed is %t", want), func() bool { return b.sealed() == want })
}

func (b *bao) untilLogged(text string) {
	b.t.Helper()
	b.until("the log says "+text, func() bool {
		log, _ := os.ReadFile(b.logs)
		return strings.Contains(string(log), text)
	})
}

// untilOK repeats a command: a server that is just unsealed may still be choosing itself as leader.
func (b *bao) untilOK(args ...string) {
	b.t.Helper()
	b.until(strings.Join(args, " "), func() bool { return exec.Command(b.program, args...).Run() == nil })
}

func (b *bao) until(what string, holds func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(2 * readyTimeout); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(b.logs)
			require.FailNow(b.t, "not in time: "+what, "%s", log)
		}
	}
}

func (b *bao) must(args ...string) []byte {
	b.t.Helper()
	out, err := exec.Command(b.program, args...).CombinedOutput()
	require.NoError(b.t, err, "bao %q: %s", args, out)
	return out
}

// word is the secret that was put before the first restart.
func (b *bao) word() string {
	b.t.Helper()
	b.untilOK("kv", "get", "kept/one")
	return strings.TrimSpace(string(b.must("kv", "get", "-field=word", "kept/one")))
}
