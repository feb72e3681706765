package xksstore

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/client"
)

// Config is what Proxies works with. Inner is required.
type Config struct {
	// Inner are the default stores by Region: they keep the own material of keys in external key stores.
	Inner map[string]backend.Backend
	// AllowPort accepts endpoints with a port, which AWS forbids.
	AllowPort bool
	// TLS holds for every proxy but those of Endpoints, by XksProxyUriEndpoint in any case of letters.
	TLS       TLS
	Endpoints map[string]TLS
	// Timeout bounds one attempt of a call; 0 is KMS's 250 ms.
	Timeout time.Duration
	// MaxConns bounds the connections to a proxy, by store; 0 is client.DefaultMaxConns.
	MaxConns int
	// HealthEvery is the time between two looks at a connected store's health; 0 is DefaultHealthEvery.
	HealthEvery time.Duration
	Random      io.Reader        // nil is crypto/rand
	Now         func() time.Time // nil is time.Now: signatures and certificates are judged by the real time
	Observer    Observer         // nil: nobody
	Logger      *slog.Logger     // nil: silence
}

// TLS says whom to trust and what to show.
type TLS struct {
	// RootCAs are trusted for proxies' certificates; nil means the system's.
	RootCAs *x509.CertPool
	// Certificates are offered to proxies that want mutual TLS.
	Certificates []tls.Certificate
}

// DefaultHealthEvery is the time between two looks at a connected store's health.
const DefaultHealthEvery = time.Minute

// Proxies checks, opens and watches the external key stores of an appliance. It may be used by many goroutines at once.
type Proxies struct {
	cfg       Config
	inner     map[string]inner
	endpoints map[string]TLS // by endpoint in lower case

	mu   sync.Mutex
	open map[*Backend]struct{} // guarded by mu
	wake chan struct{}         // a store was opened that nobody has asked yet; capacity 1
}

