package appliance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
)

// listener is an address that the appliance serves.
type listener struct {
	name   string
	net    net.Listener
	server *http.Server
	tls    bool
}

func (l *listener) serve() error {
	var err error
	if l.tls {
		err = l.server.ServeTLS(l.net, "", "")
	} else {
		err = l.server.Serve(l.net)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("listener %s: %w", l.name, err)
}

// bind binds an address. What is wrong with it is said in the words of whoever wrote the configuration.
func bind(ctx context.Context, field, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: another program listens on %s; end it, or choose another address", field, address)
	case err != nil:
		return nil, fmt.Errorf("%s: cannot listen on %s: %w", field, address, err)
	}
	return l, nil
}

// defaultConnections bounds the open connections of a listener.
const defaultConnections = 4096

// limited bounds the open connections of a listener: past the bound, new ones wait in the kernel's queue.
type limited struct {
	net.Listener
	free chan struct{}
}

func limit(l net.Listener, n int) net.Listener {
	if n == 0 {
		n = defaultConnections
	}
	return &limited{l, make(chan struct{}, n)}
}

// Accept waits for a place, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &counted{Conn: c, done: func() { <-l.free }}, nil
}

type counted struct {
	net.Conn
	once sync.Once
	done func()
}

// Close gives the place back, once.
func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.done)
	return err
}

// certificates reads the files of a TLS section.
func certificates(field string, t *config.TLS) ([]tls.Certificate, *x509.CertPool, error) {
	if err := config.OwnerOnly(t.Key); err != nil {
		return nil, nil, fmt.Errorf("%s.tls.key: %w", field, err)
	}
	cert, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.tls: %w", field, err)
	}
	if t.ClientCA == "" {
		return []tls.Certificate{cert}, nil, nil
	}
	pem, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.tls.client_ca: %w", field, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("%s.tls.client_ca: %s has no certificate", field, t.ClientCA)
	}
	return []tls.Certificate{cert}, pool, nil
}

// serverTLS is the TLS side of the KMS listener.
func serverTLS(field string, t *config.TLS, log *slog.Logger) (*tls.Config, error) {
	certs, clients, err := certificates(field, t)
	if err != nil {
		return nil, err
	}
	renewed := newRenewing(field, t, certs[0], log, time.Now)
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: renewed.Get, NextProtos: []string{"h2", "http/1.1"}}
	if clients != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
	return c, nil
}

// probeTimeout bounds the look at a listener of our own, also on a machine that stands still for a while.
const probeTimeout = 30 * time.Second

// probe shows that a listener answers: whatever it says to a GET is an answer.
func (l *listener) probe(ctx context.Context) error {
	network, address := l.net.Addr().Network(), l.net.Addr().String()
	if host, port, err := net.SplitHostPort(address); err == nil {
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			address = net.JoinHostPort("localhost", port)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return fmt.Errorf("listener %s does not answer: %w", l.name, err)
	}
	defer conn.Close()
	if l.tls {
		// The handshake is the answer; who the server is does not matter here, and a client certificate may be asked for.
		c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
		err := c.HandshakeContext(ctx)
		var alert tls.AlertError
		if err != nil && !errors.As(err, &alert) {
			return fmt.Errorf("listener %s does not answer: %w", l.name, err)
		}
		return nil
	}
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")); err != nil {
		return fmt.Errorf("listener %s does not answer: %w", l.name, err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("listener %s does not answer: %w", l.name, err)
	}
	return nil
}
