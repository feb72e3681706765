package proxy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/proxy"
	"github.com/strongroom/strongroom/xks/tokenkeys"
	"github.com/strongroom/strongroom/xks/xkstest"
)

const (
	pathA  = "/tenant-a/kms/xks/v1"
	pathB  = "/tenant-b/kms/xks/v1"
	region = "us-east-1"
)

// deployment is a proxy over real TLS on the loop-back interface.
type deployment struct {
	t      testing.TB
	proxy  *proxy.Proxy
	url    string
	client *http.Client
	ca     *xkstest.Authority
	keys   *tokenkeys.Keys
	creds  map[string]proxy.Credential // by realm path
	realms []proxy.Realm

	mu     sync.Mutex
	events []proxy.Event
}

func newCredential(t testing.TB) proxy.Credential {
	t.Helper()
	c, err := proxy.NewCredential(rand.Reader)
	require.NoError(t, err)
	return c
}

// tokenKeys gives keys "key-1" to "key-5" on a fresh SoftHSM2 token.
func tokenKeys(t testing.TB) *tokenkeys.Keys {
	t.Helper()
	keys, err := tokenkeys.Open(context.Background(), tokenkeys.Config{Token: hsmtest.SoftHSM(t, "xks").Open("xks")})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	<-keys.Ready()
	for _, id := range []string{"key-1", "key-2", "key-3", "key-4", "key-5"} {
		_, err := keys.Create(context.Background(), id, tokenkeys.UseBoth)
		require.NoError(t, err)
	}
	return keys
}

// deploy starts a proxy with two realms over the same keys. change may alter configuration and realms before.
func deploy(t testing.TB, keys proxy.Keys, change func(*proxy.Config, []proxy.Realm)) *deployment {
	t.Helper()
	d := &deployment{t: t, ca: xkstest.NewAuthority(t), creds: map[string]proxy.Credential{pathA: newCredential(t), pathB: newCredential(t)}}
	d.keys, _ = keys.(*tokenkeys.Keys)
	// Only tests of deadlines have one that a busy machine can overrun.
	cfg := proxy.Config{Recorder: proxy.RecorderFunc(d.record), Deadline: time.Minute, BodyTimeout: time.Minute}
	d.realms = []proxy.Realm{
		{Name: "a", URIPath: pathA, Credentials: []proxy.Credential{d.creds[pathA]}, Regions: []string{region}, Keys: keys},
		{Name: "b", URIPath: pathB, Credentials: []proxy.Credential{d.creds[pathB]}, Keys: keys},
	}
	if change != nil {
		change(&cfg, d.realms)
	}
	d.proxy = proxy.New(cfg)
	require.NoError(t, d.proxy.Update(d.realms))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.proxy.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
	d.serve(proxy.TLSOptions{Certificates: []tls.Certificate{d.ca.Issue("localhost")}})
	return d
}

func (d *deployment) record(_ context.Context, e proxy.Event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
	return nil
}

func (d *deployment) lastEvent() proxy.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	require.NotEmpty(d.t, d.events)
	return d.events[len(d.events)-1]
}

func (d *deployment) serve(o proxy.TLSOptions) {
	d.t.Helper()
	server, err := proxy.NewServer(d.proxy, o, nil)
	require.NoError(d.t, err)
	server.ReadHeaderTimeout, server.WriteTimeout = time.Minute, time.Minute // of the handshake too
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(d.t, err)
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(listener, "", "") }()
	d.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			_ = server.Close()
		}
		require.ErrorIs(d.t, <-done, http.ErrServerClosed)
	})
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(d.t, err)
	d.url = "https://localhost:" + port
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.ca.Pool()}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64}
	d.t.Cleanup(transport.CloseIdleConnections)
	d.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if o.ClientCAs == nil {
		d.connect(transport)
	}
}

// connect leaves a connection that can be used. net/http's server closes one of HTTP/2 whose first frames it has not come to
// read within two seconds, and nothing but another connection helps on a machine that stood still at that moment.
func (d *deployment) connect(transport *http.Transport) {
	d.t.Helper()
	var resp *http.Response
	var err error
	for range 10 {
		if resp, err = (&http.Client{Transport: transport}).Get(d.url + "/ping"); err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(d.t, errors.Join(err, resp.Body.Close()))
			return
		}
	}
	require.NoError(d.t, err)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	name   xks.ErrorName
}

// request makes a signed POST for a path with the realm's credential.
func (d *deployment) request(path string, body []byte, cred proxy.Credential) *http.Request {
	d.t.Helper()
	r, err := http.NewRequest(http.MethodPost, d.url+path, bytes.NewReader(body))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/json")
	sigv4.SignRequest(r, body, sigv4.Credential{AccessKeyID: cred.AccessKeyID, Secret: cred.Secret}, region, xks.Service, time.Now(), sigv4.SignHeaders())
	return r
}

