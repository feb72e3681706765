package xksstore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/client"
	"github.com/strongroom/strongroom/xks/xksstore"
	"github.com/strongroom/strongroom/xks/xkstest"
)

// impatient is for proxies that hang: connecting, which comes before, gets three quarters of it and must not overrun, on a
// machine too that stands still for some seconds.
const impatient = 8 * time.Second

var caller = &keystore.Caller{Account: "000000000000", Region: xkstest.Region, Principal: "arn:aws:iam::000000000000:role/app", RequestID: "request-1"}

// bench is an external key store over a scripted proxy, with its inner materials on a token in memory.
type bench struct {
	t       *testing.T
	proxy   *xkstest.Proxy
	token   *backendtest.Memory
	seen    *watcher
	proxies *xksstore.Proxies
	row     *keystore.Store
	logged  *bytes.Buffer
}

func newBench(t *testing.T, change ...func(*xksstore.Config)) *bench {
	b := &bench{t: t, proxy: xkstest.Start(t), token: backendtest.NewMemory("default"), seen: &watcher{}, logged: &bytes.Buffer{}}
	cfg := xksstore.Config{Inner: map[string]backend.Backend{xkstest.Region: b.token}, AllowPort: true, TLS: xksstore.TLS{RootCAs: b.proxy.Authority.Pool()},
		Timeout: time.Minute, Observer: b.seen, Logger: slog.New(slog.NewTextHandler(b.logged, nil))}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	b.proxies, err = xksstore.New(cfg)
	require.NoError(t, err)
	b.row = &keystore.Store{ID: "cks-1", Region: xkstest.Region, Type: keystore.StoreXKS, Conn: keystore.Connecting,
		Xks: &keystore.XksConfig{URIEndpoint: b.proxy.Endpoint, URIPath: xkstest.URIPath, AccessKeyID: xkstest.AccessKeyID}}
	return b
}

func (b *bench) open() *xksstore.Backend {
	b.t.Helper()
	secret := []byte(xkstest.Secret)
	opened, err := b.proxies.Open(b.t.Context(), b.row, secret)
	clear(secret) // as the manager does
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = opened.Close() })
	return opened.(*xksstore.Backend)
}

// key makes the inner material of a key on an external key.
func (b *bench) key(external string) *backend.Handle {
	b.t.Helper()
	id, err := keystore.NewMaterialID(rand.Reader)
	require.NoError(b.t, err)
	h := backend.Handle{ID: id, Label: "arn:aws:kms:us-east-1:000000000000:key/" + external, Spec: keystore.SymmetricDefault,
		Usage: keystore.UsageEncryptDecrypt, External: external, Caller: caller, Action: keystore.ActionEncrypt}
	_, err = b.token.CreateKey(b.t.Context(), h)
	require.NoError(b.t, err)
	return &h
}

// watcher is an Observer.
type watcher struct {
	mu     sync.Mutex
	calls  []string
	health []xksstore.Health
	gone   int
}

func (w *watcher) ProxyCall(store xksstore.Name, op xks.Operation, kms string, _ time.Duration, err *client.Error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := string(store.ID) + " " + string(op) + " " + kms
	if err != nil {
		text += " " + err.Class.String()
	}
	w.calls = append(w.calls, text)
}

func (w *watcher) ProxyHealth(_ xksstore.Name, h xksstore.Health) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.health = append(w.health, h)
}

func (w *watcher) ProxyGone(xksstore.Name) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gone++
}

func (w *watcher) looks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.health)
}

func TestSealAndOpen(t *testing.T) {
	b := newBench(t)
	s := b.open()
	h := b.key("k")
	for name, n := range map[string]int{"one byte": 1, "a data key": 32, "the longest": 4096} {
		t.Run(name, func(t *testing.T) {
			plaintext := bytes.Repeat([]byte{7}, n)
			prefix := []byte("prefix")
			sealed, err := s.Seal(t.Context(), h, []byte("aad"), plaintext, prefix)
			require.NoError(t, err)
			require.True(t, bytes.HasPrefix(sealed, prefix))
			sealed = sealed[len(prefix):]
			assert.GreaterOrEqual(t, len(sealed), n+backend.SealedOverhead)
			opened, err := s.Open(t.Context(), h, []byte("aad"), sealed, []byte("dst"))
			require.NoError(t, err)
			assert.Equal(t, append([]byte("dst"), plaintext...), opened)
		})
	}
}

