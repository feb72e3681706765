package conformance_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/conformance"
	"github.com/strongroom/strongroom/xks/proxy"
	"github.com/strongroom/strongroom/xks/xkstest"
)

// forgetful is Keys with a fault.
type forgetful struct {
	proxy.Keys
	encrypt func(k proxy.Keys, ctx context.Context, id string, plaintext, aad []byte) (xks.Sealed, error)
	decrypt func(k proxy.Keys, ctx context.Context, id string, s xks.Sealed, aad []byte) ([]byte, error)
}

func (f *forgetful) Encrypt(ctx context.Context, id string, plaintext, aad []byte) (xks.Sealed, error) {
	if f.encrypt == nil {
		return f.Keys.Encrypt(ctx, id, plaintext, aad)
	}
	return f.encrypt(f.Keys, ctx, id, plaintext, aad)
}

func (f *forgetful) Decrypt(ctx context.Context, id string, s xks.Sealed, aad []byte) ([]byte, error) {
	if f.decrypt == nil {
		return f.Keys.Decrypt(ctx, id, s, aad)
	}
	return f.decrypt(f.Keys, ctx, id, s, aad)
}

// answering changes what the proxy answers.
func answering(change func(r *http.Request, a *httptest.ResponseRecorder)) breakage {
	return breakage{handler: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := httptest.NewRecorder()
			next.ServeHTTP(a, r)
			change(r, a)
			for name, values := range a.Header() {
				w.Header()[name] = values
			}
			w.Header().Set("Content-Length", strconv.Itoa(a.Body.Len()))
			w.WriteHeader(a.Code)
			_, _ = w.Write(a.Body.Bytes())
		})
	}}
}

// rewriting replaces a pattern in answers to an operation.
func rewriting(segment, pattern, with string) breakage {
	expression := regexp.MustCompile(pattern)
	return answering(func(r *http.Request, a *httptest.ResponseRecorder) {
		if strings.HasSuffix(r.URL.Path, segment) {
			changed := expression.ReplaceAll(a.Body.Bytes(), []byte(with))
			a.Body = bytes.NewBuffer(changed)
		}
	})
}

func replying(status int, body string) breakage {
	return breakage{handler: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}}
}

// broken proxies and the checks that must find them out, and no others but "*" which stands for whatever follows.
var broken = []struct {
	name string
	b    breakage
	want []string
}{
	{"says yes to all", replying(200, "{}"), []string{"*"}},
	{"says no to all", replying(404, "<html>not found</html>"), []string{"*"}},
	{"cuts every connection", breakage{handler: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}}, []string{"*"}},
	{"switches protocols", breakage{handler: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
			_, _ = io.Copy(io.Discard, conn) // until the client has had enough
			_ = conn.Close()
		})
	}}, []string{"*"}},
	{"expired certificate", breakage{tls: func(a *xkstest.Authority, c *tls.Config) {
		c.Certificates = []tls.Certificate{a.Issue("localhost", xkstest.Expired)}
	}}, []string{"*"}},
	{"name only among the SANs", breakage{tls: func(a *xkstest.Authority, c *tls.Config) {
		c.Certificates = []tls.Certificate{a.Issue("localhost", func(c *x509.Certificate) { c.Subject.CommonName = "proxy" })}
	}}, []string{"tls.common-name"}},
	{"old TLS", breakage{tls: func(_ *xkstest.Authority, c *tls.Config) {
		c.MinVersion, c.CipherSuites = tls.VersionTLS10, nil
	}}, []string{"tls.old-versions"}},
	{"weak suites", breakage{tls: func(_ *xkstest.Authority, c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	}}, []string{"tls.suite"}},
	{"asks for no client certificate", breakage{tls: func(_ *xkstest.Authority, c *tls.Config) {
		c.ClientAuth, c.VerifyConnection = tls.NoClientCert, nil
	}}, []string{"mtls.absent", "mtls.untrusted", "mtls.name"}},
	{"takes any client certificate", breakage{tls: func(_ *xkstest.Authority, c *tls.Config) {
		c.ClientAuth, c.VerifyConnection = tls.RequireAnyClientCert, nil
	}}, []string{"mtls.untrusted", "mtls.name"}},
	{"takes any client name", breakage{tls: func(_ *xkstest.Authority, c *tls.Config) { c.VerifyConnection = nil }}, []string{"mtls.name"}},
	{"closes connections", answering(func(_ *http.Request, a *httptest.ResponseRecorder) { a.Header().Set("Connection", "close") }), []string{"http.keep-alive"}},
	{"answers GET", answering(func(r *http.Request, a *httptest.ResponseRecorder) {
		if r.Method == http.MethodGet {
			a.Code = http.StatusOK
		}
	}), []string{"method.get.healthstatus", "method.get.keymetadata", "method.get.encrypt", "method.get.decrypt"}},
	{"slow now and then", func() breakage {
		var calls atomic.Int64
		return answering(func(r *http.Request, _ *httptest.ResponseRecorder) {
			if strings.HasSuffix(r.URL.Path, "/encrypt") && calls.Add(1)%15 == 0 {
				time.Sleep(300 * time.Millisecond)
			}
		})
	}(), []string{"encrypt.latency"}},
	{"no clock tolerance", breakage{config: func(c *proxy.Config) { c.Now = func() time.Time { return time.Now().Add(90 * time.Second) } }},
		[]string{"auth.clock-behind", "auth.future"}},
	{"one credential", breakage{realms: func(r []proxy.Realm) { r[0].Credentials = r[0].Credentials[:1] }}, []string{"auth.two-credentials"}},
	{"ignores the AAD", breakage{keys: func(k proxy.Keys) proxy.Keys {
		return &forgetful{Keys: k,
			encrypt: func(k proxy.Keys, ctx context.Context, id string, p, _ []byte) (xks.Sealed, error) {
				return k.Encrypt(ctx, id, p, nil)
			},
			decrypt: func(k proxy.Keys, ctx context.Context, id string, s xks.Sealed, _ []byte) ([]byte, error) {
				return k.Decrypt(ctx, id, s, nil)
			},
		}
	}}, []string{"decrypt.aad", "decrypt.no-aad"}},
	{"calls a bad ciphertext an internal error", answering(func(_ *http.Request, a *httptest.ResponseRecorder) {
		if strings.Contains(a.Body.String(), "InvalidCiphertextException") {
			a.Code, a.Body = 500, bytes.NewBufferString(`{"errorName":"InternalException"}`)
		}
	}), []string{"decrypt.ciphertext", "decrypt.iv", "decrypt.tag", "decrypt.aad", "decrypt.no-aad", "decrypt.metadata", "decrypt.metadata-as-aad",
		"decrypt.iv-length", "decrypt.tag-length"}},
	{"wrong integrity value", rewriting("/encrypt", `"ciphertextDataIntegrityValue":"[^"]*"`, `"ciphertextDataIntegrityValue":"`+strings.Repeat("A", 43)+`="`), []string{"cdiv.value", "cdiv.round-trip"}},
	{"short tag", rewriting("/encrypt", `"authenticationTag":"[^"]*"`, `"authenticationTag":"AAAA"`), []string{"encrypt.round-trip", "encrypt.plaintext-4300",
		"encrypt.aad-8192", "encrypt.fresh", "cdiv.value", "cdiv.round-trip", "decrypt.ciphertext", "decrypt.iv", "decrypt.tag", "decrypt.aad", "decrypt.no-aad",
		"decrypt.metadata", "decrypt.metadata-as-aad", "decrypt.aad-absent-is-empty", "decrypt.iv-length", "decrypt.tag-length", "decrypt.metadata-length",
		"decrypt.no-tag", "decrypt.no-iv", "decrypt.no-ciphertext", "decrypt.not-json", "decrypt.unknown-key", "errors.oversize",
		"decrypt.unknown-members", "decrypt.operations"}},
	{"one status for all errors", answering(func(r *http.Request, a *httptest.ResponseRecorder) {
		if a.Code == http.StatusUnauthorized {
			a.Code = http.StatusForbidden
		}
	}), []string{"auth.missing", "auth.malformed", "auth.no-date", "auth.unknown-key", "auth.wrong-secret", "auth.wrong-service", "auth.altered-scope",
		"auth.altered-signature", "auth.altered-body", "auth.altered-path", "auth.host-not-signed", "auth.expired", "auth.future", "auth.isolation", "errors.status"}},
	{"talks too much", answering(func(_ *http.Request, a *httptest.ResponseRecorder) {
		if a.Code == http.StatusUnauthorized {
			a.Body = bytes.NewBufferString(`{"errorName":"AuthenticationFailedException","errorMessage":"` + strings.Repeat("no ", 200) + `"}`)
		}
	}), []string{"errors.message"}},
	{"talks in Unicode", answering(func(_ *http.Request, a *httptest.ResponseRecorder) {
		if a.Code == http.StatusUnauthorized {
			a.Body = bytes.NewBufferString(`{"errorName":"AuthenticationFailedException","errorMessage":"né"}`)
		}
	}), []string{"errors.message"}},
	{"errors as text", answering(func(_ *http.Request, a *httptest.ResponseRecorder) {
		if a.Code == http.StatusUnauthorized {
			a.Header().Set("Content-Type", "text/plain")
		}
	}), []string{"errors.content-type"}},
	{"answers as text", answering(func(_ *http.Request, a *httptest.ResponseRecorder) {
		if a.Code == http.StatusOK {
			a.Header().Set("Content-Type", "text/plain")
		}
	}), []string{"answers.content-type"}},
	{"an error of its own", answering(func(_ *http.Request, a *httptest.ResponseRecorder) {
		if strings.Contains(a.Body.String(), "KeyNotFoundException") {
			a.Code, a.Body = 400, bytes.NewBufferString(`{"errorName":"NoSuchKeyException"}`)
		}
	}), []string{"metadata.unknown-key", "encrypt.unknown-key", "decrypt.unknown-key", "errors.name", "errors.status"}},
	{"nameless", rewriting("/health", `"xksProxyVendor":"[^"]*"`, `"xksProxyVendor":""`), []string{"health.names"}},
	{"twins", rewriting("/health", `"ekmFleetDetails":\[(.*)\]`, `"ekmFleetDetails":[$1,$1]`), []string{"health.instance-ids"}},
	{"no fleet", rewriting("/health", `"xksProxyFleetSize":1`, `"xksProxyFleetSize":0`), []string{"health.answer", "health.instance-ids", "health.names",
		"health.operations", "health.unknown-members"}},
	{"always enabled", rewriting("/metadata", `DISABLED`, `ENABLED`), []string{"state.disabled-metadata"}},
	{"another spec", rewriting("/metadata", `AES_256`, `RSA_0`), []string{"metadata.answer"}},
}

func TestBrokenProxiesAreFoundOut(t *testing.T) {
	found := map[string]bool{}
	for _, tt := range broken {
		t.Run(tt.name, func(t *testing.T) {
			cfg := ourProxy(t, tt.b)
			report := run(t, cfg)
			var got []string
			for _, r := range report.Results {
				if r.Status == conformance.Failed || r.Status == conformance.Warned {
					got = append(got, r.ID)
					found[r.ID] = true
					assert.NotEmpty(t, r.Detail, r.ID)
				}
			}
			if slices.Equal(tt.want, []string{"*"}) {
				assert.False(t, report.Conforms())
				return
			}
			got = slices.DeleteFunc(got, func(id string) bool { return id == "encrypt.latency" && !slices.Contains(tt.want, id) })
			assert.ElementsMatch(t, tt.want, got)
		})
	}
	for _, c := range conformance.Checks() {
		assert.True(t, found[c.ID], "no broken proxy fails %s", c.ID)
	}
}
