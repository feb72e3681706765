package proxy_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/proxy"
	"github.com/strongroom/strongroom/xks/tokenkeys"
)

func TestOperationsOnARealToken(t *testing.T) {
	d := deploy(t, tokenKeys(t), nil)
	for _, size := range []int{1, 4300, 8192} {
		plaintext, aad := strings.Repeat("p", size), strings.Repeat("a", 8192)
		sealed := d.seal(pathA, "key-1", plaintext, aad)
		assert.NotEmpty(t, sealed.CiphertextMetadata)
		a := d.call(pathA, xks.OpDecrypt, "key-1", decryptBody(sealed, aad))
		d.want("", a)
		opened, err := xks.DecodeDecryptResponse(a.body, &xks.DecryptRequest{Ciphertext: sealed.Ciphertext})
		require.NoError(t, err)
		assert.Equal(t, plaintext, string(opened.Plaintext))
	}

	t.Run("integrity value", func(t *testing.T) {
		a := d.call(pathA, xks.OpEncrypt, "key-1", encryptBody("data key", "aad", true))
		d.want("", a)
		sealed, err := xks.DecodeEncryptResponse(a.body, &xks.EncryptRequest{Plaintext: []byte("data key"), AAD: []byte("aad"), CDIV: true})
		require.NoError(t, err)
		assert.Len(t, sealed.CDIV, 32)
	})
	t.Run("no integrity value unless asked for", func(t *testing.T) {
		a := d.call(pathA, xks.OpEncrypt, "key-1", encryptBody("data key", "aad", false))
		assert.NotContains(t, string(a.body), "ciphertextDataIntegrityValue")
	})
	t.Run("key metadata", func(t *testing.T) {
		a := d.call(pathA, xks.OpMetadata, "key-1", metadataBody())
		d.want("", a)
		assert.Equal(t, `{"keySpec":"AES_256","keyUsage":["ENCRYPT","DECRYPT"],"keyStatus":"ENABLED"}`, string(a.body))
	})
	t.Run("unknown key", func(t *testing.T) {
		d.want(xks.KeyNotFoundException, d.call(pathA, xks.OpMetadata, "key-9", metadataBody()))
		d.want(xks.KeyNotFoundException, d.call(pathA, xks.OpEncrypt, "key-9", encryptBody("p", "", false)))
		d.want(xks.KeyNotFoundException, d.call(pathA, xks.OpDecrypt, "key-9", decryptBody(d.seal(pathA, "key-1", "p", ""), "")))
	})
	t.Run("spoilt ciphertext", func(t *testing.T) {
		for name, spoil := range map[string]func(*xks.EncryptResponse){
			"ciphertext": func(s *xks.EncryptResponse) { s.Ciphertext[0] ^= 1 },
			"IV":         func(s *xks.EncryptResponse) { s.IV[0] ^= 1 },
			"IV of 13":   func(s *xks.EncryptResponse) { s.IV = make([]byte, 13) },
			"tag":        func(s *xks.EncryptResponse) { s.Tag[0] ^= 1 },
			"tag of 15":  func(s *xks.EncryptResponse) { s.Tag = s.Tag[:15] },
			"metadata":   func(s *xks.EncryptResponse) { s.CiphertextMetadata[0] ^= 1 },
			"none":       func(s *xks.EncryptResponse) { s.CiphertextMetadata = nil },
		} {
			sealed := d.seal(pathA, "key-1", "secret", "aad")
			spoil(&sealed)
			a := d.call(pathA, xks.OpDecrypt, "key-1", decryptBody(sealed, "aad"))
			assert.Equal(t, xks.InvalidCiphertextException, a.name, name)
			assert.Equal(t, http.StatusBadRequest, a.status, name)
		}
		sealed := d.seal(pathA, "key-1", "secret", "aad")
		d.want(xks.InvalidCiphertextException, d.call(pathA, xks.OpDecrypt, "key-1", decryptBody(sealed, "other")))
		d.want(xks.InvalidCiphertextException, d.call(pathA, xks.OpDecrypt, "key-2", decryptBody(sealed, "aad")))
	})
	t.Run("disabled key", func(t *testing.T) {
		ctx := t.Context()
		sealed := d.seal(pathA, "key-3", "p", "")
		require.NoError(t, d.keys.SetEnabled(ctx, "key-3", false))
		a := d.call(pathA, xks.OpMetadata, "key-3", metadataBody())
		d.want("", a)
		assert.Contains(t, string(a.body), `"keyStatus":"DISABLED"`)
		d.want(xks.InvalidStateException, d.call(pathA, xks.OpEncrypt, "key-3", encryptBody("p", "", true)))
		d.want(xks.InvalidStateException, d.call(pathA, xks.OpDecrypt, "key-3", decryptBody(sealed, "")))
	})
	t.Run("usage", func(t *testing.T) {
		ctx := t.Context()
		sealed := d.seal(pathA, "key-4", "p", "")
		require.NoError(t, d.keys.SetUsage(ctx, "key-4", tokenkeys.UseEncrypt))
		d.want("", d.call(pathA, xks.OpEncrypt, "key-4", encryptBody("p", "", false)))
		d.want(xks.InvalidKeyUsageException, d.call(pathA, xks.OpEncrypt, "key-4", encryptBody("p", "", true)))
		d.want(xks.InvalidKeyUsageException, d.call(pathA, xks.OpDecrypt, "key-4", decryptBody(sealed, "")))
		require.NoError(t, d.keys.SetUsage(ctx, "key-4", tokenkeys.UseDecrypt))
		d.want(xks.InvalidKeyUsageException, d.call(pathA, xks.OpEncrypt, "key-4", encryptBody("p", "", false)))
		d.want("", d.call(pathA, xks.OpDecrypt, "key-4", decryptBody(sealed, "")))
	})
	t.Run("health", func(t *testing.T) {
		// A probe that overran its deadline is made again.
		var h xks.HealthResponse
		require.Eventually(t, func() bool {
			a := d.call(pathA, xks.OpHealth, "", healthBody())
			if a.status != http.StatusOK {
				return false
			}
			var err error
			h, err = xks.DecodeHealthResponse(a.body)
			return assert.NoError(t, err) && assert.Len(t, h.Instances, 1) && h.Instances[0].Status != xks.Unavailable
		}, time.Minute, 10*time.Millisecond)
		assert.Equal(t, "SoftHSM project", h.EKMVendor)
	})
}

