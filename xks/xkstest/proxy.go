package xkstest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
)

// The credential and place that every scripted proxy has.
const (
	URIPath     = "/scripted/kms/xks/v1"
	AccessKeyID = "SCRIPTEDPROXY2222222"
	Secret      = "c2NyaXB0ZWQtcHJveHktc2VjcmV0LWZvci10ZXN0cy4="
	Region      = "us-east-1"
)

// Exchange is a request to a scripted proxy. Its signature has been verified, unless the fault is raised before.
type Exchange struct {
	W     http.ResponseWriter
	R     *http.Request
	Op    xks.Operation
	KeyID string
	Body  []byte
	proxy *Proxy
}

// Fault answers instead of the honest proxy, or spoils what it says. A nil Fault is honesty.
type Fault func(x *Exchange)

// Proxy is a proxy over real TLS on the loop-back interface. Without a fault it keeps to the protocol, with keys in
// memory: any key id but "missing" exists, and the metadata of its own are set by fields.
type Proxy struct {
	Endpoint  string // https://localhost:port
	Authority *Authority

	t        testing.TB
	server   *http.Server
	listener net.Listener
	verifier sigv4.Verifier
	release  chan struct{}

	mu       sync.Mutex
	fault    Fault
	health   xks.HealthResponse
	metadata xks.MetadataResponse
	calls    map[xks.Operation]int
	conns    int // ever opened
	open     map[net.Conn]http.ConnState
	requests []Request
}

// Request is what a client sent, for a test to look at.
type Request struct {
	Op     xks.Operation
	KeyID  string
	Body   []byte
	Header http.Header
}

// Start starts an honest proxy. Options change the TLS configuration before it listens.
func Start(t testing.TB, options ...func(*Authority, *tls.Config)) *Proxy {
	t.Helper()
	p := &Proxy{t: t, Authority: NewAuthority(t), release: make(chan struct{}), calls: map[xks.Operation]int{}, open: map[net.Conn]http.ConnState{}}
	p.verifier = sigv4.Verifier{
		Service: xks.Service, Now: time.Now, AllowUnsignedAmz: true,
		Keys: sigv4.NewCache(sigv4.SecretsFunc(func(_ context.Context, id string) ([]byte, error) {
			if id != AccessKeyID {
				return nil, sigv4.ErrUnknownKey
			}
			return []byte(Secret), nil
		}), 0),
	}
	p.health = xks.HealthResponse{FleetSize: 1, Vendor: "test", Model: "scripted", EKMVendor: "test",
		Instances: []xks.Instance{{ID: "1", Model: "memory", Status: xks.Active}}}
	p.metadata = xks.MetadataResponse{KeySpec: xks.KeySpecAES256, KeyUsage: []string{xks.UsageEncrypt, xks.UsageDecrypt}, KeyStatus: xks.KeyEnabled}
	config := &tls.Config{Certificates: []tls.Certificate{p.Authority.Issue("localhost")}, MinVersion: tls.VersionTLS12}
	for _, option := range options {
		option(p.Authority, config)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	p.listener = listener
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	p.Endpoint = "https://localhost:" + port
	p.server = &http.Server{
		Handler: p, ConnState: p.count, ReadHeaderTimeout: time.Minute, TLSConfig: config,
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	p.server.ErrorLog = silent()
	done := make(chan error, 1)
	go func() { done <- p.server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() {
		close(p.release)
		_ = p.server.Close() // what it closes is what the test left open
		<-done
	})
	return p
}

func (p *Proxy) count(conn net.Conn, state http.ConnState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if state == http.StateNew {
		p.conns++
	}
	p.open[conn] = state
	if state == http.StateClosed || state == http.StateHijacked {
		delete(p.open, conn)
	}
}

// Set changes the fault for the requests to come.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
}

// SetHealth and SetMetadata change what the honest proxy says.
func (p *Proxy) SetHealth(h xks.HealthResponse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.health = h
}

// SetMetadata changes the answer of GetKeyMetadata.
func (p *Proxy) SetMetadata(m xks.MetadataResponse) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.metadata = m
}

// Calls counts the requests of an operation.
func (p *Proxy) Calls(op xks.Operation) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[op]
}

// Connections gives how many were ever made, and how many are open.
func (p *Proxy) Connections() (made, open int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns, len(p.open)
}

// Requests gives everything that was sent, in order of arrival.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.requests...)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, op, keyID, ok := xks.ParsePath(r.RequestURI)
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	x := &Exchange{W: w, R: r, Op: op, KeyID: keyID, Body: body, proxy: p}
	p.mu.Lock()
	fault := p.fault
	p.calls[op]++
	p.requests = append(p.requests, Request{op, keyID, body, r.Header.Clone()})
	p.mu.Unlock()
	switch {
	case err != nil:
		abort()
	case !ok || path != URIPath:
		x.refuse(xks.InvalidURIPathException)
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case p.verify(r, body) != nil:
		x.refuse(xks.AuthenticationFailedException)
	case fault != nil:
		fault(x)
	default:
		x.Honest()
	}
}

