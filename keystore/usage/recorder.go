// Package usage knows when each key was last used, and for what (GetKeyLastUsage). Uses are noted in memory on the path of
// every cryptographic call, and written to the database from time to time and at the end: what a crash can lose is the uses
// of the last interval.
package usage

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// Config holds the recorder's ports. Logger may be nil.
type Config struct {
	DB    keystore.DB
	Gate  *access.Gate
	Clock keystore.Clock
	// Interval is how often uses are written. 0: DefaultInterval.
	Interval time.Duration
	Logger   *slog.Logger
}

// DefaultInterval is how often uses are written where the configuration says nothing.
const DefaultInterval = 30 * time.Second

// shards is how many locks the keys are spread over.
const shards = 64

// Recorder notes the uses of keys. It is safe for concurrent use.
type Recorder struct {
	cfg   Config
	since time.Time // tracking began
	seed  maphash.Seed
	parts [shards]part
	flush sync.Mutex // one Flush at a time
}

// part is a share of the keys, by ARN.
type part struct {
	mu   sync.RWMutex
	keys map[string]*entry
}

// entry is the last use of one key.
type entry struct {
	noting atomic.Bool // somebody notes a use, and needs no other beside it
	mu     sync.Mutex
	last   keystore.LastUse
	new    bool // not written yet
}

// settingSince is when the appliance began to note uses.
const settingSince = "usage.tracking-since"

// Open makes a recorder. Its first Open on a database notes when tracking began.
func Open(ctx context.Context, cfg Config) (*Recorder, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Interval <= 0 {
		cfg.Interval = DefaultInterval
	}
	r := &Recorder{cfg: cfg, seed: maphash.MakeSeed()}
	for i := range r.parts {
		r.parts[i].keys = map[string]*entry{}
	}
	now := cfg.Clock.Now().UTC().Truncate(time.Millisecond)
	var text []byte
	err := cfg.DB.Update(ctx, func(tx keystore.Tx) (err error) {
		text, err = tx.Setting(settingSince)
		if errors.Is(err, keystore.ErrNoRow) {
			text = []byte(now.Format(time.RFC3339Nano))
			err = tx.PutSetting(settingSince, text)
		}
		return err
	})
	if err == nil {
		r.since, err = time.Parse(time.RFC3339Nano, string(text))
	}
	if err != nil {
		return nil, fmt.Errorf("setting %s: %w", settingSince, err)
	}
	return r, nil
}

// Used notes a successful cryptographic operation with the key of that ARN. It allocates nothing but for the first use of a
// key since the start, and waits for nobody who notes another: of two uses at the same instant one is noted.
func (r *Recorder) Used(keyARN string, a keystore.Action, at time.Time, eventID, requestID string) {
	p := r.part(keyARN)
	for !p.note(keyARN, a, at, eventID, requestID) {
		if !p.add(keyARN) {
			return
		}
	}
}

func (r *Recorder) part(keyARN string) *part {
	return &r.parts[maphash.String(r.seed, keyARN)%shards]
}

// note notes a use of a key that is known; false where it is not. Holding mu for reading keeps prune away from the entry.
func (p *part) note(keyARN string, a keystore.Action, at time.Time, eventID, requestID string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	e := p.keys[keyARN]
	if e == nil {
		return false
	}
	// Of two at the same instant one is enough; those who read or write the entry hold mu for a moment only, and are waited for.
	if !e.noting.CompareAndSwap(false, true) {
		return true
	}
	defer e.noting.Store(false)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !at.Before(e.last.Time) {
		e.last.Action, e.last.Time, e.last.EventID, e.last.RequestID = a, at, eventID, requestID
		e.new = true
	}
	return true
}

// add makes room for a key; false for what is no key's ARN.
func (p *part) add(keyARN string) bool {
	fields := strings.SplitN(keyARN, ":", 6)
	if len(fields) != 6 {
		return false
	}
	id, ok := strings.CutPrefix(fields[5], "key/")
	if !ok {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys[keyARN] == nil {
		p.keys[strings.Clone(keyARN)] = &entry{last: keystore.LastUse{Region: strings.Clone(fields[3]), KeyID: keystore.KeyID(strings.Clone(id))}}
	}
	return true
}

// get gives the last use of a key as noted, the zero value where there is none.
func (p *part) get(keyARN string) keystore.LastUse {
	p.mu.RLock()
	defer p.mu.RUnlock()
	e := p.keys[keyARN]
	if e == nil {
		return keystore.LastUse{}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.last
}

// View is what GetKeyLastUsage shows.
type View struct {
	Key *keystore.Key
	// Tracking is when the key's uses began to be noted: when the appliance began, or when the key was made.
	Tracking time.Time
	Last     keystore.LastUse // zero where there was none since
}

// GetKeyLastUsage tells when a key was last used. It takes key ids and key ARNs, and keys in every state.
func (r *Recorder) GetKeyLastUsage(ctx context.Context, c *keystore.Caller, keyID string) (*View, error) {
	k, err := keystore.ResolveKey(ctx, r.cfg.DB, c, keyID, keystore.RefKeyOnly)
	if err != nil {
		return nil, err
	}
	err = r.cfg.Gate.Admit(ctx, &access.Request{Caller: c, Action: keystore.ActionGetKeyLastUsage, Key: k, Now: r.cfg.Clock.Now()})
	if err != nil {
		return nil, err
	}
	v := &View{Key: k, Tracking: r.since}
	if k.Created.After(v.Tracking) {
		v.Tracking = k.Created
	}
	v.Last, err = r.last(ctx, k)
	return v, err
}

// last gives the last use of a key, from memory or else from the database.
func (r *Recorder) last(ctx context.Context, k *keystore.Key) (keystore.LastUse, error) {
	arn := k.ARN()
	if noted := r.part(arn).get(arn); !noted.Time.IsZero() {
		return noted, nil
	}
	var stored *keystore.LastUse
	err := r.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		stored, err = tx.LastUse(k.Region, k.ID)
		return err
	})
	if errors.Is(err, keystore.ErrNoRow) {
		return keystore.LastUse{}, nil
	}
	if err != nil {
		return keystore.LastUse{}, err
	}
	return *stored, nil
}
