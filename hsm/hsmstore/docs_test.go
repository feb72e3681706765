package hsmstore_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The operators' page has a cure for every code that a token can cause, and for no other.
func TestThePageHasEveryConnectionErrorCode(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "stores.md"))
	require.NoError(t, err)
	var listed []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z_]+) \|`).FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, m[1])
	}
	codes := map[string]bool{}
	for _, row := range expected {
		codes[string(row.conn)] = true
	}
	var want []string
	for code := range codes {
		want = append(want, code)
	}
	assert.ElementsMatch(t, want, listed)
}
