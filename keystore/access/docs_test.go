package access_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// literal is a condition key, or a permission, in Go's source.
var literal = regexp.MustCompile(`"((?:kms|aws):[A-Za-z]+[/"])`)

// TestConditionKeysAreDocumented: the page on compatibility names every condition key that a policy can ask for.
func TestConditionKeysAreDocumented(t *testing.T) {
	root := filepath.Join("..", "..")
	page, err := os.ReadFile(filepath.Join(root, "docs", "compatibility.md"))
	require.NoError(t, err)
	named := regexp.MustCompile(`(?:kms|aws):[A-Za-z]+[:/]?`).FindAllString(strings.ToLower(string(page)), -1)

	keys := access.KnownConditionKeys()
	permissions := []string{"kms:reencryptfrom", "kms:reencryptto"}
	for _, a := range keystore.Actions() {
		permissions = append(permissions, strings.ToLower("kms:"+string(a)))
	}
	for _, dir := range []string{"crypt", "lifecycle", "grants"} { // what services bring
		files, err := filepath.Glob(filepath.Join(root, "keystore", dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			for _, found := range literal.FindAllStringSubmatch(string(source), -1) {
				if key := strings.ToLower(strings.TrimSuffix(found[1], `"`)); !slices.Contains(permissions, key) {
					keys = append(keys, key)
				}
			}
		}
	}
	require.Contains(t, keys, "kms:requestalias")
	require.Contains(t, keys, "aws:requesttag/")
	for _, key := range keys {
		assert.Contains(t, named, key)
	}
}
