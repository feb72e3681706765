package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/keystore"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// requireError checks an error's answer to the byte; message "" is none.
func requireError(t *testing.T, got answer, status int, exception, message string) {
	t.Helper()
	want := `{"__type":"` + exception + `"}`
	if message != "" {
		text, err := json.Marshal(message)
		require.NoError(t, err)
		want = `{"__type":"` + exception + `","message":` + strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(text)) + `}`
	}
	require.Equal(t, want, got.body)
	assert.Equal(t, status, got.status)
	assert.Equal(t, "application/x-amz-json-1.1", got.header.Get("Content-Type"))
	assert.Regexp(t, uuid, got.header.Get("X-Amzn-Requestid"))
}

// exceptionOf reads the exception of an answer.
func exceptionOf(t *testing.T, got answer) (name, message string) {
	t.Helper()
	var body struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &body), got.body)
	return body.Type, body.Message
}

// newKey makes a key and gives its id and ARN.
func (a *appliance) newKey(t testing.TB) (id, arn string) {
	t.Helper()
	got := a.post(t, "CreateKey", `{}`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var body struct{ KeyMetadata struct{ KeyId, Arn string } }
	require.NoError(t, json.Unmarshal([]byte(got.body), &body))
	return body.KeyMetadata.KeyId, body.KeyMetadata.Arn
}

func TestAnswersOnTheWire(t *testing.T) {
	a := start(t)
	id, _ := a.newKey(t)

	got := a.post(t, "EnableKey", `{"KeyId":"`+id+`"}`)
	assert.Equal(t, answer{200, got.header, ""}, got, "an operation without an output shape has no body")
	assert.Equal(t, "0", got.header.Get("Content-Length"))
	assert.Regexp(t, uuid, got.header.Get("X-Amzn-Requestid"))
	assert.Equal(t, `{"Aliases":[],"Truncated":false}`, a.post(t, "ListAliases", `{}`).body)
	assert.Equal(t, "EnableKey ", func() string { a.post(t, "EnableKey", `{"KeyId":"`+id+`"}`); return a.seen.last() }())

	t.Run("the request id is written as AWS writes it", func(t *testing.T) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		_, err = io.WriteString(conn, "POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		require.NoError(t, err)
		raw, err := io.ReadAll(conn)
		require.NoError(t, err)
		assert.Contains(t, string(raw), "\r\nx-amzn-RequestId: ")
	})
}

func TestPathsAndTargets(t *testing.T) {
	a := start(t)
	send := func(method, path, target string) answer {
		r, err := http.NewRequest(method, a.url+path, strings.NewReader(`{}`))
		require.NoError(t, err)
		if target != "" {
			r.Header.Set("X-Amz-Target", target)
		}
		return do(t, r)
	}
	requireError(t, send("POST", "/", ""), 400, "UnknownOperationException", "")
	requireError(t, send("POST", "/", "TrentService."), 400, "UnknownOperationException", "")
	requireError(t, send("POST", "/", "TrentService.MakeCoffee"), 400, "UnknownOperationException", "")
	requireError(t, send("POST", "/", "trentservice.Encrypt"), 400, "UnknownOperationException", "")
	requireError(t, send("POST", "/", "Encrypt"), 400, "UnknownOperationException", "")
	requireError(t, send("POST", "/", "TrentService.Encrypt"), 400, "MissingAuthenticationTokenException", "Missing Authentication Token")
	requireError(t, send("POST", "/", "TrentService.Sign"), 400, "MissingAuthenticationTokenException", "Missing Authentication Token")
	requireError(t, send("POST", "/other", "TrentService.Encrypt"), 404, "UnknownOperationException", "There is nothing at this path.")
	requireError(t, send("POST", "//", "TrentService.Encrypt"), 404, "UnknownOperationException", "There is nothing at this path.")
	requireError(t, send("GET", "/x/../..", ""), 404, "UnknownOperationException", "There is nothing at this path.")
	got := send("GET", "/", "")
	requireError(t, got, 405, "UnknownOperationException", "Operations are called with POST.")
	assert.Equal(t, "POST", got.header.Get("Allow"))
	assert.Empty(t, a.records(t), "who is not known leaves no record")
}

// Defects of a signature; the wording of some is uncertain in AWS itself (api-errors.md, section 4), so exceptions are
// held to the byte and messages to their stem.
func TestSignatures(t *testing.T) {
	a := start(t)
	other, otherKey, err := a.principals.Create(context.Background(), keystore.PrincipalUser, "alice", nil)
	require.NoError(t, err)
	root := sigv4.Credential{AccessKeyID: a.root.AccessKeyID, Secret: []byte(a.root.Secret)}
	type sign func(r *http.Request, body []byte)
	with := func(cred sigv4.Credential, region, service string, ahead time.Duration) sign {
		return func(r *http.Request, body []byte) {
			sigv4.SignRequest(r, body, cred, region, service, time.Now().Add(ahead))
		}
	}
	after := func(change func(r *http.Request)) sign {
		return func(r *http.Request, body []byte) {
			sigv4.SignRequest(r, body, root, region, "kms", time.Now())
			change(r)
		}
	}
	const mismatch = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	for name, c := range map[string]struct {
		sign               sign
		exception, message string
	}{
		"good":               {with(root, region, "kms", 0), "", ""},
		"four minutes old":   {with(root, region, "kms", -4*time.Minute), "", ""},
		"six minutes old":    {with(root, region, "kms", -6*time.Minute), "InvalidSignatureException", "Signature expired: "},
		"six minutes ahead":  {with(root, region, "kms", 6*time.Minute), "InvalidSignatureException", "Signature not yet current: "},
		"another Region":     {with(root, "eu-west-1", "kms", 0), "InvalidSignatureException", "Credential should be scoped to a valid Region, not 'eu-west-1'."},
		"another service":    {with(root, region, "s3", 0), "InvalidSignatureException", "Credential should be scoped to correct service: 'kms'."},
		"wrong secret":       {with(sigv4.Credential{AccessKeyID: root.AccessKeyID, Secret: []byte("wrong")}, region, "kms", 0), "InvalidSignatureException", mismatch},
		"unknown access key": {with(sigv4.Credential{AccessKeyID: "AKIAUNKNOWNUNKNOWN22", Secret: root.Secret}, region, "kms", 0), "UnrecognizedClientException", "The security token included in the request is invalid."},
		"another body":       {after(func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`[]`)) }), "InvalidSignatureException", mismatch},
		"another operation":  {after(func(r *http.Request) { r.Header.Set("X-Amz-Target", "TrentService.CreateKey") }), "InvalidSignatureException", mismatch},
		"a query":            {after(func(r *http.Request) { r.URL.RawQuery = "a=b" }), "InvalidSignatureException", mismatch},
		"malformed":          {func(r *http.Request, _ []byte) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 x") }, "IncompleteSignatureException", "'x' not a valid key=value pair"},
		"another scheme":     {func(r *http.Request, _ []byte) { r.Header.Set("Authorization", "Bearer x") }, "IncompleteSignatureException", "Unsupported AWS 'algorithm': 'Bearer'."},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequest(http.MethodPost, a.url+"/", strings.NewReader(`{}`))
			require.NoError(t, err)
			r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
			c.sign(r, []byte(`{}`))
			got := do(t, r)
			if c.exception == "" {
				require.Equal(t, 200, got.status, got.body)
				return
			}
			exception, message := exceptionOf(t, got)
			assert.Equal(t, 400, got.status)
			assert.Equal(t, c.exception, exception)
			assert.True(t, strings.HasPrefix(message, c.message), message)
		})
	}
	t.Run("disabled and enabled again", func(t *testing.T) {
		ctx := context.Background()
		user := *a
		user.root = otherKey
		name, _ := exceptionOf(t, user.post(t, "CreateKey", `{}`))
		assert.Equal(t, "AccessDeniedException", name, "known, and without a policy")
		_, err := a.principals.SetDisabled(ctx, other.ARN, true)
		require.NoError(t, err)
		requireError(t, user.post(t, "CreateKey", `{}`), 400, "UnrecognizedClientException", "The security token included in the request is invalid.")
		_, err = a.principals.SetDisabled(ctx, other.ARN, false)
		require.NoError(t, err)
		name, _ = exceptionOf(t, user.post(t, "CreateKey", `{}`))
		assert.Equal(t, "AccessDeniedException", name)
	})
}

