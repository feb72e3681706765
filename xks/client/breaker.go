package client

import (
	"sync"
	"time"
)

// Behaviour of the circuit breaker.
const (
	failuresToOpen = 8 // in a row
	firstPause     = 500 * time.Millisecond
	longestPause   = 10 * time.Second
)

// breaker stops calls to a proxy that cannot be reached, does not get TLS up or does not answer, so that callers do
// not each wait for nothing. After a pause one call may try; its success closes the circuit, its failure doubles the
// pause. Answers of any kind, errors included, show that the proxy is there.
type breaker struct {
	now func() time.Time

	mu       sync.Mutex
	failures int
	pause    time.Duration // 0: closed
	until    time.Time
	trying   bool // one call is out to see
	last     *Error
}

// admit asks for leave to call. try says that this call is the one that finds out. A refusal is the error to give.
func (b *breaker) admit() (try bool, refusal *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 {
		return false, nil
	}
	if b.trying || b.now().Before(b.until) {
		skipped := *b.last
		skipped.Skipped = true
		return false, &skipped
	}
	b.trying = true
	return true, nil
}

// report tells how a call went that was admitted.
func (b *breaker) report(try bool, failure *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if try {
		b.trying = false
	}
	switch {
	case failure != nil && failure.Class == Canceled:
		return
	case failure == nil || failure.Class == Refused || failure.Class == Malformed:
		b.failures, b.pause, b.last = 0, 0, nil
		return
	}
	b.failures++
	b.last = failure
	switch {
	case try:
		b.pause = min(2*b.pause, longestPause)
	case b.pause == 0 && b.failures >= failuresToOpen:
		b.pause = firstPause
	default:
		return
	}
	b.until = b.now().Add(b.pause)
}

// open reports whether calls are being held back.
func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pause != 0
}

// A retry costs as much as ten good calls earn: a sick proxy, which earns nothing, soon gets none.
const (
	retryCost    = 10
	retrySavings = 10 * retryCost
)

// budget bounds retries to a share of successes.
type budget struct {
	mu    sync.Mutex
	spent int // of retrySavings
}

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-1)
}

func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent+retryCost > retrySavings {
		return false
	}
	b.spent += retryCost
	return true
}
