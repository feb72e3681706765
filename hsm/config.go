package hsm

import (
	"log/slog"
	"time"
)

// Config says which token to open, and how.
type Config struct {
	Selector
	// PIN of the user. Empty means no login at all: only for tokens whose
	// keys are public, or whose login happens outside (protected path).
	PIN Secret
	// Profile names a row of the profile table; empty detects it.
	Profile string
	// VerifyOnToken: signatures are verified on the token and not with the public key outside of it. See
	// [Token.VerifiesItself].
	VerifyOnToken bool
	// MaxSessions bounds the sessions of this process with the token; 0 is
	// the profile's figure. The token's own limit holds too. At least 2.
	MaxSessions int
	// CallTimeout is the deadline of one call into the module; 0 is
	// DefaultCallTimeout. Making a key pair may take several times as long.
	CallTimeout time.Duration
	// HealthInterval is how often an idle or working token is shown to be
	// well, and how soon a lost one is looked for; 0 is
	// DefaultHealthInterval.
	HealthInterval time.Duration
	// Logger is told of losses and recoveries; nil is silence.
	Logger *slog.Logger
	// Now is the clock for durations; nil is time.Now.
	Now func() time.Time
	// Observer is told of every call into the module; nil for none.
	Observer Observer
}

// Defaults of Config.
const (
	DefaultCallTimeout    = 10 * time.Second
	DefaultHealthInterval = 10 * time.Second
)

// Observer is told of calls into a module. It is called on the hot path and by
// many goroutines at once.
type Observer interface {
	// TokenCall reports one PKCS#11 function (C_Encrypt stands for init and
	// call), how long it took, and its code: 0 is CKR_OK.
	TokenCall(token Info, function string, took time.Duration, code uint)
}

// Stats is a token's state, for metrics and status pages.
type Stats struct {
	Healthy    bool   // the last call or check succeeded
	Sessions   int    // open now, quarantined ones included
	Borrowed   int    // lent now
	Stuck      int    // calls that overran their deadline and still hang
	CachedKeys int    // handles known
	Copies     int    // session copies among them
	Epoch      uint64 // logins since the token was opened, the first included
	LastError  string // why it is not healthy
}

func (c Config) withDefaults() Config {
	if c.CallTimeout <= 0 {
		c.CallTimeout = DefaultCallTimeout
	}
	if c.HealthInterval <= 0 {
		c.HealthInterval = DefaultHealthInterval
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}