func TestBadBodies(t *testing.T) {
	a := start(t)
	requireError(t, a.post(t, "ListKeys", ``), 400, "SerializationException", "")
	requireError(t, a.post(t, "ListKeys", `{"Limit":"1"}`), 400, "SerializationException", "STRING_VALUE can not be converted to an Integer")
	requireError(t, a.post(t, "Encrypt", "{\"KeyId\":\"\xff\"}"), 400, "SerializationException", "")
	requireError(t, a.post(t, "Encrypt", `{"KeyId":"k","Plaintext":"a"}`), 400, "SerializationException",
		"STRING_VALUE can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 1")
	requireError(t, a.post(t, "GenerateRandom", `{"NumberOfBytes":0}`), 400, "ValidationException",
		"1 validation error detected: Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1")

	large := `{"KeyId":"` + strings.Repeat("x", 300<<10) + `"}`
	t.Run("too large, as announced", func(t *testing.T) {
		requireError(t, a.post(t, "EnableKey", large), 413, "RequestEntityTooLargeException", "The request body is larger than 262144 bytes.")
	})
	t.Run("too large, in chunks", func(t *testing.T) {
		r := a.request(t, "EnableKey", large)
		r.ContentLength, r.Body = -1, io.NopCloser(struct{ io.Reader }{strings.NewReader(large)})
		requireError(t, do(t, r), 413, "RequestEntityTooLargeException", "The request body is larger than 262144 bytes.")
	})
	t.Run("in chunks", func(t *testing.T) {
		body := `{"Marker":"` + strings.Repeat("x", 100<<10) + `"}`
		r := a.request(t, "ListKeys", body)
		r.ContentLength, r.Body = -1, io.NopCloser(struct{ io.Reader }{strings.NewReader(body)})
		name, message := exceptionOf(t, do(t, r))
		assert.Equal(t, "ValidationException", name)
		assert.Contains(t, message, "at 'marker' failed to satisfy constraint: Member must have length less than or equal to 1024")
	})
	t.Run("a record shows no more of a message than CloudTrail does", func(t *testing.T) {
		record := a.lastRecord(t, "ListKeys")
		assert.Len(t, record["errorMessage"], 1024)
	})
}

// A body that does not come is refused when the listener's time is over.
func TestSlowBody(t *testing.T) {
	a := start(t)
	s := api.NewHTTPServer(a.server, slog.New(slog.DiscardHandler))
	assert.Positive(t, s.ReadHeaderTimeout)
	assert.Positive(t, s.WriteTimeout)
	assert.Positive(t, s.IdleTimeout)
	s.ReadTimeout = 200 * time.Millisecond
	a.url = listen(t, s)
	r := a.request(t, "ListKeys", `{}`)
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nX-Amz-Target: %s\r\nX-Amz-Date: %s\r\nAuthorization: %s\r\nContent-Type: %s\r\nContent-Length: 2\r\n\r\n{",
		r.URL.Host, r.Header.Get("X-Amz-Target"), r.Header.Get("X-Amz-Date"), r.Header.Get("Authorization"), r.Header.Get("Content-Type"))
	require.NoError(t, err)
	raw, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Contains(t, string(raw), "HTTP/1.1 408 ")
	assert.Contains(t, string(raw), `{"__type":"RequestTimeoutException","message":"The request body was not received in time."}`)
}