func TestPathsAndMethods(t *testing.T) {
	d := deploy(t, tokenKeys(t), nil)
	t.Run("not a path of the protocol", func(t *testing.T) {
		for _, path := range []string{
			"/", "/kms/xks/v1/health", "/tenant-c/kms/xks/v1/health", pathA, pathA + "/", pathA + "/health/", pathA + "/healthy",
			pathA + "/keys/key-1", pathA + "/keys/key-1/sign", pathA + "/keys/key-1/encrypt/", pathA + "/keys/key%2D1/encrypt",
			pathA + "/health?x=1", pathA + "/health?", "//tenant-a/kms/xks/v1/health", "/x/.." + pathA + "/health", "/Tenant-a/kms/xks/v1/health",
			"/tenant-a/kms/xks/v2/health", pathA + "/keys/../encrypt", pathA + "/keys/" + strings.Repeat("k", 129) + "/encrypt",
		} {
			for _, method := range []string{http.MethodPost, http.MethodGet} {
				r := d.request("/", []byte("{}"), d.creds[pathA])
				r.Method = method
				r.URL.Opaque = "//" + r.URL.Host + path // so that nothing on this side tidies it up
				a := d.do(r)
				assert.Equal(t, xks.InvalidURIPathException, a.name, "%s %s", method, path)
				assert.Equal(t, http.StatusNotFound, a.status, "%s %s", method, path)
			}
		}
	})
	t.Run("the whole server", func(t *testing.T) {
		r := d.request("/", nil, d.creds[pathA])
		r.Method, r.URL.Path = http.MethodOptions, "*"
		d.want(xks.InvalidURIPathException, d.do(r))
	})
	t.Run("other methods", func(t *testing.T) {
		for _, op := range xks.Operations() {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions} {
				r, err := http.NewRequest(method, d.url+xks.OperationPath(pathA, op, "key-1"), nil)
				require.NoError(t, err)
				a := d.do(r)
				assert.Equal(t, http.StatusMethodNotAllowed, a.status, "%s %s", method, op)
				assert.Equal(t, "POST", a.header.Get("Allow"))
				assert.Empty(t, a.body)
			}
		}
	})
	t.Run("load balancer", func(t *testing.T) {
		get := func(path string) answer {
			resp, err := d.client.Get(d.url + path)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			return answer{status: resp.StatusCode, body: body}
		}
		assert.Equal(t, http.StatusOK, get("/ping").status)
		assert.Equal(t, "pong\n", string(get("/ping").body))
		require.Eventually(t, func() bool { return get("/ready").status == http.StatusOK }, time.Minute, 10*time.Millisecond)
		d.proxy.Drain()
		assert.Equal(t, http.StatusServiceUnavailable, get("/ready").status)
		assert.Equal(t, http.StatusOK, get("/ping").status)
		d.seal(pathA, "key-1", "still served", "")
	})
}

