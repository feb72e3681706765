package hsm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

// testdata/torn-*.object are what SoftHSM2 2.6.1 left on a token when a process was killed in C_GenerateKey, by size.
func TestTornObjectsAreRemovedWhenTheTokenIsOpened(t *testing.T) {
	ctx := context.Background()
	tokens := hsmtest.Fault(t, "torn") // a module of its own, which has not looked at the token yet
	torn, err := filepath.Glob("testdata/torn-*.object")
	require.NoError(t, err)
	require.NotEmpty(t, torn)
	planted := func(i int) string {
		return filepath.Join(tokens.Dir("torn"), fmt.Sprintf("%08x-0000-0000-0000-000000000000.object", i))
	}
	for i, file := range torn {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(planted(i), data, 0o600))
		require.NoError(t, os.WriteFile(strings.TrimSuffix(planted(i), ".object")+".lock", nil, 0o600))
	}
	// SoftHSM2 looks at the directory anew when the count in this file has changed.
	require.NoError(t, os.WriteFile(filepath.Join(tokens.Dir("torn"), "generation"), []byte{0, 0, 0, 0, 0, 0, 1, 0}, 0o600))

	token := tokens.Open("torn")
	kept := hsmtest.AES(t, token, "kept")
	for i := range torn {
		assert.NoFileExists(t, planted(i), torn[i])
	}
	var labels []string
	require.NoError(t, token.Objects(ctx, func(o hsm.Object) error {
		labels = append(labels, o.Label)
		return nil
	}))
	assert.ElementsMatch(t, []string{hsm.CanaryLabel, "kept"}, labels)
	_, err = token.Seal(ctx, kept, nil, []byte("x"), nil)
	assert.NoError(t, err)
}
