package proxy

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
)

// Config is what all realms of a Proxy share. Its zero value works.
type Config struct {
	// Vendor and Model name the product in health answers; Model should carry the version.
	Vendor, Model string
	FleetSize     int // proxies that serve the same endpoint; 0 means 1
	Limits        xks.Limits
	// Deadline is how long a call may take from the arrival of its body: less than the 250 ms that KMS waits.
	// 0 means DefaultDeadline.
	Deadline time.Duration
	// BodyTimeout is how long a client may take to send its body. 0 means DefaultBodyTimeout.
	BodyTimeout time.Duration
	// MaxInFlight bounds requests in progress over all realms, those not yet authenticated included. 0 means
	// DefaultMaxInFlight.
	MaxInFlight int
	Recorder    Recorder         // nil records nothing
	Logger      *slog.Logger     // nil is silence
	Now         func() time.Time // nil is time.Now; signatures and quotas are judged by it
}

// Defaults of Config.
const (
	DefaultVendor      = "Strongroom"
	DefaultModel       = "Strongroom XKS proxy"
	DefaultDeadline    = 200 * time.Millisecond
	DefaultBodyTimeout = 5 * time.Second
	DefaultMaxInFlight = 4096
)

// Proxy serves the XKS proxy API. It is an http.Handler, safe for concurrent use.
type Proxy struct {
	cfg      Config
	state    atomic.Pointer[state]
	inFlight atomic.Int64
	draining atomic.Bool
	health   monitor

	update sync.Mutex // held by Update, so that two of them do not lose each other's counters
}

// state is an immutable set of realms.
type state struct {
	realms map[string]*realm // by URI path
	names  []string          // URI paths in the order given
}

// realm is a Realm made ready to serve. Only counters in it change.
type realm struct {
	Realm
	allowed     map[string]bool // nil: every key
	verifier    sigv4.Verifier
	credentials map[string]*credential
	bucket      *bucket
	queue       *queue
	probe       *probe // nil: Keys cannot be examined
}

type credential struct {
	secret   []byte
	lastUsed atomic.Int64 // Unix nanoseconds; 0 is never
}

// New makes a Proxy without realms; Update adds them.
func New(cfg Config) *Proxy {
	if cfg.Vendor == "" {
		cfg.Vendor = DefaultVendor
	}
	if cfg.Model == "" {
		cfg.Model = DefaultModel
	}
	if cfg.FleetSize == 0 {
		cfg.FleetSize = 1
	}
	if cfg.Deadline == 0 {
		cfg.Deadline = DefaultDeadline
	}
	if cfg.BodyTimeout == 0 {
		cfg.BodyTimeout = DefaultBodyTimeout
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = DefaultMaxInFlight
	}
	if cfg.Recorder == nil {
		cfg.Recorder = RecorderFunc(func(context.Context, Event) error { return nil })
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Proxy{cfg: cfg}
	p.health.init(cfg.Now, cfg.Logger)
	p.state.Store(&state{realms: map[string]*realm{}})
	return p
}

// Update replaces the set of realms. Calls in flight finish on the old one. On an error, which names everything that
// is wrong, nothing changes. What a realm has counted (quota, last use of credentials) goes on where its path and the
// counted thing are the same.
func (p *Proxy) Update(realms []Realm) error {
	if err := validateAll(realms); err != nil {
		return err
	}
	p.update.Lock()
	defer p.update.Unlock()
	old := p.state.Load()
	next := &state{realms: make(map[string]*realm, len(realms))}
	for _, r := range realms {
		next.realms[r.URIPath] = p.compile(r, old.realms[r.URIPath])
		next.names = append(next.names, r.URIPath)
	}
	p.health.watch(next)
	p.state.Store(next)
	return nil
}

// compile makes a realm ready; before is its predecessor, or nil.
func (p *Proxy) compile(r Realm, before *realm) *realm {
	c := &realm{Realm: r, credentials: make(map[string]*credential, len(r.Credentials)), bucket: newBucket(r.Quota)}
	c.Policy.Rules = append([]Rule(nil), r.Policy.Rules...)
	c.queue = newQueue(r.Concurrency, r.Queue)
	c.Credentials = nil
	for _, cred := range r.Credentials {
		c.credentials[cred.AccessKeyID] = &credential{secret: append([]byte(nil), cred.Secret...)}
	}
	if len(r.AllowedKeys) > 0 {
		c.allowed = make(map[string]bool, len(r.AllowedKeys))
		for _, id := range r.AllowedKeys {
			c.allowed[id] = true
		}
	}
	if before != nil {
		if before.Quota == r.Quota {
			c.bucket = before.bucket
		}
		if before.Concurrency == r.Concurrency && before.Queue == r.Queue {
			c.queue = before.queue
		}
		for id, cred := range c.credentials {
			if same := before.credentials[id]; same != nil {
				cred.lastUsed.Store(same.lastUsed.Load())
			}
		}
	}
	c.verifier = sigv4.Verifier{
		Service: xks.Service, Regions: append([]string(nil), r.Regions...), Now: p.cfg.Now,
		Keys: sigv4.NewCache(sigv4.SecretsFunc(c.secret), 0), AllowUnsignedAmz: true,
	}
	return c
}

// secret implements sigv4.Secrets for this realm alone.
func (r *realm) secret(_ context.Context, accessKeyID string) ([]byte, error) {
	cred, ok := r.credentials[accessKeyID]
	if !ok {
		return nil, sigv4.ErrUnknownKey
	}
	return append([]byte(nil), cred.secret...), nil
}

// Run examines the key managers of all realms until ctx ends: once at the start, then often enough that no health
// answer is older than a minute.
func (p *Proxy) Run(ctx context.Context) error {
	p.health.run(ctx)
	return ctx.Err()
}

// Drain makes /ready answer 503 from now on, so that load balancers send nothing new. Requests are still served.
func (p *Proxy) Drain() { p.draining.Store(true) }

// RealmStatus describes a realm to its operator.
type RealmStatus struct {
	Name, URIPath string
	Blocked       bool
	Credentials   []CredentialStatus
	KeyManager    xks.KeyManager
	Health        xks.HealthStatus // "" where it is not known yet
	Waiting       int              // calls in the queue
}

// CredentialStatus tells whether a credential can be removed safely.
type CredentialStatus struct {
	AccessKeyID string
	LastUsed    time.Time // zero: not since the start
}

// Realms describes all realms, in the order they were given.
func (p *Proxy) Realms() []RealmStatus {
	s := p.state.Load()
	all := make([]RealmStatus, 0, len(s.names))
	for _, path := range s.names {
		r := s.realms[path]
		status := RealmStatus{Name: r.Name, URIPath: path, Blocked: r.Blocked, Waiting: int(r.queue.waiting.Load())}
		if r.probe != nil {
			status.KeyManager = r.probe.instance
			status.Health, _ = r.probe.status(p.cfg.Now())
		}
		for id, cred := range r.credentials {
			used := CredentialStatus{AccessKeyID: id}
			if at := cred.lastUsed.Load(); at != 0 {
				used.LastUsed = time.Unix(0, at).UTC()
			}
			status.Credentials = append(status.Credentials, used)
		}
		slices.SortFunc(status.Credentials, func(a, b CredentialStatus) int { return cmp.Compare(a.AccessKeyID, b.AccessKeyID) })
		all = append(all, status)
	}
	return all
}
