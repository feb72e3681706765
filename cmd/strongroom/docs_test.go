package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/keystore"
)

// TestCompatibilityPage holds docs/compatibility.md against the program: every operation has a row, and the row says whether
// it is served.
func TestCompatibilityPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "compatibility.md"))
	require.NoError(t, err)
	rows := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\w+) \| (yes|no) \|`).FindAllSubmatch(text, -1) {
		rows[string(m[1])] = string(m[2])
	}
	r := newRig(t)
	r.start()
	for _, a := range keystore.Actions() {
		served := "yes"
		if strings.Contains(r.post(t, string(a)), "UnsupportedOperationException") {
			served = "no"
		}
		assert.Equal(t, served, rows[string(a)], "docs/compatibility.md: %s", a)
		delete(rows, string(a))
	}
	assert.Empty(t, rows, "operations that AWS KMS does not have")
	assert.Contains(t, r.post(t, "MakeTea"), "UnknownOperationException")
	r.shutdown()
}

// post calls an operation without any member.
func (r *rig) post(t *testing.T, op string) string {
	t.Helper()
	body := []byte("{}")
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.vars["AWS_ENDPOINT_URL_KMS"]+"/", bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "TrentService."+op)
	sigv4.SignRequest(req, body, sigv4.Credential{AccessKeyID: r.vars["AWS_ACCESS_KEY_ID"], Secret: []byte(r.vars["AWS_SECRET_ACCESS_KEY"])},
		r.vars["AWS_REGION"], "kms", time.Now())
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

// TestDocsLinks shows that what the pages link to is there.
func TestDocsLinks(t *testing.T) {
	root := repoRoot(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllSubmatch(text, -1) {
			assert.FileExists(t, filepath.Join(filepath.Dir(page), string(m[1])), "%s", page)
		}
	}
}
