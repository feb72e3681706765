package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/client"
	"github.com/strongroom/strongroom/xks/xksstore"
)

// External are the figures of external key stores. They mirror those that AWS KMS keeps of them (XksProxyLatency,
// XksProxyErrors, XksExternalKeyManagerStates, XksProxyCertificateDaysToExpire, XksProxyCredentialAge).
type External struct {
	latency  *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	up       *prometheus.GaugeVec
	managers *prometheus.GaugeVec
	expiry   *prometheus.GaugeVec
	since    *prometheus.GaugeVec

	fast sync.Map // proxyCall to prometheus.Observer
}

var _ xksstore.Observer = (*External)(nil)

type proxyCall struct {
	store        xksstore.Name
	op           xks.Operation
	kmsOperation string
}

// External makes the figures of external key stores. It is to be called once.
func (m *Metrics) External() *External {
	e := &External{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "strongroom_external_store_seconds",
			Help: "Time of calls to the proxies of external key stores, with all their attempts.", Buckets: latencyBuckets()},
			[]string{"region", "store", "xks_operation", "kms_operation"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "strongroom_external_store_errors_total",
			Help: "Calls to the proxies of external key stores that failed: by the protocol's error name, or by how the connection or the answer was bad."},
			[]string{"region", "store", "xks_operation", "kms_operation", "type", "error"}),
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "strongroom_external_store_healthy",
			Help: "1 where the proxy of a connected external key store said at the last look that a key manager serves."}, []string{"region", "store"}),
		managers: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "strongroom_external_store_key_managers",
			Help: "Key managers of a connected external key store by what its proxy said of them at the last look."}, []string{"region", "store", "state"}),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "strongroom_external_store_certificate_expiry_seconds",
			Help: "When the certificate of an external key store's proxy ends, in Unix time."}, []string{"region", "store", "name"}),
	}
	e.since = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "strongroom_external_store_credential_since_seconds",
		Help: "When a connected external key store got the credential that it signs with, in Unix time."}, []string{"region", "store"})
	m.registry.MustRegister(e.latency, e.errors, e.up, e.managers, e.expiry, e.since)
	return e
}

// ProxyCall implements xksstore.Observer.
func (e *External) ProxyCall(store xksstore.Name, op xks.Operation, kmsOperation string, took time.Duration, err *client.Error) {
	key := proxyCall{store, op, kmsOperation}
	v, ok := e.fast.Load(key)
	if !ok {
		v, _ = e.fast.LoadOrStore(key, e.latency.WithLabelValues(store.Region, string(store.ID), string(op), kmsOperation))
	}
	if err == nil || !err.Skipped {
		v.(prometheus.Observer).Observe(took.Seconds())
	}
	if err == nil {
		return
	}
	kind, name := "Non-retryable", string(err.Name())
	if err.Retryable() {
		kind = "Retryable"
	}
	if err.Class != client.Refused {
		name = err.Class.String() // an unknown name is the proxy's to choose, and no label
	}
	e.errors.WithLabelValues(store.Region, string(store.ID), string(op), kmsOperation, kind, name).Inc()
}

// ProxyHealth implements xksstore.Observer.
func (e *External) ProxyHealth(store xksstore.Name, h xksstore.Health) {
	region, id := store.Region, string(store.ID)
	healthy := 1.0
	if h.Failure != nil {
		healthy = 0
	}
	e.up.WithLabelValues(region, id).Set(healthy)
	for state, n := range map[xks.HealthStatus]int{xks.Active: h.Active, xks.Degraded: h.Degraded, xks.Unavailable: h.Unavailable} {
		e.managers.WithLabelValues(region, id, string(state)).Set(float64(n))
	}
	if !h.CredentialSince.IsZero() {
		e.since.WithLabelValues(region, id).Set(float64(h.CredentialSince.Unix()))
	}
	e.expiry.DeletePartialMatch(prometheus.Labels{"region": region, "store": id})
	if !h.NotAfter.IsZero() {
		e.expiry.WithLabelValues(region, id, h.CertificateName).Set(float64(h.NotAfter.Unix()))
	}
}

// ProxyGone implements xksstore.Observer: how a store was is no figure once it is disconnected. Counters stay.
func (e *External) ProxyGone(store xksstore.Name) {
	labels := prometheus.Labels{"region": store.Region, "store": string(store.ID)}
	e.up.DeletePartialMatch(labels)
	e.managers.DeletePartialMatch(labels)
	e.expiry.DeletePartialMatch(labels)
	e.since.DeletePartialMatch(labels)
}
