package api_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api"
)

// Who has no credential is answered each time, but writes no more than so much into the log.
func TestRefusedSignaturesDoNotFillTheLog(t *testing.T) {
	var now atomic.Int64
	now.Store(time.Now().UnixNano())
	a := start(t, func(c *api.Config) { c.Now = func() time.Time { return time.Unix(0, now.Load()) } })
	refused := func() {
		t.Helper()
		r := a.request(t, "ListKeys", "{}")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x")
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	}
	lines := func() int { return strings.Count(a.logs.String(), "request refused") }
	for range 25 {
		refused()
	}
	assert.Eventually(t, func() bool { return lines() == 10 }, time.Minute, time.Millisecond)
	assert.NotContains(t, a.logs.String(), "unlogged_before")
	now.Add(int64(time.Second))
	refused()
	assert.Eventually(t, func() bool { return lines() == 11 }, time.Minute, time.Millisecond)
	assert.Contains(t, a.logs.String(), "unlogged_before=15")
}
