package hsmstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Backend is a key store on one token. It may be used by many goroutines at once. The token outlives losses by itself: a call
// that fails because the token is away succeeds again when it is back.
type Backend struct {
	token    *hsm.Token
	store    keystore.StoreType // "" is a default store
	every    bool               // makes keys of every spec that the token can hold
	identity keystore.TokenIdentity

	calls   atomic.Int64 // in flight
	closing atomic.Bool
	idle    chan struct{} // told when calls falls to zero while closing; capacity 1
}

var (
	_ backend.Backend   = (*Backend)(nil)
	_ backend.Sealer    = (*Backend)(nil)
	_ backend.Randomer  = (*Backend)(nil)
	_ backend.Scanner   = (*Backend)(nil)
	_ backend.Finder    = (*Backend)(nil)
	_ backend.Supporter = (*Backend)(nil)
	_ backend.Drainer   = (*Backend)(nil)
)

// NewDefault makes a Region's default store of a token, which it then owns. It makes SYMMETRIC_DEFAULT keys; AllSpecs lets it
// make the others.
func NewDefault(token *hsm.Token) *Backend { return newBackend(token, "") }

// AllSpecs lets a default store make keys of every spec that its token can hold: for an appliance whose services can use them.
// It is called before the store is used, and gives the store.
func (b *Backend) AllSpecs() *Backend {
	b.every = b.store == ""
	return b
}

// NewCloudHSM makes an AWS_CLOUDHSM store of a token, which it then owns. It differs from a default store in its faults, and
// in that it makes SYMMETRIC_DEFAULT keys only.
func NewCloudHSM(token *hsm.Token) *Backend { return newBackend(token, keystore.StoreCloudHSM) }

func newBackend(token *hsm.Token, store keystore.StoreType) *Backend {
	info := token.Info()
	return &Backend{token: token, store: store, idle: make(chan struct{}, 1), identity: keystore.TokenIdentity{
		Label: info.Label, Serial: info.Serial, Manufacturer: info.Manufacturer, Model: info.Model}}
}

// Token gives the token, for status pages and metrics.
func (b *Backend) Token() *hsm.Token { return b.token }

// Identity names the token.
func (b *Backend) Identity() keystore.TokenIdentity { return b.identity }

// enter counts a call in; whoever gets nil calls leave.
func (b *Backend) enter() error {
	b.calls.Add(1)
	if b.closing.Load() {
		b.leave()
		return errDisconnected
	}
	return nil
}

func (b *Backend) leave() {
	if b.calls.Add(-1) == 0 && b.closing.Load() {
		select {
		case b.idle <- struct{}{}:
		default:
		}
	}
}

var errDisconnected error = &hsm.Error{Op: "use key store", Class: hsm.Closed}

// Drain refuses new calls and waits for those in flight.
func (b *Backend) Drain(ctx context.Context) error {
	b.closing.Store(true)
	for {
		n := b.calls.Load()
		if n == 0 {
			return nil
		}
		select {
		case <-b.idle:
		case <-ctx.Done():
			return fmt.Errorf("%d calls in flight: %w", n, ctx.Err())
		}
	}
}

// Close gives the token back. Calls after it fail, calls in flight may.
func (b *Backend) Close() error {
	b.closing.Store(true)
	return b.token.Close()
}

// Health uses the token.
func (b *Backend) Health(ctx context.Context) error {
	if err := b.enter(); err != nil {
		return b.fault(backend.CallManage, err)
	}
	defer b.leave()
	return b.fault(backend.CallManage, b.token.Health(ctx))
}

func (b *Backend) fault(c backend.Call, err error) error { return fault(b.store, c, err) }

// ref names a handle's objects on the token.
func ref(h *backend.Handle) hsm.KeyRef { return hsm.KeyRef{ID: h.ID[:], Label: h.Label} }

// Supports tells whether CreateKey can make such keys: the token was seen to do what they are for, or shows it now.
func (b *Backend) Supports(ctx context.Context, spec keystore.Spec, usage keystore.Usage) (bool, error) {
	if err := b.enter(); err != nil {
		return false, b.fault(backend.CallCreate, err)
	}
	defer b.leave()
	order, err := b.order(&backend.Handle{Spec: spec, Usage: usage})
	if err != nil {
		return false, nil
	}
	can, err := b.token.CanMake(ctx, order.Kind, order.Usage)
	return can, b.fault(backend.CallCreate, err)
}

