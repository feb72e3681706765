package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"crypto/x509"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/client"
	"github.com/strongroom/strongroom/xks/xkstest"
)

// patient is longer than any answer takes on a busy machine: for tests that are not about the deadline. impatient is for
// those that are: what comes before the answer that never does, connecting above all, must still be over in time, on a
// machine too that stands still for some seconds.
const (
	patient   = time.Minute
	impatient = 8 * time.Second
)

func config(p *xkstest.Proxy) client.Config {
	return client.Config{
		Endpoint: p.Endpoint, URIPath: xkstest.URIPath, Region: xkstest.Region, AllowPort: true, RootCAs: p.Authority.Pool(), Timeout: patient,
		Credential: sigv4.Credential{AccessKeyID: xkstest.AccessKeyID, Secret: []byte(xkstest.Secret)},
	}
}

func dial(t testing.TB, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

var meta = xks.RequestMetadata{PrincipalARN: "arn:aws:iam::1:user/u", KMSKeyARN: "arn:aws:kms:::key/1", KMSOperation: "Encrypt", KMSRequestID: "r"}

func encrypt(c *client.Client) (xks.EncryptResponse, error) {
	return c.Encrypt(context.Background(), "key-1", &xks.EncryptRequest{Metadata: meta, Plaintext: []byte("plaintext"), AAD: []byte("aad"), CDIV: true})
}

func failure(t testing.TB, err error) *client.Error {
	t.Helper()
	var e *client.Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestCalls(t *testing.T) {
	ctx := context.Background()
	p := xkstest.Start(t)
	c := dial(t, config(p))
	sealed, err := encrypt(c)
	require.NoError(t, err)
	opened, err := c.Decrypt(ctx, "key-1", &xks.DecryptRequest{
		Metadata: meta, Ciphertext: sealed.Ciphertext, CiphertextMetadata: sealed.CiphertextMetadata, AAD: []byte("aad"), IV: sealed.IV, Tag: sealed.Tag,
	})
	require.NoError(t, err)
	assert.Equal(t, "plaintext", string(opened.Plaintext))
	metadata, err := c.Metadata(ctx, "key-1", &xks.MetadataRequest{Metadata: meta})
	require.NoError(t, err)
	assert.Equal(t, "AES_256", metadata.KeySpec)
	health, err := c.Health(ctx, &xks.HealthRequest{Metadata: meta})
	require.NoError(t, err)
	assert.Equal(t, xks.Active, health.Instances[0].Status)

	// Go's transport may give up one that is slow to be done with its request, but not every one.
	for range 20 {
		_, err := encrypt(c)
		require.NoError(t, err)
	}
	made, _ := p.Connections()
	assert.Less(t, made, len(p.Requests()), "connections are kept and used again")
	for _, r := range p.Requests() {
		assert.Equal(t, "application/json", r.Header.Get("Content-Type"))
		assert.Contains(t, r.Header.Get("Authorization"), "SignedHeaders=host;x-amz-date,", "KMS signs exactly these")
		assert.NotContains(t, r.Header, "X-Idempotency-Key")
		assert.NotContains(t, r.Header, "Accept-Encoding")
	}
	certificate, ok := c.Certificate()
	require.True(t, ok)
	assert.Equal(t, "localhost", certificate.CommonName)
	assert.True(t, certificate.NameInCN)
}

func TestProxyErrorsKeepTheirName(t *testing.T) {
	p := xkstest.Start(t)
	c := dial(t, config(p))
	for _, name := range xks.ErrorNames() {
		p.Set(xkstest.Refuse(name))
		_, err := encrypt(c)
		e := failure(t, err)
		assert.Equal(t, client.Refused, e.Class)
		assert.Equal(t, name, e.Name())
		assert.Equal(t, name.Status(), e.Status)
		assert.Equal(t, name.Retryable(), e.Retryable())
		assert.Contains(t, e.Error(), string(name))
	}
	assert.Len(t, xks.ErrorNames(), p.Calls(xks.OpEncrypt), "no error of the protocol is tried again")
	p.Set(nil)
	_, err := encrypt(c)
	require.NoError(t, err, "refusals do not open the circuit")
}

func TestMalformedAnswers(t *testing.T) {
	tests := map[string]xkstest.Fault{
		"empty":               xkstest.Reply(200, ""),
		"not JSON":            xkstest.Reply(200, "<html>it works</html>"),
		"list":                xkstest.Reply(200, "[]"),
		"no members":          xkstest.Reply(200, "{}"),
		"no content":          xkstest.Reply(204, ""),
		"redirect":            func(x *xkstest.Exchange) { http.Redirect(x.W, x.R, "/elsewhere", http.StatusTemporaryRedirect) },
		"error without JSON":  xkstest.Reply(502, "bad gateway"),
		"error without name":  xkstest.Reply(400, "{}"),
		"unknown error name":  xkstest.Reply(400, `{"errorName":"XksKeyInvalidResponseException"}`),
		"half an answer":      xkstest.HalfAnswer(),
		"another protocol":    xkstest.Switch(),
		"no HTTP":             xkstest.Garbage(),
		"endless":             xkstest.Endless(),
		"short ciphertext":    xkstest.SpoilEncrypt(func(r *xks.EncryptResponse) { r.Ciphertext = r.Ciphertext[1:] }),
		"wrong integrity":     xkstest.SpoilEncrypt(func(r *xks.EncryptResponse) { r.CDIV[0] ^= 1 }),
		"flipped ciphertext":  xkstest.SpoilEncrypt(func(r *xks.EncryptResponse) { r.Ciphertext[0] ^= 1 }),
		"no integrity":        xkstest.SpoilEncrypt(func(r *xks.EncryptResponse) { r.CDIV = nil }),
		"metadata of 21":      xkstest.SpoilEncrypt(func(r *xks.EncryptResponse) { r.CiphertextMetadata = make([]byte, 21) }),
		"IV of 8":             xkstest.SpoilEncrypt(func(r *xks.EncryptResponse) { r.IV = r.IV[:8] }),
		"tag of 12":           xkstest.SpoilEncrypt(func(r *xks.EncryptResponse) { r.Tag = r.Tag[:12] }),
		"plaintext as answer": xkstest.Reply(200, `{"plaintext":"cGxhaW50ZXh0"}`),
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			p := xkstest.Start(t)
			c := dial(t, config(p))
			p.Set(fault)
			_, err := encrypt(c)
			e := failure(t, err)
			assert.Equal(t, client.Malformed.String(), e.Class.String(), "%v", err)
			assert.False(t, e.Retryable())
			p.Set(nil)
			_, err = encrypt(c)
			require.NoError(t, err, "the next call is not concerned")
		})
	}
	t.Run("decrypt", func(t *testing.T) {
		p := xkstest.Start(t)
		c := dial(t, config(p))
		sealed, err := encrypt(c)
		require.NoError(t, err)
		p.Set(xkstest.SpoilDecrypt(func(r *xks.DecryptResponse) { r.Plaintext = r.Plaintext[1:] }))
		_, err = c.Decrypt(context.Background(), "key-1", &xks.DecryptRequest{
			Metadata: meta, Ciphertext: sealed.Ciphertext, CiphertextMetadata: sealed.CiphertextMetadata, AAD: []byte("aad"), IV: sealed.IV, Tag: sealed.Tag,
		})
		assert.Equal(t, client.Malformed, client.ClassOf(err))
		require.ErrorIs(t, err, xks.ErrMalformed)
	})
}

