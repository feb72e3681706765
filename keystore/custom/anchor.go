package custom

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// certificate reads a TrustAnchorCertificate: exactly one PEM block with one X.509 certificate, and nothing but white space
// round it. It gives the certificate's DER, which is what two anchors are compared by.
func certificate(text string) ([]byte, error) {
	const begin = "-----BEGIN"
	trimmed := bytes.TrimSpace([]byte(text))
	if !bytes.HasPrefix(trimmed, []byte(begin)) {
		return nil, errors.New("not a PEM block")
	}
	block, rest := pem.Decode(trimmed)
	switch {
	case block == nil:
		return nil, errors.New("not a PEM block")
	case block.Type != "CERTIFICATE":
		return nil, errors.New("PEM block is not a certificate")
	case len(bytes.TrimSpace(rest)) != 0:
		return nil, errors.New("more than one PEM block")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return nil, err
	}
	return block.Bytes, nil
}

// sameAnchor tells whether two texts are the same certificate. A text that is none equals only itself.
func sameAnchor(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := certificate(a)
	y, errY := certificate(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// checkAnchor compares the given anchor with the configured one; "" configured accepts any certificate.
func checkAnchor(given, configured string) error {
	if _, err := certificate(given); err != nil {
		return wrongAnchor(err)
	}
	if configured != "" && !sameAnchor(given, configured) {
		return wrongAnchor(errors.New("another certificate than the configured trust anchor"))
	}
	return nil
}
