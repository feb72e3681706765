package metrics_test

import (
	"errors"
	"io"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/metrics"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/client"
	"github.com/strongroom/strongroom/xks/xksstore"
)

func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(w.Result().Body)
	require.NoError(t, err)
	return string(text)
}

func TestExternalStores(t *testing.T) {
	m := metrics.New()
	e := m.External()
	store := xksstore.Name{Region: "eu-west-1", ID: "cks-1"}
	e.ProxyCall(store, xks.OpEncrypt, "GenerateDataKey", 3*time.Millisecond, nil)
	e.ProxyCall(store, xks.OpEncrypt, "Encrypt", time.Millisecond, &client.Error{Class: client.Refused, Proxy: xks.NewError(xks.ThrottlingException, "")})
	e.ProxyCall(store, xks.OpEncrypt, "Encrypt", time.Millisecond, &client.Error{Class: client.Timeout, Skipped: true})
	e.ProxyCall(store, xks.OpEncrypt, "Encrypt", time.Millisecond, &client.Error{Class: client.Malformed, Proxy: xks.NewError("Made Up", "")})
	e.ProxyHealth(store, xksstore.Health{Active: 2, Unavailable: 1, CertificateName: "old.example.com", NotAfter: time.Unix(1, 0)})
	e.ProxyHealth(store, xksstore.Health{Active: 2, Unavailable: 1, CertificateName: "proxy.example.com", NotAfter: time.Unix(1800000000, 0),
		CredentialSince: time.Unix(1700000000, 0)})
	text := scrape(t, m)
	for _, line := range []string{
		`strongroom_external_store_seconds_count{kms_operation="GenerateDataKey",region="eu-west-1",store="cks-1",xks_operation="Encrypt"} 1`,
		`strongroom_external_store_seconds_count{kms_operation="Encrypt",region="eu-west-1",store="cks-1",xks_operation="Encrypt"} 2`,
		`strongroom_external_store_errors_total{error="ThrottlingException",kms_operation="Encrypt",region="eu-west-1",store="cks-1",type="Retryable",xks_operation="Encrypt"} 1`,
		`strongroom_external_store_errors_total{error="timeout",kms_operation="Encrypt",region="eu-west-1",store="cks-1",type="Retryable",xks_operation="Encrypt"} 1`,
		`strongroom_external_store_errors_total{error="malformed",kms_operation="Encrypt",region="eu-west-1",store="cks-1",type="Non-retryable",xks_operation="Encrypt"} 1`,
		`strongroom_external_store_healthy{region="eu-west-1",store="cks-1"} 1`,
		`strongroom_external_store_key_managers{region="eu-west-1",state="ACTIVE",store="cks-1"} 2`,
		`strongroom_external_store_key_managers{region="eu-west-1",state="UNAVAILABLE",store="cks-1"} 1`,
		`strongroom_external_store_credential_since_seconds{region="eu-west-1",store="cks-1"} 1.7e+09`,
		`strongroom_external_store_certificate_expiry_seconds{name="proxy.example.com",region="eu-west-1",store="cks-1"} 1.8e+09`,
	} {
		assert.Contains(t, text, line+"\n")
	}
	assert.NotContains(t, text, "Made Up")
	assert.NotContains(t, text, "old.example.com")

	e.ProxyHealth(store, xksstore.Health{Failure: errors.New("down")})
	assert.Contains(t, scrape(t, m), `strongroom_external_store_healthy{region="eu-west-1",store="cks-1"} 0`)
	e.ProxyGone(store)
	text = scrape(t, m)
	assert.NotContains(t, text, "strongroom_external_store_healthy{")
	assert.NotContains(t, text, "strongroom_external_store_key_managers{")
	assert.NotContains(t, text, "strongroom_external_store_credential_since_seconds{")
	assert.Contains(t, text, "strongroom_external_store_errors_total{", "counters stay")
}