// Neither side alone opens a ciphertext, and two KMS keys on one external key do not open each other's.
func TestDoubleEncryption(t *testing.T) {
	b := newBench(t)
	s := b.open()
	h, twin := b.key("k"), b.key("k")
	sealed, err := s.Seal(t.Context(), h, []byte("aad"), []byte("secret"), nil)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		handle func() *backend.Handle
		aad    string
		text   string
	}{
		"twin on the same external key": {func() *backend.Handle { return twin }, "aad", "The ciphertext that the external key store proxy submitted for decryption"},
		"another external key": {func() *backend.Handle {
			other := *h
			other.External = "other"
			return &other
		}, "aad", "The external key store proxy rejected the request because the specified ciphertext"},
		"another context": {func() *backend.Handle { return h }, "add", "The external key store proxy rejected the request because the specified ciphertext"},
	} {
		_, err := s.Open(t.Context(), c.handle(), []byte(c.aad), sealed, nil)
		var f *keystore.Fault
		require.ErrorAs(t, err, &f, name)
		assert.Equal(t, keystore.KindInvalidState, f.Kind, name)
		assert.Contains(t, f.Text, c.text, name)
	}
	_, err = b.token.Open(t.Context(), h, []byte("aad"), sealed, nil)
	require.Error(t, err, "the inner material does not open it by itself")
	for _, r := range b.proxy.Requests() {
		assert.NotContains(t, string(r.Body), "c2VjcmV0", "the proxy never sees the plaintext")
	}
}

// Every byte counts: no altered ciphertext opens, and whatever happens is one of three answers.
func TestAlteredCiphertexts(t *testing.T) {
	b := newBench(t)
	s := b.open()
	h := b.key("k")
	sealed, err := s.Seal(t.Context(), h, nil, []byte("secret"), nil)
	require.NoError(t, err)
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		_, err := s.Open(t.Context(), h, nil, altered, nil)
		require.Contains(t, []keystore.Kind{keystore.KindInvalidState, keystore.KindInvalidCiphertext}, keystore.KindOf(err), "byte %d", i)
	}
	before := b.proxy.Calls(xks.OpDecrypt)
	for _, cut := range [][]byte{nil, sealed[:1], sealed[:3], sealed[:34], append([]byte{2}, sealed[1:]...)} {
		_, err := s.Open(t.Context(), h, nil, cut, nil)
		require.Equal(t, keystore.KindInvalidCiphertext, keystore.KindOf(err))
	}
	assert.Equal(t, before, b.proxy.Calls(xks.OpDecrypt), "the proxy is not asked about what it cannot have made")
}

func TestAProxyThatLies(t *testing.T) {
	b := newBench(t)
	s := b.open()
	h := b.key("k")
	sealed, err := s.Seal(t.Context(), h, nil, []byte("secret"), nil)
	require.NoError(t, err)
	b.proxy.Set(xkstest.SpoilDecrypt(func(r *xks.DecryptResponse) { r.Plaintext[3] ^= 1 }))
	_, err = s.Open(t.Context(), h, nil, sealed, nil)
	assert.Equal(t, xksstore.InvalidInner(nil).Text, textOf(t, err))
	b.proxy.Set(xkstest.SpoilEncrypt(func(r *xks.EncryptResponse) { r.CDIV[0] ^= 1 }))
	_, err = s.Seal(t.Context(), h, nil, []byte("secret"), nil)
	assert.Contains(t, textOf(t, err), "AWS KMS cannot interpret the response")

	b.proxy.Set(nil)
	b.token.Fail(backendtest.Seal, 1, backendtest.Lost())
	calls := b.proxy.Calls(xks.OpEncrypt)
	_, err = s.Seal(t.Context(), h, nil, []byte("secret"), nil)
	require.Error(t, err)
	assert.Equal(t, calls, b.proxy.Calls(xks.OpEncrypt), "nothing leaves before it is sealed inside")
	b.token.Mend()
	b.token.Fail(backendtest.Open, 1, backendtest.Lost())
	_, err = s.Open(t.Context(), h, nil, sealed, nil)
	assert.NotEqual(t, keystore.KindInvalidState, keystore.KindOf(err), "a default token in trouble is no invalid ciphertext")
}