func TestConnectionFailures(t *testing.T) {
	t.Parallel()
	short := func(c *client.Config) { c.Timeout = impatient }
	tests := []struct {
		name   string
		config func(t *testing.T) client.Config
		want   client.Class
	}{
		{"nothing listens", func(t *testing.T) client.Config {
			cfg := config(xkstest.Start(t))
			cfg.Endpoint = xkstest.Closed(t)
			return cfg
		}, client.Unreachable},
		{"no such name", func(t *testing.T) client.Config {
			cfg := config(xkstest.Start(t))
			cfg.Endpoint = "https://no-such-host.invalid"
			return cfg
		}, client.Unreachable},
		{"cut before an answer", func(t *testing.T) client.Config {
			p := xkstest.Start(t)
			p.Set(xkstest.Cut())
			return config(p)
		}, client.Unreachable},
		{"untrusted authority", func(t *testing.T) client.Config {
			cfg := config(xkstest.Start(t))
			cfg.RootCAs = xkstest.NewAuthority(t).Pool()
			return cfg
		}, client.TLS},
		{"expired certificate", func(t *testing.T) client.Config {
			return config(xkstest.Start(t, func(a *xkstest.Authority, c *tls.Config) {
				c.Certificates = []tls.Certificate{a.Issue("localhost", xkstest.Expired)}
			}))
		}, client.TLS},
		{"another name", func(t *testing.T) client.Config {
			return config(xkstest.Start(t, func(a *xkstest.Authority, c *tls.Config) {
				c.Certificates = []tls.Certificate{a.Issue("proxy.example.com")}
			}))
		}, client.TLS},
		{"TLS 1.1 only", func(t *testing.T) client.Config {
			return config(xkstest.Start(t, func(_ *xkstest.Authority, c *tls.Config) {
				c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			}))
		}, client.TLS},
		{"wants a client certificate", func(t *testing.T) client.Config {
			return config(xkstest.Start(t, func(a *xkstest.Authority, c *tls.Config) {
				c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, a.Pool()
			}))
		}, client.TLS},
		{"plain HTTP", func(t *testing.T) client.Config {
			cfg := config(xkstest.Start(t))
			cfg.Endpoint = xkstest.Silent(t, true)
			return cfg
		}, client.TLS},
		{"silent from the start", func(t *testing.T) client.Config {
			cfg := config(xkstest.Start(t))
			cfg.Endpoint = xkstest.Silent(t, false)
			short(&cfg)
			return cfg
		}, client.Timeout},
		{"no answer", func(t *testing.T) client.Config {
			p := xkstest.Start(t)
			p.Set(xkstest.Hang())
			cfg := config(p)
			short(&cfg)
			return cfg
		}, client.Timeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, tt.config(t))
			_, err := encrypt(c)
			e := failure(t, err)
			assert.Equal(t, tt.want.String(), e.Class.String(), "%v", err)
			assert.True(t, e.Retryable())
			assert.Zero(t, e.Status)
			assert.Error(t, e.Err)
		})
	}
}

func TestClientCertificate(t *testing.T) {
	p := xkstest.Start(t, func(a *xkstest.Authority, c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, a.Pool()
	})
	cfg := config(p)
	cfg.Certificates = []tls.Certificate{p.Authority.Issue("cks.kms.us-east-1.amazonaws.com")}
	_, err := encrypt(dial(t, cfg))
	require.NoError(t, err)
}

func TestCanceledCaller(t *testing.T) {
	p := xkstest.Start(t)
	p.Set(xkstest.Hang())
	c := dial(t, config(p))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for p.Calls(xks.OpMetadata) == 0 {
			runtime.Gosched()
		}
		cancel()
	}()
	_, err := c.Metadata(ctx, "key-1", &xks.MetadataRequest{Metadata: meta})
	assert.Equal(t, client.Canceled, client.ClassOf(err))
	assert.Equal(t, 1, p.Calls(xks.OpMetadata), "and nothing is tried again")
}

func TestTimeoutIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	p := xkstest.Start(t)
	cfg := config(p)
	cfg.Timeout = impatient
	c := dial(t, cfg)
	_, err := encrypt(c)
	require.NoError(t, err)
	p.Set(xkstest.Times(1, xkstest.Hang()))
	_, err = encrypt(c)
	require.NoError(t, err)
	assert.Equal(t, 3, p.Calls(xks.OpEncrypt))
}

