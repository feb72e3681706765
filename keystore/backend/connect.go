package backend

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/keystore"
)

// ConnectError is why a key store could not be connected: the ConnectionErrorCode that DescribeCustomKeyStores shows, and
// the cause in the words of the token or proxy, for operators. An opener of backends returns one for every failure that it
// can name; any other error of an opener means INTERNAL_ERROR.
type ConnectError struct {
	Code  keystore.ConnErrorCode
	Cause error
}

// Error is for logs.
func (e *ConnectError) Error() string {
	if e.Cause == nil {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Cause.Error()
}

// Unwrap gives the cause.
func (e *ConnectError) Unwrap() error { return e.Cause }

// ErrOpening is in the chain of every error of a store's stand-in between a start of the appliance and the end of the first
// attempt to connect the store again: nobody knows yet whether its token is there.
var ErrOpening = errors.New("the key store is being connected again since the start of the appliance")

// Drainer is a backend that knows its calls in flight. A backend without it is closed at once when its store is
// disconnected, and must then see to its calls in Close.
type Drainer interface {
	// Drain refuses new calls from now on and returns when no call is in flight, or with ctx's error. It may be called
	// more than once. Close follows in either case.
	Drain(ctx context.Context) error
}

// SecretChanger is a backend that can replace, at what stands behind the store, the secret that it was opened with.
type SecretChanger interface {
	// ChangeSecret replaces old by replacement and goes on with it. An error says nothing about which of the two is in
	// force, unless it is INVALID_CREDENTIALS. Failures are *ConnectError.
	ChangeSecret(ctx context.Context, old, replacement []byte) error
}
