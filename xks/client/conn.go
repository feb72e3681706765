package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync/atomic"
)

// conn is a TLS connection that remembers what may explain its end. Under TLS 1.3 a server judges the client's
// certificate only after the handshake: its alert comes with the first read, and the transport may report the write
// that failed meanwhile instead.
type conn struct {
	*tls.Conn
	asked   bool        // the server asked for a client certificate
	alerted atomic.Bool // the server ended the connection with an alert
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	var op *net.OpError
	if err != nil && errors.As(err, &op) && op.Op == "remote error" {
		c.alerted.Store(true)
	}
	return n, err
}

// blamesTLS reports whether a connection that broke before its first answer broke over TLS.
func (c *conn) blamesTLS(reused bool) bool { return c.alerted.Load() || c.asked && !reused }

// dial sets up one connection and says at which stage it failed. The name is checked against the endpoint's host.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	// A host that swallows packets is to count as unreachable, so connecting gives up before the attempt does.
	dialer := net.Dialer{Timeout: c.cfg.Timeout * 3 / 4}
	raw, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, &stageError{Unreachable, err}
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &stageError{Unreachable, errors.Join(err, raw.Close())}
	}
	made := &conn{}
	made.Conn = tls.Client(raw, &tls.Config{
		ServerName: host, RootCAs: c.cfg.RootCAs, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Time: c.cfg.Now,
		GetClientCertificate: func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			made.asked = true
			return chooseCertificate(info, c.cfg.Certificates), nil
		},
	})
	handshake, cancel := context.WithTimeoutCause(ctx, c.cfg.Timeout, errOverdue)
	defer cancel()
	if err := made.HandshakeContext(handshake); err != nil {
		class := TLS
		if handshake.Err() != nil {
			class = Timeout
		}
		_ = raw.Close() // the handshake's error says more
		return nil, &stageError{class, err}
	}
	if chain := made.ConnectionState().PeerCertificates; len(chain) > 0 {
		c.leaf.Store(chain[0])
	}
	return made, nil
}

// chooseCertificate takes the first that the server would accept; none is an empty one.
func chooseCertificate(info *tls.CertificateRequestInfo, all []tls.Certificate) *tls.Certificate {
	at := slices.IndexFunc(all, func(cert tls.Certificate) bool { return info.SupportsCertificate(&cert) == nil })
	if at < 0 {
		return &tls.Certificate{}
	}
	return &all[at]
}
