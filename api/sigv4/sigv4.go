// Package sigv4 verifies and makes AWS Signature Version 4 in its header form ("AWS4-HMAC-SHA256" in the
// Authorization header).
//
// It knows HTTP requests, credentials as byte strings and the rules of the signing process; it knows nothing of
// KMS, of principals or of the answers that a front door gives. A caller maps a [Kind] to its own wire error and
// sends [Error.Text], which is worded as AWS words it. Signatures in the query string (presigned URLs) are not part
// of the protocols served here: such a request counts as unsigned.
//
// Verification has two halves, so that nothing is read for a request that cannot succeed:
//
//	scope, err := verifier.Parse(r)             // headers only
//	body, err := readAtMost(r.Body, limit)
//	err = verifier.Verify(ctx, r, body, scope)  // key, canonical request, signature
package sigv4

import (
	"context"
	"errors"
	"time"
)

// Algorithm is the only signing algorithm accepted: the first word of the Authorization header.
const Algorithm = "AWS4-HMAC-SHA256"

// Terminator is the last element of every credential scope.
const Terminator = "aws4_request"

// DefaultMaxSkew is how far a request's date may lie from the verifier's clock, either way: AWS's five minutes.
// A difference of exactly this much is accepted.
const DefaultMaxSkew = 5 * time.Minute

// MaxAuthorization is the longest Authorization header that is looked at, in bytes. Real ones stay under 600;
// the bound also caps the number of signed headers.
const MaxAuthorization = 8 << 10

// The names of the headers that the signing process itself uses, in http.Header's canonical form.
const (
	HeaderAuthorization = "Authorization"
	HeaderDate          = "X-Amz-Date"
	HeaderContentSHA256 = "X-Amz-Content-Sha256"
	HeaderSecurityToken = "X-Amz-Security-Token"
)

// Kind says what is wrong with a request's signature. The AWS exception that AWS's own front doors answer with
// stands beside each.
type Kind int

// The kinds of failure.
const (
	Missing       Kind = iota + 1 // no Authorization header: MissingAuthenticationTokenException
	Incomplete                    // malformed Authorization header: IncompleteSignatureException
	TooLarge                      // Authorization header beyond MaxAuthorization: IncompleteSignatureException
	BadDate                       // date header missing or malformed: IncompleteSignatureException
	UnknownKey                    // no such access key id: UnrecognizedClientException
	Mismatch                      // the signature is not the one computed: InvalidSignatureException
	Unsigned                      // a header that must be signed is not, or the list is out of order: InvalidSignatureException
	Expired                       // dated more than MaxSkew ago: InvalidSignatureException
	NotYetCurrent                 // dated more than MaxSkew ahead: InvalidSignatureException
	WrongRegion                   // scope names another Region: InvalidSignatureException
	WrongService                  // scope names another service: InvalidSignatureException
	BadScope                      // scope's date or terminator is wrong: InvalidSignatureException
	BodyHash                      // X-Amz-Content-Sha256 is not the body's hash: InvalidSignatureException
)

var kindNames = [...]string{
	Missing: "missing", Incomplete: "incomplete", TooLarge: "too-large", BadDate: "bad-date",
	UnknownKey: "unknown-key", Mismatch: "mismatch", Unsigned: "unsigned-header", Expired: "expired",
	NotYetCurrent: "not-yet-current", WrongRegion: "wrong-region", WrongService: "wrong-service",
	BadScope: "bad-scope", BodyHash: "body-hash",
}

// String gives a short name for logs and metrics.
func (k Kind) String() string {
	if k <= 0 || int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// Kinds lists every kind, so that a caller's table can be checked for completeness.
func Kinds() []Kind {
	all := make([]Kind, 0, len(kindNames)-1)
	for k := Missing; int(k) < len(kindNames); k++ {
		all = append(all, k)
	}
	return all
}

// Error is a refused signature. Text is meant for the client, in AWS's words where they are known; it never holds a
// secret or a computed signature. It may hold short, quoted pieces of the request.
type Error struct {
	Kind Kind
	Text string
}

// Error implements error.
func (e *Error) Error() string { return "sigv4: " + e.Kind.String() + ": " + e.Text }

// ErrUnknownKey is what a Keys or Secrets implementation returns, wrapped or bare, for an access key id that does
// not exist or may not be used.
var ErrUnknownKey = errors.New("unknown access key id")

// Keys gives signing keys. SigningKey returns DeriveKey of the access key's secret for the scope; the slice is only
// read. An error that matches ErrUnknownKey makes the verifier answer UnknownKey after doing the work of a full
// check; any other error is passed on, wrapped. Implementations must be safe for concurrent use and should answer
// from memory (see Cache).
type Keys interface {
	SigningKey(ctx context.Context, accessKeyID, date, region, service string) ([]byte, error)
}

// Verifier checks requests for one service. Its fields must not change while it is in use. It is safe for
// concurrent use.
type Verifier struct {
	Service string   // the service in the credential scope: "kms", "kms-xks-proxy"
	Regions []string // Regions accepted in the scope; none means any
	Keys    Keys     // where signing keys come from
	Now     func() time.Time
	MaxSkew time.Duration // 0 means DefaultMaxSkew

	// AllowUnsignedAmz accepts X-Amz-* headers outside the signed list. AWS's own endpoints want them signed; the
	// XKS specification asks only for host and x-amz-date.
	AllowUnsignedAmz bool
}

// Scope is what a well-formed Authorization header says. Nothing in it is to be trusted before Verify succeeds.
type Scope struct {
	AccessKeyID   string
	Date          string // yyyymmdd
	Region        string
	Service       string
	SignedHeaders string // lower case, sorted, joined by ';', as sent
	Signature     string // hexadecimal, as sent
	Timestamp     string // yyyymmddThhmmssZ, from X-Amz-Date or Date
	Time          time.Time
}
