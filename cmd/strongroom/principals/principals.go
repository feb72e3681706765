// Package principals keeps the users and roles of the appliance: who may sign requests, with which secret, and with which
// policies of their own. Secrets are sealed by the appliance's token in the database and stand in memory only once they
// were used.
package principals

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/strongroom/strongroom/keystore"
)

// Vault seals secrets with a key of the appliance's token.
type Vault interface {
	Seal(ctx context.Context, purpose string, plaintext []byte) ([]byte, error)
	Open(ctx context.Context, purpose string, sealed []byte) ([]byte, error)
}

// Config is what a Registry works with; every member is required.
type Config struct {
	DB      keystore.DB
	Vault   Vault
	Clock   keystore.Clock
	Random  io.Reader
	Account string
	// CheckPolicy validates an identity policy; its error says what is wrong with the document.
	CheckPolicy func(document string) error
}

// Registry is the principals in memory and in the database. Requests are answered from memory.
type Registry struct {
	Config
	mu      sync.Mutex // one change at a time, and the load that follows it
	entries atomic.Pointer[map[string]*entry]
	changed atomic.Pointer[func()]
}

// entry is an access key with its principal. It is immutable but for the secret, which is opened when first needed.
type entry struct {
	credential *keystore.Credential
	principal  *keystore.Principal
	once       sync.Mutex // guards opening
	secret     atomic.Pointer[[]byte]
}

// Open reads the principals, and finishes deletions that were cut short.
func Open(ctx context.Context, c Config) (*Registry, error) {
	r := &Registry{Config: c}
	r.entries.Store(&map[string]*entry{})
	if err := r.load(ctx); err != nil {
		return nil, fmt.Errorf("read principals: %w", err)
	}
	if err := r.resume(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// OnChange sets the function that is told after each change, so that what was derived from credentials can be dropped.
func (r *Registry) OnChange(fn func()) { r.changed.Store(&fn) }

// load replaces the snapshot. Secrets that were opened are taken over where their credential is the same.
func (r *Registry) load(ctx context.Context) error {
	next := map[string]*entry{}
	old := *r.entries.Load()
	err := r.DB.View(ctx, func(tx keystore.Tx) error {
		all, err := tx.Principals()
		if err != nil {
			return err
		}
		for _, p := range all {
			creds, err := tx.Credentials(p.ARN)
			if err != nil {
				return err
			}
			for _, c := range creds {
				e := &entry{credential: c, principal: p}
				if before := old[c.AccessKeyID]; before != nil && string(before.credential.SealedSecret) == string(c.SealedSecret) {
					e.secret.Store(before.secret.Load())
				}
				next[c.AccessKeyID] = e
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.entries.Store(&next)
	if fn := r.changed.Load(); fn != nil {
		(*fn)()
	}
	return nil
}

// Credential gives the principal of an access key and its secret, both shared and not to be changed. keystore.ErrNoRow
// means that there is no such access key, or that it or its principal is disabled.
func (r *Registry) Credential(ctx context.Context, accessKeyID string) (*keystore.Principal, []byte, error) {
	e := (*r.entries.Load())[accessKeyID]
	if e == nil || e.credential.Disabled || e.principal.Disabled {
		return nil, nil, keystore.ErrNoRow
	}
	if s := e.secret.Load(); s != nil {
		return e.principal, *s, nil
	}
	e.once.Lock()
	defer e.once.Unlock()
	if s := e.secret.Load(); s != nil {
		return e.principal, *s, nil
	}
	secret, err := r.Vault.Open(ctx, purpose(accessKeyID), e.credential.SealedSecret)
	if err != nil {
		return nil, nil, fmt.Errorf("open the secret of %s: %w", accessKeyID, err)
	}
	e.secret.Store(&secret)
	return e.principal, secret, nil
}

// Exists tells whether there is a principal with that ARN, for policies that name one.
func (r *Registry) Exists(arn string) bool {
	if arn == keystore.RootARN(r.Account) {
		return true
	}
	for _, e := range *r.entries.Load() {
		if e.principal.ARN == arn && !e.principal.Leaving {
			return true
		}
	}
	return false
}

func purpose(accessKeyID string) string { return "credential:" + accessKeyID }

// update makes one change and takes it into memory.
func (r *Registry) update(ctx context.Context, fn func(tx keystore.Tx) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.DB.Update(ctx, fn); err != nil {
		return err
	}
	// The change is durable: memory must follow even when the caller has gone.
	return r.load(context.WithoutCancel(ctx))
}

// ErrUnknown is the error for a principal that is not there.
var ErrUnknown = errors.New("there is no principal of that name")
