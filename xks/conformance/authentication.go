package conformance

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
)

const sectionAuth = "Authentication (Appendix A)"

// unauthenticated is a check that a spoilt health request is refused.
func unauthenticated(id string, level Level, title string, spoil func(*session, *request)) Check {
	return Check{"auth." + id, sectionAuth, level, title, func(ctx context.Context, s *session) error {
		q := request{op: xks.OpHealth, body: s.healthBody(xks.KMSHealthCheck)}
		spoil(s, &q)
		return s.refuses(ctx, q, xks.AuthenticationFailedException)
	}}
}

// authenticated is a check that a request which differs from the usual one is accepted.
func authenticated(id string, level Level, title string, change func(*session, *request)) Check {
	return Check{"auth." + id, sectionAuth, level, title, func(ctx context.Context, s *session) error {
		q := request{op: xks.OpHealth, body: s.healthBody(xks.KMSHealthCheck)}
		change(s, &q)
		_, err := s.accepts(ctx, q)
		return err
	}}
}

func replaceInHeader(old, with string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, with, 1))
	}
}

func authenticationChecks() []Check {
	return []Check{
		authenticated("accepted", Must, "a signature over host and x-amz-date is accepted", func(*session, *request) {}),
		authenticated("more-headers", Must, "a signature over further headers is accepted", func(_ *session, q *request) { q.signed = []string{"content-type"} }),
		authenticated("clock-behind", Should, "a clock four minutes behind is tolerated", func(_ *session, q *request) { q.skew = -4 * time.Minute }),
		authenticated("clock-ahead", Should, "a clock four minutes ahead is tolerated", func(_ *session, q *request) { q.skew = 4 * time.Minute }),
		unauthenticated("missing", Must, "a request without Authorization is refused", func(_ *session, q *request) {
			q.after = func(r *http.Request) { r.Header.Del("Authorization") }
		}),
		unauthenticated("malformed", Must, "a malformed Authorization header is refused", func(_ *session, q *request) {
			q.after = func(r *http.Request) { r.Header.Set("Authorization", sigv4.Algorithm+" nonsense") }
		}),
		unauthenticated("no-date", Must, "a request without X-Amz-Date is refused", func(_ *session, q *request) {
			q.after = func(r *http.Request) { r.Header.Del("X-Amz-Date") }
		}),
		unauthenticated("unknown-key", Must, "an unknown access key id is refused", func(s *session, q *request) {
			cred := s.cfg.Credential
			cred.AccessKeyID = "CONFORMANCE222222222"
			q.cred = &cred
		}),
		unauthenticated("wrong-secret", Must, "a signature with another secret is refused", func(s *session, q *request) {
			cred := s.cfg.Credential
			cred.Secret = append([]byte("x"), cred.Secret...)
			q.cred = &cred
		}),
		unauthenticated("wrong-service", Must, "a credential scope with another service is refused", func(_ *session, q *request) { q.service = "kms" }),
		unauthenticated("altered-scope", Must, "a credential scope that was not signed is refused", func(_ *session, q *request) {
			q.after = replaceInHeader("/"+xks.Service+"/", "/kms/")
		}),
		unauthenticated("altered-signature", Must, "an altered signature is refused", func(_ *session, q *request) {
			q.after = func(r *http.Request) {
				header := []byte(r.Header.Get("Authorization"))
				last, with := len(header)-1, byte('0')
				if header[last] == with {
					with = '1'
				}
				header[last] = with
				r.Header.Set("Authorization", string(header))
			}
		}),
		unauthenticated("altered-body", Must, "an altered body is refused", func(s *session, q *request) {
			body := bytes.Replace(q.body, []byte("KmsHealthCheck"), []byte("KmsHealthCheckX"), 1)
			q.after = func(r *http.Request) {
				r.Body, r.ContentLength, r.GetBody = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
			}
		}),
		{"auth.altered-path", sectionAuth, Must, "a signature for another URI is refused", func(ctx context.Context, s *session) error {
			q := request{op: xks.OpEncrypt, body: s.encryptRequest([]byte("p"), nil, false).Encode()}
			q.after = func(r *http.Request) { r.URL.Path = xks.OperationPath(s.cfg.URIPath, xks.OpMetadata, s.cfg.KeyID) }
			return s.refuses(ctx, q, xks.AuthenticationFailedException)
		}},
		unauthenticated("host-not-signed", Must, "a signature that leaves host out is refused", func(_ *session, q *request) {
			q.after = replaceInHeader("SignedHeaders=host;", "SignedHeaders=")
		}),
		unauthenticated("expired", Should, "a request more than five minutes old is refused", func(_ *session, q *request) { q.skew = -6 * time.Minute }),
		unauthenticated("future", Should, "a request more than five minutes ahead is refused", func(_ *session, q *request) { q.skew = 6 * time.Minute }),
		{"auth.two-credentials", sectionAuth, Should, "two credentials are accepted at once", func(ctx context.Context, s *session) error {
			if s.cfg.SecondCredential == nil {
				return skip{"no second credential was given"}
			}
			for _, cred := range []*sigv4.Credential{&s.cfg.Credential, s.cfg.SecondCredential} {
				if _, err := s.accepts(ctx, request{op: xks.OpHealth, body: s.healthBody(xks.KMSHealthCheck), cred: cred}); err != nil {
					return err
				}
			}
			return nil
		}},
		{"auth.isolation", sectionAuth, Must, "a credential of one path prefix is refused at another", func(ctx context.Context, s *session) error {
			if s.cfg.OtherURIPath == "" {
				return skip{"no other path was given"}
			}
			path := xks.OperationPath(s.cfg.OtherURIPath, xks.OpHealth, "")
			return s.refuses(ctx, request{op: xks.OpHealth, path: path, body: s.healthBody(xks.KMSHealthCheck)}, xks.AuthenticationFailedException)
		}},
	}
}
