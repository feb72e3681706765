// Package metrics keeps the figures that /metrics shows. It is the one home of Prometheus's client: other packages tell it
// what happened through small interfaces of their own.
package metrics

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/strongroom/strongroom/hsm"
)

// Metrics is the set of figures of one appliance. Its methods may be called on hot paths and by many goroutines at once.
type Metrics struct {
	registry *prometheus.Registry

	requests    *prometheus.CounterVec
	latency     *prometheus.HistogramVec
	tokenTime   *prometheus.HistogramVec
	tokenCodes  *prometheus.CounterVec
	pendingUse  prometheus.Counter
	auditErrors prometheus.Counter
	xksRequests *prometheus.CounterVec
	xksLatency  *prometheus.HistogramVec

	fast  sync.Map // operation to *operation: no label look-up for what succeeds
	calls sync.Map // tokenFunction to prometheus.Observer
}

type operation struct {
	ok      prometheus.Counter
	latency prometheus.Observer
}

type tokenFunction struct{ serial, label, function string }

// New makes a set with its own registry, the process's and the Go runtime's figures included.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "strongroom_requests_total",
			Help: "Requests by operation and AWS exception; the exception is empty for success."}, []string{"operation", "exception"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "strongroom_request_seconds",
			Help: "Time of whole requests, from the header to the answer.", Buckets: latencyBuckets()}, []string{"operation"}),
		tokenTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "strongroom_token_seconds",
			Help: "Time of calls into the PKCS#11 module.", Buckets: latencyBuckets()}, []string{"token", "serial", "function"}),
		tokenCodes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "strongroom_token_errors_total",
			Help: "Calls into the PKCS#11 module that failed, by return code."}, []string{"token", "serial", "function", "code"}),
		pendingUse: prometheus.NewCounter(prometheus.CounterOpts{Name: "strongroom_pending_deletion_use_total",
			Help: "Attempts to use a key that is pending deletion."}),
		auditErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "strongroom_audit_errors_total",
			Help: "Calls that were refused because they could not be recorded."}),
		xksRequests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "strongroom_xks_requests_total",
			Help: "Requests to the XKS proxy by realm, operation and error name; the error is empty for success."}, []string{"realm", "operation", "error"}),
		xksLatency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "strongroom_xks_request_seconds",
			Help: "Time of whole requests to the XKS proxy.", Buckets: latencyBuckets()}, []string{"realm", "operation"}),
	}
	m.registry.MustRegister(m.requests, m.latency, m.tokenTime, m.tokenCodes, m.pendingUse, m.auditErrors, m.xksRequests, m.xksLatency,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// latencyBuckets runs from 25 µs, a fast token's call, to 30 s.
func latencyBuckets() []float64 {
	return []float64{25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 10, 30}
}

// Request counts one request. exception is the AWS exception as on the wire, "" for success.
func (m *Metrics) Request(op, exception string, took time.Duration) {
	v, ok := m.fast.Load(op)
	if !ok {
		v, _ = m.fast.LoadOrStore(op, &operation{ok: m.requests.WithLabelValues(op, ""), latency: m.latency.WithLabelValues(op)})
	}
	o := v.(*operation)
	o.latency.Observe(took.Seconds())
	if exception == "" {
		o.ok.Inc()
		return
	}
	m.requests.WithLabelValues(op, exception).Inc()
}

// TokenCall implements hsm.Observer.
func (m *Metrics) TokenCall(token hsm.Info, function string, took time.Duration, code uint) {
	key := tokenFunction{token.Serial, token.Label, function}
	v, ok := m.calls.Load(key)
	if !ok {
		v, _ = m.calls.LoadOrStore(key, m.tokenTime.WithLabelValues(token.Label, token.Serial, function))
	}
	v.(prometheus.Observer).Observe(took.Seconds())
	if code != 0 {
		m.tokenCodes.WithLabelValues(token.Label, token.Serial, function, hsm.CKR(code).Error()).Inc()
	}
}

// XKSRequest counts one request to a realm of the XKS proxy; name is the protocol's error name, "" for success.
func (m *Metrics) XKSRequest(realm, operation, name string, took time.Duration) {
	m.xksRequests.WithLabelValues(realm, operation, name).Inc()
	m.xksLatency.WithLabelValues(realm, operation).Observe(took.Seconds())
}

// PendingDeletionUse counts an attempt to use a key that is pending deletion.
func (m *Metrics) PendingDeletionUse() { m.pendingUse.Inc() }

// AuditError counts a call that could not be recorded.
func (m *Metrics) AuditError() { m.auditErrors.Inc() }

// Snapshot is what is looked up when somebody asks for the figures.
type Snapshot struct {
	Keys       map[string]int            // by key state
	Material   map[string]int            // by ledger state
	Stores     map[string]map[string]int // by Region and connection state
	Tokens     []TokenState
	SweeperLag time.Duration // how long the oldest due key has been waiting; 0 where none is due
}

// TokenState is one token's health and sessions.
type TokenState struct {
	Label, Serial          string
	Healthy                bool
	Sessions, InUse, Stuck int
	Logins                 uint64
}

// Watch adds figures that snap looks up at each scrape. A snapshot that fails is left out of the answer, and counted.
func (m *Metrics) Watch(snap func(ctx context.Context) (*Snapshot, error)) {
	m.registry.MustRegister(&snapshots{snap: snap, failed: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "strongroom_snapshot_errors_total", Help: "Scrapes whose look into the state failed."})})
}

