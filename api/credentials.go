package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/keystore"
)

// maxIdentities bounds the access keys that are remembered.
const maxIdentities = 4096

// identity is an access key's principal as callers carry it. It is never changed.
type identity struct {
	arn      string
	id       string // Principal.ID
	root     bool
	policies []string
}

// identities remembers the principals of access keys in use, and gives sigv4.Cache their secrets.
type identities struct {
	source CredentialSource
	keys   *sigv4.Cache

	mu    sync.RWMutex
	epoch uint64 // counts forget, so that what was read before one is not stored after it
	known map[string]*identity
}

func newIdentities(source CredentialSource) *identities {
	i := &identities{source: source, known: make(map[string]*identity)}
	i.keys = sigv4.NewCache(sigv4.SecretsFunc(i.secret), 0)
	return i
}

// SigningKey implements sigv4.Keys.
func (i *identities) SigningKey(ctx context.Context, accessKeyID, date, region, service string) ([]byte, error) {
	return i.keys.SigningKey(ctx, accessKeyID, date, region, service)
}

// secret reads a secret for the cache, which wipes what it gets, and remembers the principal on the way.
func (i *identities) secret(ctx context.Context, accessKeyID string) ([]byte, error) {
	_, secret, err := i.load(ctx, accessKeyID)
	return slices.Clone(secret), err
}

// errInactive is what a caller of an access key is told that does not exist any more, or that may not be used.
var errInactive = &sigv4.Error{Kind: sigv4.UnknownKey, Text: "The security token included in the request is invalid."}

// identity gives the principal of an access key whose signature was good.
func (i *identities) identity(ctx context.Context, accessKeyID string) (*identity, error) {
	i.mu.RLock()
	id := i.known[accessKeyID]
	i.mu.RUnlock()
	if id != nil {
		return id, nil
	}
	id, _, err := i.load(ctx, accessKeyID)
	if errors.Is(err, sigv4.ErrUnknownKey) {
		return nil, errInactive
	}
	return id, err
}

func (i *identities) load(ctx context.Context, accessKeyID string) (*identity, []byte, error) {
	i.mu.RLock()
	epoch := i.epoch
	i.mu.RUnlock()
	p, secret, err := i.source.Credential(ctx, accessKeyID)
	switch {
	case errors.Is(err, keystore.ErrNoRow) || err == nil && p.Disabled:
		return nil, nil, sigv4.ErrUnknownKey
	case err != nil:
		return nil, nil, fmt.Errorf("look up an access key: %w", err)
	}
	id := &identity{arn: p.ARN, id: p.ID, root: p.Kind == keystore.PrincipalRoot, policies: make([]string, len(p.Policies))}
	for n, policy := range p.Policies {
		id.policies[n] = policy.Document
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.epoch == epoch {
		if len(i.known) >= maxIdentities {
			clear(i.known)
		}
		i.known[accessKeyID] = id
	}
	return id, secret, nil
}

// forget drops everything that was derived from credentials.
func (i *identities) forget() {
	i.mu.Lock()
	i.epoch++
	clear(i.known)
	i.mu.Unlock()
	i.keys.Forget("")
}
