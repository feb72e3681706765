//go:build heavy

package clients_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// prepared gives the command that testdata/clients/run names in a variable, a word a line.
func prepared(t *testing.T, variable string) []string {
	t.Helper()
	command := os.Getenv(variable)
	require.NotEmpty(t, command, "%s is not set: start this with testdata/clients/run", variable)
	return strings.Split(command, "\n")
}

// TestSDKs runs, for each SDK of AWS's, a program that does with an appliance what programs do with AWS KMS, and that ends with
// an error at the first thing that is not so.
func TestSDKs(t *testing.T) {
	for _, sdk := range []struct{ name, variable string }{
		{"boto3", "STRONGROOM_BOTO3"},
		{"javascript", "STRONGROOM_JAVASCRIPT"},
		{"java", "STRONGROOM_JAVA"},
		{"rust", "STRONGROOM_RUST"},
		{"ruby", "STRONGROOM_RUBY"},
		{"encryption_sdk_python", "STRONGROOM_ENCRYPTION_SDK_PYTHON"},
		{"encryption_sdk_javascript", "STRONGROOM_ENCRYPTION_SDK_JAVASCRIPT"},
		{"encryption_cli", "STRONGROOM_ENCRYPTION_CLI"},
	} {
		t.Run(sdk.name, func(t *testing.T) {
			words := prepared(t, sdk.variable)
			startAppliance(t)
			out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
			t.Logf("%s", out)
			require.NoError(t, err)
			require.Contains(t, string(out), "ok ", "the program says what it did")
		})
	}
}