// A proxy that has stopped answering gets hardly more requests than callers make, and soon none.
func TestSickProxyIsLeftAlone(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	start := time.Now()
	p := xkstest.Start(t)
	p.Set(xkstest.Hang())
	cfg := config(p)
	cfg.Timeout = impatient
	cfg.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
	c := dial(t, cfg)
	together := func(n int) {
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				_, err := encrypt(c)
				assert.Equal(t, client.Timeout, client.ClassOf(err), "%v", err)
			})
		}
		wg.Wait()
	}
	const enough = 8 // failures to leave the proxy alone
	together(enough)
	calls := p.Calls(xks.OpEncrypt)
	assert.GreaterOrEqual(t, calls, enough)
	assert.LessOrEqual(t, calls, 2*enough, "each is tried once more at most")
	for range 100 {
		_, err := encrypt(c)
		e := failure(t, err)
		require.True(t, e.Skipped)
		assert.Equal(t, client.Timeout, e.Class, "callers learn what went wrong before")
	}
	assert.Equal(t, calls, p.Calls(xks.OpEncrypt))

	t.Run("one call at a time finds out", func(t *testing.T) {
		clock.Add(int64(time.Second))
		together(10)
		assert.Equal(t, calls+1, p.Calls(xks.OpEncrypt))
	})
	t.Run("it heals by itself", func(t *testing.T) {
		p.Set(nil)
		_, err := encrypt(c)
		assert.True(t, failure(t, err).Skipped, "the pause has grown")
		clock.Add(int64(time.Second))
		_, err = encrypt(c)
		require.NoError(t, err)
		for range 10 {
			_, err := encrypt(c)
			require.NoError(t, err)
		}
	})
}

func TestCredentialChanges(t *testing.T) {
	p := xkstest.Start(t)
	cfg := config(p)
	cfg.Credential.Secret = []byte(strings.Repeat("x", 44))
	c := dial(t, cfg)
	_, err := encrypt(c)
	assert.Equal(t, xks.AuthenticationFailedException, failure(t, err).Name())
	c.SetCredential(sigv4.Credential{AccessKeyID: xkstest.AccessKeyID, Secret: []byte(xkstest.Secret)})
	_, err = encrypt(c)
	require.NoError(t, err)
}

func TestIdleConnectionClosedByTheProxy(t *testing.T) {
	p := xkstest.Start(t)
	c := dial(t, config(p))
	for range 20 {
		_, err := encrypt(c)
		require.NoError(t, err)
		p.CloseIdle()
	}
}

