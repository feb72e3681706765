package hsm

import (
	"errors"
	"fmt"
)

// Class says what a failure means to a caller, whatever code a vendor chose
// for it. A Class is itself an error, so that errors.Is(err, hsm.KeyMissing)
// asks for it.
type Class uint8

// The classes of failure.
const (
	// Internal: the module failed in a way that names no cause.
	Internal Class = iota
	// ModuleMissing: the library cannot be loaded or is no PKCS#11 module.
	ModuleMissing
	// TokenMissing: the module works, and no token of that name is in it.
	TokenMissing
	// TokenAmbiguous: several tokens fit the selector.
	TokenAmbiguous
	// TokenGone: the token was open and is away, or dead.
	TokenGone
	// TokenDoubtful: the token answers, and cannot be shown to be well.
	TokenDoubtful
	// NotInitialized: the token is blank (no C_InitToken yet).
	NotInitialized
	// SessionLost: the session or the login is gone; a fresh one may do.
	SessionLost
	// PINIncorrect: the token, or an earlier login to it, refused the PIN.
	PINIncorrect
	// PINLocked: too many wrong PINs; a security officer must unlock it.
	PINLocked
	// PINNotSet: the token has no user PIN yet.
	PINNotSet
	// PINExpired: the PIN must be changed before it can be used.
	PINExpired
	// NotLoggedIn: the object or call needs a login.
	NotLoggedIn
	// LoggedInElsewhere: another user of the token is logged in.
	LoggedInElsewhere
	// Busy: no session came free in time.
	Busy
	// Timeout: the token did not answer within the call's deadline.
	Timeout
	// Stuck: so many calls hang in the token that new ones are refused.
	Stuck
	// BadCiphertext: the bytes are not what this key sealed with this
	// additional data; the key and the token were shown to work.
	BadCiphertext
	// KeyMissing: the token is well and has no such object.
	KeyMissing
	// KeyInvalid: the object exists and is not what it should be: other
	// label, class, type or attributes than asked for.
	KeyInvalid
	// Unsupported: the token cannot do this.
	Unsupported
	// ReadOnly: the token or session is write-protected.
	ReadOnly
	// Refused: the token's policy forbids this with this object.
	Refused
	// Full: the token has no room.
	Full
	// BadInput: the caller's bytes have a length or form that cannot be.
	BadInput
	// Closed: this handle was closed.
	Closed
)

var classTexts = [...]string{
	Internal:          "internal error of the token",
	ModuleMissing:     "PKCS#11 module missing or not loadable",
	TokenMissing:      "no such token",
	TokenAmbiguous:    "several tokens fit",
	TokenGone:         "token gone",
	TokenDoubtful:     "token cannot be shown to be well",
	NotInitialized:    "token not initialised",
	SessionLost:       "session lost",
	PINIncorrect:      "PIN incorrect",
	PINLocked:         "PIN locked",
	PINNotSet:         "user PIN not set",
	PINExpired:        "PIN expired",
	NotLoggedIn:       "not logged in",
	LoggedInElsewhere: "another user is logged in",
	Busy:              "no session free in time",
	Timeout:           "token did not answer in time",
	Stuck:             "too many calls hang in the token",
	BadCiphertext:     "ciphertext not authentic",
	KeyMissing:        "no such key on the token",
	KeyInvalid:        "key on the token is not what it should be",
	Unsupported:       "not supported by the token",
	ReadOnly:          "token is write-protected",
	Refused:           "refused by the token",
	Full:              "token full",
	BadInput:          "bad input",
	Closed:            "token handle closed",
}

// String names the class for people.
func (c Class) String() string {
	if int(c) < len(classTexts) {
		return classTexts[c]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// Error implements error, for use with errors.Is.
func (c Class) Error() string { return c.String() }

// Error is every failure that this package returns: what was done, what it
// means, and the module's own code where there was one.
type Error struct {
	Op    string // what was done: a PKCS#11 function, or a word for several
	Class Class
	Code  uint // CKR_… as the module returned it; 0 where it was not asked
	Err   error
}

// Error implements error; it has the code's PKCS#11 name.
func (e *Error) Error() string {
	s := e.Op + ": " + e.Class.String()
	if e.Code != 0 {
		s += " (" + CKR(e.Code).Error() + ")"
	}
	var code CKR
	if e.Err != nil && !(errors.As(e.Err, &code) && uint(code) == e.Code) {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, class) true for the error's class.
func (e *Error) Is(target error) bool {
	c, ok := target.(Class)
	return ok && c == e.Class
}

// ClassOf returns the class of the outermost Error in err's chain, and Internal
// for any other error.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Internal
}

// CodeOf returns the CKR code in err's chain, or 0.
func CodeOf(err error) uint {
	if err == nil { // on the hot path; errors.As would cost an allocation
		return 0
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	var c CKR
	if errors.As(err, &c) {
		return uint(c)
	}
	return 0
}

// fail makes an Error from a cause: a CKR is classified by the table, an Error
// stays as it is, anything else is Internal.
func fail(op string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	var code CKR
	if errors.As(err, &code) {
		return &Error{Op: op, Class: code.Class(), Code: uint(code), Err: err}
	}
	return &Error{Op: op, Class: Internal, Err: err}
}

// failf makes an Error of a known class.
func failf(op string, class Class, format string, args ...any) error {
	return &Error{Op: op, Class: class, Err: fmt.Errorf(format, args...)}
}
