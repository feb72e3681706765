package proxy

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/xks"
)

// bucket is a token bucket. A nil bucket never refuses.
type bucket struct {
	quota Quota

	mu    sync.Mutex
	level float64
	last  time.Time
}

func newBucket(q Quota) *bucket {
	if q.PerSecond <= 0 {
		return nil
	}
	if q.Burst == 0 {
		q.Burst = max(1, int(math.Ceil(q.PerSecond)))
	}
	return &bucket{quota: q, level: float64(q.Burst)}
}

func (b *bucket) take(now time.Time) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.last); !b.last.IsZero() && passed > 0 {
		b.level = math.Min(float64(b.quota.Burst), b.level+passed.Seconds()*b.quota.PerSecond)
	}
	b.last = now
	if b.level < 1 {
		return false
	}
	b.level--
	return true
}

// queue lets a few calls work at once and a bounded number wait; more are refused at once, because a refusal that
// comes early lets KMS try again, and an answer after its deadline helps nobody.
type queue struct {
	slots   chan struct{}
	most    int64 // that may wait
	waiting atomic.Int64
}

func newQueue(concurrency, waiting int) *queue {
	if concurrency == 0 {
		concurrency = DefaultConcurrency
	}
	if waiting == 0 {
		waiting = DefaultQueue
	}
	return &queue{slots: make(chan struct{}, concurrency), most: int64(waiting)}
}

var (
	errBusy  = xks.NewError(xks.ThrottlingException, "the proxy has too many requests in progress")
	errQuota = xks.NewError(xks.ThrottlingException, "the request rate exceeds the quota of this key store")
)

// enter takes a place, waiting no longer than patience.
func (q *queue) enter(ctx context.Context, patience time.Duration) error {
	select {
	case q.slots <- struct{}{}:
		return nil
	default:
	}
	if q.waiting.Add(1) > q.most {
		q.waiting.Add(-1)
		return errBusy
	}
	defer q.waiting.Add(-1)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case q.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy
	case <-ctx.Done():
		return errBusy
	}
}

func (q *queue) leave() { <-q.slots }
