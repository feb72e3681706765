package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// TLSOptions is the TLS side of a proxy listener.
type TLSOptions struct {
	// Certificates, or GetCertificate for certificates that change at run time. They should carry the endpoint's
	// name both as subject CN and among the SANs, and the whole chain.
	Certificates   []tls.Certificate
	GetCertificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// ClientCAs turns on mutual TLS: the client's certificate must chain to one of them and bear one of ClientNames
	// as subject CN or DNS SAN. KMS's certificate has the CN cks.kms.<Region>.amazonaws.com.
	ClientCAs   *x509.CertPool
	ClientNames []string
}

// TLSConfig gives the configuration that the protocol asks for: TLS 1.2 or later, suites that KMS can use, HTTP/2
// with HTTP/1.1 to fall back on.
func TLSConfig(o TLSOptions) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		Certificates:   o.Certificates,
		GetCertificate: o.GetCertificate,
		NextProtos:     []string{"h2", "http/1.1"},
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
	if len(o.Certificates) == 0 && o.GetCertificate == nil {
		return nil, fmt.Errorf("the proxy listener needs a certificate")
	}
	if o.ClientCAs == nil {
		if len(o.ClientNames) > 0 {
			return nil, fmt.Errorf("client names need client CAs")
		}
		return c, nil
	}
	if len(o.ClientNames) == 0 {
		return nil, fmt.Errorf("client CAs need the client names to accept")
	}
	names := slices.Clone(o.ClientNames)
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, o.ClientCAs
	c.VerifyConnection = func(s tls.ConnectionState) error { return checkClientName(s, names) }
	return c, nil
}

// checkClientName holds the pinned names against CN and SANs: the specification names the CN, libraries look at SANs.
func checkClientName(s tls.ConnectionState, names []string) error {
	if len(s.PeerCertificates) == 0 {
		return fmt.Errorf("no client certificate")
	}
	leaf := s.PeerCertificates[0]
	for _, name := range names {
		if strings.EqualFold(name, leaf.Subject.CommonName) {
			return nil
		}
		for _, san := range leaf.DNSNames {
			if strings.EqualFold(name, san) {
				return nil
			}
		}
	}
	return fmt.Errorf("client certificate for CN %q, SANs %q bears none of the accepted names %q", leaf.Subject.CommonName, leaf.DNSNames, names)
}

// Timeouts of a listener. Idle connections are kept longer than a network load balancer keeps them (350 seconds).
const (
	headerTimeout = 5 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 400 * time.Second
	maxHeader     = 32 << 10
)

// NewServer makes an HTTP server for a proxy listener, with timeouts and limits. What it has to say of
// connections goes to log at level debug; nil is silence. Serve it with ServeTLS(l, "", ""),
// end it with Drain, a wait, and Shutdown.
func NewServer(p *Proxy, o TLSOptions, log *slog.Logger) (*http.Server, error) {
	config, err := TLSConfig(o)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler: p, TLSConfig: config, ReadHeaderTimeout: headerTimeout, WriteTimeout: writeTimeout,
		DisableGeneralOptionsHandler: true, // OPTIONS * is no path of the protocol either
		IdleTimeout:                  idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}, nil
}
