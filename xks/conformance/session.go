package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
)

const (
	defaultTimeout = 5 * time.Second
	defaultRegion  = "us-east-1"
	maxAnswer      = 1 << 20
	kmsTimeout     = 250 * time.Millisecond
)

// session is one run: it sends requests as KMS would, or nearly so, and keeps the answers.
type session struct {
	cfg       Config
	transport *http.Transport
	refusals  []answer // every answer that was not 200, for the checks of their form
	accepted  int      // answers that were 200
	untyped   *answer  // the first of them that was not application/json
}

// answer is what the proxy said.
type answer struct {
	request string // for messages: "Encrypt"
	status  int
	header  http.Header
	body    []byte
	name    xks.ErrorName
	took    time.Duration
	proto   string
}

func newSession(cfg Config) *session {
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Region == "" {
		cfg.Region = defaultRegion
	}
	s := &session{cfg: cfg}
	s.transport = s.transportWith(cfg.ClientCertificate)
	return s
}

// transportWith makes connections that show a client certificate, nil for none. It is shown whatever authorities the
// proxy names, for one that it should refuse must reach it.
func (s *session) transportWith(cert *tls.Certificate) *http.Transport {
	return &http.Transport{
		TLSClientConfig: s.tlsConfig(cert), MaxResponseHeaderBytes: 64 << 10,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1, like KMS
	}
}

func (s *session) tlsConfig(cert *tls.Certificate) *tls.Config {
	config := &tls.Config{RootCAs: s.cfg.RootCAs, MinVersion: tls.VersionTLS12}
	if cert != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return config
}

func (s *session) close() { s.transport.CloseIdleConnections() }

// request is a call as the protocol has it; the fields after body spoil it.
type request struct {
	op    xks.Operation
	keyID string // "" is the configured key
	body  []byte

	method  string
	path    string // instead of the operation's
	cred    *sigv4.Credential
	service string
	region  string
	skew    time.Duration
	signed  []string // headers signed beside host and date
	after   func(*http.Request)
}

func (s *session) build(ctx context.Context, q request) (*http.Request, error) {
	if q.keyID == "" {
		q.keyID = s.cfg.KeyID
	}
	path := q.path
	if path == "" {
		path = xks.OperationPath(s.cfg.URIPath, q.op, q.keyID)
	}
	if q.method == "" {
		q.method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, q.method, s.cfg.Endpoint+path, bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	cred, service, region := s.cfg.Credential, xks.Service, s.cfg.Region
	if q.cred != nil {
		cred = *q.cred
	}
	if q.service != "" {
		service = q.service
	}
	if q.region != "" {
		region = q.region
	}
	sigv4.SignRequest(r, q.body, cred, region, service, s.cfg.Now().Add(q.skew), sigv4.SignHeaders(q.signed...))
	if q.after != nil {
		q.after(r)
	}
	return r, nil
}

// send makes the exchange.
func (s *session) send(ctx context.Context, q request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	r, err := s.build(ctx, q)
	if err != nil {
		return answer{}, err
	}
	start := s.cfg.Now()
	resp, err := s.transport.RoundTrip(r)
	if err != nil {
		return answer{}, fmt.Errorf("%s: %w", q.op, err)
	}
	defer resp.Body.Close()
	a := answer{request: string(q.op), status: resp.StatusCode, header: resp.Header, proto: resp.Proto}
	if a.status == http.StatusSwitchingProtocols { // what follows is no body, and no deadline holds
		return a, fmt.Errorf("%s: the proxy switched protocols", q.op)
	}
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return a, fmt.Errorf("%s: read answer: %w", q.op, err)
	}
	a.took = s.cfg.Now().Sub(start)
	if a.status != http.StatusOK {
		if e, err := xks.DecodeError(a.body); err == nil {
			a.name = e.Name
		}
	}
	if q.method == http.MethodPost || q.method == "" {
		s.note(a)
	}
	return a, nil
}

// note keeps what the checks of all answers' form look at.
func (s *session) note(a answer) {
	if a.status != http.StatusOK {
		s.refusals = append(s.refusals, a)
		return
	}
	s.accepted++
	if s.untyped == nil && checkContentType(a) != nil {
		s.untyped = &a
	}
}

