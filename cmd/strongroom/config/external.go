package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/strongroom/strongroom/xks"
)

// ExternalStores says how the proxies of external key stores are called.
type ExternalStores struct {
	// CAFiles are PEM files: proxies' certificates must be of their CAs, and no others. Empty means the system's CAs.
	CAFiles     []string `yaml:"ca_files"`
	Certificate string   `yaml:"certificate"` // PEM file, leaf first, for proxies that want mutual TLS
	Key         string   `yaml:"key"`         // PEM file, readable by its owner only
	// Timeout bounds one attempt of a call, in milliseconds. 0 means AWS's 250.
	Timeout       int `yaml:"timeout_ms"`
	Connections   int `yaml:"connections"`    // to the proxy of each store; 0 means 64
	HealthSeconds int `yaml:"health_seconds"` // between two looks at a connected store's health; 0 means 60
	// Endpoints are proxies with CAs and a certificate of their own, in place of all that is said above of these.
	Endpoints []ExternalEndpoint `yaml:"endpoints"`
}

// ExternalEndpoint says whom to trust at one proxy endpoint, and what to show there.
type ExternalEndpoint struct {
	Endpoint    string   `yaml:"endpoint"` // a store's XksProxyUriEndpoint
	CAFiles     []string `yaml:"ca_files"` // empty means the system's CAs
	Certificate string   `yaml:"certificate"`
	Key         string   `yaml:"key"`
}

func (v *checker) externalStores() {
	e := &v.c.ExternalStores
	for _, f := range []struct {
		name  string
		value int
	}{{"timeout_ms", e.Timeout}, {"connections", e.Connections}, {"health_seconds", e.HealthSeconds}} {
		if f.value < 0 {
			v.fail("external_stores."+f.name, "%d is less than nothing", f.value)
		}
	}
	v.externalTLS("external_stores", e.CAFiles, e.Certificate, e.Key)
	seen := map[string]bool{}
	for i := range e.Endpoints {
		own := &e.Endpoints[i]
		field := fmt.Sprintf("external_stores.endpoints[%d]", i)
		if err := xks.CheckEndpoint(own.Endpoint, v.c.Compatibility.XksEndpointPorts); err != nil {
			v.fail(field+".endpoint", "%v", err)
		}
		if name := strings.ToLower(own.Endpoint); seen[name] {
			v.fail(field+".endpoint", "%s is there twice", own.Endpoint)
		} else {
			seen[name] = true
		}
		v.externalTLS(field, own.CAFiles, own.Certificate, own.Key)
	}
}

func (v *checker) externalTLS(field string, files []string, certificate, key string) {
	for _, path := range files {
		if !filepath.IsAbs(path) {
			v.fail(field+".ca_files", "%q is not an absolute path", path)
		}
	}
	if (certificate == "") != (key == "") {
		v.fail(field+".key", "certificate and key go together; write both or neither")
	}
}
