package proxy

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/strongroom/strongroom/xks"
)

// Timing of the deep health check. The specification allows a cached result to be at most 60 seconds old.
const (
	probeEvery     = 20 * time.Second // while all is well
	probeAgain     = 2 * time.Second  // while something is not
	probeTimeout   = 5 * time.Second
	probeSlow      = 100 * time.Millisecond // slower than this is DEGRADED: it would eat most of KMS's 250 ms
	probeKept      = 60 * time.Second
	degradedWithin = 2 * time.Minute // after a failed probe
)

// probe is what is known of one key manager.
type probe struct {
	instance xks.KeyManager
	prober   Prober

	mu      sync.Mutex
	done    time.Time // when the last probe ended; zero: none did
	took    time.Duration
	err     error
	failed  time.Time // when a probe last failed
	running bool
}

// status gives the cached verdict; false means that there is none yet.
func (p *probe) status(now time.Time) (xks.HealthStatus, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.done.IsZero():
		return "", false
	case p.err != nil, now.Sub(p.done) > probeKept:
		return xks.Unavailable, true
	case p.took > probeSlow, !p.failed.IsZero() && now.Sub(p.failed) < degradedWithin:
		return xks.Degraded, true
	}
	return xks.Active, true
}

// monitor probes every key manager of the current realms, each at most once at a time.
type monitor struct {
	now  func() time.Time
	log  *slog.Logger
	wake chan struct{}

	mu     sync.Mutex
	probes map[string]*probe // by instance id
}

func (m *monitor) init(now func() time.Time, log *slog.Logger) {
	m.now, m.log = now, log
	m.wake = make(chan struct{}, 1)
	m.probes = map[string]*probe{}
}

// watch takes over the probers of a new state, keeping what is known of those that stay.
func (m *monitor) watch(s *state) {
	m.mu.Lock()
	next := map[string]*probe{}
	for _, path := range s.names {
		r := s.realms[path]
		prober, ok := r.Keys.(Prober)
		if !ok {
			continue
		}
		instance := prober.KeyManager()
		if next[instance.ID] == nil {
			if next[instance.ID] = m.probes[instance.ID]; next[instance.ID] == nil || next[instance.ID].prober != prober {
				next[instance.ID] = &probe{instance: instance, prober: prober}
			}
		}
		r.probe = next[instance.ID]
	}
	m.probes = next
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run probes until ctx ends, and waits for its probes then.
func (m *monitor) run(ctx context.Context) {
	var probing sync.WaitGroup
	defer probing.Wait()
	for {
		wait := probeEvery
		for _, p := range m.snapshot() {
			if m.due(p) {
				probing.Go(func() { m.probe(ctx, p) })
			}
			if status, known := p.status(m.now()); !known || status != xks.Active {
				wait = probeAgain
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-m.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (m *monitor) snapshot() []*probe {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*probe, 0, len(m.probes))
	for _, p := range m.probes {
		all = append(all, p)
	}
	return all
}

// due claims the probe if it should run now.
func (m *monitor) due(p *probe) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	interval := probeEvery
	if p.err != nil || p.took > probeSlow {
		interval = probeAgain
	}
	// A little early rather than a round late.
	if p.running || (!p.done.IsZero() && m.now().Sub(p.done) < interval-time.Second/2) {
		return false
	}
	p.running = true
	return true
}

func (m *monitor) probe(ctx context.Context, p *probe) {
	bounded, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	start, end, err := m.examine(bounded, p)
	if err == nil && end.Sub(start) > probeSlow {
		// The first use of the test key after a login may be a search for it, which says nothing of other keys.
		start, end, err = m.examine(bounded, p)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && ctx.Err() != nil {
		p.running = false // a probe that was cut off by the end of the proxy says nothing of the key manager
		return
	}
	if (p.err == nil) != (err == nil) || p.done.IsZero() {
		if err != nil {
			m.log.LogAttrs(ctx, slog.LevelWarn, "key manager is unavailable", slog.String("instance", p.instance.ID), slog.Any("error", err))
		} else {
			m.log.LogAttrs(ctx, slog.LevelInfo, "key manager is available", slog.String("instance", p.instance.ID))
		}
	}
	p.running, p.done, p.took, p.err = false, end, end.Sub(start), err
	if err != nil {
		p.failed = end
	}
}

// examine makes one probe and takes its time.
func (m *monitor) examine(ctx context.Context, p *probe) (start, end time.Time, err error) {
	start = m.now()
	err = p.prober.Probe(ctx)
	return start, m.now(), err
}

// answer makes the realm's health answer from what is cached.
func (p *Proxy) healthAnswer(r *realm) (xks.HealthResponse, error) {
	answer := xks.HealthResponse{FleetSize: p.cfg.FleetSize, Vendor: p.cfg.Vendor, Model: p.cfg.Model, EKMVendor: p.cfg.Vendor}
	if r.probe == nil {
		answer.Instances = []xks.Instance{{ID: r.Name, Model: p.cfg.Model, Status: xks.Active}}
		return answer, nil
	}
	status, known := r.probe.status(p.cfg.Now())
	if !known {
		return answer, xks.NewError(xks.DependencyTimeoutException, "the key manager has not been examined yet")
	}
	if r.probe.instance.Vendor != "" {
		answer.EKMVendor = r.probe.instance.Vendor
	}
	answer.Instances = []xks.Instance{{ID: r.probe.instance.ID, Model: r.probe.instance.Model, Status: status}}
	return answer, nil
}

// ready reports whether some realm can serve.
func (p *Proxy) ready() bool {
	if p.draining.Load() {
		return false
	}
	now := p.cfg.Now()
	for _, r := range p.state.Load().realms {
		if r.Blocked {
			continue
		}
		if r.probe == nil {
			return true
		}
		if status, known := r.probe.status(now); known && status != xks.Unavailable {
			return true
		}
	}
	return false
}
