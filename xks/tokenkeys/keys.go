package tokenkeys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"crypto/rand"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/xks"
)

// Token is what this package needs of an *hsm.Token.
type Token interface {
	Seal(ctx context.Context, ref hsm.KeyRef, aad, plaintext, dst []byte) ([]byte, error)
	Open(ctx context.Context, ref hsm.KeyRef, aad, sealed, dst []byte) ([]byte, error)
	Generate(ctx context.Context, order hsm.Template) (hsm.Object, error)
	Destroy(ctx context.Context, ref hsm.KeyRef) (found int, err error)
	FindLabel(ctx context.Context, label string) ([]hsm.Object, error)
	FindID(ctx context.Context, id []byte) ([]hsm.Object, error)
	Objects(ctx context.Context, fn func(hsm.Object) error) error
	Prime() <-chan struct{}
	Health(ctx context.Context) error
	Info() hsm.Info
}

// Addressing says which attribute an external key id is.
type Addressing string

// The ways to address a key.
const (
	ByLabel Addressing = "label" // the id is CKA_LABEL
	ByID    Addressing = "id"    // the id is CKA_ID in lower-case hexadecimal
)

// Config says where the keys are.
type Config struct {
	Token      Token
	Addressing Addressing // "" means ByLabel
	Store      Store      // nil keeps settings in memory only
	// SampleProxy, if set, also opens ciphertexts that AWS's sample proxy made with a key that is now here.
	SampleProxy *SampleProxy
	Random      io.Reader        // nil is crypto/rand
	Now         func() time.Time // nil is time.Now
	Logger      *slog.Logger     // nil is silence
}

// Keys are the external keys on one token. It is safe for concurrent use.
type Keys struct {
	cfg     Config
	manager xks.KeyManager

	mu       sync.RWMutex
	known    map[string]*entry  // by external key id; immutable entries
	absent   map[string]absence // ids that were looked for in vain
	looking  map[string]*lookup // searches in progress
	settings map[string]Settings
	probe    *hsm.KeyRef // the test key; nil until it is found or made
	// While a pass over the token is under way, what is known of these ids is newer than what it saw.
	passes  int
	changed map[string]struct{}

	admin sync.Mutex // held by Create, Delete and the setters: one change at a time

	// Searches run on goroutines of their own, ended by Close: a token with thousands of objects takes longer to search
	// than a request may take, and a search that is given up is paid for in vain.
	background context.Context
	cancel     context.CancelFunc
	running    sync.WaitGroup
	searching  chan struct{} // has room for the searches that may run at a time
	ready      chan struct{} // closed when the first pass over the token is over
}

// entry is an object that an external key id was resolved to.
type entry struct {
	object hsm.Object
	spec   string
}

// Open loads the settings and finds the test key, which it makes on a token that has none. A token that is away for
// the moment is no error: its keys are found when it is back.
func Open(ctx context.Context, cfg Config) (*Keys, error) {
	if cfg.Token == nil {
		return nil, errors.New("tokenkeys: no token")
	}
	switch cfg.Addressing {
	case "":
		cfg.Addressing = ByLabel
	case ByLabel, ByID:
	default:
		return nil, fmt.Errorf("tokenkeys: addressing %q is neither %q nor %q", cfg.Addressing, ByLabel, ByID)
	}
	if cfg.SampleProxy != nil && len(cfg.SampleProxy.Metadata) > xks.MaxMetadata {
		return nil, errors.New("tokenkeys: metadata of the sample proxy is longer than 20 bytes")
	}
	if cfg.Store == nil {
		cfg.Store = &Memory{}
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	settings, err := cfg.Store.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("tokenkeys: load settings: %w", err)
	}
	k := &Keys{
		cfg: cfg, known: map[string]*entry{}, absent: map[string]absence{}, looking: map[string]*lookup{},
		settings: map[string]Settings{}, searching: make(chan struct{}, searchesAtOnce),
		ready: make(chan struct{}),
	}
	k.background, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for id, s := range settings {
		k.settings[id] = s
	}
	info := cfg.Token.Info()
	k.manager = xks.KeyManager{ID: info.Serial, Vendor: info.Manufacturer, Model: strings.TrimSpace(info.Model + " " + info.Firmware)}
	if k.manager.ID == "" {
		k.manager.ID = info.Label
	}
	if _, err := k.testKey(ctx); err != nil {
		cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "token has no test key yet", slog.String("token", info.Label), slog.Any("error", err))
	}
	// One pass over the token finds all keys at once; until it is done they are found one by one. After later logins
	// the token makes such a pass by itself.
	k.spawn(func(ctx context.Context) {
		defer close(k.ready)
		if _, err := k.List(ctx); err != nil {
			cfg.Logger.LogAttrs(ctx, slog.LevelDebug, "external keys are found one by one", slog.String("token", info.Label), slog.Any("error", err))
		}
		cfg.Token.Prime()
	})
	return k, nil
}

// Ready is closed once the first pass over the token is over, whether it succeeded or not: from then on a call with a
// key that is there costs no search of the token.
func (k *Keys) Ready() <-chan struct{} { return k.ready }

// Close ends what runs in the background and waits for it. The token stays open: it is the caller's. Closing twice is
// harmless, and keys that were found can still be used.
func (k *Keys) Close() {
	k.mu.Lock()
	k.cancel()
	k.mu.Unlock()
	k.running.Wait()
}

// spawn runs fn in the background, or not at all after Close.
func (k *Keys) spawn(fn func(ctx context.Context)) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spawnLocked(fn)
}

func (k *Keys) spawnLocked(fn func(ctx context.Context)) bool {
	if k.background.Err() != nil {
		return false
	}
	k.running.Go(func() {
		ctx, cancel := context.WithTimeout(k.background, searchTimeout)
		defer cancel()
		fn(ctx)
	})
	return true
}

// KeyManager implements proxy.Prober.
func (k *Keys) KeyManager() xks.KeyManager { return k.manager }

var (
	errNotFound  = xks.NewError(xks.KeyNotFoundException, "the external key was not found")
	errDisabled  = xks.NewError(xks.InvalidStateException, "the external key is disabled")
	errDuplicate = xks.NewError(xks.InvalidStateException, "several keys on the token answer to this identifier")
	errNoEncrypt = xks.NewError(xks.InvalidKeyUsageException, "the external key may not encrypt")
	errNoDecrypt = xks.NewError(xks.InvalidKeyUsageException, "the external key may not decrypt")
	// The token layer addresses every key by both attributes.
	errNoIdentity = xks.NewError(xks.InvalidStateException, "the external key has no CKA_ID or no label")

	errKeySpec = xks.NewError(xks.InvalidKeyUsageException, "the external key is not an AES key of 256 bits")
)

// resolve gives the object of an external key id and its settings.
func (k *Keys) resolve(ctx context.Context, id string) (*entry, Settings, error) {
	k.mu.RLock()
	e, s := k.known[id], k.settingsLocked(id)
	k.mu.RUnlock()
	if e != nil {
		return e, s, nil
	}
	e, err := k.find(ctx, id)
	return e, s, err
}

// noteLocked keeps a pass over the token that is under way from undoing what just became known of an id.
func (k *Keys) noteLocked(id string) {
	if k.passes > 0 {
		k.changed[id] = struct{}{}
	}
}

func (k *Keys) settingsLocked(id string) Settings {
	if s, ok := k.settings[id]; ok {
		return s
	}
	return Settings{Enabled: true, Usage: UseBoth}
}
