package custom

import (
	"context"
	"errors"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

var errNotFoundYet = errors.New("token not found again since the start of the appliance")

// away stands in for the backend of a store that is CONNECTED and whose token has not been found since the start, or was not
// looked for yet (backend.ErrOpening): a lost token never changes the ConnectionState (custom-key-stores.md section 3), so every
// call reaches a backend and fails with AWS's fault.
type away struct {
	store keystore.StoreType
	cause error
}

var (
	_ backend.Backend  = (*away)(nil)
	_ backend.Sealer   = (*away)(nil)
	_ backend.Randomer = (*away)(nil)
	_ backend.Scanner  = (*away)(nil)
	_ backend.Finder   = (*away)(nil)
)

func newAway(s *keystore.Store, cause error) *away { return &away{store: s.Type, cause: cause} }

func (a *away) fault(c backend.Call) *keystore.Fault {
	return backend.Unreachable(a.store, c).Because(a.cause)
}

func (a *away) Identity() keystore.TokenIdentity { return keystore.TokenIdentity{} }

func (a *away) CreateKey(context.Context, backend.Handle) (backend.Created, error) {
	return backend.Created{}, a.fault(backend.CallCreate)
}

func (a *away) DestroyKey(context.Context, backend.Handle) (bool, error) {
	return false, a.fault(backend.CallManage)
}

func (a *away) Health(context.Context) error { return a.fault(backend.CallManage) }

func (a *away) Close() error { return nil }

func (a *away) Seal(context.Context, *backend.Handle, []byte, []byte, []byte) ([]byte, error) {
	return nil, a.fault(backend.CallUse)
}

func (a *away) Open(context.Context, *backend.Handle, []byte, []byte, []byte) ([]byte, error) {
	return nil, a.fault(backend.CallUse)
}

func (a *away) Random(context.Context, []byte) error { return a.fault(backend.CallRandom) }

func (a *away) Objects(context.Context, func(backend.Object) error) error {
	return a.fault(backend.CallManage)
}

func (a *away) Find(context.Context, backend.Handle) ([]backend.Object, error) {
	return nil, a.fault(backend.CallManage)
}

// lostCodes are the ConnectionErrorCodes that say nothing about the secret: what stands behind the store could not be
// reached, so that trying again can never lock a user out. Only these are tried again at a start.
var lostCodes = map[keystore.ConnErrorCode]bool{
	keystore.ConnClusterNotFound:  true,
	keystore.ConnInsufficientHSMs: true,
	keystore.ConnNetworkErrors:    true,
	keystore.ConnXksNotReachable:  true,
	keystore.ConnXksTimedOut:      true,
}

// timeoutCodes name an attempt that did not end within its bound.
var timeoutCodes = map[keystore.StoreType]keystore.ConnErrorCode{
	keystore.StoreCloudHSM: keystore.ConnNetworkErrors,
	keystore.StoreXKS:      keystore.ConnXksTimedOut,
}

// attemptError is why an attempt to connect did not succeed.
type attemptError struct {
	code  keystore.ConnErrorCode
	cause error
	tried bool // the secret may have been shown to the token or proxy
}

func (e *attemptError) Error() string { return string(e.code) + ": " + e.cause.Error() }

func (e *attemptError) Unwrap() error { return e.cause }

// again tells whether another attempt at a start is harmless.
func (e *attemptError) again() bool { return !e.tried || lostCodes[e.code] }

// failureOf classifies what an Opener answered.
func failureOf(err error) *attemptError {
	f := &attemptError{code: keystore.ConnInternalError, cause: err, tried: true}
	var ce *ConnectError
	if errors.As(err, &ce) {
		f.code = ce.Code
		if ce.Cause != nil {
			f.cause = ce.Cause
		}
	}
	return f
}

// overran is the failure of an attempt without an answer.
func overran(t keystore.StoreType, bound time.Duration) *attemptError {
	code, ok := timeoutCodes[t]
	if !ok {
		code = keystore.ConnInternalError
	}
	return &attemptError{code: code, cause: errors.New("no answer within " + bound.String()), tried: true}
}
