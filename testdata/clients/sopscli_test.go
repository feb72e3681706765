//go:build heavy

package clients_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const secretFile = `database:
    user: app
    password: correct horse battery staple
ports:
    - 5432
    - 5433
`

// TestSOPS encrypts files with the sops program, changes them and decrypts them.
func TestSOPS(t *testing.T) {
	program := filepath.Join(t.TempDir(), "sops")
	require.NoError(t, goBuild(".", program, "github.com/getsops/sops/v3/cmd/sops"))
	a := startAppliance(t)
	arn, second := a.createKey(t), a.createKey(t)
	t.Setenv("SOPS_KMS_ARN", arn)
	t.Setenv("HOME", t.TempDir())
	sops := func(args ...string) (string, error) {
		var out, errs bytes.Buffer
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), &out, &errs
		err := cmd.Run()
		return out.String() + errs.String(), err
	}
	must := func(args ...string) string {
		out, err := sops(args...)
		require.NoError(t, err, "sops %q: %s", args, out)
		return out
	}

	plain := filepath.Join(t.TempDir(), "secrets.yaml")
	require.NoError(t, os.WriteFile(plain, []byte(secretFile), 0o600))
	must("encrypt", "--encryption-context", "app:billing", "--in-place", plain)
	sealed, err := os.ReadFile(plain)
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "correct horse")
	require.Contains(t, string(sealed), arn)
	require.Equal(t, secretFile, must("decrypt", plain))
	require.Equal(t, "app", must("decrypt", "--extract", `["database"]["user"]`, plain))

	must("set", plain, `["database"]["user"]`, `"other"`)
	require.Equal(t, "other", must("decrypt", "--extract", `["database"]["user"]`, plain))

	// A new data key for a second key of the appliance; the first is not needed any more.
	must("rotate", "--in-place", "--add-kms", second, "--rm-kms", arn, plain)
	a.disableKey(t, arn)
	require.Equal(t, "other", must("decrypt", "--extract", `["database"]["user"]`, plain))

	a.disableKey(t, second)
	out, err := sops("decrypt", plain)
	require.Error(t, err)
	require.Contains(t, out, "DisabledException")
}
