package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
)

const mismatchText = "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

// Verify checks the signature of r, whose whole body is given, against what Parse read from its headers. Errors are
// *Error, or what Keys returned, wrapped. A wrong signature, an unknown key and a wrong body cost the same work.
func (v *Verifier) Verify(ctx context.Context, r *http.Request, body []byte, s Scope) error {
	key, err := v.Keys.SigningKey(ctx, s.AccessKeyID, s.Date, s.Region, s.Service)
	unknown := errors.Is(err, ErrUnknownKey)
	switch {
	case unknown:
		key = make([]byte, sha256.Size) // an unknown access key costs what a known one costs
	case err != nil:
		return fmt.Errorf("signing key of %s: %w", quote(s.AccessKeyID), err)
	}
	var hash [2 * sha256.Size]byte
	sum := sha256.Sum256(body)
	hex.Encode(hash[:], sum[:])

	equal := signatureMatches(r, &s, key, string(hash[:]))
	switch {
	case unknown:
		return &Error{UnknownKey, "The security token included in the request is invalid."}
	case !bodyHashMatches(r, hash[:]):
		return &Error{BodyHash, "The value of 'X-Amz-Content-Sha256' does not match the SHA-256 hash of the request body."}
	case !equal:
		return &Error{Mismatch, mismatchText}
	}
	return nil
}

// bodyHashMatches compares a hash that the client sent. UNSIGNED-PAYLOAD and the streaming forms never match.
func bodyHashMatches(r *http.Request, hash []byte) bool {
	values := r.Header[HeaderContentSHA256]
	switch len(values) {
	case 0:
		return true
	case 1:
		return subtle.ConstantTimeCompare([]byte(values[0]), hash) == 1
	}
	return false
}

func signatureMatches(r *http.Request, s *Scope, key []byte, bodyHash string) bool {
	var want [2 * sha256.Size]byte
	ok := sign(&want, r, s, key, bodyHash)
	return subtle.ConstantTimeCompare(want[:], []byte(s.Signature)) == 1 && ok
}

// sign writes the hexadecimal signature of r for the scope. It reports false when a header that the scope lists is
// not there; what it wrote then is worthless.
func sign(out *[2 * sha256.Size]byte, r *http.Request, s *Scope, key []byte, bodyHash string) bool {
	var scratch [1024]byte
	canonical, ok := appendCanonicalRequest(scratch[:0], r, s.SignedHeaders, bodyHash)
	request := sha256.Sum256(canonical)

	b := append(make([]byte, 0, 256), Algorithm...)
	b = append(b, '\n')
	b = append(b, s.Timestamp...)
	b = append(b, '\n')
	b = append(b, s.Date...)
	b = append(b, '/')
	b = append(b, s.Region...)
	b = append(b, '/')
	b = append(b, s.Service...)
	b = append(b, "/"+Terminator+"\n"...)
	b = hex.AppendEncode(b, request[:])

	mac := hmac.New(sha256.New, key)
	mac.Write(b)
	var sum [sha256.Size]byte
	hex.Encode(out[:], mac.Sum(sum[:0]))
	return ok
}

// DeriveKey gives the signing key for a secret access key and a scope: a chain of four HMACs that starts from
// "AWS4" and the secret. date is yyyymmdd. The secret is used as the bytes it is, never decoded.
func DeriveKey(secret []byte, date, region, service string) []byte {
	first := make([]byte, 0, len("AWS4")+len(secret))
	first = append(append(first, "AWS4"...), secret...)
	key := first
	for _, part := range [...]string{date, region, service, Terminator} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	clear(first)
	return key
}
