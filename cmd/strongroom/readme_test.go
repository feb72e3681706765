package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadme runs the first minute of the README as it stands there, in a directory as `make run` leaves it.
func TestReadme(t *testing.T) {
	t.Parallel()
	require.FileExists(t, awsCLI, "install the distribution's AWS CLI: make test-deps")
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllSubmatch(text, -1)
	require.GreaterOrEqual(t, len(blocks), 2)
	require.Equal(t, "make run\n", string(blocks[0][1]))

	dir := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	require.NoError(t, os.Symlink(self, filepath.Join(dir, "bin", "strongroom")))
	p, err := startDev(filepath.Join(dir, ".strongroom"), filepath.Join(dir, "log"), []string{"PATH=" + os.Getenv("PATH")})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.end(syscall.SIGTERM), p.printed()) }()

	cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", string(blocks[1][1]))
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + filepath.Dir(awsCLI) + ":/bin", "HOME=" + dir, "AWS_PAGER=", raceOptions()}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, want := range []string{
		"attack at dawn", `"Unavailable"`, `"KeyState": "PendingDeletion"`, "Keys deleted: 1. Orphans: 1.", "is DISCONNECTED",
		"Copies of it may be in any backup of the token",
	} {
		assert.Contains(t, string(out), want)
	}
}
