package dev

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/xks"
)

func TestFaults(t *testing.T) {
	f := NewFaults("dev", "dev2")
	h := f.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("honest")) }))
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, nil))
		return w
	}
	const dev, dev2, ping = "/dev/kms/xks/v1/health", "/dev2/kms/xks/v1/keys/k/encrypt", "/ping"
	assert.Equal(t, map[string]string{"dev": "off", "dev2": "off"}, f.Faults())
	assert.Equal(t, "honest", ask(dev).Body.String())

	require.NoError(t, f.Set("dev", "failing"))
	assert.Equal(t, map[string]string{"dev": "failing", "dev2": "off"}, f.Faults())
	assert.Equal(t, 500, ask(dev).Code)
	assert.Equal(t, "honest", ask(dev2).Body.String())
	require.NoError(t, f.Set("", "failing=ThrottlingException"))
	for _, path := range []string{dev, dev2} {
		w := ask(path)
		assert.Equal(t, 429, w.Code)
		e, err := xks.DecodeError(w.Body.Bytes())
		require.NoError(t, err)
		assert.Equal(t, xks.ThrottlingException, e.Name)
	}
	assert.Equal(t, "honest", ask(ping).Body.String(), "load balancers see a good proxy")

	require.NoError(t, f.Set("dev2", "malformed"))
	w := ask(dev2)
	assert.Equal(t, 200, w.Code)
	_, err := xks.DecodeHealthResponse(w.Body.Bytes())
	require.Error(t, err)
	require.NoError(t, f.Set("dev2", "gone"))
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { ask(dev2) })
	require.NoError(t, f.Set("dev2", "slow=1ms"))
	assert.Equal(t, "honest", ask(dev2).Body.String())
	require.NoError(t, f.Set("dev2", "slow=1m"))
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, dev2, nil).WithContext(gone))
	}, "a client that has given up is not answered")
	require.NoError(t, f.Set("", "off"))
	assert.Equal(t, "honest", ask(dev).Body.String())

	for _, bad := range []string{"", "slow", "slow=", "slow=-1s", "slow=2h", "failing=", "failing=Nonsense", "malformed=1", "gone=1", "on"} {
		require.Error(t, f.Set("dev", bad), bad)
	}
	require.ErrorContains(t, f.Set("dev3", "gone"), `there is no realm "dev3"`)
	assert.Equal(t, map[string]string{"dev": "off", "dev2": "off"}, f.Faults())
}