// Handler serves the figures in Prometheus's format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// snapshotTimeout bounds the look into the state at a scrape.
const snapshotTimeout = 5 * time.Second

type snapshots struct {
	snap   func(context.Context) (*Snapshot, error)
	failed prometheus.Counter
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("strongroom_"+name, help, labels, nil)
}

func (s *snapshots) descs() []*prometheus.Desc {
	return []*prometheus.Desc{
		desc("keys", "Keys by key state, as stored.", "state"),
		desc("material", "Rows of the material ledger by state.", "state"),
		desc("orphans", "Key material that a person must see to."),
		desc("stores", "Custom key stores by Region and connection state.", "region", "state"),
		desc("sweeper_lag_seconds", "How long the oldest key whose deletion is due has been waiting."),
		desc("token_healthy", "1 where the token answers.", "token", "serial"),
		desc("token_sessions", "Open sessions.", "token", "serial"),
		desc("token_sessions_in_use", "Sessions lent to calls.", "token", "serial"),
		desc("token_stuck_calls", "Calls that overran their deadline and still hang.", "token", "serial"),
		desc("token_logins_total", "Logins since the token was opened.", "token", "serial"),
	}
}

// Describe implements prometheus.Collector.
func (s *snapshots) Describe(ch chan<- *prometheus.Desc) {
	s.failed.Describe(ch)
	for _, d := range s.descs() {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *snapshots) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), snapshotTimeout)
	defer cancel()
	snap, err := s.snap(ctx)
	if err != nil {
		s.failed.Inc()
	}
	s.failed.Collect(ch)
	if err != nil {
		return
	}
	d := s.descs()
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	for state, n := range snap.Keys {
		gauge(d[0], float64(n), state)
	}
	for state, n := range snap.Material {
		gauge(d[1], float64(n), state)
	}
	gauge(d[2], float64(snap.Material["orphaned"]))
	for region, states := range snap.Stores {
		for state, n := range states {
			gauge(d[3], float64(n), region, state)
		}
	}
	gauge(d[4], snap.SweeperLag.Seconds())
	seen := map[string]bool{}
	for _, t := range snap.Tokens {
		if id := fmt.Sprintf("%q %q", t.Label, t.Serial); seen[id] {
			continue
		} else {
			seen[id] = true
		}
		healthy := 0.0
		if t.Healthy {
			healthy = 1
		}
		gauge(d[5], healthy, t.Label, t.Serial)
		gauge(d[6], float64(t.Sessions), t.Label, t.Serial)
		gauge(d[7], float64(t.InUse), t.Label, t.Serial)
		gauge(d[8], float64(t.Stuck), t.Label, t.Serial)
		ch <- prometheus.MustNewConstMetric(d[9], prometheus.CounterValue, float64(t.Logins), t.Label, t.Serial)
	}
}
