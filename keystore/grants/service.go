// Package grants is the service of grants: they are created, listed, retired and revoked. Whether a grant allows a request is
// package access's to say.
package grants

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
)

// DefaultPerKey is AWS's quota of grants on one key.
const DefaultPerKey = 50_000

// Config holds the service's ports.
type Config struct {
	DB       keystore.DB
	Resolver backend.Resolver
	Gate     *access.Gate
	Clock    keystore.Clock
	Random   io.Reader
	// PrincipalExists tells whether an IAM ARN of the account names a principal of the appliance; nil accepts all that are
	// well formed. It is asked with the transaction of the change.
	PrincipalExists func(tx keystore.Tx, arn string) (bool, error)
	PerKey          int // quota of grants on one key; 0 is DefaultPerKey
}

// Service does the operations on grants. It is safe for concurrent use.
type Service struct {
	cfg Config
}

// New makes the service.
func New(cfg Config) *Service {
	if cfg.PerKey <= 0 {
		cfg.PerKey = DefaultPerKey
	}
	return &Service{cfg: cfg}
}

// errDryRun is AWS's answer to a DryRun request that would have succeeded (recorded).
var errDryRun = keystore.Faultf(keystore.KindDryRunOperation, "The request would have succeeded, but the DryRun option is set.")

// Known is the PrincipalExists that asks the state. A principal that is disabled is there; one whose deletion has begun is not.
func Known(tx keystore.Tx, arn string) (bool, error) {
	p, err := tx.Principal(arn)
	if errors.Is(err, keystore.ErrNoRow) {
		return false, nil
	}
	return err == nil && !p.Leaving, err
}

func (s *Service) now() time.Time { return s.cfg.Clock.Now().UTC().Truncate(time.Millisecond) }

func (s *Service) key(ctx context.Context, c *keystore.Caller, given string) (*keystore.Key, keystore.ConnState, error) {
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, given, keystore.RefKeyOnly)
	if err != nil {
		return nil, "", err
	}
	_, conn := s.cfg.Resolver.Resolve(k.Region, k.StoreID)
	return k, conn, nil
}

func (s *Service) admit(ctx context.Context, r *access.Request) error {
	r.Now = s.cfg.Clock.Now()
	return s.cfg.Gate.Admit(ctx, r)
}

// noSuchGrant is the fault for a grant that is not on the key. AWS's words are not recorded.
func noSuchGrant(id string) *keystore.Fault {
	return keystore.Faultf(keystore.KindNotFound, "Grant ID %s not found", id)
}

// keyGone words the fault of a key that was deleted while it was worked on.
func keyGone(err error, k *keystore.Key) error {
	if errors.Is(err, keystore.ErrNoRow) {
		return keystore.NoSuchKey(k.Region, k.Account, k.ID)
	}
	return err
}
