package xksbench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Every duration lies in a bucket that is no wider than a 64th of it, and buckets follow each other without a gap.
func TestBuckets(t *testing.T) {
	for b := range buckets - 1 {
		assert.Equal(t, b, bucketOf(upper(b)))
		assert.Equal(t, b+1, bucketOf(upper(b)+1), "after %s", upper(b))
		if t.Failed() {
			return
		}
	}
	assert.Equal(t, buckets-1, bucketOf(1<<62))
	assert.Equal(t, 0, bucketOf(-1))
	for _, d := range []time.Duration{time.Millisecond, 250 * time.Millisecond, time.Second} {
		assert.InEpsilon(t, float64(d), float64(upper(bucketOf(d))), 1.0/64)
	}
}

func TestQuantiles(t *testing.T) {
	var h, other histogram
	assert.Zero(t, h.quantile(0.5))
	for i := 1; i <= 500; i++ {
		h.add(time.Duration(i) * time.Millisecond)
		other.add(time.Duration(500+i) * time.Millisecond)
	}
	h.merge(&other)
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 0.999: 999 * time.Millisecond, 1: time.Second} {
		assert.InEpsilon(t, float64(want), float64(h.quantile(q)), 1.0/32, "%v", q)
	}
	assert.Equal(t, time.Second, h.max)
	total := uint64(0)
	for _, b := range h.bars() {
		total += b.Calls
	}
	assert.EqualValues(t, 1000, total)
}
