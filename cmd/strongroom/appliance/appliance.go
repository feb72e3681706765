// Package appliance puts the parts together: it opens lock, database, tokens, vault, audit log and stores in the order in
// which they need each other, serves the listeners, owns every long-lived goroutine, and closes everything again. It
// decides nothing by itself: rules are in the packages it composes.
package appliance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/cmd/strongroom/metrics"
	"github.com/strongroom/strongroom/cmd/strongroom/principals"
	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/custom"
	"github.com/strongroom/strongroom/keystore/lifecycle"
	"github.com/strongroom/strongroom/keystore/usage"
	"github.com/strongroom/strongroom/state"
	"github.com/strongroom/strongroom/xks/proxy"
	"github.com/strongroom/strongroom/xks/tokenkeys"
	"github.com/strongroom/strongroom/xks/xksstore"
)

// Mover is a clock that can be moved forward. Only `strongroom dev` has one.
type Mover interface {
	Advance(d time.Duration) error
}

// Faults make the XKS proxy misbehave on demand. Only `strongroom dev` has them.
type Faults interface {
	Wrap(proxy http.Handler) http.Handler
	Set(realm, spec string) error
	Faults() map[string]string // by realm
}

// Options of an appliance. Config and Logger are required.
type Options struct {
	Config  *config.Config
	Logger  *slog.Logger
	Version string
	Clock   keystore.Clock // nil is the real time
	Mover   Mover          // nil: the clock cannot be moved
	Faults  Faults         // nil: the XKS proxy does not misbehave
	// ProxyDeadline is how long a call of the XKS proxy may take; 0 is what KMS leaves it: proxy.DefaultDeadline.
	ProxyDeadline time.Duration
	// Hook is called between every two steps of making and deleting keys; nil outside tests of crashes.
	Hook func(step string)
	// Create makes database, vault key and root principal where they are missing. Without it, what is missing is an error.
	Create bool
	// Fresh refuses an appliance that has its root principal already.
	Fresh bool
	// Locked says that the caller holds the lock of the data directory.
	Locked bool
	// Names is what people know addresses by where there is no file of configuration: "kms.listen" to a flag. nil: as in the file.
	Names map[string]string
}

// Appliance is an open appliance. Close it in any case; Serve it once at most.
type Appliance struct {
	opts    Options
	cfg     *config.Config
	log     *slog.Logger
	clock   keystore.Clock
	started time.Time

	db          *state.DB
	audit       *audit.File
	metrics     *metrics.Metrics
	tokens      map[string]*hsm.Token        // opened here, by name in the configuration
	defaults    map[string]*hsmstore.Backend // by Region
	vault       *hsmstore.Vault
	principals  *principals.Registry
	external    *xksstore.Proxies
	manager     *custom.Manager
	lifecycle   *lifecycle.Service
	sweeper     *lifecycle.Sweeper
	reconciler  *lifecycle.Reconciler
	rotator     *lifecycle.Rotator
	gate        *access.Gate
	expirer     *lifecycle.Expirer
	transitions *lifecycle.Transitions
	orphans     *lifecycle.Orphans
	usage       *usage.Recorder
	server      *api.Server
	proxy       *proxy.Proxy               // nil where there is no XKS listener
	xksKeys     map[string]*tokenkeys.Keys // by token name
	realms      realms

	listeners []*listener
	closers   []io.Closer // in the order of opening; closed in reverse
}

// closerFunc is a function as an io.Closer.
type closerFunc func() error

func (f closerFunc) Close() error { return f() }

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

// Lock takes the data directory for this process.
func Lock(dir string) (io.Closer, error) { return state.LockDir(dir) }

// Open opens everything but the listeners.
func Open(ctx context.Context, o Options) (*Appliance, error) {
	a := &Appliance{
		opts: o, cfg: o.Config, log: o.Logger, clock: o.Clock, started: time.Now(), metrics: metrics.New(),
		tokens: map[string]*hsm.Token{}, defaults: map[string]*hsmstore.Backend{}, xksKeys: map[string]*tokenkeys.Keys{},
	}
	if a.clock == nil {
		a.clock = realClock{}
	}
	for _, step := range []func(context.Context) error{
		a.openDir, a.openDatabase, a.openTokens, a.openVault, a.openAudit, a.openPrincipals, a.openStores, a.openServices, a.openProxy, a.primeTokens,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

func (a *Appliance) onClose(c io.Closer) { a.closers = append(a.closers, c) }

// Close closes what is open, the last opened first. It may be called again.
func (a *Appliance) Close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i].Close())
	}
	a.closers = nil
	return errors.Join(errs...)
}

// openDir makes or checks the data directory and takes its lock.
func (a *Appliance) openDir(context.Context) error {
	dir := a.cfg.DataDir
	if a.opts.Create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	} else if _, err := os.Stat(a.cfg.Database.Path); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no database %s; run strongroom init first, or correct database.path", a.cfg.Database.Path)
	}
	if a.opts.Locked {
		return nil
	}
	lock, err := Lock(dir)
	if err != nil {
		return err
	}
	a.onClose(lock)
	return nil
}

// random is where ids and secrets come from.
func random() io.Reader { return rand.Reader }
