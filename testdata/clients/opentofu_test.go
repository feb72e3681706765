//go:build heavy

package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"
)

// TestOpenTofu makes what opentofu/main.tf describes, with the whole tofu program and the AWS provider: what was applied needs no
// further change, each change is made and stays, and all of it goes again.
func TestOpenTofu(t *testing.T) {
	provider := prepared(t, "STRONGROOM_AWS_PROVIDER")[0]
	require.Equal(t, "terraform-provider-aws", filepath.Base(provider))
	a := startAppliance(t)
	tofu := newTofu(t, prepared(t, "STRONGROOM_TOFU")[0], provider)
	first := tofuVars{Endpoint: a.endpoint, Owner: "alice", Alias: "first", Enabled: true, Rotation: true,
		ValidTo: time.Now().AddDate(0, 6, 0).UTC().Format(time.RFC3339)}

	// A key that is there already is taken over, and kept.
	taken := a.createKey(t)
	tofu.must(first, "import", "aws_kms_key.taken", taken)
	tofu.apply(first)
	require.Equal(t, 0, tofu.plan(first), "what was applied must be what is there")
	outputs := tofu.outputs()
	require.Equal(t, "correct horse", outputs["secret"])
	require.Equal(t, outputs["plain_arn"], outputs["data_arn"])
	require.Equal(t, outputs["plain_arn"], outputs["alias_target"])
	require.Equal(t, "Enabled", outputs["imported_state"])
	require.Equal(t, "PendingImport", outputs["pending_state"])
	require.Contains(t, outputs["west_arn"], "arn:aws:kms:eu-west-1:")
	require.Equal(t, taken, outputs["taken_arn"])
	plain := a.describe(t, outputs["plain_arn"])
	require.Equal(t, "kept by alice", aws.ToString(plain.Description))
	rotation, err := a.kms.GetKeyRotationStatus(t.Context(), &kms.GetKeyRotationStatusInput{KeyId: plain.KeyId})
	require.NoError(t, err)
	require.True(t, rotation.KeyRotationEnabled)

	changed := first
	changed.Owner, changed.Alias, changed.Enabled, changed.Rotation = "bob", "second", false, false
	require.Equal(t, 2, tofu.plan(changed), "a change must be seen")
	tofu.apply(changed)
	require.Equal(t, 0, tofu.plan(changed))
	require.Equal(t, "kept by bob", aws.ToString(a.describe(t, "alias/second").Description))
	require.Equal(t, types.KeyStateDisabled, a.describe(t, tofu.outputs()["switched_arn"]).KeyState)

	// What somebody else changes is seen, and set right.
	_, err = a.kms.UpdateKeyDescription(t.Context(), &kms.UpdateKeyDescriptionInput{KeyId: plain.KeyId, Description: aws.String("drifted")})
	require.NoError(t, err)
	require.Equal(t, 2, tofu.plan(changed))
	tofu.apply(changed)
	require.Equal(t, "kept by bob", aws.ToString(a.describe(t, *plain.Arn).Description))

	tofu.must(changed, "destroy", "-auto-approve")
	for _, arn := range []string{*plain.Arn, taken, outputs["signing_arn"]} {
		require.Equal(t, types.KeyStatePendingDeletion, a.describe(t, arn).KeyState)
	}
	_, err = a.kms.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/second")})
	var gone *types.NotFoundException
	require.ErrorAs(t, err, &gone)
}

// describe gives the metadata of a key of the default Region.
func (a *appliance) describe(t *testing.T, key string) *types.KeyMetadata {
	t.Helper()
	out, err := a.kms.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &key})
	require.NoError(t, err)
	return out.KeyMetadata
}

// tofuVars are the variables of main.tf.
type tofuVars struct {
	Endpoint string `json:"endpoint"`
	Owner    string `json:"owner"`
	Alias    string `json:"alias"`
	Enabled  bool   `json:"enabled"`
	Rotation bool   `json:"rotation"`
	ValidTo  string `json:"valid_to"`
}

// tofu is a directory with a configuration and a state.
type tofu struct {
	t       *testing.T
	program string
	dir     string
}

// newTofu makes a directory where the provider is the given program and no registry is asked.
func newTofu(t *testing.T, program, provider string) *tofu {
	t.Helper()
	dir := t.TempDir()
	config, err := os.ReadFile(filepath.Join("opentofu", "main.tf"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.tf"), config, 0o600))
	rc := filepath.Join(dir, "rc")
	require.NoError(t, os.WriteFile(rc, fmt.Appendf(nil, "provider_installation {\n  dev_overrides { \"hashicorp/aws\" = %q }\n  direct {}\n}\n",
		filepath.Dir(provider)), 0o600))
	t.Setenv("TF_CLI_CONFIG_FILE", rc)
	t.Setenv("CHECKPOINT_DISABLE", "1")
	return &tofu{t: t, program: program, dir: dir}
}

func (f *tofu) run(vars tofuVars, args ...string) (string, error) {
	f.t.Helper()
	text, err := json.Marshal(vars)
	require.NoError(f.t, err)
	require.NoError(f.t, os.WriteFile(filepath.Join(f.dir, "terraform.tfvars.json"), text, 0o600))
	var out bytes.Buffer
	cmd := exec.Command(f.program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = f.dir, &out, &out
	err = cmd.Run()
	return out.String(), err
}

func (f *tofu) must(vars tofuVars, command string, args ...string) {
	f.t.Helper()
	out, err := f.run(vars, append([]string{command, "-no-color", "-input=false"}, args...)...)
	require.NoError(f.t, err, "%s: %s", command, out)
}

func (f *tofu) apply(vars tofuVars) {
	f.t.Helper()
	f.must(vars, "apply", "-auto-approve")
}

// plan gives 0 when nothing has to change and 2 when something does.
func (f *tofu) plan(vars tofuVars) int {
	f.t.Helper()
	out, err := f.run(vars, "plan", "-no-color", "-input=false", "-detailed-exitcode")
	if err == nil {
		return 0
	}
	exit, ok := err.(*exec.ExitError)
	require.True(f.t, ok && exit.ExitCode() == 2, "plan: %v\n%s", err, out)
	return 2
}

func (f *tofu) outputs() map[string]string {
	f.t.Helper()
	cmd := exec.Command(f.program, "output", "-json")
	cmd.Dir = f.dir
	text, err := cmd.Output()
	require.NoError(f.t, err)
	var outputs map[string]struct {
		Value string `json:"value"`
	}
	require.NoError(f.t, json.Unmarshal(text, &outputs))
	values := map[string]string{}
	for name, o := range outputs {
		values[name] = o.Value
	}
	return values
}