func (p *Proxy) verify(r *http.Request, body []byte) error {
	scope, err := p.verifier.Parse(r)
	if err != nil {
		return err
	}
	return p.verifier.Verify(r.Context(), r, body, scope)
}

// Honest answers as the protocol asks.
func (x *Exchange) Honest() { x.Write(http.StatusOK, x.Answer()) }

// Answer makes the honest answer, or writes an error of the protocol and gives nil.
func (x *Exchange) Answer() []byte {
	x.proxy.mu.Lock()
	health, metadata := x.proxy.health, x.proxy.metadata
	x.proxy.mu.Unlock()
	if x.KeyID == "missing" {
		x.refuse(xks.KeyNotFoundException)
		return nil
	}
	switch x.Op {
	case xks.OpHealth:
		return health.Encode()
	case xks.OpMetadata:
		return metadata.Encode()
	case xks.OpEncrypt:
		sealed, err := x.Encrypt()
		if err != nil {
			x.refuse(xks.NameOf(err))
			return nil
		}
		return sealed.Encode()
	}
	opened, err := x.Decrypt()
	if err != nil {
		x.refuse(xks.NameOf(err))
		return nil
	}
	return opened.Encode()
}

// Write answers with a status and a JSON body. A nil body means that the answer has been given.
func (x *Exchange) Write(status int, body []byte) {
	if body == nil {
		return
	}
	x.W.Header().Set("Content-Type", "application/json")
	x.W.WriteHeader(status)
	_, _ = x.W.Write(body) // the client may be gone: that is the test's business
}

func (x *Exchange) refuse(name xks.ErrorName) {
	e := xks.NewError(name, "scripted")
	x.Write(name.Status(), e.Encode())
}

// gcm is the key of a key id: derived, so that there are as many keys as ids.
func gcm(keyID string, ivSize int) cipher.AEAD {
	key := sha256.Sum256([]byte("scripted key " + keyID))
	block, err := aes.NewCipher(key[:])
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCMWithNonceSize(block, ivSize); err == nil {
			return aead
		}
	}
	panic("xkstest: AES-GCM with a 256-bit key: " + err.Error())
}

// Encrypt makes the honest answer of Encrypt as a value, for a fault to spoil.
func (x *Exchange) Encrypt() (xks.EncryptResponse, error) {
	req, err := xks.DecodeEncryptRequest(x.Body, xks.Limits{})
	if err != nil {
		return xks.EncryptResponse{}, err
	}
	r := xks.EncryptResponse{CiphertextMetadata: []byte{9, 9, 9}, IV: make([]byte, xks.IVSize)}
	if _, err := rand.Read(r.IV); err != nil {
		return r, err
	}
	framed := xks.AppendTokenAAD(nil, req.AAD, r.CiphertextMetadata)
	out := gcm(x.KeyID, len(r.IV)).Seal(nil, r.IV, req.Plaintext, framed)
	r.Ciphertext, r.Tag = out[:len(req.Plaintext)], out[len(req.Plaintext):]
	if req.CDIV {
		cdiv := xks.CDIV(req.AAD, r.CiphertextMetadata, r.IV, r.Ciphertext, r.Tag)
		r.CDIV = cdiv[:]
	}
	return r, nil
}

// Decrypt makes the honest answer of Decrypt as a value.
func (x *Exchange) Decrypt() (xks.DecryptResponse, error) {
	req, err := xks.DecodeDecryptRequest(x.Body, xks.Limits{})
	if err != nil {
		return xks.DecryptResponse{}, err
	}
	sealed := append(append([]byte{}, req.Ciphertext...), req.Tag...)
	framed := xks.AppendTokenAAD(nil, req.AAD, req.CiphertextMetadata)
	plaintext, err := gcm(x.KeyID, len(req.IV)).Open(nil, req.IV, sealed, framed)
	if err != nil {
		return xks.DecryptResponse{}, xks.NewError(xks.InvalidCiphertextException, "scripted")
	}
	return xks.DecryptResponse{Plaintext: plaintext}, nil
}

// Address is the proxy's address without scheme.
func (p *Proxy) Address() string { return strings.TrimPrefix(p.Endpoint, "https://") }

// CloseIdle closes every connection that carries no request now.
func (p *Proxy) CloseIdle() {
	p.closeConnections(func(s http.ConnState) bool { return s == http.StateIdle })
}

// CloseConnections closes every connection, whatever it carries: what comes then comes over a new one.
func (p *Proxy) CloseConnections() { p.closeConnections(func(http.ConnState) bool { return true }) }

func (p *Proxy) closeConnections(which func(http.ConnState) bool) {
	var chosen []net.Conn
	p.mu.Lock()
	for conn, state := range p.open {
		if which(state) {
			chosen = append(chosen, conn)
		}
	}
	p.mu.Unlock()
	for _, conn := range chosen {
		_ = conn.Close() // that is the point
	}
}
