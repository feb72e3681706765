package tokenkeys

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/strongroom/strongroom/xks"
)

// Usage is what an external key may be used for.
type Usage uint8

// The usages.
const (
	UseNone    Usage = 0
	UseEncrypt Usage = 1
	UseDecrypt Usage = 2
	UseBoth    Usage = UseEncrypt | UseDecrypt
)

var usageTexts = [...]string{UseNone: "none", UseEncrypt: "encrypt", UseDecrypt: "decrypt", UseBoth: "both"}

// String names the usage: none, encrypt, decrypt or both.
func (u Usage) String() string {
	if int(u) < len(usageTexts) {
		return usageTexts[u]
	}
	return fmt.Sprintf("Usage(%d)", uint8(u))
}

// ParseUsage reads what String writes.
func ParseUsage(text string) (Usage, error) {
	for u, name := range usageTexts {
		if name == text {
			return Usage(u), nil
		}
	}
	return UseNone, fmt.Errorf("usage %q is not none, encrypt, decrypt or both", text)
}

// MarshalText writes the usage as a word.
func (u Usage) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads the word.
func (u *Usage) UnmarshalText(text []byte) (err error) {
	*u, err = ParseUsage(string(text))
	return err
}

// names are the protocol's words.
func (u Usage) names() []string {
	names := []string{}
	if u&UseEncrypt != 0 {
		names = append(names, xks.UsageEncrypt)
	}
	if u&UseDecrypt != 0 {
		names = append(names, xks.UsageDecrypt)
	}
	return names
}

// Settings is what is kept of an external key beside its object. It is meant to be stored as JSON.
type Settings struct {
	Enabled bool  `json:"enabled"`
	Usage   Usage `json:"usage"`
	// Made is set for keys that Create made; CKAID and Label name the object that was, or was about to be, made.
	Made    bool      `json:"made,omitempty"`
	CKAID   []byte    `json:"cka_id,omitempty"`
	Label   string    `json:"label,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

// Store keeps settings by external key id. Save and Remove are durable when they return. One Keys calls one method at
// a time; two Keys must not share a Store.
type Store interface {
	Load(ctx context.Context) (map[string]Settings, error)
	Save(ctx context.Context, keyID string, s Settings) error
	Remove(ctx context.Context, keyID string) error // no such row is success
}

// Memory is a Store that lasts as long as the process: for keys that are managed elsewhere. Its zero value is empty.
type Memory struct {
	mu   sync.Mutex
	rows map[string]Settings
}

// Load implements Store.
func (m *Memory) Load(context.Context) (map[string]Settings, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.rows), nil
}

// Save implements Store.
func (m *Memory) Save(_ context.Context, keyID string, s Settings) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rows == nil {
		m.rows = map[string]Settings{}
	}
	m.rows[keyID] = s
	return nil
}

// Remove implements Store.
func (m *Memory) Remove(_ context.Context, keyID string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rows, keyID)
	return nil
}
