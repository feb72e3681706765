package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sendWhole sends a request to the last byte before it looks for an answer, as many clients do.
func sendWhole(t *testing.T, url string, header http.Header, size int) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	var head strings.Builder
	fmt.Fprintf(&head, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", conn.RemoteAddr(), size)
	require.NoError(t, header.Write(&head))
	_, err = io.WriteString(conn, head.String()+"\r\n"+strings.Repeat(" ", size))
	require.NoError(t, err, "the connection was closed before the request was sent")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	return resp
}

// An answer that comes before the body was read would be lost with the connection.
func TestRefusalsAreHeard(t *testing.T) {
	a := start(t)
	signed := a.request(t, "EnableKey", "{}").Header
	unsigned := http.Header{"X-Amz-Target": {"TrentService.EnableKey"}}
	for name, c := range map[string]struct {
		header    http.Header
		size      int
		status    int
		exception string
	}{
		"too large":          {signed, 3 << 20, 413, "RequestEntityTooLargeException"},
		"not signed":         {unsigned, 3 << 20, 400, "MissingAuthenticationTokenException"},
		"no operation":       {http.Header{}, 3 << 20, 400, "UnknownOperationException"},
		"not signed, common": {unsigned, 2, 400, "MissingAuthenticationTokenException"},
	} {
		t.Run(name, func(t *testing.T) {
			resp := sendWhole(t, a.url, c.header, c.size)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, c.status, resp.StatusCode)
			assert.Contains(t, string(body), `{"__type":"`+c.exception+`"`)
			assert.False(t, resp.Close, "the connection can be used again")
		})
	}
	t.Run("beyond all measure", func(t *testing.T) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, "answered without waiting for the body")
		assert.Equal(t, 400, resp.StatusCode)
		assert.True(t, resp.Close)
	})
	t.Run("announced", func(t *testing.T) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		assert.Equal(t, 400, resp.StatusCode, "the body is not asked for")
	})
}

// Two targets, or the token of a temporary credential that nobody gave out, are refused whoever signed them.
func TestHeadersThatMustNotBe(t *testing.T) {
	a := start(t)
	two := a.request(t, "ListKeys", "{}")
	two.Header.Add("X-Amz-Target", "TrentService.CreateKey")
	a.resign(two)
	requireError(t, do(t, two), 400, "UnknownOperationException", "")

	token := a.request(t, "ListKeys", "{}")
	token.Header.Set("X-Amz-Security-Token", "FwoGZXIvYXdzE")
	const invalid = "The security token included in the request is invalid."
	requireError(t, do(t, token), 400, "UnrecognizedClientException", invalid) // that it is not signed changes nothing
	a.resign(token)
	requireError(t, do(t, token), 400, "UnrecognizedClientException", invalid)
	token.Header.Set("X-Amz-Security-Token", "")
	a.resign(token)
	assert.Equal(t, 200, do(t, token).status, "an empty one is none")
}

// Whoever sends large bodies is not known before they are read: together they have a bound, and common calls go on.
func TestLargeBodiesAreBoundTogether(t *testing.T) {
	a := start(t)
	free, ok := a.server.FillBodies()
	require.True(t, ok, "nothing is held at first")
	large := `{"Marker":"` + strings.Repeat("x", 200<<10) + `"}`
	requireError(t, a.post(t, "ListKeys", large), 503, "ServiceUnavailable", "Too many large requests are being received. Try again.")
	assert.Equal(t, 200, a.post(t, "ListKeys", `{}`).status)
	free()
	for range 3 {
		name, _ := exceptionOf(t, a.post(t, "ListKeys", large))
		assert.Equal(t, "ValidationException", name)
		requireError(t, a.post(t, "ListKeys", large+strings.Repeat(" ", 100<<10)), 413, "RequestEntityTooLargeException",
			"The request body is larger than 262144 bytes.")
	}
	require.Eventually(t, func() bool { // a call gives back what it held after it was answered
		_, ok = a.server.FillBodies()
		return ok
	}, time.Minute, time.Millisecond, "and nothing in the end")
}
