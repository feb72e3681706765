package api

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// errThrottled is AWS's answer to requests beyond a quota (developer guide, "Throttling requests").
var errThrottled = keystore.Faultf(keystore.KindThrottling,
	"You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.")

// throttle holds the requests of each Region to their quotas. All principals of the account share them.
type throttle struct {
	began   time.Time
	regions map[string]map[string]*bucket // by Region and quota; never changed
}

// newThrottle makes the throttle of rates by Region and quota; nil where there are none.
func newThrottle(rates map[string]map[string]float64, now time.Time) *throttle {
	t := &throttle{began: now, regions: map[string]map[string]*bucket{}}
	for region, quotas := range rates {
		buckets := map[string]*bucket{}
		for name, rate := range quotas {
			if rate > 0 {
				buckets[name] = newBucket(rate)
			}
		}
		if len(buckets) > 0 {
			t.regions[region] = buckets
		}
	}
	if len(t.regions) == 0 {
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

// throttledBy refuses a call whose quota its request decides: by key pair spec, or by the specs of the keys that it names.
func (c *call) throttledBy(ctx context.Context) error {
	t, q := c.s.throttle, &c.row.quota
	switch {
	case t == nil || q.fixed != "":
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
	return nil
}

// quotaOfKey gives the quota of the key that a member names. A key that cannot be found is the operation's to refuse.
func (c *call) quotaOfKey(ctx context.Context, member string) string {
	given := c.members.Text(member)
	if given == "" {
		return QuotaSymmetric // Decrypt and ReEncrypt of a symmetric ciphertext
	}
	k, err := keystore.ResolveKey(ctx, c.s.Directory, c.caller, given, keystore.RefKeyOrAlias)
	if err != nil {
		return QuotaSymmetric
	}
	return quotaOfSpec(k.Spec)
}
