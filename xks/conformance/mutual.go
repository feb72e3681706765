package conformance

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"

	"github.com/strongroom/strongroom/xks"
)

const sectionMutual = "mTLS"

// mutualChecks hold a proxy that demands a client certificate to what the specification asks of it: the handshake ends
// where root or name are not those that the operator set. All other checks show the right certificate.
func mutualChecks() []Check {
	return []Check{
		{"mtls.absent", sectionMutual, Must, "a client without a certificate is refused in the handshake", func(ctx context.Context, s *session) error {
			if s.cfg.ClientCertificate == nil {
				return errNoClientCertificate
			}
			return s.refusesHandshake(ctx, nil)
		}},
		{"mtls.untrusted", sectionMutual, Must, "a client certificate with the right name from another authority is refused in the handshake",
			func(ctx context.Context, s *session) error {
				if s.cfg.ClientCertificate == nil {
					return errNoClientCertificate
				}
				forged, err := forge(s.cfg.ClientCertificate)
				if err != nil {
					return err
				}
				return s.refusesHandshake(ctx, forged)
			}},
		{"mtls.name", sectionMutual, Must, "a client certificate with another name is refused in the handshake", func(ctx context.Context, s *session) error {
			if s.cfg.OtherClientCertificate == nil {
				return skip{"no client certificate with another name was given"}
			}
			return s.refusesHandshake(ctx, s.cfg.OtherClientCertificate)
		}},
	}
}

var errNoClientCertificate = skip{"no client certificate was given"}

// refusesHandshake wants a connection to end before a request on it is answered. Under TLS 1.3 a client learns of its
// refusal only then.
func (s *session) refusesHandshake(ctx context.Context, cert *tls.Certificate) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	r, err := s.build(ctx, request{op: xks.OpHealth, body: s.healthBody(xks.KMSHealthCheck)})
	if err != nil {
		return err
	}
	transport := s.transportWith(cert)
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err == nil {
		return errors.Join(fmt.Errorf("the request was answered with %d", resp.StatusCode), resp.Body.Close())
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return err
	}
	return nil
}

// forge makes a certificate that says what another one does, signed by its own key.
func forge(like *tls.Certificate) (*tls.Certificate, error) {
	leaf, err := x509.ParseCertificate(like.Certificate[0])
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: leaf.SerialNumber, Subject: leaf.Subject, DNSNames: leaf.DNSNames, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