// order translates what a KMS key needs into what is asked of the token.
func (b *Backend) order(h *backend.Handle) (hsm.Template, error) {
	kind, known := kindTable[h.Spec]
	info, listed := keystore.LookupSpec(h.Spec)
	switch {
	case !known || !listed || info.Algorithms(h.Usage) == nil,
		!b.every && !info.Custom:
		return hsm.Template{}, &hsm.Error{Op: "make key", Class: hsm.Unsupported,
			Err: fmt.Errorf("key spec %s with usage %s", h.Spec, h.Usage)}
	}
	return hsm.Template{KeyRef: ref(h), Kind: kind, Usage: usageTable[h.Usage], Extractable: h.Extractable}, nil
}

// CreateKey makes the key on the token. Its attributes are those of custom-key-stores.md section 8: a private, sensitive
// token object with the key's ARN as its label, not extractable unless it is for a multi-Region key.
func (b *Backend) CreateKey(ctx context.Context, h backend.Handle) (backend.Created, error) {
	if err := b.enter(); err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	defer b.leave()
	order, err := b.order(&h)
	if err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	if order.Kind.Symmetric() {
		made, err := b.token.Generate(ctx, order)
		if err != nil {
			return backend.Created{}, b.fault(backend.CallCreate, err)
		}
		return created(made), nil
	}
	pair, err := b.token.GeneratePair(ctx, order)
	if err != nil {
		return backend.Created{}, b.fault(backend.CallCreate, err)
	}
	return created(pair.Private, pair.Public), nil
}

// created says what was made: the secret key, or the private and the public half. The check value is the first one's.
func created(objects ...hsm.Object) backend.Created {
	c := backend.Created{KeyType: objects[0].KeyType, CheckValue: hex.EncodeToString(objects[0].CheckValue)}
	for _, o := range objects {
		c.Classes = append(c.Classes, o.Class)
	}
	return c
}

// DestroyKey removes the handle's objects. It looks at what has the handle's id first, for the token's word on the label and
// check value; what does not fit is left alone.
func (b *Backend) DestroyKey(ctx context.Context, h backend.Handle) (found bool, err error) {
	if err := b.enter(); err != nil {
		return false, b.fault(backend.CallManage, err)
	}
	defer b.leave()
	objects, err := b.token.FindID(ctx, h.ID[:])
	if err != nil || len(objects) == 0 {
		return false, b.fault(backend.CallManage, err)
	}
	for _, o := range objects {
		if err := fits(&h, o); err != nil {
			return true, b.fault(backend.CallManage, err)
		}
	}
	n, err := b.token.Destroy(ctx, ref(&h))
	if err != nil {
		return true, b.fault(backend.CallManage, err)
	}
	return n > 0, nil
}

const classPublic = "CKO_PUBLIC_KEY"

// fits refuses an object that has a key's id and is not the key. The check value of a pair is its private half's.
func fits(h *backend.Handle, o hsm.Object) error {
	var cause error
	given := hex.EncodeToString(o.CheckValue)
	switch {
	case o.Label != h.Label:
		cause = fmt.Errorf("an object with CKA_ID %s is labelled %q, not %q", h.ID, o.Label, h.Label)
	case o.Class != classPublic && h.CheckValue != "" && given != "" && !strings.EqualFold(given, h.CheckValue):
		cause = fmt.Errorf("an object with CKA_ID %s has check value %s, not %s", h.ID, given, h.CheckValue)
	default:
		return nil
	}
	return &hsm.Error{Op: "C_FindObjects", Class: hsm.KeyInvalid, Err: cause}
}

// Find gives every object with the handle's CKA_ID.
func (b *Backend) Find(ctx context.Context, h backend.Handle) ([]backend.Object, error) {
	if err := b.enter(); err != nil {
		return nil, b.fault(backend.CallManage, err)
	}
	defer b.leave()
	found, err := b.token.FindID(ctx, h.ID[:])
	if err != nil {
		return nil, b.fault(backend.CallManage, err)
	}
	out := make([]backend.Object, 0, len(found))
	for _, o := range found {
		out = append(out, object(o))
	}
	return out, nil
}

func object(o hsm.Object) backend.Object {
	return backend.Object{ID: o.ID, Label: o.Label, Class: o.Class, KeyType: o.KeyType, CheckValue: hex.EncodeToString(o.CheckValue)}
}

// Own is the prefix of the labels of the appliance's own objects.
const Own = "strongroom:"

// Objects calls fn for every key on the token, and for every other object of the appliance's own.
func (b *Backend) Objects(ctx context.Context, fn func(backend.Object) error) error {
	if err := b.enter(); err != nil {
		return b.fault(backend.CallManage, err)
	}
	defer b.leave()
	var refused error // fn's own error is passed on as it is
	err := b.token.Objects(ctx, func(o hsm.Object) error {
		if !o.IsKey() && !strings.HasPrefix(o.Label, Own) {
			return nil
		}
		refused = fn(object(o))
		return refused
	})
	if refused != nil && errors.Is(err, refused) {
		return refused
	}
	return b.fault(backend.CallManage, err)
}
