package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sort"
	"strings"
	"time"
)

// Credential is what a request is signed with. It prints without its secrets in every format.
type Credential struct {
	AccessKeyID  string
	Secret       []byte // used as the bytes it is
	SessionToken string // optional: sent and signed as X-Amz-Security-Token
}

// Format implements fmt.Formatter, so that no verb shows the secret.
func (c Credential) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, c.AccessKeyID+":[redacted]")
}

// LogValue implements slog.LogValuer.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.AccessKeyID + ":[redacted]") }

// MarshalText implements encoding.TextMarshaler: a credential that lands in JSON by mistake stays secret.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.AccessKeyID + ":[redacted]"), nil }

// SignOption changes how SignRequest signs.
type SignOption func(*signing)

type signing struct {
	headers []string
	hash    bool
	key     []byte
}

// SignHeaders signs exactly these headers besides host and the date, instead of the usual choice.
func SignHeaders(names ...string) SignOption {
	return func(s *signing) { s.headers = append([]string{}, names...) }
}

// WithContentSHA256 sends the body's hash in X-Amz-Content-Sha256 as well.
func WithContentSHA256() SignOption { return func(s *signing) { s.hash = true } }

// WithSigningKey uses a key that DeriveKey made for the same secret, date, Region and service, and saves deriving
// it again.
func WithSigningKey(key []byte) SignOption { return func(s *signing) { s.key = key } }

// SignRequest signs r, whose whole body is given, at the time now. It sets X-Amz-Date and Authorization, and
// X-Amz-Security-Token if the credential has one. Signed are host, Content-Type if set, and every X-Amz-* header,
// unless SignHeaders says otherwise. A header named in SignHeaders that r does not have is signed as the verifier
// would see it: the request will be refused.
func SignRequest(r *http.Request, body []byte, cred Credential, region, service string, now time.Time, opts ...SignOption) {
	var o signing
	for _, opt := range opts {
		opt(&o)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	timestamp := now.UTC().Format(timestampLayout)
	r.Header.Set(HeaderDate, timestamp)
	if cred.SessionToken != "" {
		r.Header.Set(HeaderSecurityToken, cred.SessionToken)
	}
	if o.hash {
		r.Header.Set(HeaderContentSHA256, hash)
	}
	scope := Scope{
		AccessKeyID: cred.AccessKeyID, Date: timestamp[:len(dateLayout)], Region: region, Service: service,
		SignedHeaders: signedHeaderList(r, o.headers), Timestamp: timestamp,
	}
	key := o.key
	if key == nil {
		key = DeriveKey(cred.Secret, scope.Date, region, service)
	}
	var signature [2 * sha256.Size]byte
	sign(&signature, r, &scope, key, hash)
	r.Header.Set(HeaderAuthorization, Algorithm+" Credential="+cred.AccessKeyID+"/"+scope.Date+"/"+region+"/"+service+"/"+
		Terminator+", SignedHeaders="+scope.SignedHeaders+", Signature="+string(signature[:]))
}

// signedHeaderList gives the list in wire form. chosen == nil means the usual choice.
func signedHeaderList(r *http.Request, chosen []string) string {
	names := map[string]bool{"host": true, "x-amz-date": true}
	for _, name := range chosen {
		names[strings.ToLower(name)] = true
	}
	if chosen == nil {
		for name := range r.Header {
			if lower := strings.ToLower(name); lower == "content-type" || strings.HasPrefix(lower, "x-amz-") {
				names[lower] = true
			}
		}
	}
	list := make([]string, 0, len(names))
	for name := range names {
		list = append(list, name)
	}
	sort.Strings(list)
	return strings.Join(list, ";")
}
