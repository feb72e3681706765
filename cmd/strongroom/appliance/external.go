package appliance

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/xks/xksstore"
)

// openExternal makes what calls the proxies of external key stores.
func (a *Appliance) openExternal(inner map[string]backend.Backend) error {
	e := &a.cfg.ExternalStores
	roots, certs, err := externalTLS(e)
	if err != nil {
		return err
	}
	a.external, err = xksstore.New(xksstore.Config{
		Inner: inner, AllowPort: a.cfg.Compatibility.XksEndpointPorts, RootCAs: roots, Certificates: certs,
		Timeout: time.Duration(e.Timeout) * time.Millisecond, MaxConns: e.Connections,
		HealthEvery: time.Duration(e.HealthSeconds) * time.Second,
		Random:      random(), Observer: a.metrics.External(), Logger: a.log,
	})
	return err
}

// externalTLS reads the files that say whom to trust, nil for the system's CAs, and what to show.
func externalTLS(e *config.ExternalStores) (*x509.CertPool, []tls.Certificate, error) {
	var roots *x509.CertPool
	for _, path := range e.CAFiles {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, fmt.Errorf("external_stores.ca_files: %w", err)
		}
		if roots == nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, nil, fmt.Errorf("external_stores.ca_files: %s has no certificate", path)
		}
	}
	if e.Certificate == "" {
		return roots, nil, nil
	}
	if err := config.OwnerOnly(e.Key); err != nil {
		return nil, nil, fmt.Errorf("external_stores.key: %w", err)
	}
	cert, err := tls.LoadX509KeyPair(e.Certificate, e.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("external_stores.certificate: %w", err)
	}
	return roots, []tls.Certificate{cert}, nil
}
