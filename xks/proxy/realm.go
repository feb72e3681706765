package proxy

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"encoding/base32"
	"encoding/base64"

	"github.com/strongroom/strongroom/xks"
)

// Realm is one logical key store: a path prefix and everything behind it. It is a plain value; New and Update copy
// what they need, so it may be changed afterwards.
type Realm struct {
	Name    string // for people, logs and metrics; unique
	URIPath string // the whole XksProxyUriPath, "/prefix/kms/xks/v1"; unique

	// Credentials accepted. One is usual, two while they are being exchanged; more are possible.
	Credentials []Credential
	// Regions from which KMS may call, as the signature's scope has them; none means any.
	Regions []string
	// AllowedKeys are the external key ids of this realm; none means every key that Keys has.
	AllowedKeys []string
	Quota       Quota
	Policy      Policy
	// Blocked refuses everything with InvalidStateException: an operator's switch.
	Blocked bool
	// Concurrency is how many calls of this realm may be in Keys at once (0: DefaultConcurrency), Queue how many more
	// may wait (0: DefaultQueue); the rest are refused with ThrottlingException at once.
	Concurrency int
	Queue       int

	Keys Keys
}

// Defaults of a realm's place in the process.
const (
	DefaultConcurrency = 16
	DefaultQueue       = 512
)

// Credential is a pair that KMS signs with. It prints without its secret in every format.
type Credential struct {
	AccessKeyID string
	Secret      []byte // the literal bytes of RawSecretAccessKey
}

// Format implements fmt.Formatter, so that no verb shows the secret.
func (c Credential) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, c.AccessKeyID+":[redacted]")
}

// LogValue implements slog.LogValuer.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.AccessKeyID + ":[redacted]") }

// MarshalText implements encoding.TextMarshaler without the secret.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.AccessKeyID + ":[redacted]"), nil }

// NewCredential makes a credential of the protocol's form: an access key id of 24 characters that says nothing, and a
// secret of 44 with 256 bits of entropy. random is crypto/rand.Reader outside tests.
func NewCredential(random io.Reader) (Credential, error) {
	raw := make([]byte, 15+32)
	if _, err := io.ReadFull(random, raw); err != nil {
		return Credential{}, fmt.Errorf("make proxy credential: %w", err)
	}
	id := base32.StdEncoding.EncodeToString(raw[:15])
	secret := base64.StdEncoding.AppendEncode(nil, raw[15:])
	clear(raw)
	return Credential{AccessKeyID: id, Secret: secret}, nil
}

// ConfigurationFile is the JSON document that the KMS console takes for a store's proxy configuration: URI path and
// credential. It holds the secret.
func ConfigurationFile(uriPath string, c Credential) []byte {
	return fmt.Appendf(nil, "{\n  \"XksProxyUriPath\": %q,\n  \"XksProxyAuthenticationCredential\": {\n"+
		"    \"AccessKeyId\": %q,\n    \"RawSecretAccessKey\": %q\n  }\n}\n", uriPath, c.AccessKeyID, c.Secret)
}

// Quota bounds the rate of a realm's authenticated requests. The zero value means no bound.
type Quota struct {
	PerSecond float64
	Burst     int // requests that may come at once; 0 means one second's worth, at least 1
}

// Validate reports everything that is wrong with the realm.
func (r *Realm) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if r.Name == "" {
		fault("a realm needs a name")
	}
	if err := xks.CheckURIPath(r.URIPath); err != nil {
		fault("path %q: %w", r.URIPath, err)
	}
	if r.Keys == nil {
		fault("no keys")
	}
	if len(r.Credentials) == 0 {
		fault("no credential")
	}
	seen := map[string]bool{}
	for _, c := range r.Credentials {
		if seen[c.AccessKeyID] {
			fault("access key id %q appears twice", c.AccessKeyID)
		}
		seen[c.AccessKeyID] = true
		if err := xks.CheckAccessKeyID(c.AccessKeyID); err != nil {
			fault("credential %q: %w", c.AccessKeyID, err)
		}
		if err := xks.CheckSecret(c.Secret); err != nil {
			fault("credential %q: %w", c.AccessKeyID, err)
		}
	}
	for _, id := range r.AllowedKeys {
		if err := xks.CheckKeyID(id); err != nil {
			fault("allowed key %q: %w", id, err)
		}
	}
	if r.Quota.PerSecond < 0 || r.Quota.Burst < 0 || r.Concurrency < 0 || r.Queue < 0 {
		fault("quota, concurrency and queue must not be negative")
	}
	if err := r.Policy.Validate(); err != nil {
		faults = append(faults, err)
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("realm %q: %w", r.Name, errors.Join(faults...))
}

// validateAll checks every realm, and that names and paths are unique.
func validateAll(realms []Realm) error {
	var faults []error
	names, paths := map[string]bool{}, map[string]bool{}
	for i := range realms {
		r := &realms[i]
		if err := r.Validate(); err != nil {
			faults = append(faults, err)
		}
		if names[r.Name] {
			faults = append(faults, fmt.Errorf("realm name %q appears twice", r.Name))
		}
		if paths[r.URIPath] {
			faults = append(faults, fmt.Errorf("realm path %q appears twice", r.URIPath))
		}
		names[r.Name], paths[r.URIPath] = true, true
	}
	return errors.Join(faults...)
}