func (d *deployment) do(r *http.Request) answer {
	d.t.Helper()
	resp, err := d.client.Do(r)
	require.NoError(d.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	a := answer{status: resp.StatusCode, header: resp.Header, body: body}
	if a.status != http.StatusOK && len(body) > 0 {
		var e struct{ ErrorName, ErrorMessage string }
		require.NoError(d.t, json.Unmarshal(body, &e), "%s", body)
		a.name = xks.ErrorName(e.ErrorName)
	}
	return a
}

// call sends a body to an operation of a realm.
func (d *deployment) call(path string, op xks.Operation, keyID string, body []byte) answer {
	d.t.Helper()
	return d.do(d.request(xks.OperationPath(path, op, keyID), body, d.creds[path]))
}

func (d *deployment) want(name xks.ErrorName, a answer) {
	d.t.Helper()
	require.Equal(d.t, name, a.name, "%d %s", a.status, a.body)
	status := http.StatusOK
	if name != "" {
		status = name.Status()
	}
	require.Equal(d.t, status, a.status)
	require.Equal(d.t, "application/json", a.header.Get("Content-Type"))
}

var metadata = xks.RequestMetadata{
	PrincipalARN: "arn:aws:iam::123456789012:role/app", KMSKeyARN: "arn:aws:kms:us-east-1:123456789012:key/1",
	KMSOperation: "Encrypt", KMSRequestID: "request-1", SourceVPC: "vpc-1", ViaService: "ec2.us-east-1.amazonaws.com",
}

func encryptBody(plaintext, aad string, cdiv bool) []byte {
	r := xks.EncryptRequest{Metadata: metadata, Plaintext: []byte(plaintext), AAD: []byte(aad), CDIV: cdiv}
	return r.Encode()
}

func metadataBody() []byte {
	r := xks.MetadataRequest{Metadata: metadata}
	return r.Encode()
}

func healthBody() []byte {
	r := xks.HealthRequest{Metadata: xks.RequestMetadata{KMSOperation: xks.KMSHealthCheck, KMSRequestID: "h"}}
	return r.Encode()
}

// seal encrypts through the proxy.
func (d *deployment) seal(path, keyID, plaintext, aad string) xks.EncryptResponse {
	d.t.Helper()
	a := d.call(path, xks.OpEncrypt, keyID, encryptBody(plaintext, aad, false))
	d.want("", a)
	r, err := xks.DecodeEncryptResponse(a.body, &xks.EncryptRequest{Plaintext: []byte(plaintext), AAD: []byte(aad)})
	require.NoError(d.t, err)
	return r
}

func decryptBody(s xks.EncryptResponse, aad string) []byte {
	r := xks.DecryptRequest{Metadata: metadata, Ciphertext: s.Ciphertext, CiphertextMetadata: s.CiphertextMetadata, AAD: []byte(aad), IV: s.IV, Tag: s.Tag}
	return r.Encode()
}

// scripted is a Keys whose every answer the test decides.
type scripted struct {
	metadata func(context.Context) (xks.MetadataResponse, error)
	encrypt  func(ctx context.Context, plaintext, aad []byte) (xks.Sealed, error)
	decrypt  func(context.Context, xks.Sealed, []byte) ([]byte, error)
	probe    func(context.Context) error
	manager  xks.KeyManager
}

var errUnscripted = errors.New("not scripted")

func (s *scripted) Metadata(ctx context.Context, _ string) (xks.MetadataResponse, error) {
	if s.metadata == nil {
		return xks.MetadataResponse{KeySpec: "AES_256", KeyUsage: []string{"ENCRYPT", "DECRYPT"}, KeyStatus: xks.KeyEnabled}, nil
	}
	return s.metadata(ctx)
}

func (s *scripted) Encrypt(ctx context.Context, _ string, plaintext, aad []byte) (xks.Sealed, error) {
	if s.encrypt == nil {
		return xks.Sealed{}, errUnscripted
	}
	return s.encrypt(ctx, plaintext, aad)
}

func (s *scripted) Decrypt(ctx context.Context, _ string, sealed xks.Sealed, aad []byte) ([]byte, error) {
	if s.decrypt == nil {
		return nil, errUnscripted
	}
	return s.decrypt(ctx, sealed, aad)
}

func (s *scripted) KeyManager() xks.KeyManager { return s.manager }

func (s *scripted) Probe(ctx context.Context) error {
	if s.probe == nil {
		return nil
	}
	return s.probe(ctx)
}
