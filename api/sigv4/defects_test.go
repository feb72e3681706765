package sigv4_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
)

// goodRequest is a request that verifies; the defect table spoils it.
func goodRequest(t testing.TB) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://localhost:8080/", strings.NewReader("{}"))
	require.NoError(t, err)
	r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	cred := sigv4.Credential{AccessKeyID: exampleID, Secret: []byte(exampleSecret)}
	sigv4.SignRequest(r, []byte("{}"), cred, "us-east-1", "service", exampleTime)
	return r
}

// edit replaces a piece of the Authorization header, which must be there.
func edit(old, with string) func(*testing.T, *http.Request) {
	return func(t *testing.T, r *http.Request) {
		header := r.Header.Get("Authorization")
		require.Contains(t, header, old)
		r.Header.Set("Authorization", strings.Replace(header, old, with, 1))
	}
}

func setHeader(name string, values ...string) func(*testing.T, *http.Request) {
	return func(_ *testing.T, r *http.Request) { r.Header[name] = values }
}

func TestDefects(t *testing.T) {
	signature := func(r *http.Request) string {
		return r.Header.Get("Authorization")[strings.Index(r.Header.Get("Authorization"), "Signature="):]
	}
	tests := []struct {
		name  string
		spoil func(*testing.T, *http.Request)
		kind  sigv4.Kind
		texts []string // pieces of the message; wording beyond them is AWS's to change
	}{
		{"no authorization", func(_ *testing.T, r *http.Request) { r.Header.Del("Authorization") }, sigv4.Missing, []string{"Missing Authentication Token"}},
		{"empty authorization", setHeader("Authorization", ""), sigv4.Missing, nil},
		{"two authorization headers", func(_ *testing.T, r *http.Request) {
			r.Header.Add("Authorization", r.Header.Get("Authorization"))
		}, sigv4.Incomplete, nil},
		{"long authorization", setHeader("Authorization", "AWS4-HMAC-SHA256 "+strings.Repeat("a", sigv4.MaxAuthorization)), sigv4.TooLarge, nil},
		{"basic authorization", setHeader("Authorization", "Basic dXNlcjpwYXNz"), sigv4.Incomplete, []string{"'Basic'"}},
		{"asymmetric algorithm", edit("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), sigv4.Incomplete, []string{"AWS4-ECDSA-P256-SHA256"}},
		{"comma after the algorithm", edit("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256, "), sigv4.Incomplete, nil},
		{"algorithm alone", setHeader("Authorization", "AWS4-HMAC-SHA256"), sigv4.Incomplete, []string{"'Credential'", "'Signature'", "'SignedHeaders'"}},
		{"everything missing", func(_ *testing.T, r *http.Request) {
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=")
			r.Header.Del("X-Amz-Date")
		}, sigv4.Incomplete, []string{
			"Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. " +
				"Authorization header requires 'SignedHeaders' parameter. " +
				"Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
		}},
		{"no equal sign", setHeader("Authorization", "AWS4-HMAC-SHA256 nonsense"), sigv4.Incomplete, []string{"'nonsense' not a valid key=value pair"}},
		{"unknown part", edit("SignedHeaders=", "Other=1, SignedHeaders="), sigv4.Incomplete, []string{"'Other'"}},
		{"part twice", edit("SignedHeaders=", "Credential=a/b/c/d/e, SignedHeaders="), sigv4.Incomplete, []string{"more than one 'Credential'"}},
		{"no signature", func(t *testing.T, r *http.Request) { edit(", "+signature(r), "")(t, r) }, sigv4.Incomplete, []string{"'Signature'"}},
		{"no date", func(_ *testing.T, r *http.Request) { r.Header.Del("X-Amz-Date") }, sigv4.BadDate, []string{"'X-Amz-Date' or a 'Date'"}},
		{"two dates", setHeader("X-Amz-Date", "20150830T123600Z", "20150830T123600Z"), sigv4.BadDate, nil},
		{"date with dashes", setHeader("X-Amz-Date", "2015-08-30T12:36:00Z"), sigv4.BadDate, []string{"'2015-08-30T12:36:00Z'"}},
		{"date with a fraction", setHeader("X-Amz-Date", "20150830T123600.5Z"), sigv4.BadDate, nil},
		{"thirteenth month", setHeader("X-Amz-Date", "20151330T123600Z"), sigv4.BadDate, nil},
		{"control characters in the date", setHeader("X-Amz-Date", "2015\x1b[31m\n"), sigv4.BadDate, []string{"'2015?[31m?'"}},
		{"three credential elements", edit("/us-east-1/service/aws4_request", "/aws4_request"), sigv4.Incomplete, []string{"exactly 5 slash-delimited elements"}},
		{"six credential elements", edit("/service/", "/service/more/"), sigv4.Incomplete, []string{"exactly 5"}},
		{"no access key id", edit("Credential=AKIDEXAMPLE", "Credential="), sigv4.Incomplete, nil},
		{"another region", edit("/us-east-1/", "/eu-west-1/"), sigv4.WrongRegion, []string{"Credential should be scoped to a valid Region, not 'eu-west-1'."}},
		{"another service", edit("/service/", "/s3/"), sigv4.WrongService, []string{"Credential should be scoped to correct service: 'service'."}},
		{"another terminator", edit("aws4_request", "aws5_request"), sigv4.BadScope, []string{"'aws4_request', not 'aws5_request'"}},
		{"another date", edit("/20150830/", "/20150829/"), sigv4.BadScope, []string{"'20150829' != '20150830', from '20150830T123600Z'."}},
		{"all of the scope wrong", edit("20150830/us-east-1/service/aws4_request", "1/2/3/4"), sigv4.WrongRegion,
			[]string{"not '2'", "'service'", "not '4'", "'1' != '20150830'"}},
		{"host not signed", edit("host;", ""), sigv4.Unsigned, []string{"'Host' or ':authority' must be a 'SignedHeader'"}},
		{"date not signed", edit("x-amz-date;", ""), sigv4.Unsigned, []string{"'X-Amz-Date' must be"}},
		{"target not signed", edit(";x-amz-target", ""), sigv4.Unsigned, []string{"'X-Amz-Target' must be"}},
		{"headers out of order", edit("content-type;host", "host;content-type"), sigv4.Unsigned, []string{"in order"}},
		{"header twice", edit("host;", "host;host;"), sigv4.Unsigned, nil},
		{"upper case", edit("host;", "Host;"), sigv4.Unsigned, nil},
		{"trailing separator", edit("x-amz-target,", "x-amz-target;,"), sigv4.Unsigned, nil},
		{"listed header absent", func(_ *testing.T, r *http.Request) { r.Header.Del("Content-Type") }, sigv4.Mismatch, nil},
		{"unknown access key", edit("AKIDEXAMPLE", "AKIDSOMEONE"), sigv4.UnknownKey, []string{"The security token included in the request is invalid."}},
		{"signature cut", func(t *testing.T, r *http.Request) { edit(signature(r), signature(r)[:40])(t, r) }, sigv4.Mismatch, nil},
		{"signature in upper case", func(t *testing.T, r *http.Request) {
			edit(signature(r), "Signature="+strings.ToUpper(signature(r)[len("Signature="):]))(t, r)
		}, sigv4.Mismatch, nil},
		{"unsigned payload", setHeader("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), sigv4.BodyHash, nil},
		{"two body hashes", setHeader("X-Amz-Content-Sha256", "a", "b"), sigv4.BodyHash, nil},
		{"wrong body hash", setHeader("X-Amz-Content-Sha256", strings.Repeat("0", 64)), sigv4.BodyHash, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := goodRequest(t)
			require.NoError(t, check(verifier(), r, "{}"))
			tt.spoil(t, r)
			refused := requireKind(t, tt.kind, check(verifier(), r, "{}"))
			for _, text := range tt.texts {
				assert.Contains(t, refused.Text, text)
			}
			assert.NotContains(t, refused.Text, "Signature=")
		})
	}
}

func TestTolerances(t *testing.T) {
	tests := map[string]func(*testing.T, *http.Request){
		"no blank after commas":        func(t *testing.T, r *http.Request) { edit(", ", ",")(t, r); edit(", ", ",")(t, r) },
		"blanks around parts":          edit(", SignedHeaders", "  ,   SignedHeaders"),
		"trailing comma":               func(_ *testing.T, r *http.Request) { r.Header["Authorization"][0] += "," },
		"unsigned ordinary header":     setHeader("User-Agent", "test"),
		"load balancer's trace header": setHeader("X-Amzn-Trace-Id", "Root=1-2-3"),
		"token added after signing":    setHeader("X-Amz-Security-Token", "t"),
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			r := goodRequest(t)
			change(t, r)
			require.NoError(t, check(verifier(), r, "{}"))
		})
	}
	t.Run("unsigned X-Amz header where allowed", func(t *testing.T) {
		r := goodRequest(t)
		r.Header.Set("X-Amz-Extra", "1")
		requireKind(t, sigv4.Unsigned, check(verifier(), r, "{}"))
		v := verifier()
		v.AllowUnsignedAmz = true
		require.NoError(t, check(v, r, "{}"))
	})
	t.Run("any region where none is named", func(t *testing.T) {
		v := verifier()
		v.Regions = nil
		require.NoError(t, check(v, goodRequest(t), "{}"))
	})
}

func TestClockSkew(t *testing.T) {
	tests := []struct {
		name string
		now  time.Duration
		kind sigv4.Kind
		text string
	}{
		{"exactly five minutes late", 5 * time.Minute, 0, ""},
		{"exactly five minutes early", -5 * time.Minute, 0, ""},
		{"a fraction beyond five minutes late", 5*time.Minute + 999*time.Millisecond, 0, ""},
		{"one second too late", 5*time.Minute + time.Second, sigv4.Expired,
			"Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)"},
		{"one second too early", -5*time.Minute - time.Second, sigv4.NotYetCurrent,
			"Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)"},
		{"a year later", 365 * 24 * time.Hour, sigv4.Expired, "Signature expired: 20150830T123600Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := verifier()
			v.Now = func() time.Time { return exampleTime.Add(tt.now) }
			err := check(v, goodRequest(t), "{}")
			if tt.kind == 0 {
				require.NoError(t, err)
				return
			}
			assert.Contains(t, requireKind(t, tt.kind, err).Text, tt.text)
		})
	}
}

