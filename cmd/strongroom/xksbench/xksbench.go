// Package xksbench loads an external key store proxy, anybody's, as KMS would: signed calls over kept HTTP/1.1
// connections, at a rate that does not wait for answers, judged by the 250 ms that KMS waits. It is bounded in calls and
// time, and gives up early on a proxy that does not answer.
package xksbench

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
)

// What KMS expects of a proxy.
const (
	Patience  = 250 * time.Millisecond // how long it waits for an answer
	Timeout   = time.Second            // when it would have given up long ago: past it nothing is learned
	QuotaRate = 1800                   // calls a second that it sends to a store by default, at most
)

// Share is the part of calls that must be answered well and in time for a rate to be held.
const Share = 0.999

// Bounds of a run.
const (
	MaxRate        = 20_000
	MaxDuration    = 10 * time.Minute // of a step
	MaxSteps       = 50
	MaxConnections = 1024
	MaxKeys        = 100_000
	maxCalls       = 20_000_000
)

// Operations that can be measured.
const (
	Encrypt = "encrypt"
	Decrypt = "decrypt"
	Both    = "both"    // in turn
	DataKey = "datakey" // Encrypt with an integrity value, as for a data key
)

// Options of a run.
type Options struct {
	Endpoint, URIPath string
	Credential        sigv4.Credential
	Region            string
	KeyIDs            []string         // used in turn
	RootCAs           *x509.CertPool   // nil means the system's
	Certificate       *tls.Certificate // for mutual TLS; nil is none
	Operation         string
	Size              int // bytes of plaintext
	Rates             []float64
	Duration          time.Duration // of each rate
	Connections       int
	Patience          time.Duration // within which an answer must come; 0 means the 250 ms of KMS
	Timeout           time.Duration // after which a call is given up; 0 means a second
}

// Validate reports everything that is wrong or out of bounds.
func (o *Options) Validate() error {
	var faults []error
	fail := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	faults = append(faults, xks.CheckEndpoint(o.Endpoint, true), xks.CheckURIPath(o.URIPath), o.checkKeys())
	calls := 0.0
	for _, r := range o.Rates {
		if !(r >= 1 && r <= MaxRate) {
			fail("a rate must be from 1 to %d calls a second", MaxRate)
		}
		calls += r * o.Duration.Seconds()
	}
	switch {
	case len(o.Rates) == 0 || len(o.Rates) > MaxSteps:
		fail("there must be 1 to %d rates", MaxSteps)
	case calls > maxCalls:
		fail("that would be %.0f calls; at most %d are made", calls, maxCalls)
	}
	if o.Duration < 100*time.Millisecond || o.Duration > MaxDuration {
		fail("the duration must be from 100ms to %s", MaxDuration)
	}
	if o.Connections < 1 || o.Connections > MaxConnections {
		fail("connections must be from 1 to %d", MaxConnections)
	}
	if o.Size < 1 || o.Size > xks.MinPlaintextSupport {
		fail("the plaintext must have 1 to %d bytes", xks.MinPlaintextSupport)
	}
	switch o.Operation {
	case Encrypt, Decrypt, Both, DataKey:
	default:
		fail("%q is none of %s, %s, %s, %s", o.Operation, Encrypt, Decrypt, Both, DataKey)
	}
	return errors.Join(faults...)
}

// checkKeys tells of the first key id that is none.
func (o *Options) checkKeys() error {
	if len(o.KeyIDs) == 0 || len(o.KeyIDs) > MaxKeys {
		return fmt.Errorf("there must be 1 to %d keys", MaxKeys)
	}
	for _, id := range o.KeyIDs {
		if err := xks.CheckKeyID(id); err != nil {
			return err
		}
	}
	return nil
}

// Step is what a rate came to.
type Step struct {
	Rate        float64        `json:"rate"`  // calls a second that were asked for
	Calls       uint64         `json:"calls"` // that were made
	PerSecond   float64        `json:"answered_well_per_second"`
	Good        uint64         `json:"good"`     // answered well within 250 ms
	Late        uint64         `json:"late"`     // answered well after that
	Unsent      uint64         `json:"not_sent"` // all connections were busy for too long
	Errors      map[string]int `json:"errors"`
	P50         float64        `json:"p50_ms"`
	P99         float64        `json:"p99_ms"`
	P999        float64        `json:"p99_9_ms"`
	Max         float64        `json:"max_ms"`
	Histogram   []Bar          `json:"histogram"` // of calls that were answered well
	Holds       bool           `json:"holds"`
	Reason      string         `json:"reason,omitempty"` // why it does not hold
	Connections int            `json:"connections"`
}

// Report is a whole run.
type Report struct {
	Endpoint  string `json:"endpoint"`
	URIPath   string `json:"uri_path"`
	Operation string `json:"operation"`
	Keys      int    `json:"keys"` // used in turn
	Steps     []Step `json:"steps"`
	// Highest is the highest rate that was held, 0 for none.
	Highest float64 `json:"highest_rate_held"`
	// Quota says whether the proxy holds KMS's default quota of 1 800 calls a second: yes, no or "not tested".
	Quota string `json:"holds_1800_per_second"`
}

// OK tells whether the proxy held what was asked of it: of a single rate, that; of several, those up to KMS's quota.
func (r *Report) OK() bool {
	for _, s := range r.Steps {
		if !s.Holds && (len(r.Steps) == 1 || s.Rate <= QuotaRate) {
			return false
		}
	}
	return true
}

// Run measures every rate in turn and ends with the first that is not held. progress, which may be nil, is told of each.
// The error is about the options, or a proxy that did not serve the first honest call.
func Run(ctx context.Context, o Options, progress func(Step)) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Patience, o.Timeout = cmp.Or(o.Patience, Patience), cmp.Or(o.Timeout, Timeout)
	c := newCaller(o)
	defer c.transport.CloseIdleConnections()
	if err := c.prepare(ctx); err != nil {
		return nil, err
	}
	report := &Report{Endpoint: o.Endpoint, URIPath: o.URIPath, Operation: o.Operation, Keys: len(o.KeyIDs), Quota: "not tested"}
	for _, rate := range o.Rates {
		s := c.step(ctx, rate)
		if err := ctx.Err(); err != nil {
			return report, err
		}
		report.Steps = append(report.Steps, s)
		if progress != nil {
			progress(s)
		}
		if !s.Holds {
			break
		}
		report.Highest = max(report.Highest, s.Rate)
	}
	switch last := report.Steps[len(report.Steps)-1]; {
	case report.Highest >= QuotaRate:
		report.Quota = "yes"
	case !last.Holds && last.Rate <= QuotaRate:
		report.Quota = "no"
	}
	return report, nil
}
