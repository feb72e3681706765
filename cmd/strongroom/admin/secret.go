package admin

import (
	"fmt"
	"io"
	"log/slog"
)

// Secrets travel through the socket as JSON and are shown to whoever asked, but by no verb and in no log.

const redacted = ":[redacted]"

// Format implements fmt.Formatter, so that no verb shows the secret.
func (k AccessKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.AccessKeyID+redacted) }

// LogValue implements slog.LogValuer.
func (k AccessKey) LogValue() slog.Value { return slog.StringValue(k.AccessKeyID + redacted) }

// Format implements fmt.Formatter, so that no verb shows the secret.
func (c NewRealmCredential) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, c.AccessKeyID+redacted)
}

// LogValue implements slog.LogValuer.
func (c NewRealmCredential) LogValue() slog.Value {
	return slog.StringValue(c.AccessKeyID + redacted)
}

// Format implements fmt.Formatter, so that no verb shows the secret.
func (s RealmSecret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.AccessKeyID+redacted) }

// LogValue implements slog.LogValuer.
func (s RealmSecret) LogValue() slog.Value { return slog.StringValue(s.AccessKeyID + redacted) }