// A request may carry Date instead of X-Amz-Date. The signature is made by hand from botocore's rules: the header is
// signed as it stands, the string to sign has the basic form.
func TestDateHeader(t *testing.T) {
	sign := func(date string) *http.Request {
		r, err := http.NewRequest(http.MethodPost, "http://localhost/", http.NoBody)
		require.NoError(t, err)
		r.Header.Set("Date", date)
		cred := sigv4.Credential{AccessKeyID: exampleID, Secret: []byte(exampleSecret)}
		sigv4.SignRequest(r, nil, cred, "us-east-1", "service", exampleTime, sigv4.SignHeaders("date"))
		return r
	}
	for name, date := range map[string]string{
		"http date":  "Sun, 30 Aug 2015 12:36:00 GMT",
		"with zone":  "Sun, 30 Aug 2015 14:36:00 +0200",
		"basic form": "20150830T123600Z",
	} {
		t.Run(name, func(t *testing.T) {
			r := sign(date)
			require.NoError(t, check(verifier(), r, ""))
			r.Header.Del("X-Amz-Date")
			// x-amz-date is still listed, so the signature cannot match; the date itself must be understood.
			requireKind(t, sigv4.Mismatch, check(verifier(), r, ""))
			scope, err := verifier().Parse(r)
			require.NoError(t, err)
			assert.Equal(t, "20150830T123600Z", scope.Timestamp)
		})
	}
	t.Run("must be signed", func(t *testing.T) {
		r := sign("Sun, 30 Aug 2015 12:36:00 GMT")
		r.Header.Del("X-Amz-Date")
		edit("date;host", "host")(t, r)
		assert.Contains(t, requireKind(t, sigv4.Unsigned, check(verifier(), r, "")).Text, "'Date' must be")
	})
}

