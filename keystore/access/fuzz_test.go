package access_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// FuzzParse: any text gives a policy or an error, and a policy decides without failing; one that was refused allows nobody.
func FuzzParse(f *testing.F) {
	f.Add(access.DefaultPolicy(account))
	f.Add(teamPolicy)
	f.Add(policy(`{"Effect":"Deny","NotPrincipal":{"AWS":"1"},"NotAction":["a:b"],"NotResource":"${aws:username, 'x'}*?",` +
		`"Condition":{"ForAnyValue:ArnLikeIfExists":{"kms:EncryptionContext:a":["arn:*:?:::x",1,true]},"Null":{"a:b":"true"}}}`))
	f.Add(`{"Statement":[[[[]]]]}`)
	f.Add(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2030"}}}}`)
	g := gate()
	f.Fuzz(func(t *testing.T, text string) {
		_, parseErr := access.Parse(text)
		p, err := access.ValidatePolicy(text, account, existing)
		if (err == nil) != (p != nil) {
			t.Fatalf("policy %v with error %v", p, err)
		}
		if err == nil && parseErr != nil {
			t.Fatalf("valid, but cannot be read: %v", parseErr)
		}
		if k := keystore.KindOf(err); err != nil && k != keystore.KindMalformedPolicyDocument && k != keystore.KindLimitExceeded {
			t.Fatalf("kind %s", k)
		}
		r := &access.Request{Caller: caller(alice, text), Action: keystore.ActionEncrypt, Key: key(text),
			EncryptionContext: map[string]string{"a": "b"}}
		d, err := g.Authorize(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if parseErr != nil && (d.Allowed || d.Reason != access.UnreadablePolicy) {
			t.Fatalf("a text that is no policy decides: %v", d)
		}
		if d.Allowed && p != nil && !strings.Contains(text, "Allow") {
			t.Fatalf("allowed by a policy that allows nothing: %s", text)
		}
		if !d.Allowed && d.Fault(r).Text == "" {
			t.Fatal("a denial without words")
		}
	})
}

// FuzzWildcards compares resource patterns with a regular expression of the same meaning.
func FuzzWildcards(f *testing.F) {
	f.Add("a*b?c", "aXXbYc")
	f.Add("**a**", "a")
	f.Add("*?*", "")
	f.Add("?", "é")
	f.Add("*??", "킼")
	f.Add("*ab*ab", "abab")
	g := gate()
	f.Fuzz(func(t *testing.T, pattern, value string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(value) || len(pattern) > 64 || len(value) > 120 || value == "" ||
			strings.ContainsAny(pattern, "$\"\\<>&") || strings.ContainsFunc(pattern, func(r rune) bool { return r < ' ' || r == 0x2028 || r == 0x2029 }) {
			return
		}
		expr := regexp.QuoteMeta(pattern)
		expr = strings.ReplaceAll(strings.ReplaceAll(expr, `\*`, `(?s:.*)`), `\?`, `(?s:.)`)
		want := regexp.MustCompile(`\A` + expr + `\z`).MatchString(value)
		text := policy(`{"Effect":"Allow","Action":"kms:CreateAlias","Resource":"` + pattern + `"}`)
		d, err := g.Authorize(context.Background(), &access.Request{
			Caller: caller(alice, text), Action: keystore.ActionCreateAlias, Resource: value})
		if err != nil || d.Cause != nil {
			t.Fatal(err, d.Cause)
		}
		if d.Allowed != want {
			t.Fatalf("pattern %q on %q: %v, want %v", pattern, value, d.Allowed, want)
		}
	})
}