func textOf(t *testing.T, err error) string {
	t.Helper()
	var f *keystore.Fault
	require.ErrorAs(t, err, &f)
	return f.Text
}

func TestWhatIsOpened(t *testing.T) {
	b := newBench(t)
	b.proxy.Set(xkstest.Refuse(xks.AuthenticationFailedException))
	_, err := b.proxies.Open(t.Context(), b.row, []byte(xkstest.Secret))
	var ce *backend.ConnectError
	require.ErrorAs(t, err, &ce)
	assert.Equal(t, keystore.ConnInvalidCredentials, ce.Code)

	b.row.Conn = keystore.Connected // as after a restart
	asked := b.proxy.Calls(xks.OpHealth)
	b.open()
	assert.Equal(t, asked, b.proxy.Calls(xks.OpHealth), "a store that is CONNECTED stays so, whatever its proxy says")

	for name, spoil := range map[string]func(*keystore.Store){
		"Region": func(s *keystore.Store) { s.Region = "eu-west-1" },
		"type":   func(s *keystore.Store) { s.Type, s.Xks = keystore.StoreCloudHSM, nil },
		"path":   func(s *keystore.Store) { s.Xks.URIPath = "/v1" },
	} {
		row := b.row.Clone()
		spoil(row)
		_, err := b.proxies.Open(t.Context(), row, []byte(xkstest.Secret))
		require.ErrorAs(t, err, &ce, name)
	}
}

func TestAddresses(t *testing.T) {
	ported, err := xksstore.New(xksstore.Config{Inner: map[string]backend.Backend{"r": backendtest.NewMemory("x")}, AllowPort: true})
	require.NoError(t, err)
	strict, err := xksstore.New(xksstore.Config{Inner: map[string]backend.Backend{"r": backendtest.NewMemory("x")}})
	require.NoError(t, err)
	long := "/" + strings.Repeat("p", 116) + xks.BasePath
	for name, c := range map[string]struct {
		endpoint, path string
		strict, ported bool
	}{
		"usual":          {"https://proxy.example.com", "/kms/xks/v1", true, true},
		"prefix":         {"https://proxy.example.com", "/a/b/kms/xks/v1", true, true},
		"port":           {"https://proxy.example.com:8443", "/kms/xks/v1", false, true},
		"no TLS":         {"http://proxy.example.com", "/kms/xks/v1", false, false},
		"other version":  {"https://proxy.example.com", "/kms/xks/v2", false, false},
		"double slash":   {"https://proxy.example.com", "/a//kms/xks/v1", false, false},
		"long together":  {"https://" + strings.Repeat("h", 119), long, false, false},
		"long, and fits": {"https://" + strings.Repeat("h", 100), long, true, true},
	} {
		x := &keystore.XksConfig{URIEndpoint: c.endpoint, URIPath: c.path}
		for p, want := range map[*xksstore.Proxies]bool{strict: c.strict, ported: c.ported} {
			err := p.CheckAddress(x)
			if want {
				assert.NoError(t, err, name)
			} else {
				assert.Equal(t, keystore.KindValidation, keystore.KindOf(err), name)
			}
		}
	}
	_, err = xksstore.New(xksstore.Config{})
	assert.Error(t, err)
}

func TestDisconnectedStore(t *testing.T) {
	b := newBench(t)
	s := b.open()
	h := b.key("k")
	entered, release := make(chan struct{}), make(chan struct{})
	b.proxy.Set(func(x *xkstest.Exchange) {
		close(entered)
		<-release
		x.Honest()
	})
	result := make(chan error, 1)
	go func() { _, err := s.Seal(context.Background(), h, nil, []byte("x"), nil); result <- err }()
	<-entered
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.Error(t, s.Drain(short), "a call is in flight")
	_, err := s.Seal(t.Context(), h, nil, []byte("x"), nil)
	assert.Equal(t, xksstore.NotConnected(xksstore.ForCrypt).Text, textOf(t, err))
	_, err = s.Open(t.Context(), h, nil, nil, nil)
	assert.Equal(t, xksstore.NotConnected(xksstore.ForCrypt).Text, textOf(t, err))
	_, err = s.CreateKey(t.Context(), *h)
	assert.Equal(t, keystore.KindCustomKeyStoreInvalidState, keystore.KindOf(err))
	require.Error(t, s.Health(t.Context()))
	close(release)
	require.NoError(t, s.Drain(t.Context()))
	require.NoError(t, <-result, "what was in flight ends well")
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	assert.Equal(t, 1, b.seen.gone)
}

