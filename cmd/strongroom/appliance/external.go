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
	general, endpoints, err := externalTLS(e)
	if err != nil {
		return err
	}
	a.external, err = xksstore.New(xksstore.Config{
		Inner: inner, AllowPort: a.cfg.Compatibility.XksEndpointPorts, TLS: general, Endpoints: endpoints,
		Timeout: time.Duration(e.Timeout) * time.Millisecond, MaxConns: e.Connections,
		HealthEvery: time.Duration(e.HealthSeconds) * time.Second,
		Random:      random(), Observer: a.metrics.External(), Logger: a.log,
	})
	return err
}

// externalTLS reads the files that say whom to trust and what to show, in general and at single endpoints.
func externalTLS(e *config.ExternalStores) (general xksstore.TLS, endpoints map[string]xksstore.TLS, err error) {
	general, err = endpointTLS("external_stores", e.CAFiles, e.Certificate, e.Key)
	if err != nil {
		return general, nil, err
	}
	endpoints = map[string]xksstore.TLS{}
	for i := range e.Endpoints {
		own := &e.Endpoints[i]
		endpoints[own.Endpoint], err = endpointTLS(fmt.Sprintf("external_stores.endpoints[%d]", i), own.CAFiles, own.Certificate, own.Key)
		if err != nil {
			return general, nil, err
		}
	}
	return general, endpoints, nil
}

func endpointTLS(field string, files []string, certificate, key string) (xksstore.TLS, error) {
	var t xksstore.TLS
	for _, path := range files {
		pem, err := os.ReadFile(path)
		if err != nil {
			return t, fmt.Errorf("%s.ca_files: %w", field, err)
		}
		if t.RootCAs == nil {
			t.RootCAs = x509.NewCertPool()
		}
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return t, fmt.Errorf("%s.ca_files: %s has no certificate", field, path)
		}
	}
	if certificate == "" {
		return t, nil
	}
	if err := config.OwnerOnly(key); err != nil {
		return t, fmt.Errorf("%s.key: %w", field, err)
	}
	cert, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return t, fmt.Errorf("%s.certificate: %w", field, err)
	}
	t.Certificates = []tls.Certificate{cert}
	return t, nil
}
