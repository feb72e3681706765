package sigv4_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
)

func TestCache(t *testing.T) {
	ctx := context.Background()
	var lookups atomic.Int64
	current := "first"
	cache := sigv4.NewCache(sigv4.SecretsFunc(func(_ context.Context, id string) ([]byte, error) {
		lookups.Add(1)
		if id != exampleID {
			return nil, sigv4.ErrUnknownKey
		}
		return []byte(current), nil
	}), 3)

	key, err := cache.SigningKey(ctx, exampleID, "20150830", "us-east-1", "kms")
	require.NoError(t, err)
	assert.Equal(t, sigv4.DeriveKey([]byte("first"), "20150830", "us-east-1", "kms"), key)

	again, err := cache.SigningKey(ctx, exampleID, "20150830", "us-east-1", "kms")
	require.NoError(t, err)
	assert.Equal(t, key, again)
	assert.EqualValues(t, 1, lookups.Load(), "the second call is served from memory")

	current = "second"
	cache.Forget(exampleID)
	changed, err := cache.SigningKey(ctx, exampleID, "20150830", "us-east-1", "kms")
	require.NoError(t, err)
	assert.Equal(t, sigv4.DeriveKey([]byte("second"), "20150830", "us-east-1", "kms"), changed)

	for day := range 20 {
		date := fmt.Sprintf("201509%02d", day)
		key, err := cache.SigningKey(ctx, exampleID, date, "us-east-1", "kms")
		require.NoError(t, err)
		assert.Equal(t, sigv4.DeriveKey([]byte("second"), date, "us-east-1", "kms"), key, "right also beyond the limit")
	}

	_, err = cache.SigningKey(ctx, "AKIDNOBODY", "20150830", "us-east-1", "kms")
	require.ErrorIs(t, err, sigv4.ErrUnknownKey)
}

// A secret that changes while a key is being derived from it must not come back out of the cache.
func TestCacheForgetDuringLookup(t *testing.T) {
	ctx := context.Background()
	reached, proceed := make(chan struct{}), make(chan struct{})
	secret := []byte("old")
	var once sync.Once
	cache := sigv4.NewCache(sigv4.SecretsFunc(func(context.Context, string) ([]byte, error) {
		found := append([]byte{}, secret...)
		once.Do(func() { close(reached); <-proceed })
		return found, nil
	}), 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = cache.SigningKey(ctx, exampleID, "20150830", "us-east-1", "kms")
	}()
	<-reached
	secret = []byte("new")
	cache.Forget("")
	close(proceed)
	<-done
	key, err := cache.SigningKey(ctx, exampleID, "20150830", "us-east-1", "kms")
	require.NoError(t, err)
	assert.Equal(t, sigv4.DeriveKey([]byte("new"), "20150830", "us-east-1", "kms"), key)
}
