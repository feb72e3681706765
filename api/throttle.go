package api

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/crypt"
)

// errThrottled is AWS's answer to requests beyond a quota (developer guide, "Throttling requests").
var errThrottled = keystore.Faultf(keystore.KindThrottling,
	"You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.")

// throttle holds the requests of each Region to their quotas. All principals of the account share them.
type throttle struct {
	began   time.Time
	regions map[string]map[string]*bucket // by Region and quota; never changed
	stores  map[string]*storeBuckets      // by Region, where custom key stores have a quota; never changed
}

// storeBuckets has a bucket for each custom key store of a Region that was used.
type storeBuckets struct {
	rate  float64
	known sync.Map // of *bucket by keystore.StoreID
}

func (b *storeBuckets) of(id keystore.StoreID) *bucket {
	if known, ok := b.known.Load(id); ok {
		return known.(*bucket)
	}
	known, _ := b.known.LoadOrStore(id, newBucket(b.rate))
	return known.(*bucket)
}

// newThrottle makes the throttle of rates by Region and quota; nil where there are none.
func newThrottle(rates map[string]map[string]float64, now time.Time) *throttle {
	t := &throttle{began: now, regions: map[string]map[string]*bucket{}, stores: map[string]*storeBuckets{}}
	for region, quotas := range rates {
		buckets := map[string]*bucket{}
		for name, rate := range quotas {
			switch {
			case rate <= 0:
			case name == QuotaCustomKeyStore:
				t.stores[region] = &storeBuckets{rate: rate}
			default:
				buckets[name] = newBucket(rate)
			}
		}
		if len(buckets) > 0 {
			t.regions[region] = buckets
		}
	}
	if len(t.regions) == 0 && len(t.stores) == 0 {
		return nil
	}
	return t
}

// take counts a request against a quota, which it may not have.
func (t *throttle) take(region, quota string, now time.Time) error {
	b := t.regions[region][quota]
	if b == nil || b.take(now.Sub(t.began)) {
		return nil
	}
	return errThrottled
}

// takeStore counts a request against the quota of a custom key store.
func (t *throttle) takeStore(region string, id keystore.StoreID, now time.Time) error {
	b := t.stores[region]
	if b == nil || b.of(id).take(now.Sub(t.began)) {
		return nil
	}
	return errThrottled
}

// bucket is a token bucket that holds one second's requests, and at least one. It is kept as the time at which it will be
// full again, so that taking is one compare-and-swap.
type bucket struct {
	each time.Duration // that a request fills
	most time.Duration
	full atomic.Int64 // nanoseconds since the throttle began
}

func newBucket(perSecond float64) *bucket {
	each := time.Duration(float64(time.Second) / perSecond)
	return &bucket{each: each, most: each * time.Duration(max(1, math.Floor(perSecond)))}
}

func (b *bucket) take(now time.Duration) bool {
	for {
		full := b.full.Load()
		next := max(full, int64(now)) + int64(b.each)
		if next-int64(now) > int64(b.most) {
			return false
		}
		if b.full.CompareAndSwap(full, next) {
			return true
		}
	}
}

// throttled refuses a call of an operation with one quota, before its request is read.
func (c *call) throttled() error {
	if c.s.throttle == nil || c.row.quota.fixed == "" {
		return nil
	}
	return c.s.throttle.take(c.caller.Region, c.row.quota.fixed, c.start)
}

// throttledBy refuses a call by the quotas that its request decides: by key pair spec, by the specs of the keys that it names,
// and by the custom key stores that these are in.
func (c *call) throttledBy(ctx context.Context) error {
	t, q := c.s.throttle, &c.row.quota
	switch {
	case t == nil:
		return nil
	case q.pair != "":
		return t.take(c.caller.Region, quotaOfPair(c.members.Text(q.pair)), c.start)
	}
	first := ""
	for i, member := range q.keys {
		quota := c.quotaOfKey(ctx, member)
		if i > 0 && quota == first {
			continue
		}
		if err := t.take(c.caller.Region, quota, c.start); err != nil {
			return err
		}
		if i == 0 {
			first = quota
		}
	}
	return c.throttledByStores(ctx)
}

// throttledByStores counts a call against the quota of each custom key store that it uses, once.
func (c *call) throttledByStores(ctx context.Context) error {
	t, q := c.s.throttle, &c.row.quota
	if t.stores[c.caller.Region] == nil {
		return nil
	}
	var first keystore.StoreID
	for i, member := range q.stored {
		k := c.keyIn(ctx, member)
		if k == nil && i == 0 {
			k = c.keyOfBlob(ctx)
		}
		if k == nil || k.StoreID == "" || k.StoreID == first {
			continue
		}
		if err := t.takeStore(c.caller.Region, k.StoreID, c.start); err != nil {
			return err
		}
		first = k.StoreID
	}
	return nil
}

// keyIn gives the key that a member names; nil where it names none that there is, which is the operation's to refuse.
func (c *call) keyIn(ctx context.Context, member string) *keystore.Key {
	given := c.members.Text(member)
	if given == "" {
		return nil
	}
	k, err := keystore.ResolveKey(ctx, c.s.Directory, c.caller, given, keystore.RefKeyOrAlias)
	if err != nil {
		return nil
	}
	return k
}

// keyOfBlob gives the key that the request's ciphertext names, nil where there is none.
func (c *call) keyOfBlob(ctx context.Context) *keystore.Key {
	if c.row.quota.blob == "" {
		return nil
	}
	id, found := crypt.KeyOf(c.members.Bytes(c.row.quota.blob))
	if !found {
		return nil
	}
	k, err := c.s.Directory.LookupKey(ctx, c.caller.Region, id)
	if err != nil {
		return nil
	}
	return k
}

// quotaOfKey gives the quota of the key that a member names. Decrypt and ReEncrypt without one are of a symmetric ciphertext.
func (c *call) quotaOfKey(ctx context.Context, member string) string {
	if k := c.keyIn(ctx, member); k != nil {
		return quotaOfSpec(k.Spec)
	}
	return QuotaSymmetric
}
