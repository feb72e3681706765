package custom

import (
	"fmt"
	"log/slog"
)

// redacted stands for a secret wherever one is printed.
const redacted = "[secret]"

// Secret is a password or secret key in a request. It prints as redacted in every format; string(s) reads it.
type Secret string

// String gives redacted.
func (Secret) String() string { return redacted }

// GoString gives redacted.
func (Secret) GoString() string { return redacted }

// Format prints redacted for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue gives redacted.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText gives redacted, so that no encoder writes the secret by accident.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
