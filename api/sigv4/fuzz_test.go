package sigv4_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/strongroom/strongroom/api/sigv4"
)

// FuzzAuthorization: any header gives a scope or an *Error, never a panic; and nothing but the right signature verifies.
func FuzzAuthorization(f *testing.F) {
	for _, c := range readCases(f) {
		f.Add(c.request().Header.Get("Authorization"), "20150830T123600Z", c.Target, "X-Custom", "a  b")
	}
	f.Add("AWS4-HMAC-SHA256 Credential=a/b/c/d/e,SignedHeaders=;;,Signature=", "", "/%2?%&=%zz", "Host", "")
	f.Add("AWS4-HMAC-SHA256 =,=,=", "20150830T123600.1Z", "//../..", "Date", "Sun, 30 Aug 2015 12:36:00 GMT")
	good := goodRequest(f).Header.Get("Authorization")
	f.Fuzz(func(t *testing.T, authorization, date, target, name, value string) {
		r := goodRequest(t)
		r.RequestURI = target
		r.Header.Set("Authorization", authorization)
		r.Header.Set("X-Amz-Date", date)
		r.Header.Add(name, value)
		v := verifier()
		scope, err := v.Parse(r)
		if err == nil {
			err = v.Verify(context.Background(), r, []byte("fuzzed"), scope)
		}
		if err == nil {
			t.Fatalf("verified a signature for another body: %q", authorization)
		}
		var refused *sigv4.Error
		if !errors.As(err, &refused) || refused.Kind.String() == "unknown" {
			t.Fatalf("untyped error %v", err)
		}
		if strings.ContainsAny(refused.Text, "\n\r\x1b") || len(refused.Text) > 1024 {
			t.Fatalf("unsafe text %q", refused.Text)
		}
		if authorization == good {
			return
		}
		r = goodRequest(t)
		r.Header.Set("Authorization", authorization)
		if scope, err = v.Parse(r); err == nil && v.Verify(context.Background(), r, []byte("{}"), scope) == nil && !sameSignature(authorization, good) {
			t.Fatalf("verified a foreign header: %q", authorization)
		}
	})
}

func sameSignature(a, b string) bool {
	return strings.Contains(a, b[strings.Index(b, "Signature="):])
}

func BenchmarkVerify(b *testing.B) {
	secret := sigv4.SecretsFunc(func(context.Context, string) ([]byte, error) { return []byte(exampleSecret), nil })
	v := verifier()
	v.Keys = sigv4.NewCache(secret, 0)
	r := goodRequest(b)
	body := []byte("{}")
	b.ReportAllocs()
	for b.Loop() {
		scope, err := v.Parse(r)
		if err == nil {
			err = v.Verify(context.Background(), r, body, scope)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	r := goodRequest(b)
	cred := sigv4.Credential{AccessKeyID: exampleID, Secret: []byte(exampleSecret)}
	key := sigv4.DeriveKey(cred.Secret, "20150830", "us-east-1", "service")
	b.ReportAllocs()
	for b.Loop() {
		sigv4.SignRequest(r, []byte("{}"), cred, "us-east-1", "service", exampleTime, sigv4.SignHeaders(), sigv4.WithSigningKey(key))
	}
}
