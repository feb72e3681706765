package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
)

const (
	exampleID     = "AKIDEXAMPLE"
	exampleSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var exampleTime = time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)

// signedCase is a request and the signature that another implementation made for it; see testdata/sigv4/README.md.
type signedCase struct {
	Name      string      `json:"name"`
	Method    string      `json:"method"`
	Target    string      `json:"target"`
	Headers   [][2]string `json:"headers"`
	Body      string      `json:"body"`
	Signed    string      `json:"signed"`
	Signature string      `json:"signature"`
}

func readCases(t testing.TB) []signedCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "sigv4", "cases.jsonl"))
	require.NoError(t, err)
	var cases []signedCase
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var c signedCase
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		cases = append(cases, c)
	}
	require.NoError(t, lines.Err())
	require.NotEmpty(t, cases)
	return cases
}

// request builds the case as a server sees it.
func (c signedCase) request() *http.Request {
	r := &http.Request{
		Method: c.Method, RequestURI: c.Target, URL: &url.URL{Path: "/"}, Host: "example.amazonaws.com",
		Header: http.Header{}, ContentLength: int64(len(c.Body)),
	}
	for _, h := range c.Headers {
		r.Header.Add(h[0], h[1])
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders="+
		c.Signed+", Signature="+c.Signature)
	return r
}

// fixedKeys knows the example credential.
type fixedKeys struct{}

func (fixedKeys) SigningKey(_ context.Context, id, date, region, service string) ([]byte, error) {
	if id != exampleID {
		return nil, fmt.Errorf("access key %s: %w", id, sigv4.ErrUnknownKey)
	}
	return sigv4.DeriveKey([]byte(exampleSecret), date, region, service), nil
}

func verifier() *sigv4.Verifier {
	return &sigv4.Verifier{Service: "service", Regions: []string{"us-east-1"}, Keys: fixedKeys{}, Now: func() time.Time { return exampleTime }}
}

func check(v *sigv4.Verifier, r *http.Request, body string) error {
	scope, err := v.Parse(r)
	if err != nil {
		return err
	}
	return v.Verify(context.Background(), r, []byte(body), scope)
}

func requireKind(t *testing.T, want sigv4.Kind, err error) *sigv4.Error {
	t.Helper()
	var e *sigv4.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want.String(), e.Kind.String(), e.Text)
	return e
}

func TestVerifyAcceptsOtherSigners(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			require.NoError(t, check(verifier(), c.request(), c.Body))
		})
	}
}

func TestVerifyRefusesAnyChange(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			changes := map[string]func(*http.Request) string{
				"body":   func(*http.Request) string { return c.Body + "x" },
				"method": func(r *http.Request) string { r.Method = "PUT"; return c.Body },
				"host":   func(r *http.Request) string { r.Host = "example.org"; return c.Body },
				"path": func(r *http.Request) string {
					path, query, _ := strings.Cut(r.RequestURI, "?")
					r.RequestURI = strings.TrimSuffix(path, "/") + "/x?" + query
					return c.Body
				},
				"query": func(r *http.Request) string { r.RequestURI += "?more=1"; return c.Body },
				"date": func(r *http.Request) string {
					r.Header.Set("X-Amz-Date", "20150830T123601Z")
					return c.Body
				},
				"header": func(r *http.Request) string {
					for name := range r.Header {
						if name != "Authorization" && name != "X-Amz-Date" && name != "Content-Length" {
							r.Header.Set(name, r.Header.Get(name)+"x")
							return c.Body
						}
					}
					r.Host += "x"
					return c.Body
				},
			}
			for name, change := range changes {
				r := c.request()
				body := change(r)
				err := check(verifier(), r, body)
				assert.Error(t, err, name)
				requireKind(t, sigv4.Mismatch, err)
			}
		})
	}
}

func TestDeriveKey(t *testing.T) {
	t.Run("xks vector", func(t *testing.T) {
		key := sigv4.DeriveKey([]byte("c3Ryb25ncm9vbS1zaWd2NC10ZXN0LXZlY3Rvci0wMQ=="), "20261122", "eu-west-1", "kms-xks-proxy")
		assert.Equal(t, "034052ffe140315372e762b22a6532fee3a46a012e1083b888263d14331c4da0", hex.EncodeToString(key))
	})
	t.Run("the secret is left alone", func(t *testing.T) {
		secret := []byte("a secret")
		sigv4.DeriveKey(secret, "20261122", "eu-west-1", "kms")
		assert.Equal(t, "a secret", string(secret))
	})
}

