package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/proxy"
)

// A client that stops in the middle of its body is answered and let go, whether its body was wanted or not.
func TestSlowBody(t *testing.T) {
	d := deploy(t, &scripted{}, func(c *proxy.Config, _ []proxy.Realm) { c.BodyTimeout = 50 * time.Millisecond })
	tests := map[string]struct {
		change func(*http.Request)
		status int
	}{
		"signed":       {func(*http.Request) {}, http.StatusBadRequest},
		"not signed":   {func(r *http.Request) { r.Header.Del("Authorization") }, http.StatusUnauthorized},
		"unknown path": {func(r *http.Request) { r.URL.Path = "/elsewhere" }, http.StatusNotFound},
		"other method": {func(r *http.Request) { r.Method = http.MethodPut }, http.StatusMethodNotAllowed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), encryptBody("p", "", false), d.creds[pathA])
			tt.change(r)
			conn, err := tls.Dial("tcp", strings.TrimPrefix(d.url, "https://"), &tls.Config{RootCAs: d.ca.Pool(), ServerName: "localhost"})
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
			var wire bytes.Buffer
			require.NoError(t, r.Write(&wire))
			_, err = conn.Write(wire.Bytes()[:wire.Len()-10])
			require.NoError(t, err)
			reader := bufio.NewReader(conn)
			resp, err := http.ReadResponse(reader, r)
			require.NoError(t, err)
			defer resp.Body.Close()
			_, err = io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, tt.status, resp.StatusCode)
			_, err = reader.ReadByte()
			require.ErrorIs(t, err, io.EOF, "the connection is closed")
		})
	}
	e := d.lastEvent()
	assert.False(t, e.Authenticated)
}

// Strangers with slow bodies hold no place among the requests in progress.
func TestStrangersHoldNoPlace(t *testing.T) {
	keys := &scripted{encrypt: func(_ context.Context, p, _ []byte) (xks.Sealed, error) { return sealedLike(p), nil }}
	d := deploy(t, keys, func(c *proxy.Config, _ []proxy.Realm) { c.BodyTimeout, c.MaxInFlight = 10*time.Minute, 1 })
	stranger := newCredential(t)
	r := d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), encryptBody("p", "", false), stranger)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(d.url, "https://"), &tls.Config{RootCAs: d.ca.Pool(), ServerName: "localhost"})
	require.NoError(t, err)
	defer conn.Close()
	var wire bytes.Buffer
	require.NoError(t, r.Write(&wire))
	_, err = conn.Write(wire.Bytes()[:wire.Len()-10])
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.events) == 1 && d.events[0].AccessKeyID == stranger.AccessKeyID && d.events[0].ErrorName == xks.AuthenticationFailedException
	}, time.Minute, time.Millisecond, "refused without its body")
	d.want("", d.call(pathA, xks.OpEncrypt, "key-1", encryptBody("p", "", false)))
}

// FuzzRequests sends signed bodies of every kind to every path: each is answered with 200 or a known error of the
// protocol that fits the operation, and none makes the proxy stumble (a panic would show as InternalException).
func FuzzRequests(f *testing.F) {
	keys := &scripted{
		encrypt: func(_ context.Context, p, _ []byte) (xks.Sealed, error) { return sealedLike(p), nil },
		decrypt: func(_ context.Context, s xks.Sealed, _ []byte) ([]byte, error) { return s.Ciphertext, nil },
	}
	cred := newCredential(f)
	p := proxy.New(proxy.Config{})
	require.NoError(f, p.Update([]proxy.Realm{{Name: "a", URIPath: pathA, Credentials: []proxy.Credential{cred}, Keys: keys}}))
	for _, op := range xks.Operations() {
		f.Add(xks.OperationPath(pathA, op, "key-1"), encryptBody("plaintext", "aad", false))
		f.Add(xks.OperationPath(pathA, op, "key-1"), encryptBody("plaintext", "aad", true))
		f.Add(xks.OperationPath(pathA, op, "..."), healthBody())
	}
	f.Add(pathA+"/keys/%2e%2e/encrypt?x", []byte(`{"requestMetadata":[]}`))
	f.Fuzz(func(t *testing.T, target string, body []byte) {
		r := &http.Request{
			Method: http.MethodPost, RequestURI: target, URL: &url.URL{Path: "/"}, Host: "localhost", Header: http.Header{},
			Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		}
		sigv4.SignRequest(r, body, sigv4.Credential{AccessKeyID: cred.AccessKeyID, Secret: cred.Secret}, region, xks.Service, time.Now())
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code == http.StatusOK || target == "/ping" || target == "/ready" {
			return
		}
		e, err := xks.DecodeError(w.Body.Bytes())
		if err != nil || !e.Name.Known() || e.Name.Status() != w.Code {
			t.Fatalf("%q was answered with %d %q", target, w.Code, w.Body)
		}
		switch e.Name {
		case xks.InternalException, xks.AuthenticationFailedException:
			t.Fatalf("%q with %q was answered with %s", target, body, e)
		}
	})
}
