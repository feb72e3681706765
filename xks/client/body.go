package client

import (
	"io"
	"sync"
)

// body is a request body with a copy of its own, which is wiped when the transport closes it: that may be after the
// call has failed, so the caller's bytes must not be lent.
type body struct {
	mu   sync.Mutex
	rest []byte
	all  []byte
}

func newBody(content []byte) *body {
	b := &body{all: append([]byte(nil), content...)}
	b.rest = b.all
	return b
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.all)
	b.rest = nil
	return nil
}
