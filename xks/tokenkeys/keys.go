package tokenkeys

import (
	"context"
	"encoding/hex"
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
	known    map[string]*entry    // by external key id; immutable entries
	absent   map[string]time.Time // ids that were looked for in vain, until when that is believed
	looking  map[string]*lookup   // searches in progress
	settings map[string]Settings
	probe    *hsm.KeyRef // the test key; nil until it is found or made

	admin sync.Mutex // held by Create, Delete and the setters: one change at a time
}

// entry is an object that an external key id was resolved to.
type entry struct {
	object hsm.Object
	spec   string
}

// lookup is a search that several callers wait for.
type lookup struct {
	done  chan struct{}
	entry *entry
	err   error
}

// Bounds of what is remembered of ids that do not exist.
const (
	absentFor  = 2 * time.Second
	absentMost = 4096
)

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
		cfg: cfg, known: map[string]*entry{}, absent: map[string]time.Time{}, looking: map[string]*lookup{},
		settings: map[string]Settings{},
	}
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
	return k, nil
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

func (k *Keys) settingsLocked(id string) Settings {
	if s, ok := k.settings[id]; ok {
		return s
	}
	return Settings{Enabled: true, Usage: UseBoth}
}

// find searches the token, once however many callers wait, and remembers the result.
func (k *Keys) find(ctx context.Context, id string) (*entry, error) {
	k.mu.Lock()
	if until, ok := k.absent[id]; ok {
		if k.cfg.Now().Before(until) {
			k.mu.Unlock()
			return nil, errNotFound
		}
		delete(k.absent, id)
	}
	if e := k.known[id]; e != nil {
		k.mu.Unlock()
		return e, nil
	}
	l := k.looking[id]
	if l == nil {
		l = &lookup{done: make(chan struct{})}
		k.looking[id] = l
		k.mu.Unlock()
		k.search(ctx, id, l)
	} else {
		k.mu.Unlock()
	}
	select {
	case <-l.done:
		return l.entry, l.err
	case <-ctx.Done():
		return nil, fault(ctx, ctx.Err())
	}
}

func (k *Keys) search(ctx context.Context, id string, l *lookup) {
	objects, err := k.objects(ctx, id)
	switch {
	case err != nil:
		l.err = fault(ctx, err)
	default:
		l.entry, l.err = choose(objects)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.looking, id)
	switch {
	case l.err == nil:
		k.known[id] = l.entry
	case l.err == errNotFound:
		if len(k.absent) >= absentMost {
			clear(k.absent)
		}
		k.absent[id] = k.cfg.Now().Add(absentFor)
	}
	close(l.done)
}

// objects finds what answers to an external key id.
func (k *Keys) objects(ctx context.Context, id string) ([]hsm.Object, error) {
	if k.cfg.Addressing == ByLabel {
		return k.cfg.Token.FindLabel(ctx, id)
	}
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) == 0 || strings.ToLower(id) != id {
		return nil, nil
	}
	return k.cfg.Token.FindID(ctx, raw)
}

// choose picks the key among the objects of one id: secret keys count before others. Several are refused.
func choose(objects []hsm.Object) (*entry, error) {
	var secret, other []hsm.Object
	for _, o := range objects {
		switch {
		case !o.IsKey() || reserved(o.Label):
		case o.Class == "CKO_SECRET_KEY":
			if !listedTwice(secret, o) {
				secret = append(secret, o)
			}
		default:
			other = append(other, o)
		}
	}
	switch {
	case len(secret) > 1:
		return nil, errDuplicate
	case len(secret) == 1:
		return &entry{object: secret[0], spec: keySpec(secret[0])}, nil
	case len(other) > 0:
		return &entry{object: other[0], spec: keySpec(other[0])}, nil
	}
	return nil, errNotFound
}

// listedTwice reports whether o is one of list: SoftHSM2 can show an object twice that another process made.
func listedTwice(list []hsm.Object, o hsm.Object) bool {
	for _, other := range list {
		if string(other.ID) == string(o.ID) && len(o.ID) > 0 && other.Label == o.Label && other.KeyType == o.KeyType &&
			other.Bits == o.Bits && string(other.CheckValue) == string(o.CheckValue) {
			return true
		}
	}
	return false
}

// reserved labels belong to the appliance or to KMS keys.
func reserved(label string) bool {
	return strings.HasPrefix(label, "strongroom:") || strings.HasPrefix(label, "arn:")
}

// keySpec names a key as GetKeyMetadata does: AES_256, or the truth.
func keySpec(o hsm.Object) string {
	name := strings.TrimPrefix(o.KeyType, "CKK_")
	if o.Bits == 0 {
		return name
	}
	return fmt.Sprintf("%s_%d", name, o.Bits)
}

// forget drops what is remembered of an object that turned out to be another or gone.
func (k *Keys) forget(id string, e *entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known[id] == e {
		delete(k.known, id)
	}
}
