package xksbench

import (
	"math/bits"
	"time"
)

// precision is how many bits of a value its bucket keeps: buckets are 1/64 of their values wide.
const precision = 6

// buckets is enough for every 32-bit number of microseconds, 71 minutes.
const buckets = (32 - precision + 1) << precision

// histogram counts durations in buckets whose width grows with the duration. Its size does not depend on how many it
// counts.
type histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

func bucketOf(d time.Duration) int {
	v := min(uint64(max(d, 0)/time.Microsecond), 1<<32-1)
	if v < 1<<(precision+1) {
		return int(v)
	}
	shift := bits.Len64(v) - precision - 1
	return shift<<precision + int(v>>shift)
}

// upper is the longest duration of a bucket.
func upper(bucket int) time.Duration {
	if bucket < 1<<(precision+1) {
		return time.Duration(bucket+1)*time.Microsecond - 1
	}
	shift := bucket>>precision - 1
	mantissa := uint64(bucket - shift<<precision)
	return time.Duration((mantissa+1)<<shift)*time.Microsecond - 1
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.total++
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.total += o.total
	h.max = max(h.max, o.max)
}

// quantile is the duration that a part q of all did not exceed, to the width of a bucket; 0 where there are none.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := uint64(q * float64(h.total))
	if float64(rank) < q*float64(h.total) {
		rank++
	}
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= max(rank, 1) {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// Bar is a line of a latency histogram: calls that took at most UpToMS, and more than the bar before.
type Bar struct {
	UpToMS float64 `json:"up_to_ms"` // 0 for the last, which has no end
	Calls  uint64  `json:"calls"`
}

// edges of the bars. 250 ms is what KMS waits.
var edges = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 150 * time.Millisecond, 200 * time.Millisecond, Patience,
	500 * time.Millisecond, time.Second,
}

// bars sums the buckets up. A bucket that lies across an edge counts above it.
func (h *histogram) bars() []Bar {
	out := make([]Bar, len(edges)+1)
	at := 0
	for i, e := range edges {
		out[i].UpToMS = milliseconds(e)
	}
	for i, n := range h.counts {
		for at < len(edges) && upper(i) > edges[at] {
			at++
		}
		out[at].Calls += n
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
