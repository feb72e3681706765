package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
)

// Credential is what a store's calls are signed with.
type Credential = sigv4.Credential

// Config says which proxy to call, and how.
type Config struct {
	Endpoint   string // XksProxyUriEndpoint: https://host
	URIPath    string // XksProxyUriPath
	Credential sigv4.Credential
	Region     string // of the KMS that calls: it stands in the signature's scope
	// AllowPort accepts an endpoint with a port, which AWS forbids.
	AllowPort bool
	// RootCAs are trusted for the proxy's certificate; nil means the system's.
	RootCAs *x509.CertPool
	// Certificates are offered if the proxy wants mutual TLS.
	Certificates []tls.Certificate

	Timeout  time.Duration // of one attempt; 0 means DefaultTimeout
	MaxConns int           // connections to the proxy; 0 means DefaultMaxConns
	// Observer is told of every call. It is called by many goroutines at once.
	Observer Observer
	Now      func() time.Time // nil is time.Now; signatures, pauses and durations are judged by it
}

// Defaults of Config.
const (
	DefaultTimeout  = 250 * time.Millisecond // what KMS waits
	DefaultMaxConns = 64
)

// Bounds of an answer. The longest legal one has 8 KiB of ciphertext and a few short members.
const (
	maxAnswer       = 64 << 10
	maxAnswerHeader = 32 << 10
	idleTimeout     = 90 * time.Second
)

// Observer is told of calls, for metrics and health.
type Observer interface {
	// ProxyCall reports a call with all its attempts. err is nil or the *Error that the caller gets.
	ProxyCall(op xks.Operation, kmsOperation string, took time.Duration, err *Error)
}

// Client calls one proxy. It is safe for concurrent use.
type Client struct {
	cfg       Config
	transport *http.Transport
	host      string
	signer    atomic.Pointer[signer]
	breaker   breaker
	budget    budget
	leaf      atomic.Pointer[x509.Certificate]
}

// signer is a credential with the signing key of a day.
type signer struct {
	cred sigv4.Credential
	day  atomic.Pointer[dayKey]
}

type dayKey struct {
	date string
	key  []byte
}

// errOverdue is the cause of a context whose attempt took too long.
var errOverdue = errors.New("no answer in time")

// New makes a client. Nothing is sent before the first call.
func New(cfg Config) (*Client, error) {
	if err := xks.CheckEndpoint(cfg.Endpoint, cfg.AllowPort); err != nil {
		return nil, fmt.Errorf("xks proxy client: %q: %w", cfg.Endpoint, err)
	}
	if err := xks.CheckURIPath(cfg.URIPath); err != nil {
		return nil, fmt.Errorf("xks proxy client: %q: %w", cfg.URIPath, err)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = DefaultMaxConns
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{cfg: cfg, host: strings.TrimPrefix(cfg.Endpoint, "https://"), breaker: breaker{now: cfg.Now}}
	c.SetCredential(cfg.Credential)
	c.transport = &http.Transport{
		DialTLSContext:         c.dial,
		MaxConnsPerHost:        cfg.MaxConns,
		MaxIdleConns:           cfg.MaxConns,
		MaxIdleConnsPerHost:    cfg.MaxConns,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
		DisableCompression:     true,
		// HTTP/1.1 only, like KMS: a connection that hangs then costs one call, not all that share it.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	return c, nil
}

// SetCredential changes the credential for calls that start from now on.
func (c *Client) SetCredential(cred sigv4.Credential) {
	cred.Secret = append([]byte(nil), cred.Secret...)
	c.signer.Store(&signer{cred: cred})
}

// Close ends idle connections. Calls in progress end by themselves.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Certificate describes the certificate that the proxy showed last.
type Certificate struct {
	CommonName string
	NotAfter   time.Time
	// NameInCN says that the endpoint's host is the subject CN, or covered by it as a wildcard of one label. AWS asks
	// for that beyond the ordinary check of SANs.
	NameInCN bool
}

// Certificate gives what is known of the proxy's certificate; false before the first connection.
func (c *Client) Certificate() (Certificate, bool) {
	leaf := c.leaf.Load()
	if leaf == nil {
		return Certificate{}, false
	}
	host, _, _ := strings.Cut(c.host, ":")
	cn := leaf.Subject.CommonName
	_, parent, _ := strings.Cut(host, ".")
	return Certificate{
		CommonName: cn, NotAfter: leaf.NotAfter,
		NameInCN: strings.EqualFold(cn, host) || parent != "" && strings.EqualFold(cn, "*."+parent),
	}, true
}

// sign signs a request with today's key, which is derived once.
func (s *signer) sign(r *http.Request, body []byte, region string, now time.Time) {
	date := now.UTC().Format("20060102")
	day := s.day.Load()
	if day == nil || day.date != date {
		day = &dayKey{date, sigv4.DeriveKey(s.cred.Secret, date, region, xks.Service)}
		s.day.Store(day)
	}
	sigv4.SignRequest(r, body, s.cred, region, xks.Service, now, sigv4.SignHeaders(), sigv4.WithSigningKey(day.key))
}

// attempt makes one exchange.
func (c *Client) attempt(ctx context.Context, op xks.Operation, path string, body []byte) (answer []byte, status int, failure *Error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errOverdue)
	defer cancel()
	var used atomic.Pointer[httptrace.GotConnInfo]
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { used.Store(&i) }})
	r := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: c.host, Path: path}, Host: c.host,
		Header: http.Header{"Content-Type": {"application/json"}, "User-Agent": {"Strongroom"}}, ContentLength: int64(len(body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	r.Body = newBody(body)
	r.GetBody = func() (io.ReadCloser, error) { return newBody(body), nil }
	// A key that is there without a value is not sent, and lets the transport repeat the request on a fresh
	// connection if the proxy closed an idle one at that moment. All operations may be repeated.
	r.Header["X-Idempotency-Key"] = nil
	c.signer.Load().sign(r, body, c.cfg.Region, c.cfg.Now())

	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		failure := &Error{Class: classify(ctx, err, false), Operation: op, Err: err}
		if info := used.Load(); info != nil && failure.Class == Unreachable {
			failure.stale = info.Reused
			if made, ok := info.Conn.(*conn); ok && made.blamesTLS(info.Reused) {
				failure.Class, failure.stale = TLS, false
			}
		}
		return nil, 0, failure
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// The connection is the caller's then: no deadline holds, and the body ends when the proxy likes.
		return nil, resp.StatusCode, &Error{Class: Malformed, Operation: op, Status: resp.StatusCode, Err: errors.New("the proxy switched protocols")}
	}
	answer, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, resp.StatusCode, &Error{Class: classify(ctx, err, true), Operation: op, Status: resp.StatusCode, Err: err}
	}
	if len(answer) > maxAnswer {
		return nil, resp.StatusCode, &Error{Class: Malformed, Operation: op, Status: resp.StatusCode, Err: errors.New("answer too long")}
	}
	return answer, resp.StatusCode, nil
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }
