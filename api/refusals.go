package api

import (
	"sync/atomic"
	"time"
)

// loggedRefusals is how many requests that somebody tried to sign, in vain, are logged in a second.
const loggedRefusals = 10

// refusalLog bounds what those who have no credential can write into the log.
type refusalLog struct {
	began  time.Time
	bucket *bucket
	silent atomic.Int64 // refusals that were not logged
}

func newRefusalLog(now time.Time) *refusalLog {
	return &refusalLog{began: now, bucket: newBucket(loggedRefusals)}
}

// take reports whether one more refusal may be logged, and how many were not since the last one that was.
func (l *refusalLog) take(now time.Time) (unlogged int64, ok bool) {
	if !l.bucket.take(now.Sub(l.began)) {
		l.silent.Add(1)
		return 0, false
	}
	return l.silent.Swap(0), true
}