// The worked example of the XKS fact sheet: canonical request, key and signature made by two other implementations.
func TestSignXKSVector(t *testing.T) {
	body := []byte(`{"requestMetadata":{"kmsRequestId":"4112f4d6-db54-4af4-ae30-c55a22a8dfae","kmsOperation":"KmsHealthCheck"}}`)
	r, err := http.NewRequest(http.MethodPost, "https://xks.example.com/tenant-a1/kms/xks/v1/health", bytes.NewReader(body))
	require.NoError(t, err)
	cred := sigv4.Credential{AccessKeyID: "STRONGROOMVECTOR22224444", Secret: []byte("c3Ryb25ncm9vbS1zaWd2NC10ZXN0LXZlY3Rvci0wMQ==")}
	now := time.Date(2026, 11, 22, 3, 30, 0, 0, time.UTC)
	sigv4.SignRequest(r, body, cred, "eu-west-1", "kms-xks-proxy", now)
	assert.Equal(t, "AWS4-HMAC-SHA256 Credential=STRONGROOMVECTOR22224444/20261122/eu-west-1/kms-xks-proxy/aws4_request, "+
		"SignedHeaders=host;x-amz-date, Signature=95e45d261af39bb61c0df30a8a0b2f5453b4f6b23ecaaa5807f5733aae2cc360", r.Header.Get("Authorization"))
}

func TestSignedRequestsVerify(t *testing.T) {
	cred := sigv4.Credential{AccessKeyID: exampleID, Secret: []byte(exampleSecret)}
	key := sigv4.DeriveKey(cred.Secret, "20150830", "us-east-1", "service")
	for name, opts := range map[string][]sigv4.SignOption{
		"usual headers":    nil,
		"host and date":    {sigv4.SignHeaders()},
		"with body hash":   {sigv4.WithContentSHA256()},
		"chosen headers":   {sigv4.SignHeaders("Content-Type", "Content-Length", "X-Amz-Target")},
		"with signing key": {sigv4.WithSigningKey(key)},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodPost, "http://localhost:8080/a//b/./c%20d?z=1&a=%2f", strings.NewReader("body"))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/json")
			if name != "host and date" {
				r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
			}
			sigv4.SignRequest(r, []byte("body"), cred, "us-east-1", "service", exampleTime, opts...)
			require.NoError(t, check(verifier(), r, "body"))
			requireKind(t, sigv4.Mismatch, checkKindOnly(r))
		})
	}
}

// checkKindOnly verifies with a wrong body after removing the hash header, so that only the signature can fail.
func checkKindOnly(r *http.Request) error {
	r.Header.Del("X-Amz-Content-Sha256")
	return check(verifier(), r, "another body")
}

func TestSessionTokenIsSentAndSigned(t *testing.T) {
	r, err := http.NewRequest(http.MethodPost, "http://localhost/", http.NoBody)
	require.NoError(t, err)
	cred := sigv4.Credential{AccessKeyID: exampleID, Secret: []byte(exampleSecret), SessionToken: "token"}
	sigv4.SignRequest(r, nil, cred, "us-east-1", "service", exampleTime)
	assert.Equal(t, "token", r.Header.Get("X-Amz-Security-Token"))
	assert.Contains(t, r.Header.Get("Authorization"), "SignedHeaders=host;x-amz-date;x-amz-security-token,")
	require.NoError(t, check(verifier(), r, ""))
}

func TestCredentialNeverPrintsItsSecret(t *testing.T) {
	cred := sigv4.Credential{AccessKeyID: exampleID, Secret: []byte(exampleSecret), SessionToken: "session-token"}
	asJSON, err := json.Marshal(map[string]any{"c": cred, "p": &cred})
	require.NoError(t, err)
	for _, text := range []string{
		fmt.Sprint(cred), fmt.Sprintf("%+v %#v %s %q %x", cred, cred, cred, cred, cred), fmt.Sprintf("%v", &cred),
		string(asJSON), cred.LogValue().String(),
	} {
		assert.NotContains(t, text, "wJalr")
		assert.NotContains(t, text, hex.EncodeToString([]byte("wJalr")))
		assert.NotContains(t, text, "session-token")
		assert.Contains(t, text, exampleID)
	}
}

func TestErrorsFromKeysArePassedOn(t *testing.T) {
	broken := errors.New("database is gone")
	v := verifier()
	v.Keys = keysFunc(func() ([]byte, error) { return nil, broken })
	c := readCases(t)[0]
	err := check(v, c.request(), c.Body)
	require.ErrorIs(t, err, broken)
	var refused *sigv4.Error
	assert.False(t, errors.As(err, &refused), "a failure of the key store is not the client's fault")
}

type keysFunc func() ([]byte, error)

func (f keysFunc) SigningKey(context.Context, string, string, string, string) ([]byte, error) {
	return f()
}
