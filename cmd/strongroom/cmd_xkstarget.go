package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/xks"
)

// proxyTarget is a proxy, anybody's, as the command line names it. What is wrong with it is a mistake in the command
// line, not a proxy that fails.
type proxyTarget struct {
	credentialFile, ca, region, keyID string
	clientCert, clientKey             string
}

func (t *proxyTarget) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.credentialFile, "credential-file", "", "AWS's proxy configuration file: URI path and credential (JSON, mode 0600)")
	f.StringVar(&t.keyID, "key-id", "", "external key id of an enabled AES-256 key for tests; nothing is made, changed or deleted")
	f.StringVar(&t.ca, "ca", "", "PEM file of the CAs to trust (default: the system's)")
	f.StringVar(&t.clientCert, "client-cert", "", "PEM file, leaf first, to show to a proxy that demands mutual TLS")
	f.StringVar(&t.clientKey, "client-key", "", "PEM file with its key, mode 0600")
	cmd.MarkFlagsRequiredTogether("client-cert", "client-key")
	f.StringVar(&t.region, "region", "us-east-1", "Region that signatures name")
	must(cmd.MarkFlagRequired("credential-file"))
}

// proxyAt is a proxy that can be called.
type proxyAt struct {
	endpoint, uriPath string
	credential        sigv4.Credential
	roots             *x509.CertPool // nil means the system's
	client            *tls.Certificate
}

// open reads what the flags name. The URL may end at the host: then the path is the credential file's.
func (t *proxyTarget) open(arg string) (*proxyAt, error) {
	path, cred, err := readProxyFile(t.credentialFile)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(arg)
	if err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("%q is no URL of a proxy; write it like https://host/prefix/kms/xks/v1", arg)
	}
	p := &proxyAt{endpoint: u.Scheme + "://" + u.Host, uriPath: strings.TrimSuffix(u.Path, "/"), credential: cred}
	if p.uriPath == "" {
		p.uriPath = path
	}
	if err := errors.Join(xks.CheckEndpoint(p.endpoint, true), xks.CheckURIPath(p.uriPath)); err != nil {
		return nil, err
	}
	if p.uriPath != path {
		return nil, fmt.Errorf("%s is for %s, not for %s", t.credentialFile, path, p.uriPath)
	}
	if err := clientPair(t.clientCert, t.clientKey, &p.client); err != nil {
		return nil, err
	}
	if t.ca == "" {
		return p, nil
	}
	text, err := os.ReadFile(t.ca)
	if err != nil {
		return nil, err
	}
	p.roots = x509.NewCertPool()
	if !p.roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", t.ca)
	}
	return p, nil
}

// clientPair reads a client certificate with its key into *to, where one is named.
func clientPair(cert, key string, to **tls.Certificate) error {
	if cert == "" {
		return nil
	}
	if err := config.OwnerOnly(key); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("client certificate %s with key %s: %w", cert, key, err)
	}
	*to = &pair
	return nil
}

const maxProxyFile = 64 << 10

// readProxyFile reads a file as the KMS console takes it.
func readProxyFile(path string) (uriPath string, cred sigv4.Credential, err error) {
	if err := config.OwnerOnly(path); err != nil {
		return "", cred, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", cred, err
	}
	if info.Size() > maxProxyFile {
		return "", cred, fmt.Errorf("%s is too long for a proxy configuration file", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", cred, err
	}
	var file struct {
		XksProxyURIPath                  string `json:"XksProxyUriPath"`
		XksProxyAuthenticationCredential struct {
			AccessKeyID        string `json:"AccessKeyId"`
			RawSecretAccessKey string
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		// The decoder's words could show a part of the file.
		return "", cred, fmt.Errorf("%s is no proxy configuration file: it is not JSON of that form", path)
	}
	c := file.XksProxyAuthenticationCredential
	if file.XksProxyURIPath == "" || c.AccessKeyID == "" || c.RawSecretAccessKey == "" {
		return "", cred, fmt.Errorf("%s is no proxy configuration file: it needs XksProxyUriPath and XksProxyAuthenticationCredential with AccessKeyId and RawSecretAccessKey", path)
	}
	return file.XksProxyURIPath, sigv4.Credential{AccessKeyID: c.AccessKeyID, Secret: []byte(c.RawSecretAccessKey)}, nil
}
