package tokenkeys

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/xks"
)

// Key describes an external key to its administrator.
type Key struct {
	ID         string // external key id
	Label      string
	CKAID      string // hexadecimal
	Spec       string // AES_256
	Usage      Usage  // what is really possible: settings and attributes
	Enabled    bool
	Made       bool // by Create
	Created    time.Time
	CheckValue string // hexadecimal; "" where the token gives none
	// Problem says why the key cannot be used; "" if it can.
	Problem string
}

// What administration can fail with, beside failures of token and store.
var (
	ErrExists   = errors.New("an object on the token answers to this external key id already")
	ErrNotFound = errors.New("no such external key")
)

// Problems of a key.
const (
	problemMissing   = "no object on the token"
	problemDuplicate = "several objects answer to this id"
	problemSpec      = "not an AES key of 256 bits"
	problemNoID      = "the object has no CKA_ID or no label"
)

const ckaIDSize = 16

// order is a template for a new key with a random CKA_ID.
func (k *Keys) order(label string) (hsm.Template, error) {
	id := make([]byte, ckaIDSize)
	if _, err := io.ReadFull(k.cfg.Random, id); err != nil {
		return hsm.Template{}, fmt.Errorf("choose CKA_ID: %w", err)
	}
	return hsm.Template{
		KeyRef: hsm.KeyRef{ID: id, Label: label}, Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt,
	}, nil
}

// Create makes an AES-256 key on the token, not extractable. With ByLabel, id is the external key id and the label.
// With ByID the id is the random CKA_ID that the key gets, and the argument is its label ("" for "xks"). The settings
// row is written first; if the token then fails, it stays and names what may have been made.
func (k *Keys) Create(ctx context.Context, id string, usage Usage) (Key, error) {
	k.admin.Lock()
	defer k.admin.Unlock()
	label := id
	if k.cfg.Addressing == ByID && label == "" {
		label = "xks"
	}
	if reserved(label) {
		return Key{}, fmt.Errorf("create external key: label %q is reserved", label)
	}
	order, err := k.order(label)
	if err != nil {
		return Key{}, fmt.Errorf("create external key: %w", err)
	}
	if k.cfg.Addressing == ByID {
		id = hex.EncodeToString(order.ID)
	}
	if err := xks.CheckKeyID(id); err != nil {
		return Key{}, fmt.Errorf("create external key: %w", err)
	}
	found, err := k.objects(ctx, id)
	if err != nil {
		return Key{}, fmt.Errorf("create external key %q: %w", id, err)
	}
	if len(found) > 0 {
		return Key{}, fmt.Errorf("create external key %q: %w", id, ErrExists)
	}
	s := Settings{Enabled: true, Usage: usage, Made: true, CKAID: order.ID, Label: label, Created: k.cfg.Now().UTC()}
	if err := k.save(ctx, id, s); err != nil {
		return Key{}, err
	}
	made, err := k.cfg.Token.Generate(ctx, order)
	if err != nil {
		return Key{}, k.undo(ctx, id, order.KeyRef, err)
	}
	e := &entry{object: made, spec: keySpec(made)}
	k.mu.Lock()
	k.known[id] = e
	delete(k.absent, id)
	k.noteLocked(id)
	k.mu.Unlock()
	return e.describe(id, s), nil
}

// undo takes back the row of a key that was not made, if the token is sure to have none.
func (k *Keys) undo(ctx context.Context, id string, ref hsm.KeyRef, cause error) error {
	err := fmt.Errorf("create external key %q: %w", id, cause)
	if _, gone := k.cfg.Token.Destroy(ctx, ref); gone != nil {
		return errors.Join(err, fmt.Errorf("the token may hold %s: %w", ref, gone))
	}
	return errors.Join(err, k.drop(ctx, id))
}

// SetEnabled enables or disables a key. It holds for the next request.
func (k *Keys) SetEnabled(ctx context.Context, id string, enabled bool) error {
	return k.change(ctx, id, func(s *Settings) { s.Enabled = enabled })
}

// SetUsage says what a key may be used for. The object's own attributes may allow less.
func (k *Keys) SetUsage(ctx context.Context, id string, usage Usage) error {
	return k.change(ctx, id, func(s *Settings) { s.Usage = usage })
}

func (k *Keys) change(ctx context.Context, id string, change func(*Settings)) error {
	k.admin.Lock()
	defer k.admin.Unlock()
	_, s, err := k.resolve(ctx, id)
	switch {
	case xks.NameOf(err) == xks.KeyNotFoundException:
		return fmt.Errorf("external key %q: %w", id, ErrNotFound)
	case err != nil:
		return fmt.Errorf("external key %q: %w", id, err)
	}
	change(&s)
	return k.save(ctx, id, s)
}

