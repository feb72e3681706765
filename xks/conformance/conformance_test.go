package conformance_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/conformance"
	"github.com/strongroom/strongroom/xks/proxy"
	"github.com/strongroom/strongroom/xks/tokenkeys"
	"github.com/strongroom/strongroom/xks/xkstest"
)

const (
	path      = "/tenant-a/kms/xks/v1"
	otherPath = "/tenant-b/kms/xks/v1"
	kmsName   = "cks.kms.us-east-1.amazonaws.com"
)

func signer(c proxy.Credential) sigv4.Credential {
	return sigv4.Credential{AccessKeyID: c.AccessKeyID, Secret: c.Secret}
}

// breakage is how our proxy is spoilt before it is checked. Its zero value leaves it alone.
type breakage struct {
	keys    func(proxy.Keys) proxy.Keys
	handler func(http.Handler) http.Handler
	tls     func(*xkstest.Authority, *tls.Config)
	realms  func([]proxy.Realm)
	config  func(*proxy.Config)
}

// ourProxy starts our proxy over a SoftHSM2 token, with all that the checks can use.
func ourProxy(t *testing.T, b breakage) conformance.Config {
	t.Helper()
	ctx := context.Background()
	keys, err := tokenkeys.Open(ctx, tokenkeys.Config{Token: hsmtest.SoftHSM(t, "xks").Open("xks")})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	<-keys.Ready()
	for id, usage := range map[string]tokenkeys.Usage{
		"key": tokenkeys.UseBoth, "disabled": tokenkeys.UseBoth, "encrypt-only": tokenkeys.UseEncrypt, "decrypt-only": tokenkeys.UseDecrypt,
	} {
		_, err := keys.Create(ctx, id, usage)
		require.NoError(t, err)
	}
	require.NoError(t, keys.SetEnabled(ctx, "disabled", false))
	credentials := make([]proxy.Credential, 3)
	for i := range credentials {
		credentials[i], err = proxy.NewCredential(rand.Reader)
		require.NoError(t, err)
	}
	cfg := proxy.Config{Deadline: time.Minute, BodyTimeout: time.Minute}
	if b.config != nil {
		b.config(&cfg)
	}
	p := proxy.New(cfg)
	var served proxy.Keys = keys
	if b.keys != nil {
		served = b.keys(keys)
	}
	realms := []proxy.Realm{
		{Name: "a", URIPath: path, Credentials: credentials[:2], Keys: served},
		{Name: "b", URIPath: otherPath, Credentials: credentials[2:], Keys: keys},
	}
	if b.realms != nil {
		b.realms(realms)
	}
	require.NoError(t, p.Update(realms))
	run, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- p.Run(run) }()
	t.Cleanup(func() { stop(); <-done })

	authority := xkstest.NewAuthority(t)
	server, err := proxy.NewServer(p, proxy.TLSOptions{
		Certificates: []tls.Certificate{authority.Issue("localhost")}, ClientCAs: authority.Pool(), ClientNames: []string{kmsName},
	}, nil)
	require.NoError(t, err)
	server.ReadHeaderTimeout, server.WriteTimeout = time.Minute, time.Minute // for a machine that stands still for a while
	if b.handler != nil {
		server.Handler = b.handler(p)
	}
	if b.tls != nil {
		b.tls(authority, server.TLSConfig)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close(); <-ended })
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	second := signer(credentials[1])
	kms, stranger := authority.Issue(kmsName), authority.Issue("cks.kms.eu-west-1.amazonaws.com")
	checked := conformance.Config{
		Endpoint: "https://localhost:" + port, URIPath: path, Credential: signer(credentials[0]), SecondCredential: &second, KeyID: "key",
		DisabledKeyID: "disabled", EncryptOnlyKeyID: "encrypt-only", DecryptOnlyKeyID: "decrypt-only", OtherURIPath: otherPath,
		AllowPort: true, RootCAs: authority.Pool(), Timeout: time.Minute, ClientCertificate: &kms, OtherClientCertificate: &stranger,
	}
	require.Eventually(t, func() bool { return p.Realms()[1].Health != "" }, time.Minute, 5*time.Millisecond)
	return checked
}