// describe tells what came, for messages. It shows no more of the body than names.
func (a answer) describe() string {
	if a.status == http.StatusOK {
		return "200"
	}
	if a.name == "" {
		return fmt.Sprintf("%d without an errorName", a.status)
	}
	return fmt.Sprintf("%d %s", a.status, xks.CleanMessage(string(a.name)))
}

// refuses wants one of these errors, with its status.
func (s *session) refuses(ctx context.Context, q request, names ...xks.ErrorName) error {
	a, err := s.send(ctx, q)
	if err != nil {
		return err
	}
	for _, name := range names {
		if a.name == name && a.status == name.Status() {
			return nil
		}
	}
	wanted := make([]string, len(names))
	for i, name := range names {
		wanted[i] = fmt.Sprintf("%d %s", name.Status(), name)
	}
	return fmt.Errorf("%s was answered with %s, not with %s", q.op, a.describe(), strings.Join(wanted, " or "))
}

// accepts wants 200 and gives the body.
func (s *session) accepts(ctx context.Context, q request) ([]byte, error) {
	a, err := s.send(ctx, q)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%s was answered with %s, not with 200", q.op, a.describe())
	}
	return a.body, nil
}

// acceptsOr wants 200, or one of these errors.
func (s *session) acceptsOr(ctx context.Context, q request, names ...xks.ErrorName) error {
	a, err := s.send(ctx, q)
	if err == nil && a.status != http.StatusOK && !slices.Contains(names, a.name) {
		err = fmt.Errorf("%s was answered with %s, not with 200", q.op, a.describe())
	}
	return err
}

func (s *session) metadata(kmsOperation string) xks.RequestMetadata {
	return xks.RequestMetadata{
		PrincipalARN: "arn:aws:iam::123456789012:user/conformance", KMSKeyARN: "arn:aws:kms:" + s.cfg.Region + ":123456789012:key/11111111-2222-3333-4444-555555555555",
		KMSOperation: kmsOperation, KMSRequestID: "conformance-check",
	}
}

func (s *session) healthBody(kmsOperation string) []byte {
	r := xks.HealthRequest{Metadata: xks.RequestMetadata{KMSOperation: kmsOperation, KMSRequestID: "conformance-check"}}
	return r.Encode()
}

func (s *session) metadataBody() []byte {
	meta := s.metadata(xks.KMSCreateKey)
	meta.KMSKeyARN = ""
	r := xks.MetadataRequest{Metadata: meta}
	return r.Encode()
}

func (s *session) encryptRequest(plaintext, aad []byte, cdiv bool) *xks.EncryptRequest {
	return &xks.EncryptRequest{Metadata: s.metadata("Encrypt"), Plaintext: plaintext, AAD: aad, CDIV: cdiv}
}

// encrypt makes an honest Encrypt call and checks its answer's form.
func (s *session) encrypt(ctx context.Context, keyID string, plaintext, aad []byte, cdiv bool) (xks.EncryptResponse, error) {
	r := s.encryptRequest(plaintext, aad, cdiv)
	body, err := s.accepts(ctx, request{op: xks.OpEncrypt, keyID: keyID, body: r.Encode()})
	if err != nil {
		return xks.EncryptResponse{}, err
	}
	return xks.DecodeEncryptResponse(body, r)
}

func (s *session) decryptRequest(sealed xks.EncryptResponse, aad []byte) *xks.DecryptRequest {
	return &xks.DecryptRequest{
		Metadata: s.metadata("Decrypt"), Ciphertext: sealed.Ciphertext, CiphertextMetadata: sealed.CiphertextMetadata,
		AAD: aad, IV: sealed.IV, Tag: sealed.Tag,
	}
}

// roundTrip encrypts and decrypts and compares.
func (s *session) roundTrip(ctx context.Context, size, aadSize int, cdiv bool) error {
	plaintext, aad := pattern(size), pattern(aadSize)
	sealed, err := s.encrypt(ctx, "", plaintext, aad, cdiv)
	if err != nil {
		return err
	}
	r := s.decryptRequest(sealed, aad)
	body, err := s.accepts(ctx, request{op: xks.OpDecrypt, body: r.Encode()})
	if err != nil {
		return err
	}
	opened, err := xks.DecodeDecryptResponse(body, r)
	if err != nil {
		return err
	}
	if !bytes.Equal(opened.Plaintext, plaintext) {
		return fmt.Errorf("%d bytes came back changed", size)
	}
	return nil
}

// pattern is a recognisable byte string.
func pattern(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i*7 + 1)
	}
	return b
}
