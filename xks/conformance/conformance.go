// Package conformance holds an external key store proxy, anybody's, against the AWS KMS XKS proxy API specification
// 1.0.3. It plays KMS: every MUST and SHOULD that can be seen from outside is a named [Check] with the section it comes
// from. It never makes, changes or deletes a key; it needs one key that can encrypt and decrypt, and uses more of them
// (a disabled one, one that only encrypts…) if it is given some.
//
// A MUST that is not kept fails the proxy; a SHOULD that is not kept is a warning. Where the specification is silent,
// nothing is checked.
package conformance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
)

// Level is how strongly the specification asks.
type Level string

// The levels of RFC 2119 that are checked.
const (
	Must   Level = "MUST"
	Should Level = "SHOULD"
)

// Status is the outcome of a check.
type Status string

// The outcomes.
const (
	Passed  Status = "pass"
	Failed  Status = "fail" // a MUST that is not kept
	Warned  Status = "warn" // a SHOULD that is not kept
	Skipped Status = "skip" // not applicable, or not enough was given
)

// Config says which proxy to check and with what.
type Config struct {
	Endpoint   string // https://host, with a port only if AllowPort
	URIPath    string
	Credential sigv4.Credential
	Region     string // "" means us-east-1
	KeyID      string // an enabled AES-256 key that may encrypt and decrypt
	AllowPort  bool
	RootCAs    *x509.CertPool // nil means the system's
	// ClientCertificate is shown to a proxy that demands mutual TLS; without one its checks are skipped.
	ClientCertificate *tls.Certificate

	// What follows is optional: checks that need it are skipped without it.

	SecondCredential *sigv4.Credential // also valid at URIPath
	DisabledKeyID    string
	EncryptOnlyKeyID string
	DecryptOnlyKeyID string
	// OtherURIPath is another tenant's path, where Credential must not be accepted. KeyID is asked for there.
	OtherURIPath string
	// OtherClientCertificate is of an authority that the proxy trusts, and bears a name that it does not expect.
	OtherClientCertificate *tls.Certificate

	Timeout time.Duration    // of one request; 0 means 5 seconds, so that slow proxies are judged by all checks
	Now     func() time.Time // nil is time.Now
}

// Check is one rule of the specification.
type Check struct {
	ID      string // stable name: "encrypt.round-trip"
	Section string // of the specification
	Level   Level
	Title   string
	run     func(ctx context.Context, s *session) error
}

// Result is the outcome of a check.
type Result struct {
	ID       string        `json:"id"`
	Section  string        `json:"section"`
	Level    Level         `json:"level"`
	Title    string        `json:"title"`
	Status   Status        `json:"status"`
	Detail   string        `json:"detail,omitempty"` // why it failed or was skipped
	Duration time.Duration `json:"duration_ns"`
}

// skip is the error of a check that does not apply.
type skip struct{ reason string }

func (s skip) Error() string { return s.reason }

// Checks lists every check, in the order in which they run.
func Checks() []Check {
	var all []Check
	for _, group := range [][]Check{
		transportChecks(), mutualChecks(), pathChecks(), authenticationChecks(), healthChecks(), metadataChecks(), encryptChecks(),
		integrityChecks(), decryptChecks(), stateChecks(), errorChecks(),
	} {
		all = append(all, group...)
	}
	return all
}

// Run runs every check, one after another, and tells progress of each result as it comes; progress may be nil. The
// error is about the configuration or an ended ctx; a bad proxy is a bad report.
func Run(ctx context.Context, cfg Config, progress func(Result)) (*Report, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := newSession(cfg)
	defer s.close()
	report := &Report{Endpoint: cfg.Endpoint, URIPath: cfg.URIPath, Started: s.cfg.Now().UTC()}
	for _, check := range Checks() {
		if err := ctx.Err(); err != nil {
			return report, fmt.Errorf("conformance checks: %w", err)
		}
		result := s.do(ctx, check)
		report.Results = append(report.Results, result)
		if progress != nil {
			progress(result)
		}
	}
	return report, nil
}

func (s *session) do(ctx context.Context, check Check) Result {
	start := s.cfg.Now()
	err := check.run(ctx, s)
	result := Result{
		ID: check.ID, Section: check.Section, Level: check.Level, Title: check.Title, Status: Passed,
		Duration: s.cfg.Now().Sub(start),
	}
	var skipped skip
	switch {
	case err == nil:
		return result
	case errors.As(err, &skipped):
		result.Status = Skipped
	case check.Level == Must:
		result.Status = Failed
	default:
		result.Status = Warned
	}
	result.Detail = err.Error()
	return result
}

func (c *Config) validate() error {
	faults := []error{xks.CheckEndpoint(c.Endpoint, c.AllowPort), xks.CheckURIPath(c.URIPath), xks.CheckKeyID(c.KeyID)}
	for _, id := range []string{c.DisabledKeyID, c.EncryptOnlyKeyID, c.DecryptOnlyKeyID} {
		if id != "" {
			faults = append(faults, xks.CheckKeyID(id))
		}
	}
	if c.OtherURIPath != "" {
		faults = append(faults, xks.CheckURIPath(c.OtherURIPath))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("conformance checks: %w", err)
	}
	return nil
}