// What the proxy has open is no measure: it may learn late that this side has given a connection up. A request that is being
// answered has one for certain.
func TestConnectionsAreBounded(t *testing.T) {
	const most = 3
	p := xkstest.Start(t)
	var busy, busiest atomic.Int64
	p.Set(func(x *xkstest.Exchange) {
		now := busy.Add(1)
		for seen := busiest.Load(); now > seen && !busiest.CompareAndSwap(seen, now); seen = busiest.Load() {
		}
		time.Sleep(5 * time.Millisecond) // for others to come, if they can
		answer := x.Answer()
		busy.Add(-1) // before the answer: with it the client may use the connection again
		x.Write(http.StatusOK, answer)
	})
	cfg := config(p)
	cfg.MaxConns = most
	c := dial(t, cfg)
	var wg sync.WaitGroup
	errs := make(chan error, 40)
	for range 40 {
		wg.Go(func() { _, err := encrypt(c); errs <- err })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	assert.LessOrEqual(t, busiest.Load(), int64(most))
}

// Faults of every kind leave no goroutine and no connection behind.
func TestNothingLeaks(t *testing.T) {
	p := xkstest.Start(t)
	before := runtime.NumGoroutine()
	cfg := config(p)
	cfg.Timeout = 50 * time.Millisecond
	c, err := client.New(cfg)
	require.NoError(t, err)
	for range 5 {
		for _, fault := range []xkstest.Fault{xkstest.Hang(), xkstest.Cut(), xkstest.HalfAnswer(), xkstest.Garbage(), xkstest.Endless(), xkstest.Switch(), xkstest.Reply(200, "")} {
			p.Set(fault)
			_, err := encrypt(c)
			require.Error(t, err)
		}
	}
	c.Close()
	var open, running int
	for range 6000 { // Eventually would count its own goroutine
		_, open = p.Connections()
		if running = runtime.NumGoroutine(); open == 0 && running <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d connections open; %d goroutines, %d before", open, running, before)
}

func TestObserver(t *testing.T) {
	p := xkstest.Start(t)
	cfg := config(p)
	seen := &observer{}
	cfg.Observer = seen
	c := dial(t, cfg)
	_, err := encrypt(c)
	require.NoError(t, err)
	p.Set(xkstest.Refuse(xks.ThrottlingException))
	_, err = encrypt(c)
	require.Error(t, err)
	require.Len(t, seen.calls, 2)
	assert.Equal(t, call{xks.OpEncrypt, "Encrypt", ""}, seen.calls[0])
	assert.Equal(t, call{xks.OpEncrypt, "Encrypt", xks.ThrottlingException}, seen.calls[1])
}

type call struct {
	op   xks.Operation
	kms  string
	name xks.ErrorName
}

type observer struct{ calls []call }

func (o *observer) ProxyCall(op xks.Operation, kms string, _ time.Duration, err *client.Error) {
	c := call{op: op, kms: kms}
	if err != nil {
		c.name = err.Name()
	}
	o.calls = append(o.calls, c)
}

func TestBadCallsAreNotSent(t *testing.T) {
	p := xkstest.Start(t)
	c := dial(t, config(p))
	for _, id := range []string{"", "..", "a/b", strings.Repeat("k", 129)} {
		_, err := c.Metadata(context.Background(), id, &xks.MetadataRequest{Metadata: meta})
		assert.Equal(t, client.BadCall, client.ClassOf(err), id)
	}
	assert.Zero(t, p.Calls(xks.OpMetadata))
}

func TestBadConfigurations(t *testing.T) {
	for name, change := range map[string]func(*client.Config){
		"port":       func(c *client.Config) { c.AllowPort = false },
		"plain HTTP": func(c *client.Config) { c.Endpoint = "http://localhost" },
		"path":       func(c *client.Config) { c.URIPath = "/v1" },
	} {
		cfg := config(xkstest.Start(t))
		change(&cfg)
		_, err := client.New(cfg)
		assert.Error(t, err, name)
	}
}

func TestNameRule(t *testing.T) {
	// The stricter rule of AWS looks at the subject's CN, and is reported, not enforced.
	p := xkstest.Start(t, func(a *xkstest.Authority, c *tls.Config) {
		c.Certificates = []tls.Certificate{a.Issue("localhost", func(c *x509.Certificate) { c.Subject.CommonName = "something else" })}
	})
	c := dial(t, config(p))
	_, known := c.Certificate()
	assert.False(t, known)
	_, err := encrypt(c)
	require.NoError(t, err)
	certificate, known := c.Certificate()
	require.True(t, known)
	assert.False(t, certificate.NameInCN)
	assert.WithinDuration(t, time.Now().Add(24*time.Hour), certificate.NotAfter, time.Hour)
}

func TestClassesHaveNames(t *testing.T) {
	for _, c := range client.Classes() {
		assert.NotEqual(t, "unknown", c.String())
	}
	assert.Equal(t, "unknown", client.Class(0).String())
	assert.Zero(t, client.ClassOf(errors.New("other")))
}
