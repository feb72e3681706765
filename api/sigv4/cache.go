package sigv4

import (
	"context"
	"sync"
)

// Secrets finds the secret of an access key. Errors that match ErrUnknownKey mean that there is none that may be
// used. The cache wipes the returned slice after use: return a copy. Safe for concurrent use.
type Secrets interface {
	Secret(ctx context.Context, accessKeyID string) ([]byte, error)
}

// SecretsFunc makes a function a Secrets.
type SecretsFunc func(ctx context.Context, accessKeyID string) ([]byte, error)

// Secret implements Secrets.
func (f SecretsFunc) Secret(ctx context.Context, accessKeyID string) ([]byte, error) {
	return f(ctx, accessKeyID)
}

// DefaultCacheSize is the number of signing keys that a Cache holds if it is told nothing else.
const DefaultCacheSize = 1024

type cacheKey struct{ accessKeyID, date, region, service string }

// Cache is a Keys that derives signing keys from secrets and keeps them. Whoever changes, disables or removes a
// secret must call Forget afterwards; then no key derived from the old secret is handed out any more. Unknown
// access keys are not remembered. It is safe for concurrent use.
type Cache struct {
	secrets Secrets
	limit   int

	mu    sync.RWMutex
	epoch uint64 // counts Forget calls, so that a key derived before one is not stored after it
	keys  map[cacheKey][]byte
}

// NewCache makes a cache of at most limit keys (0: DefaultCacheSize) over secrets.
func NewCache(secrets Secrets, limit int) *Cache {
	if limit <= 0 {
		limit = DefaultCacheSize
	}
	return &Cache{secrets: secrets, limit: limit, keys: make(map[cacheKey][]byte)}
}

// SigningKey implements Keys.
func (c *Cache) SigningKey(ctx context.Context, accessKeyID, date, region, service string) ([]byte, error) {
	k := cacheKey{accessKeyID, date, region, service}
	c.mu.RLock()
	key, epoch := c.keys[k], c.epoch
	c.mu.RUnlock()
	if key != nil {
		return key, nil
	}
	secret, err := c.secrets.Secret(ctx, accessKeyID)
	if err != nil {
		return nil, err
	}
	key = DeriveKey(secret, date, region, service)
	clear(secret)

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch == epoch {
		if len(c.keys) >= c.limit {
			clear(c.keys) // keys of past days go too; a thousand derivations cost about two milliseconds
		}
		c.keys[k] = key
	}
	return key, nil
}

// Forget drops the keys of one access key id, or all of them if it is empty.
func (c *Cache) Forget(accessKeyID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	if accessKeyID == "" {
		clear(c.keys)
		return
	}
	for k := range c.keys {
		if k.accessKeyID == accessKeyID {
			delete(c.keys, k)
		}
	}
}