func (k *Keys) save(ctx context.Context, id string, s Settings) error {
	if err := k.cfg.Store.Save(ctx, id, s); err != nil {
		return fmt.Errorf("keep settings of external key %q: %w", id, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.settings[id] = s
	return nil
}

func (k *Keys) drop(ctx context.Context, id string) error {
	if err := k.cfg.Store.Remove(ctx, id); err != nil {
		return fmt.Errorf("remove settings of external key %q: %w", id, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.settings, id)
	return nil
}

// Delete destroys the key on the token for good: everything that was ever encrypted under it is lost. It first
// disables the key, so that a deletion that stops half-way leaves a disabled key and its row.
func (k *Keys) Delete(ctx context.Context, id string) error {
	k.admin.Lock()
	defer k.admin.Unlock()
	e, s, err := k.resolve(ctx, id)
	ref := hsm.KeyRef{ID: s.CKAID, Label: s.Label}
	switch {
	case err == nil:
		ref = e.object.KeyRef
	case xks.NameOf(err) != xks.KeyNotFoundException:
		return fmt.Errorf("delete external key %q: %w", id, err)
	case len(ref.ID) == 0:
		return fmt.Errorf("delete external key %q: %w", id, ErrNotFound)
	}
	s.Enabled, s.CKAID, s.Label = false, ref.ID, ref.Label
	if err := k.save(ctx, id, s); err != nil {
		return err
	}
	if _, err := k.cfg.Token.Destroy(ctx, ref); err != nil {
		return fmt.Errorf("delete external key %q: %w", id, err)
	}
	k.mu.Lock()
	delete(k.known, id)
	k.noteLocked(id)
	k.mu.Unlock()
	return k.drop(ctx, id)
}

// Describe describes one key: of an object that is on the token, or of a row alone.
func (k *Keys) Describe(ctx context.Context, id string) (Key, error) {
	e, s, err := k.resolve(ctx, id)
	switch {
	case err == nil:
		return e.describe(id, s), nil
	case errors.Is(err, errDuplicate):
		return Key{ID: id, Problem: problemDuplicate, Usage: s.Usage, Enabled: s.Enabled}, nil
	case xks.NameOf(err) != xks.KeyNotFoundException:
		return Key{}, fmt.Errorf("external key %q: %w", id, err)
	case !k.hasRow(id):
		return Key{}, fmt.Errorf("external key %q: %w", id, ErrNotFound)
	}
	return missing(id, s), nil
}

func (k *Keys) hasRow(id string) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	_, ok := k.settings[id]
	return ok
}

// missing describes a row without an object.
func missing(id string, s Settings) Key {
	return (&entry{object: hsm.Object{KeyRef: hsm.KeyRef{ID: s.CKAID, Label: s.Label}}}).describe(id, s)
}

// List describes every key on the token that an external key id can name, and every row without an object. It reads
// the whole token, and makes the requests that follow see what it saw, but for keys that came or went meanwhile.
func (k *Keys) List(ctx context.Context) ([]Key, error) {
	k.mu.Lock()
	if k.passes++; k.passes == 1 {
		k.changed = map[string]struct{}{}
	}
	k.mu.Unlock()
	byID := map[string][]hsm.Object{}
	err := k.cfg.Token.Objects(ctx, func(o hsm.Object) error {
		if !o.IsKey() || reserved(o.Label) {
			return nil
		}
		id := o.Label
		if k.cfg.Addressing == ByID {
			id = hex.EncodeToString(o.ID)
		}
		if xks.CheckKeyID(id) == nil {
			byID[id] = append(byID[id], o)
		}
		return nil
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.passes--
	if err != nil {
		return nil, fmt.Errorf("list external keys: %w", err)
	}
	return k.learnLocked(byID), nil
}

// learnLocked remembers what a pass over the token saw, and describes it. Of ids that changed meanwhile, what is known is
// the newer.
func (k *Keys) learnLocked(byID map[string][]hsm.Object) []Key {
	clear(k.absent)
	for id := range k.changed {
		delete(byID, id)
	}
	keys := make([]Key, 0, len(byID))
	for id, objects := range byID {
		e, err := choose(objects)
		if err != nil {
			delete(k.known, id)
			keys = append(keys, Key{ID: id, Label: objects[0].Label, Problem: problemDuplicate})
			continue
		}
		if old := k.known[id]; old == nil || string(old.object.ID) != string(e.object.ID) {
			k.known[id] = e
		}
		keys = append(keys, e.describe(id, k.settingsLocked(id)))
	}
	for id := range k.changed {
		if e := k.known[id]; e != nil {
			keys = append(keys, e.describe(id, k.settingsLocked(id)))
			byID[id] = []hsm.Object{e.object}
		}
	}
	for id, s := range k.settings {
		if byID[id] == nil {
			delete(k.known, id)
			keys = append(keys, missing(id, s))
		}
	}
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.ID, b.ID) })
	return keys
}

func (e *entry) describe(id string, s Settings) Key {
	key := Key{
		ID: id, Label: e.object.Label, CKAID: hex.EncodeToString(e.object.ID), Spec: e.spec, Usage: e.usage(s),
		Enabled: s.Enabled, Made: s.Made, Created: s.Created, CheckValue: hex.EncodeToString(e.object.CheckValue),
	}
	switch {
	case e.spec == "":
		key.Problem = problemMissing
	case e.spec != xks.KeySpecAES256:
		key.Problem = problemSpec
	case len(e.object.ID) == 0 || e.object.Label == "":
		key.Problem = problemNoID
	}
	return key
}
