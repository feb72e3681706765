package access

import (
	"hash/maphash"
	"sync"
)

// The cache holds compiled policies by their text, so that a decision parses nothing and a changed policy needs no
// invalidation: it has another text. It is bounded in number and in bytes of text.
const (
	cacheShards     = 16
	shardEntries    = 512
	shardBytes      = 2 << 20
	maxCachedPolicy = 64 << 10
)

type cache struct {
	seed   maphash.Seed
	shards [cacheShards]shard
}

type shard struct {
	mu      sync.RWMutex
	entries map[string]compiled // guarded by mu
	bytes   int                 // guarded by mu
}

// compiled is a policy, or why its text is none.
type compiled struct {
	policy *Policy
	err    error
}

func newCache() *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].entries = map[string]compiled{}
	}
	return c
}

// get gives the compiled policy of a text.
func (c *cache) get(text string) (*Policy, error) {
	s := &c.shards[maphash.String(c.seed, text)%cacheShards]
	s.mu.RLock()
	e, found := s.entries[text]
	s.mu.RUnlock()
	if found {
		return e.policy, e.err
	}
	e.policy, e.err = Parse(text)
	if len(text) <= maxCachedPolicy {
		s.put(text, e)
	}
	return e.policy, e.err
}

// put keeps an entry; where there is no room any other goes, as good as any.
func (s *shard) put(text string, e compiled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.entries[text]; found {
		return
	}
	for old := range s.entries {
		if len(s.entries) < shardEntries && s.bytes+len(text) <= shardBytes {
			break
		}
		delete(s.entries, old)
		s.bytes -= len(old)
	}
	s.entries[text] = e
	s.bytes += len(text)
}