func run(t *testing.T, cfg conformance.Config) *conformance.Report {
	t.Helper()
	report, err := conformance.Run(context.Background(), cfg, nil)
	require.NoError(t, err)
	return report
}

func TestOurProxyConforms(t *testing.T) {
	told := 0
	report, err := conformance.Run(context.Background(), ourProxy(t, breakage{}), func(conformance.Result) { told++ })
	require.NoError(t, err)
	for _, r := range report.Results {
		if r.ID == "encrypt.latency" { // a busy machine is not our fault
			continue
		}
		assert.Equal(t, conformance.Passed, r.Status, "%s: %s", r.ID, r.Detail)
	}
	assert.True(t, report.Conforms())
	assert.Len(t, conformance.Checks(), told)
}

func TestChecksAreNamed(t *testing.T) {
	seen := map[string]bool{}
	form := regexp.MustCompile(`^[a-z0-9]+\.[a-z0-9.-]+$`)
	for _, c := range conformance.Checks() {
		assert.Regexp(t, form, c.ID)
		assert.False(t, seen[c.ID], c.ID)
		assert.NotEmpty(t, c.Section)
		assert.NotEmpty(t, c.Title)
		assert.Contains(t, []conformance.Level{conformance.Must, conformance.Should}, c.Level)
		seen[c.ID] = true
	}
}

// Without the optional keys and credentials some checks are skipped, and none fails.
func TestOptionalInputs(t *testing.T) {
	cfg := ourProxy(t, breakage{})
	cfg.SecondCredential, cfg.DisabledKeyID, cfg.EncryptOnlyKeyID, cfg.DecryptOnlyKeyID, cfg.OtherURIPath = nil, "", "", "", ""
	report := run(t, cfg)
	assert.True(t, report.Conforms())
	assert.Equal(t, 7, report.Count(conformance.Skipped))
	cfg.KeyID = "a/b"
	_, err := conformance.Run(context.Background(), cfg, nil)
	require.ErrorIs(t, err, xks.ErrKeyID)
	cfg.KeyID = "key"
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = conformance.Run(ended, cfg, nil)
	require.ErrorIs(t, err, context.Canceled)
}

func TestReports(t *testing.T) {
	report := &conformance.Report{Endpoint: "https://xks.example.com", URIPath: "/kms/xks/v1", Results: []conformance.Result{
		{ID: "a.one", Section: "A", Level: conformance.Must, Title: "first", Status: conformance.Passed, Duration: time.Second},
		{ID: "a.two", Section: "A", Level: conformance.Must, Title: "second <&>", Status: conformance.Failed, Detail: "bad \x1b[31m thing"},
		{ID: "b.one", Section: "B", Level: conformance.Should, Title: "third", Status: conformance.Warned, Detail: "slow"},
		{ID: "b.two", Section: "B", Level: conformance.Must, Title: "fourth", Status: conformance.Skipped, Detail: "not given"},
	}}
	assert.False(t, report.Conforms())
	var text, asJSON, junit bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	assert.Contains(t, text.String(), "1 passed, 1 failed, 1 warnings, 1 skipped: the proxy does not conform")
	assert.NotContains(t, text.String(), "\x1b")

	require.NoError(t, report.WriteJSON(&asJSON))
	var decoded struct {
		Conforms bool
		Results  []struct{ ID, Status, Detail string }
	}
	require.NoError(t, json.Unmarshal(asJSON.Bytes(), &decoded))
	assert.False(t, decoded.Conforms)
	require.Len(t, decoded.Results, 4)
	assert.Equal(t, "fail", decoded.Results[1].Status)

	require.NoError(t, report.WriteJUnit(&junit))
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
		} `xml:"testcase"`
	}
	require.NoError(t, xml.Unmarshal(junit.Bytes(), &suite))
	assert.Equal(t, 4, suite.Tests)
	assert.Equal(t, 1, suite.Failures)
	assert.Equal(t, 1, suite.Skipped)
	assert.NotNil(t, suite.Cases[1].Failure)
	assert.Equal(t, "a.two: second <&>", suite.Cases[1].Name)
	assert.NotContains(t, junit.String(), "\x1b")
	assert.True(t, strings.HasPrefix(junit.String(), "<?xml"))
}