func TestAuthentication(t *testing.T) {
	d := deploy(t, tokenKeys(t), nil)
	body := encryptBody("p", "", false)
	target := xks.OperationPath(pathA, xks.OpEncrypt, "key-1")
	sign := func(r *http.Request, cred proxy.Credential, region, service string, at time.Time) {
		sigv4.SignRequest(r, body, sigv4.Credential{AccessKeyID: cred.AccessKeyID, Secret: cred.Secret}, region, service, at, sigv4.SignHeaders())
	}
	a, other := d.creds[pathA], d.creds[pathB]
	tests := map[string]func(*http.Request){
		"no header":       func(r *http.Request) { r.Header.Del("Authorization") },
		"basic":           func(r *http.Request) { r.SetBasicAuth("a", "b") },
		"another realm's": func(r *http.Request) { sign(r, other, region, xks.Service, time.Now()) },
		"wrong secret": func(r *http.Request) {
			sign(r, proxy.Credential{AccessKeyID: a.AccessKeyID, Secret: other.Secret}, region, xks.Service, time.Now())
		},
		"another region":       func(r *http.Request) { sign(r, a, "eu-west-1", xks.Service, time.Now()) },
		"another service":      func(r *http.Request) { sign(r, a, region, "kms", time.Now()) },
		"six minutes ago":      func(r *http.Request) { sign(r, a, region, xks.Service, time.Now().Add(-6*time.Minute)) },
		"six minutes from now": func(r *http.Request) { sign(r, a, region, xks.Service, time.Now().Add(6*time.Minute)) },
		"another key":          func(r *http.Request) { r.URL.Path = xks.OperationPath(pathA, xks.OpEncrypt, "key-2") },
		"another operation":    func(r *http.Request) { r.URL.Path = xks.OperationPath(pathA, xks.OpDecrypt, "key-1") },
		"another realm's path": func(r *http.Request) { r.URL.Path = xks.OperationPath(pathB, xks.OpEncrypt, "key-1") },
		"another host":         func(r *http.Request) { r.Host = "proxy.example.com" },
		"Date instead of X-Amz-Date": func(r *http.Request) {
			at := time.Now().UTC()
			stamp, scope := at.Format("20060102T150405Z"), at.Format("20060102")+"/"+region+"/"+xks.Service+"/aws4_request"
			r.Header.Del("X-Amz-Date")
			r.Header.Set("Date", stamp)
			hash := func(b []byte) string { sum := sha256.Sum256(b); return hex.EncodeToString(sum[:]) }
			canonical := "POST\n" + target + "\n\ndate:" + stamp + "\nhost:" + r.URL.Host + "\n\ndate;host\n" + hash(body)
			mac := hmac.New(sha256.New, sigv4.DeriveKey(a.Secret, at.Format("20060102"), region, xks.Service))
			mac.Write([]byte("AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hash([]byte(canonical))))
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+a.AccessKeyID+"/"+scope+", SignedHeaders=date;host, Signature="+hex.EncodeToString(mac.Sum(nil)))
		},
		"unsigned payload": func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD") },
		"decoded secret": func(r *http.Request) {
			sign(r, proxy.Credential{AccessKeyID: a.AccessKeyID, Secret: decoded(t, a.Secret)}, region, xks.Service, time.Now())
		},
		"body changed afterward": func(r *http.Request) { setBody(r, bytes.Replace(body, []byte("AES_GCM"), []byte("AES_GCN"), 1)) },
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			r := d.request(target, body, a)
			spoil(r)
			got := d.do(r)
			d.want(xks.AuthenticationFailedException, got)
			assert.NotContains(t, string(got.body), "ignature", "the caller learns no more than that it failed")
			e := d.lastEvent()
			assert.False(t, e.Authenticated)
			assert.Error(t, e.Cause)
		})
	}
	t.Run("good, with more headers signed", func(t *testing.T) {
		r := d.request(target, body, a)
		sigv4.SignRequest(r, body, sigv4.Credential{AccessKeyID: a.AccessKeyID, Secret: a.Secret}, region, xks.Service, time.Now())
		d.want("", d.do(r))
		assert.True(t, d.lastEvent().Authenticated)
	})
	t.Run("any region where none is named", func(t *testing.T) {
		r := d.request(xks.OperationPath(pathB, xks.OpEncrypt, "key-1"), body, other)
		sign(r, other, "ap-south-2", xks.Service, time.Now())
		d.want("", d.do(r))
	})
}