func TestDestroyTouchesNothing(t *testing.T) {
	b := newBench(t)
	s := b.open()
	before := len(b.proxy.Requests())
	found, err := s.DestroyKey(t.Context(), *b.key("k"))
	require.NoError(t, err)
	assert.False(t, found)
	assert.Len(t, b.proxy.Requests(), before)
}

func TestHealthIsWatched(t *testing.T) {
	b := newBench(t, func(c *xksstore.Config) { c.HealthEvery = 5 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.proxies.Run(ctx) }()
	s := b.open()
	require.NoError(t, s.Health(t.Context()))
	require.Eventually(t, func() bool { return b.seen.looks() > 2 }, time.Minute, time.Millisecond)
	b.seen.mu.Lock()
	h := b.seen.health[1]
	b.seen.mu.Unlock()
	require.NoError(t, h.Failure)
	assert.Equal(t, 1, h.Active)
	assert.Equal(t, "localhost", h.CertificateName)
	assert.False(t, h.NotAfter.IsZero())
	b.proxy.SetHealth(xks.HealthResponse{FleetSize: 1, Vendor: "v", Model: "m", EKMVendor: "e",
		Instances: []xks.Instance{{ID: "1", Model: "m", Status: xks.Unavailable}}})
	require.Eventually(t, func() bool {
		b.seen.mu.Lock()
		defer b.seen.mu.Unlock()
		last := b.seen.health[len(b.seen.health)-1]
		return errors.Is(last.Failure, xksstore.ErrUnhealthy) && last.Unavailable == 1
	}, time.Minute, time.Millisecond)
	require.Error(t, s.Health(t.Context()))
	require.NoError(t, s.Drain(t.Context()))
	require.NoError(t, s.Close())
	b.proxies.Look(t.Context())
	before := b.seen.looks()
	b.proxies.Look(t.Context())
	assert.Equal(t, before, b.seen.looks(), "a store that is gone is not asked")
	cancel()
	require.NoError(t, <-done)
	assert.Contains(t, b.seen.calls, "cks-1 GetHealthStatus KmsHealthCheck")
	assert.Contains(t, b.seen.calls, "cks-1 GetHealthStatus ConnectCustomKeyStore")
}

// An update opens a second connection before the first is closed: the figures are of the store, not of the connection.
func TestReplacedConnection(t *testing.T) {
	b := newBench(t)
	one, two := b.open(), b.open()
	require.NoError(t, one.Drain(t.Context()))
	h := b.key("k")
	_, err := one.Seal(t.Context(), h, nil, []byte("x"), nil)
	require.NoError(t, err, "a call that was on its way while the connection was replaced")
	require.NoError(t, one.Close())
	_, err = one.Seal(t.Context(), h, nil, []byte("x"), nil)
	require.NoError(t, err)
	assert.Zero(t, b.seen.gone)
	require.NoError(t, two.Drain(t.Context()))
	require.NoError(t, two.Close())
	assert.Equal(t, 1, b.seen.gone)
	for _, s := range []*xksstore.Backend{one, two} {
		_, err = s.Seal(t.Context(), h, nil, []byte("x"), nil)
		require.Equal(t, keystore.KindInvalidState, keystore.KindOf(err))
	}
}

// A dead proxy is left alone after a few calls, whose callers all get the same text, and is used again when it is back.
func TestCircuitBreaking(t *testing.T) {
	t.Parallel()
	var offset atomic.Int64
	start := time.Now()
	b := newBench(t, func(c *xksstore.Config) {
		c.Timeout = impatient
		c.Now = func() time.Time { return start.Add(time.Duration(offset.Load())) }
	})
	b.row.Conn = keystore.Connected
	s := b.open()
	h := b.key("k")
	b.proxy.Set(xkstest.Hang())
	const enough = 8 // failures to leave the proxy alone
	texts := make(chan string, enough)
	var wg sync.WaitGroup
	for range enough {
		wg.Go(func() {
			_, err := s.Seal(t.Context(), h, nil, []byte("x"), nil)
			texts <- textOf(t, err)
		})
	}
	wg.Wait()
	close(texts)
	require.Len(t, texts, enough)
	calls := b.proxy.Calls(xks.OpEncrypt)
	assert.LessOrEqual(t, calls, 2*enough, "retries included")
	want := <-texts
	assert.Contains(t, want, "did not respond in time")
	for text := range texts {
		assert.Equal(t, want, text)
	}
	for range 60 {
		_, err := s.Seal(t.Context(), h, nil, []byte("x"), nil)
		require.Equal(t, want, textOf(t, err))
	}
	assert.Equal(t, calls, b.proxy.Calls(xks.OpEncrypt))
	b.proxy.Set(nil)
	offset.Store(int64(time.Second))
	_, err := s.Seal(t.Context(), h, nil, []byte("x"), nil)
	require.NoError(t, err, "it heals by itself")
}

func TestCertificateThatAWSWouldRefuse(t *testing.T) {
	b := newBench(t)
	authority := xkstest.NewAuthority(t)
	p := xkstest.Start(t, func(_ *xkstest.Authority, c *tls.Config) {
		c.Certificates = []tls.Certificate{authority.Issue("localhost", func(c *x509.Certificate) { c.Subject.CommonName = "other" })}
	})
	proxies, err := xksstore.New(xksstore.Config{Inner: map[string]backend.Backend{xkstest.Region: b.token}, AllowPort: true, TLS: xksstore.TLS{RootCAs: authority.Pool()},
		Timeout: time.Minute, Logger: slog.New(slog.NewTextHandler(b.logged, nil))})
	require.NoError(t, err)
	b.row.Xks.URIEndpoint = p.Endpoint
	s, err := proxies.Open(t.Context(), b.row, []byte(xkstest.Secret))
	require.NoError(t, err)
	require.NoError(t, s.Close())
	assert.Contains(t, b.logged.String(), "AWS KMS would refuse it")
}

// A proxy of another house: its CA and the certificate that it asks for hold at its endpoint, in place of the general ones.
func TestEndpointsHaveTheirOwnTLS(t *testing.T) {
	ours, theirs := xkstest.NewAuthority(t), xkstest.NewAuthority(t)
	p := xkstest.Start(t, func(_ *xkstest.Authority, c *tls.Config) {
		c.Certificates = []tls.Certificate{theirs.Issue("localhost")}
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, theirs.Pool()
	})
	general := xksstore.TLS{RootCAs: ours.Pool(), Certificates: []tls.Certificate{ours.Issue("kms")}}
	for name, tt := range map[string]struct {
		own  map[string]xksstore.TLS
		want keystore.ConnErrorCode
	}{
		"own":            {map[string]xksstore.TLS{strings.ToUpper(p.Endpoint): {RootCAs: theirs.Pool(), Certificates: []tls.Certificate{theirs.Issue("kms")}}}, ""},
		"no certificate": {map[string]xksstore.TLS{p.Endpoint: {RootCAs: theirs.Pool()}}, keystore.ConnXksInvalidTLS},
		"not its own":    {map[string]xksstore.TLS{"https://elsewhere.example.com": {RootCAs: theirs.Pool()}}, keystore.ConnXksInvalidTLS},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(c *xksstore.Config) { c.TLS, c.Endpoints = general, tt.own })
			b.row.Xks.URIEndpoint = p.Endpoint
			s, err := b.proxies.Open(t.Context(), b.row, []byte(xkstest.Secret))
			if tt.want == "" {
				require.NoError(t, err)
				require.NoError(t, s.Close())
				return
			}
			var failed *backend.ConnectError
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, tt.want, failed.Code)
		})
	}
}

func TestNoSecretInTheLog(t *testing.T) {
	b := newBench(t)
	b.proxy.Set(xkstest.Refuse(xks.AuthenticationFailedException))
	_, err := b.proxies.Open(t.Context(), b.row, []byte(xkstest.Secret))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), xkstest.Secret)
	err = b.proxies.CheckProxy(t.Context(), caller, keystore.ActionCreateCustomKeyStore, b.row, []byte(xkstest.Secret))
	assert.Equal(t, keystore.KindXksProxyIncorrectAuth, keystore.KindOf(err))
	assert.NotContains(t, err.Error()+b.logged.String(), xkstest.Secret)
}
