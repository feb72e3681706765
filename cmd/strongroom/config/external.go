package config

import "path/filepath"

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
	for _, path := range e.CAFiles {
		if !filepath.IsAbs(path) {
			v.fail("external_stores.ca_files", "%q is not an absolute path", path)
		}
	}
	if (e.Certificate == "") != (e.Key == "") {
		v.fail("external_stores.key", "certificate and key go together; write both or neither")
	}
}