func decoded(t *testing.T, secret []byte) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(string(secret))
	require.NoError(t, err)
	return raw
}

func setBody(r *http.Request, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}

func TestBodies(t *testing.T) {
	d := deploy(t, tokenKeys(t), nil)
	tests := []struct {
		name string
		op   xks.Operation
		body []byte
		want xks.ErrorName
	}{
		{"empty", xks.OpEncrypt, nil, xks.ValidationException},
		{"not JSON", xks.OpEncrypt, []byte("plaintext=x"), xks.ValidationException},
		{"health without metadata", xks.OpHealth, []byte("{}"), xks.ValidationException},
		{"metadata without principal", xks.OpMetadata, healthBody(), xks.ValidationException},
		{"decrypt with an encrypt body", xks.OpDecrypt, encryptBody("p", "", false), xks.ValidationException},
		{"plaintext too long", xks.OpEncrypt, encryptBody(strings.Repeat("p", 8193), "", false), xks.UnsupportedOperationException},
		{"AAD of 65535", xks.OpEncrypt, encryptBody("p", strings.Repeat("a", 65535), false), xks.UnsupportedOperationException},
		{"AAD of 65536", xks.OpEncrypt, encryptBody("p", strings.Repeat("a", 65536), false), xks.UnsupportedOperationException},
		{"a megabyte", xks.OpEncrypt, bytes.Repeat([]byte(" "), 1<<20), xks.UnsupportedOperationException},
		{"trailing blanks", xks.OpEncrypt, append(encryptBody("p", "", false), " \n"...), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d.want(tt.want, d.call(pathA, tt.op, "key-1", tt.body))
		})
	}
	t.Run("chunked", func(t *testing.T) {
		body := encryptBody("p", "", false)
		r := d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), body, d.creds[pathA])
		r.Body, r.ContentLength, r.GetBody = io.NopCloser(bytes.NewReader(body)), -1, nil
		d.want("", d.do(r))
	})
	t.Run("chunked without end", func(t *testing.T) {
		r := d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), nil, d.creds[pathA])
		r.Body, r.ContentLength, r.GetBody = io.NopCloser(io.LimitReader(zeros{}, 8<<20)), -1, nil
		resp, err := d.client.Do(r)
		if err == nil { // the server may close before the client has sent everything
			assert.Equal(t, http.StatusNotImplemented, resp.StatusCode)
			resp.Body.Close()
		}
		d.seal(pathA, "key-1", "p", "")
	})
	t.Run("large headers", func(t *testing.T) {
		r := d.request(xks.OperationPath(pathA, xks.OpHealth, ""), healthBody(), d.creds[pathA])
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 "+strings.Repeat("a", 9000))
		d.want(xks.AuthenticationFailedException, d.do(r))
	})
	t.Run("other content type", func(t *testing.T) {
		r := d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), encryptBody("p", "", false), d.creds[pathA])
		r.Header.Set("Content-Type", "text/plain")
		d.want("", d.do(r))
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestHTTPVersionsAndTLS(t *testing.T) {
	d := deploy(t, tokenKeys(t), nil)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.ca.Pool()}, ForceAttemptHTTP2: proto == "HTTP/2.0"}
			defer transport.CloseIdleConnections()
			d.connect(transport)
			resp, err := transport.RoundTrip(d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), encryptBody("p", "", true), d.creds[pathA]))
			require.NoError(t, err)
			defer resp.Body.Close()
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Equal(t, proto, resp.Proto)
		})
	}
	address := strings.TrimPrefix(d.url, "https://")
	handshake := func(change func(*tls.Config)) (tls.ConnectionState, error) {
		config := &tls.Config{RootCAs: d.ca.Pool(), ServerName: "localhost"}
		change(config)
		conn, err := tls.Dial("tcp", address, config)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		defer conn.Close()
		return conn.ConnectionState(), nil
	}
	t.Run("TLS 1.1 is refused", func(t *testing.T) {
		_, err := handshake(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 })
		require.Error(t, err)
	})
	t.Run("TLS 1.2 with a suite of the specification", func(t *testing.T) {
		state, err := handshake(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
		})
		require.NoError(t, err)
		assert.EqualValues(t, tls.VersionTLS12, state.Version)
	})
	t.Run("TLS 1.3", func(t *testing.T) {
		state, err := handshake(func(*tls.Config) {})
		require.NoError(t, err)
		assert.EqualValues(t, tls.VersionTLS13, state.Version)
	})
	t.Run("plain HTTP", func(t *testing.T) {
		conn, err := net.Dial("tcp", address)
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST /tenant-a/kms/xks/v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
		require.NoError(t, err)
		answer, _ := io.ReadAll(conn)
		assert.Contains(t, string(answer), "400 Bad Request")
	})
}

