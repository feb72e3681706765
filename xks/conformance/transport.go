package conformance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/xks"
)

const (
	sectionTLS  = "TLS"
	sectionHTTP = "HTTP"
	sectionPath = "URI path"
)

// suites that the specification names; a proxy must support at least one.
var suites = []uint16{
	tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
}

func transportChecks() []Check {
	return []Check{
		{"tls.certificate", sectionTLS, Must, "the certificate is valid, for the endpoint's name and from a trusted authority", func(ctx context.Context, s *session) error {
			_, err := s.handshake(ctx, func(*tls.Config) {})
			return err
		}},
		{"tls.suite", sectionTLS, Must, "TLS 1.2 or later with a cipher suite of the specification", func(ctx context.Context, s *session) error {
			state, err := s.handshake(ctx, func(c *tls.Config) { c.InsecureSkipVerify = true })
			if err == nil && slices.Contains(suites, state.CipherSuite) {
				return nil
			}
			_, err = s.handshake(ctx, func(c *tls.Config) {
				c.InsecureSkipVerify, c.MaxVersion, c.CipherSuites = true, tls.VersionTLS12, suites[2:]
			})
			return err
		}},
		{"tls.old-versions", sectionTLS, Must, "TLS 1.1 and 1.0 are refused", func(ctx context.Context, s *session) error {
			state, err := s.handshake(ctx, func(c *tls.Config) {
				c.InsecureSkipVerify, c.MinVersion, c.MaxVersion = true, tls.VersionTLS10, tls.VersionTLS11
			})
			if err == nil {
				return fmt.Errorf("%s was accepted", tls.VersionName(state.Version))
			}
			var network net.Error
			if errors.As(err, &network) && network.Timeout() {
				return err
			}
			return nil
		}},
		{"tls.common-name", sectionTLS, Should, "the certificate's subject CN is the endpoint's name, or covers it", commonName},
		{"http.1.1", sectionHTTP, Must, "HTTP/1.1 is supported", func(ctx context.Context, s *session) error {
			a, err := s.send(ctx, request{op: xks.OpHealth, body: s.healthBody(xks.KMSHealthCheck)})
			if err == nil && a.proto != "HTTP/1.1" {
				err = fmt.Errorf("the answer's version is %s", a.proto)
			}
			return err
		}},
		{"http.keep-alive", sectionHTTP, Should, "connections are kept for further requests", keepAlive},
	}
}

// handshake connects with TLS alone.
func (s *session) handshake(ctx context.Context, change func(*tls.Config)) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	address := strings.TrimPrefix(s.cfg.Endpoint, "https://")
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host, address = address, net.JoinHostPort(address, "443")
	}
	config := s.tlsConfig(s.cfg.ClientCertificate)
	config.ServerName = host
	change(config)
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState(), nil // tls.Dialer documents the type
}

func commonName(ctx context.Context, s *session) error {
	state, err := s.handshake(ctx, func(c *tls.Config) { c.InsecureSkipVerify = true })
	if err != nil {
		return err
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(s.cfg.Endpoint, "https://"), ":")
	_, parent, _ := strings.Cut(host, ".")
	cn := state.PeerCertificates[0].Subject.CommonName
	if strings.EqualFold(cn, host) || parent != "" && strings.EqualFold(cn, "*."+parent) {
		return nil
	}
	return fmt.Errorf("the CN is %q, the endpoint %q", cn, host)
}

// keepAlive wants some connection to be used again. Not every one: this side may give one up as well.
func keepAlive(ctx context.Context, s *session) error {
	reused := false // the connection that the answer came over
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
	for range 8 {
		if _, err := s.send(httptrace.WithClientTrace(ctx, trace), request{op: xks.OpHealth, body: s.healthBody(xks.KMSHealthCheck)}); err != nil {
			return err
		}
		if reused {
			return nil
		}
	}
	return errors.New("the proxy closed the connection after every answer")
}

func pathChecks() []Check {
	checks := []Check{}
	for _, op := range xks.Operations() {
		checks = append(checks, Check{
			"method.get." + lower(op), sectionHTTP, Must, "GET on the URI of " + string(op) + " is answered with 405",
			func(ctx context.Context, s *session) error {
				a, err := s.send(ctx, request{op: op, method: http.MethodGet})
				if err == nil && a.status != http.StatusMethodNotAllowed {
					err = fmt.Errorf("GET was answered with %s", a.describe())
				}
				return err
			},
		})
	}
	unknown := func(id, title, path string, underBase bool) Check {
		return Check{id, sectionPath, Must, title, func(ctx context.Context, s *session) error {
			full := path
			if underBase {
				full = s.cfg.URIPath + strings.ReplaceAll(path, "KEY", s.cfg.KeyID)
			}
			return s.refuses(ctx, request{op: xks.OpEncrypt, path: full, body: s.encryptRequest([]byte("p"), nil, false).Encode()}, xks.InvalidURIPathException)
		}}
	}
	return append(checks,
		unknown("path.operation", "an operation that does not exist is InvalidUriPathException", "/keys/KEY/conformance", true),
		unknown("path.resource", "a path that is not of the protocol is InvalidUriPathException", "/conformance", true),
		unknown("path.prefix", "a path prefix that is not configured is InvalidUriPathException", "/conformance-no-such-prefix/kms/xks/v1/health", false),
	)
}

func lower(op xks.Operation) string {
	return strings.ToLower(strings.TrimPrefix(string(op), "Get"))
}