// Over HTTP/2 the host may be signed by the name that it has there.
func TestAuthorityOfHTTP2(t *testing.T) {
	signed := func() *http.Request {
		r := goodRequest(t)
		r.ProtoMajor, r.ProtoMinor = 2, 0
		hash := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }
		const list = ":authority;x-amz-date;x-amz-target"
		canonical := "POST\n/\n\n:authority:localhost:8080\nx-amz-date:20150830T123600Z\nx-amz-target:TrentService.ListKeys\n\n" + list + "\n" + hash("{}")
		mac := hmac.New(sha256.New, sigv4.DeriveKey([]byte(exampleSecret), "20150830", "us-east-1", "service"))
		mac.Write([]byte("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/service/aws4_request\n" + hash(canonical)))
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+exampleID+"/20150830/us-east-1/service/aws4_request, SignedHeaders="+list+
			", Signature="+hex.EncodeToString(mac.Sum(nil)))
		return r
	}
	require.NoError(t, check(verifier(), signed(), "{}"))
	r := signed()
	r.Host = "localhost:8081"
	requireKind(t, sigv4.Mismatch, check(verifier(), r, "{}"))
	r = signed()
	r.ProtoMajor, r.ProtoMinor = 1, 1
	requireKind(t, sigv4.Unsigned, check(verifier(), r, "{}"))
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range sigv4.Kinds() {
		assert.NotEmpty(t, k.String())
		assert.NotEqual(t, "unknown", k.String())
		assert.False(t, seen[k.String()], k.String())
		seen[k.String()] = true
	}
	assert.Len(t, seen, 13)
	assert.Equal(t, "unknown", sigv4.Kind(0).String())
}
