package hsm

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// secretText stands for a secret wherever one is printed.
const secretText = "[secret]"

// Secret holds a PIN. It prints as secretText in every format, and is read
// only through [Secret.Reveal].
type Secret struct{ value string }

// NewSecret makes a Secret of s.
func NewSecret(s string) Secret { return Secret{value: s} }

// Reveal returns the secret itself, for the call that needs it.
func (s Secret) Reveal() string { return s.value }

// Empty reports whether no secret was given. An empty PIN means that the token
// asks for it on its own keypad (CKF_PROTECTED_AUTHENTICATION_PATH) or that
// the caller does not log in.
func (s Secret) Empty() bool { return s.value == "" }

// Equal compares two secrets in time that depends on neither of them.
func (s Secret) Equal(other Secret) bool {
	a, b := sha256.Sum256([]byte(s.value)), sha256.Sum256([]byte(other.value))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// String implements fmt.Stringer with secretText.
func (Secret) String() string { return secretText }

// Format implements fmt.Formatter with secretText, whatever the verb.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, secretText) }

// GoString implements fmt.GoStringer with secretText.
func (Secret) GoString() string { return secretText }

// LogValue implements slog.LogValuer with secretText.
func (Secret) LogValue() slog.Value { return slog.StringValue(secretText) }

// MarshalText implements encoding.TextMarshaler with secretText, so that no
// encoder writes a PIN by accident.
func (Secret) MarshalText() ([]byte, error) { return []byte(secretText), nil }
