package custom

import (
	"fmt"
	"log/slog"
)

const redacted = "[secret]"

// Secret is a password or secret key in a request. It prints as a placeholder in every format; string(s) reads it.
type Secret string

// String gives a placeholder.
func (Secret) String() string { return redacted }

// GoString gives a placeholder.
func (Secret) GoString() string { return redacted }

// Format prints a placeholder for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue gives a placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText gives a placeholder, so that no encoder writes the secret by accident.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
