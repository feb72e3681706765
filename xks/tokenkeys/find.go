package tokenkeys

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/xks"
)

// lookup is a search that several callers wait for.
type lookup struct {
	done  chan struct{}
	entry *entry
	err   error
}

// absence is what a search in vain came to, until when it is believed.
type absence struct {
	until time.Time
	err   error
}

// Bounds of what is remembered of ids that do not exist, and of a search in the background.
const (
	absentFor     = 2 * time.Second
	absentMost    = 4096
	searchTimeout = time.Minute
	// Searches hold the token's management lock in turn, and a session each while they wait for it.
	searchesAtOnce = 2
)

// find searches the token, once however many callers wait, and remembers the result.
func (k *Keys) find(ctx context.Context, id string) (*entry, error) {
	k.mu.Lock()
	if a, ok := k.absent[id]; ok {
		if k.cfg.Now().Before(a.until) {
			k.mu.Unlock()
			return nil, a.err
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
		if !k.spawnLocked(func(ctx context.Context) { k.search(ctx, id, l) }) {
			k.mu.Unlock()
			return nil, fault(ctx, &hsm.Error{Op: "find external key", Class: hsm.Closed})
		}
		k.looking[id] = l
	}
	k.mu.Unlock()
	select {
	case <-l.done:
		return l.entry, l.err
	case <-ctx.Done():
		return nil, fault(ctx, ctx.Err())
	}
}

func (k *Keys) search(ctx context.Context, id string, l *lookup) {
	l.entry, l.err = k.searchInTurn(ctx, id)
	if l.err == nil {
		k.warm(ctx, l.entry)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.looking, id)
	switch {
	case l.err == nil:
		k.known[id] = l.entry
	case l.err == errNotFound, l.err == errDuplicate:
		if len(k.absent) >= absentMost {
			clear(k.absent)
		}
		k.absent[id] = absence{k.cfg.Now().Add(absentFor), l.err}
	}
	close(l.done)
}

func (k *Keys) searchInTurn(ctx context.Context, id string) (*entry, error) {
	select {
	case k.searching <- struct{}{}:
		defer func() { <-k.searching }()
	case <-ctx.Done():
		return nil, fault(ctx, ctx.Err())
	}
	objects, err := k.objects(ctx, id)
	if err != nil {
		return nil, fault(ctx, err)
	}
	return choose(objects)
}

// warm makes the token layer find the object and keep its handle, by using the key once. Its failure shows when the
// key is really used.
func (k *Keys) warm(ctx context.Context, e *entry) {
	if e.spec == xks.KeySpecAES256 && e.object.Usage&hsm.UseEncrypt != 0 {
		_, _ = k.cfg.Token.Seal(ctx, e.object.KeyRef, nil, []byte{0}, nil)
	}
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
		k.noteLocked(id)
	}
}
