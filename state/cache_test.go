package state_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/state"
)

func TestCacheAgainstMap(t *testing.T) {
	c, model := state.NewCache(1<<40), map[string]string{}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 50_000 {
		name, value := fmt.Sprint(random.IntN(3_000)), strings.Repeat("x", random.IntN(9))+fmt.Sprint(i)
		switch random.IntN(4) {
		case 0:
			c.Drop(name)
			delete(model, name)
		case 1:
			before := c.Generation(name)
			if random.IntN(2) == 0 { // a commit comes between
				c.Put(name, "committed")
				model[name] = "committed"
			} else {
				model[name] = value
			}
			c.Fill(name, value, before)
		default:
			c.Put(name, value)
			model[name] = value
		}
		got, held := c.Get(name)
		want, there := model[name]
		require.Equal(t, there, held)
		require.Equal(t, want, got)
	}
	var sum int64
	for name, want := range model {
		got, held := c.Get(name)
		require.True(t, held)
		require.Equal(t, want, got)
		sum += int64(len(want))
	}
	bytes, count := c.Size()
	assert.Equal(t, sum, bytes)
	assert.Len(t, model, count)
	assert.GreaterOrEqual(t, c.Buckets(), count, "the table grows with what it holds")
	assert.Less(t, c.Longest(), 16)
}

func TestCacheBound(t *testing.T) {
	const limit = 1_000
	value := strings.Repeat("v", 10)
	c := state.NewCache(limit)
	c.Put("hot", value)
	for i := range 5_000 {
		_, held := c.Get("hot")
		require.True(t, held, "a value in use stays; lost at %d", i)
		c.Put(fmt.Sprint(i), value)
		_, held = c.Get(fmt.Sprint(i))
		require.True(t, held, "room is made by others than the one that comes")
		bytes, count := c.Size()
		require.LessOrEqual(t, bytes, int64(limit))
		require.EqualValues(t, bytes, count*len(value))
	}
	bytes, _ := c.Size()
	assert.Equal(t, int64(limit), bytes, "the room is used")
	assert.LessOrEqual(t, c.Buckets(), 128, "the table grows with what it holds, not with what came by")

	c.Put("large", strings.Repeat("l", limit))
	_, held := c.Get("large")
	assert.True(t, held, "one that takes all the room")
	c.Put("large", strings.Repeat("l", limit+1))
	_, held = c.Get("large")
	assert.False(t, held, "one that has outgrown it, and must not stay as it was")
	bytes, count := c.Size()
	assert.Zero(t, bytes)
	assert.Zero(t, count)
}

// Readers without a lock see, under a writer that changes, drops, evicts and grows, what was last put or nothing.
func TestCacheConcurrent(t *testing.T) {
	c := state.NewCache(4_000)
	const names = 300
	var latest [names]atomic.Int64 // put and acknowledged
	var over atomic.Bool
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(rand.Uint64(), 1))
			for !over.Load() {
				n := random.IntN(names)
				least := latest[n].Load()
				value, held := c.Get(fmt.Sprint(n))
				if !held {
					continue
				}
				var name int
				var version int64
				if _, err := fmt.Sscan(value, &name, &version); !assert.NoError(t, err) {
					return
				}
				if !assert.Equal(t, n, name) || !assert.GreaterOrEqual(t, version, least) {
					return
				}
			}
		})
	}
	for i := int64(1); i < 100_000 && !t.Failed(); i++ {
		n := rand.IntN(names)
		if i%5 == 0 {
			c.Drop(fmt.Sprint(n))
			continue
		}
		c.Put(fmt.Sprint(n), fmt.Sprint(n, i))
		latest[n].Store(i)
	}
	over.Store(true)
	readers.Wait()
}
