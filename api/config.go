package api

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/crypt"
	"github.com/strongroom/strongroom/keystore/custom"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// Crypt does the cryptographic operations; *crypt.Service is one. Blobs of an input are the front door's own and are
// wiped when the call has returned.
type Crypt interface {
	Encrypt(ctx context.Context, c *keystore.Caller, in *crypt.EncryptInput) (*crypt.EncryptOutput, error)
	Decrypt(ctx context.Context, c *keystore.Caller, in *crypt.DecryptInput) (*crypt.DecryptOutput, error)
	ReEncrypt(ctx context.Context, c *keystore.Caller, in *crypt.ReEncryptInput) (*crypt.ReEncryptOutput, error)
	GenerateDataKey(ctx context.Context, c *keystore.Caller, in *crypt.DataKeyInput) (*crypt.DataKeyOutput, error)
	GenerateDataKeyWithoutPlaintext(ctx context.Context, c *keystore.Caller, in *crypt.DataKeyInput) (*crypt.DataKeyOutput, error)
	GenerateRandom(ctx context.Context, c *keystore.Caller, in *crypt.RandomInput) (*crypt.RandomOutput, error)
	Asymmetric
}

// Keys is the life of keys, their names and marks; *lifecycle.Service is one.
type Keys interface {
	CreateKey(ctx context.Context, c *keystore.Caller, in *lifecycle.CreateKeyInput) (*lifecycle.KeyView, error)
	DescribeKey(ctx context.Context, c *keystore.Caller, keyID string, grantTokens []string) (*lifecycle.KeyView, error)
	ListKeys(ctx context.Context, c *keystore.Caller, page keystore.Page) ([]keystore.KeyID, string, error)
	EnableKey(ctx context.Context, c *keystore.Caller, keyID string) error
	DisableKey(ctx context.Context, c *keystore.Caller, keyID string) error
	UpdateKeyDescription(ctx context.Context, c *keystore.Caller, keyID, text string) error
	ScheduleKeyDeletion(ctx context.Context, c *keystore.Caller, keyID string, days int) (*lifecycle.KeyView, error)
	CancelKeyDeletion(ctx context.Context, c *keystore.Caller, keyID string) (string, error)
	Aliases
	Tags
	Policies
	Rotations
	Imports
	Replicas
}

// Aliases is the part of Keys that is about aliases.
type Aliases interface {
	CreateAlias(ctx context.Context, c *keystore.Caller, name, target string) error
	UpdateAlias(ctx context.Context, c *keystore.Caller, name, target string) error
	DeleteAlias(ctx context.Context, c *keystore.Caller, name string) error
	ListAliases(ctx context.Context, c *keystore.Caller, keyID string, page keystore.Page) ([]*keystore.Alias, string, error)
}

// Tags is the part of Keys that is about tags.
type Tags interface {
	TagResource(ctx context.Context, c *keystore.Caller, keyID string, tags []keystore.Tag) error
	UntagResource(ctx context.Context, c *keystore.Caller, keyID string, tagKeys []string) error
	ListResourceTags(ctx context.Context, c *keystore.Caller, keyID string, page keystore.Page) ([]keystore.Tag, string, error)
}

// Policies is the part of Keys that is about key policies.
type Policies interface {
	GetKeyPolicy(ctx context.Context, c *keystore.Caller, keyID, name string) (text, policyName string, err error)
	PutKeyPolicy(ctx context.Context, c *keystore.Caller, in *lifecycle.PutKeyPolicyInput) error
	ListKeyPolicies(ctx context.Context, c *keystore.Caller, keyID string, page keystore.Page) ([]string, string, error)
}

// Stores is the custom key stores; *custom.Service is one.
type Stores interface {
	CreateCustomKeyStore(ctx context.Context, c *keystore.Caller, in *custom.CreateInput) (keystore.StoreID, error)
	DescribeCustomKeyStores(ctx context.Context, c *keystore.Caller, in *custom.DescribeInput) ([]*keystore.Store, string, error)
	ConnectCustomKeyStore(ctx context.Context, c *keystore.Caller, id keystore.StoreID) error
	DisconnectCustomKeyStore(ctx context.Context, c *keystore.Caller, id keystore.StoreID) error
	UpdateCustomKeyStore(ctx context.Context, c *keystore.Caller, in *custom.UpdateInput) error
	DeleteCustomKeyStore(ctx context.Context, c *keystore.Caller, id keystore.StoreID) error
}

// AuditLog takes the record of every call, and says beforehand whether it can; *audit.File is one.
type AuditLog interface {
	audit.Log
	// Healthy is nil where Append can be expected to work.
	Healthy() error
}

// CredentialSource knows the access keys. The principal and the secret are shared and not changed. An error that matches
// keystore.ErrNoRow means that there is no such access key, or none that may be used now. Safe for concurrent use.
type CredentialSource interface {
	Credential(ctx context.Context, accessKeyID string) (*keystore.Principal, []byte, error)
}

// Observer keeps figures. It is called on the hot path by many goroutines at once.
type Observer interface {
	// Request is called once per request. operation is "" where there is none; exception is "" for success.
	Request(operation, exception string, took time.Duration)
	// PendingDeletionUse is an attempt to use a key that is pending deletion.
	PendingDeletionUse()
	// AuditError is a call that was refused because it could not be recorded.
	AuditError()
}

// Config is what a Server works with. Members without a comment about a default are required.
type Config struct {
	Account     string
	Regions     []string // accepted in credential scopes
	Credentials CredentialSource
	Directory   keystore.Directory // names stores in audit records
	Crypt       Crypt
	Keys        Keys
	Stores      Stores
	Grants      Grants
	Audit       AuditLog
	Clock       keystore.Clock // the appliance's time
	Logger      *slog.Logger   // nil: silence
	Observer    Observer       // nil: none
	Usage       Usage          // nil: the uses of keys are not noted

	// XksEndpointPorts accepts a port in XksProxyUriEndpoint, which AWS does not.
	XksEndpointPorts bool

	// Rates are the request quotas by Region and name (QuotaNames), in requests a second; what is not there has none.
	Rates map[string]map[string]float64

	// Now is the time that signatures are checked against and durations are measured with: the real one, also where Clock
	// can be moved. nil: time.Now.
	Now func() time.Time
	// Random makes request ids. nil: crypto/rand.
	Random io.Reader
	// ChangeTimeout bounds an operation that changes something; such an operation goes on when its client goes away.
	// 0: one minute.
	ChangeTimeout time.Duration
}

// nobody is the Observer of a Server without one.
type nobody struct{}

func (nobody) Request(string, string, time.Duration) {}
func (nobody) PendingDeletionUse()                   {}
func (nobody) AuditError()                           {}