func TestMutualTLS(t *testing.T) {
	d := deploy(t, tokenKeys(t), nil)
	clients := xksClientAuthority(t)
	d.serve(proxy.TLSOptions{
		Certificates: []tls.Certificate{d.ca.Issue("localhost")},
		ClientCAs:    clients.Pool(), ClientNames: []string{"cks.kms.us-east-1.amazonaws.com"},
	})
	call := func(certificates ...tls.Certificate) error {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.ca.Pool(), Certificates: certificates}}
		defer transport.CloseIdleConnections()
		resp, err := transport.RoundTrip(d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), encryptBody("p", "", false), d.creds[pathA]))
		if err == nil {
			defer resp.Body.Close()
			assert.Equal(t, http.StatusOK, resp.StatusCode)
		}
		return err
	}
	require.NoError(t, call(clients.Issue("cks.kms.us-east-1.amazonaws.com")))
	require.Error(t, call(clients.Issue("cks.kms.eu-west-1.amazonaws.com")), "another name")
	require.Error(t, call(d.ca.Issue("cks.kms.us-east-1.amazonaws.com")), "another authority")
	require.Error(t, call(), "no certificate")

	_, err := proxy.TLSConfig(proxy.TLSOptions{Certificates: []tls.Certificate{{}}, ClientCAs: clients.Pool()})
	require.Error(t, err, "names must be pinned")
	_, err = proxy.TLSConfig(proxy.TLSOptions{Certificates: []tls.Certificate{{}}, ClientNames: []string{"a"}})
	require.Error(t, err)
	_, err = proxy.TLSConfig(proxy.TLSOptions{})
	require.Error(t, err)
}