// New makes Proxies. Nothing is sent before a store is checked or opened.
func New(cfg Config) (*Proxies, error) {
	p := &Proxies{inner: map[string]inner{}, open: map[*Backend]struct{}{}, wake: make(chan struct{}, 1)}
	for region, b := range cfg.Inner {
		in, ok := b.(inner)
		if !ok {
			return nil, fmt.Errorf("external key stores: the default store of %s cannot encrypt", region)
		}
		p.inner[region] = in
	}
	if len(p.inner) == 0 {
		return nil, errors.New("external key stores: Inner is required")
	}
	if cfg.HealthEvery <= 0 {
		cfg.HealthEvery = DefaultHealthEvery
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Observer == nil {
		cfg.Observer = nobody{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p.cfg, p.endpoints = cfg, map[string]TLS{}
	for endpoint, own := range cfg.Endpoints {
		p.endpoints[strings.ToLower(endpoint)] = own
	}
	return p, nil
}

// dial makes the client of a store's proxy. secret is copied.
func (p *Proxies) dial(s *keystore.Store, secret []byte) (*client.Client, error) {
	if s.Type != keystore.StoreXKS || s.Xks == nil {
		return nil, fmt.Errorf("%s is no external key store", s.ID)
	}
	at := p.tlsAt(s.Xks.URIEndpoint)
	return client.New(client.Config{
		Endpoint: s.Xks.URIEndpoint, URIPath: s.Xks.URIPath, Region: s.Region, AllowPort: p.cfg.AllowPort,
		Credential: client.Credential{AccessKeyID: s.Xks.AccessKeyID, Secret: secret},
		RootCAs:    at.RootCAs, Certificates: at.Certificates, Timeout: p.cfg.Timeout, MaxConns: p.cfg.MaxConns,
		Observer: &calls{p, nameOf(s)}, Now: p.cfg.Now,
	})
}

func (p *Proxies) tlsAt(endpoint string) TLS {
	if own, ok := p.endpoints[strings.ToLower(endpoint)]; ok {
		return own
	}
	return p.cfg.TLS
}

// CheckAddress refuses an endpoint or path that no proxy can have: a Fault of kind Validation.
func (p *Proxies) CheckAddress(x *keystore.XksConfig) error {
	err := xks.CheckEndpoint(x.URIEndpoint, p.cfg.AllowPort)
	if err == nil {
		err = xks.CheckURIPath(x.URIPath)
	}
	if err == nil {
		err = xks.CheckURILength(x.URIEndpoint, x.URIPath, "k")
	}
	if err != nil {
		return keystore.Faultf(keystore.KindValidation, "The XKS %s.", err).Because(err)
	}
	return nil
}

// CheckProxy asks the proxy that a row describes for its health, for CreateCustomKeyStore or UpdateCustomKeyStore. Its
// failures are Faults of the XksProxy kinds.
func (p *Proxies) CheckProxy(ctx context.Context, c *keystore.Caller, a keystore.Action, s *keystore.Store, secret []byte) error {
	cl, err := p.dial(s, secret)
	if err != nil {
		return (&keystore.Fault{Kind: keystore.KindInternal}).Because(err)
	}
	defer cl.Close()
	if _, err := p.askHealth(ctx, cl, string(a), c.RequestID); err != nil {
		return Fault(err, ForStore)
	}
	return nil
}

// Open connects an external key store. One that is CONNECTED already, as after a restart or an update, is opened without
// asking its proxy: a proxy that fails is no reason to lose the state (custom-key-stores.md section 3). Failures are
// *backend.ConnectError.
func (p *Proxies) Open(ctx context.Context, s *keystore.Store, secret []byte) (backend.Backend, error) {
	in, ok := p.inner[s.Region]
	if !ok {
		return nil, &backend.ConnectError{Code: keystore.ConnInternalError, Cause: fmt.Errorf("no such Region: %s has no default store", s.Region)}
	}
	cl, err := p.dial(s, secret)
	if err != nil {
		return nil, &backend.ConnectError{Code: keystore.ConnXksInvalidConfig, Cause: err}
	}
	b := &Backend{owner: p, name: nameOf(s), client: cl, inner: in, uri: s.Xks.URIEndpoint + s.Xks.URIPath, since: s.Xks.CredentialSince}
	if s.Conn != keystore.Connected {
		answer, err := p.askHealth(ctx, cl, xks.KMSConnectStore, "")
		if err != nil {
			cl.Close()
			return nil, &backend.ConnectError{Code: ConnectCode(err), Cause: err}
		}
		p.report(b, answer, nil)
		p.warnOfName(ctx, b)
	}
	p.mu.Lock()
	p.open[b] = struct{}{}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return b, nil
}

// warnOfName tells operators of a certificate that serves here and would not at AWS.
func (p *Proxies) warnOfName(ctx context.Context, b *Backend) {
	if c, known := b.client.Certificate(); known && !c.NameInCN {
		p.cfg.Logger.WarnContext(ctx, "the subject CN of the proxy's certificate is not its host name: AWS KMS would refuse it",
			"region", b.name.Region, "store", b.name.ID, "cn", c.CommonName)
	}
}

// askHealth is GetHealthStatus. A proxy whose key managers are all unavailable is ErrUnhealthy.
func (p *Proxies) askHealth(ctx context.Context, cl *client.Client, operation, requestID string) (*xks.HealthResponse, error) {
	answer, err := cl.Health(ctx, &xks.HealthRequest{
		Metadata: xks.RequestMetadata{KMSOperation: operation, KMSRequestID: p.requestID(requestID)}})
	if err != nil {
		return nil, err
	}
	return &answer, CheckHealth(&answer)
}

// metadata is requestMetadata as KMS fills it in. kmsKeyArn is not part of GetKeyMetadata.
func (p *Proxies) metadata(h *backend.Handle, usual keystore.Action, withKey bool) xks.RequestMetadata {
	m := xks.RequestMetadata{PrincipalARN: xks.PrincipalAWSInternal, KMSOperation: string(usual)}
	if h.Action != "" {
		m.KMSOperation = string(h.Action)
	}
	requestID := ""
	if h.Caller != nil {
		m.PrincipalARN, requestID = h.Caller.Principal, h.Caller.RequestID
	}
	if withKey {
		m.KMSKeyARN = h.Label
	}
	m.KMSRequestID = p.requestID(requestID)
	return m
}

// requestID is the id of the caller's request; one is made up where the appliance acts for itself, for the proxy needs one.
func (p *Proxies) requestID(of string) string {
	if of != "" {
		return of
	}
	var id [16]byte
	if _, err := io.ReadFull(p.cfg.Random, id[:]); err != nil {
		return "strongroom" // it is an aid to readers of logs, no more
	}
	return hex.EncodeToString(id[:])
}

// successor finds another open connection of a backend's store, and counts a call in there.
func (p *Proxies) successor(b *Backend) *Backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	for other := range p.open {
		if other != b && other.name == b.name && other.flight.enter() {
			return other
		}
	}
	return nil
}

// closed forgets a backend, and its figures where no other backend serves its store.
func (p *Proxies) closed(b *Backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, found := p.open[b]; !found {
		return
	}
	delete(p.open, b)
	for other := range p.open {
		if other.name == b.name {
			return
		}
	}
	p.cfg.Observer.ProxyGone(b.name)
}
