package conformance_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/conformance"
	"github.com/strongroom/strongroom/xks/proxy"
)

// renaming makes one error of the protocol another.
func renaming(from, to xks.ErrorName, only func(*http.Request) bool) breakage {
	return answering(func(r *http.Request, a *httptest.ResponseRecorder) {
		if strings.Contains(a.Body.String(), `"`+string(from)+`"`) && (only == nil || only(r)) {
			a.Code, a.Body = to.Status(), bytes.NewBuffer(xks.NewError(to, "").Encode())
		}
	})
}

// refusing answers requests that a rule picks with an error, whatever they are.
func refusing(name xks.ErrorName, pick func(r *http.Request, body string) bool) breakage {
	return breakage{handler: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || !pick(r, string(body)) {
				r.Body = io.NopCloser(bytes.NewReader(body))
				next.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(name.Status())
			_, _ = w.Write(xks.NewError(name, "").Encode())
		})
	}}
}

// shrugging answers what should be refused as invalid with 200.
func shrugging(segment string) breakage {
	return answering(func(r *http.Request, a *httptest.ResponseRecorder) {
		if strings.HasSuffix(r.URL.Path, segment) && strings.Contains(a.Body.String(), "ValidationException") {
			a.Code, a.Body = 200, bytes.NewBufferString("{}")
		}
	})
}

// oldHTTP answers health requests with HTTP/1.0.
func oldHTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/health") || r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		a := httptest.NewRecorder()
		next.ServeHTTP(a, r)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(conn, "HTTP/1.0 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", a.Code, a.Body.Len(), a.Body)
		_ = conn.Close() // as HTTP/1.0 has it
	})
}

// dyingAfter refuses health once a request was longer than n bytes.
func dyingAfter(n int) breakage {
	return breakage{handler: func(next http.Handler) http.Handler {
		var dead atomic.Bool // this proxy
		return refusing(xks.InternalException, func(r *http.Request, body string) bool {
			if len(body) > n {
				dead.Store(true)
			}
			return dead.Load() && strings.HasSuffix(r.URL.Path, "/health")
		}).handler(next)
	}}
}

// exact are proxies that are wrong in one respect, with all the checks that see it.
var exact = []struct {
	name string
	b    breakage
	want []string
}{
	{"HTTP/1.0", breakage{handler: oldHTTP}, []string{"http.1.1", "http.keep-alive"}},
	{"calls a bad path a missing key", renaming(xks.InvalidURIPathException, xks.KeyNotFoundException, nil), []string{"path.operation", "path.resource", "path.prefix"}},
	{"clock behind", breakage{config: func(c *proxy.Config) { c.Now = func() time.Time { return time.Now().Add(-90 * time.Second) } }},
		[]string{"auth.clock-ahead", "auth.expired"}},
	{"wants host and date signed alone", refusing(xks.AuthenticationFailedException, func(r *http.Request, _ string) bool {
		return strings.Contains(r.Header.Get("Authorization"), "SignedHeaders=content-type;")
	}), []string{"auth.more-headers"}},
	{"lets nobody ask for health", refusing(xks.AuthenticationFailedException, func(r *http.Request, _ string) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, path+"/health")
	}), []string{"auth.accepted", "auth.more-headers", "auth.clock-behind", "auth.clock-ahead", "auth.two-credentials", "health.answer",
		"health.instance-ids", "health.names", "health.operations", "health.unknown-members", "errors.still-serving"}},
	{"knows all members that there will ever be", refusing(xks.ValidationException, func(_ *http.Request, body string) bool {
		return strings.Contains(body, `"future"`)
	}), []string{"health.unknown-members", "metadata.unknown-members", "encrypt.unknown-members", "decrypt.unknown-members"}},
	{"knows all operations that there will ever be", refusing(xks.ValidationException, func(r *http.Request, body string) bool {
		return strings.Contains(body, `"FutureOperation"`) && !strings.HasSuffix(r.URL.Path, "/health")
	}), []string{"metadata.operations", "encrypt.operations", "decrypt.operations"}},
	{"thinks that ARNs are short", refusing(xks.ValidationException, func(_ *http.Request, body string) bool {
		return strings.Contains(body, strings.Repeat("x", 1900))
	}), []string{"encrypt.long-arns"}},
	{"encrypts whatever comes", shrugging("/encrypt"), []string{"encrypt.not-json", "encrypt.no-plaintext", "encrypt.no-algorithm", "encrypt.no-request-id",
		"encrypt.no-principal", "encrypt.no-key-arn", "encrypt.no-operation", "encrypt.algorithm", "encrypt.base64", "encrypt.type", "cdiv.algorithm"}},
	{"describes whatever comes", shrugging("/metadata"), []string{"metadata.required"}},
	{"decrypts whatever comes", shrugging("/decrypt"), []string{"decrypt.metadata-length", "decrypt.no-tag", "decrypt.no-iv", "decrypt.no-ciphertext", "decrypt.not-json"}},
	{"calls a disabled key one for other uses", renaming(xks.InvalidStateException, xks.InvalidKeyUsageException, nil), []string{"state.disabled-encrypt", "state.disabled-decrypt"}},
	{"calls a key for other uses a disabled one", renaming(xks.InvalidKeyUsageException, xks.InvalidStateException, nil), []string{"usage.no-decrypt", "usage.no-encrypt"}},
	{"calls a missing key a bad path", renaming(xks.KeyNotFoundException, xks.InvalidURIPathException, func(r *http.Request) bool {
		return strings.HasSuffix(r.URL.Path, "/metadata")
	}), []string{"metadata.unknown-key"}},
	{"dies of a long request", dyingAfter(80_000), []string{"errors.still-serving"}},
	{"one vector for all", breakage{keys: func(k proxy.Keys) proxy.Keys {
		var first atomic.Pointer[xks.Sealed]
		return &forgetful{Keys: k, encrypt: func(k proxy.Keys, ctx context.Context, id string, p, aad []byte) (xks.Sealed, error) {
			sealed, err := k.Encrypt(ctx, id, p, aad)
			if string(p) != "the same plaintext" || err != nil {
				return sealed, err
			}
			first.CompareAndSwap(nil, &sealed)
			return *first.Load(), nil
		}}
	}}, []string{"encrypt.fresh"}},
}

func TestExactlyWhatIsWrongIsFound(t *testing.T) {
	for _, tt := range exact {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, r := range run(t, ourProxy(t, tt.b)).Results {
				if (r.Status == conformance.Failed || r.Status == conformance.Warned) && r.ID != "encrypt.latency" {
					got = append(got, r.ID)
				}
			}
			assert.ElementsMatch(t, tt.want, got)
		})
	}
}

// Every check is the one that finds something wrong, not only one of all that fail on a proxy that does nothing right.
func TestEveryCheckHasAProxyOfItsOwn(t *testing.T) {
	named := []string{"tls.certificate"} // with a bad certificate there is no proxy to check
	for _, tt := range slices.Concat(broken, exact) {
		named = append(named, tt.want...)
	}
	for _, c := range conformance.Checks() {
		assert.Contains(t, named, c.ID)
	}
}
