package principals

import (
	"fmt"
	"io"
	"log/slog"
)

// Format implements fmt.Formatter, so that no verb shows the secret.
func (k NewKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.AccessKeyID+":[redacted]") }

// LogValue implements slog.LogValuer.
func (k NewKey) LogValue() slog.Value { return slog.StringValue(k.AccessKeyID + ":[redacted]") }

// MarshalText implements encoding.TextMarshaler: a key that lands in JSON by mistake stays secret.
func (k NewKey) MarshalText() ([]byte, error) { return []byte(k.AccessKeyID + ":[redacted]"), nil }
