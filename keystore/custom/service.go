package custom

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// Gate decides whether a caller may do what it asks.
type Gate interface {
	Admit(ctx context.Context, r *access.Request) error
}

// ProxyChecker asks an external key store proxy before its parameters are stored (GetHealthStatus, as AWS does).
type ProxyChecker interface {
	// CheckAddress refuses an endpoint or path that no proxy can have, beyond the constraints of the request's shape: a Fault
	// of kind Validation.
	CheckAddress(x *keystore.XksConfig) error
	// CheckProxy tries the proxy that the row describes, with the secret key of its credential, for an operation
	// (CreateCustomKeyStore or UpdateCustomKeyStore) of a caller. Its failures are Faults of the XksProxy kinds.
	CheckProxy(ctx context.Context, c *keystore.Caller, a keystore.Action, s *keystore.Store, secret []byte) error
}

// Limits are the quotas of a Service; zero values are AWS's.
type Limits struct {
	StoresPerRegion int // 0 is DefaultStoresPerRegion
}

// Quota and page size where nothing else is asked.
const (
	DefaultStoresPerRegion = 10 // both types, any state (developer guide, "Resource quotas")
	DefaultPage            = 100
)

// Config is what a Service works with. All fields but Clusters, Proxies and Limits are required.
type Config struct {
	DB      keystore.DB
	Gate    Gate
	Clock   keystore.Clock
	Random  io.Reader
	Secrets Vault
	Manager *Manager
	// Clusters are the CloudHSM-style clusters of the configuration, by CloudHsmClusterId.
	Clusters map[string]keystore.Cluster
	// Proxies checks external key store proxies; nil refuses external key stores with UnsupportedOperation.
	Proxies ProxyChecker
	Limits  Limits
}

// Service does the six operations of the AWS KMS API on custom key stores. Its methods answer *keystore.Fault; each change
// is one transaction and durable when the method returns.
type Service struct{ cfg Config }

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Gate == nil || cfg.Clock == nil || cfg.Random == nil || cfg.Secrets == nil || cfg.Manager == nil {
		return nil, errors.New("custom key stores: DB, Gate, Clock, Random, Secrets and Manager are required")
	}
	for id, cluster := range cfg.Clusters {
		if cluster.RotatesPIN != cfg.Manager.cfg.Clusters[id].RotatesPIN {
			return nil, fmt.Errorf("cluster %s: service and manager do not agree whether a connect rotates its password", id)
		}
	}
	if cfg.Limits.StoresPerRegion <= 0 {
		cfg.Limits.StoresPerRegion = DefaultStoresPerRegion
	}
	return &Service{cfg: cfg}, nil
}

// admit authorises an operation on stores. Stores have no policy of their own: the principal's policies decide
// (custom-key-stores.md section 1), on the resource "*", for a store has no ARN.
func (s *Service) admit(ctx context.Context, c *keystore.Caller, a keystore.Action) error {
	return s.cfg.Gate.Admit(ctx, &access.Request{Caller: c, Action: a, Resource: "*", Now: s.cfg.Clock.Now()})
}

// change runs fn on a store's row in one transaction, which writes the row if fn says so.
func (s *Service) change(ctx context.Context, c *keystore.Caller, id keystore.StoreID,
	fn func(tx keystore.Tx, st *keystore.Store) (write bool, err error)) (*keystore.Store, error) {
	var st *keystore.Store
	err := s.cfg.DB.Update(ctx, func(tx keystore.Tx) error {
		var err error
		if st, err = lookup(tx, c.Region, id); err != nil {
			return err
		}
		write, err := fn(tx, st)
		if err != nil || !write {
			return err
		}
		return tx.UpdateStore(st)
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// lookup reads a store's row; ErrNoRow becomes AWS's fault.
func lookup(tx keystore.Tx, region string, id keystore.StoreID) (*keystore.Store, error) {
	st, err := tx.Store(region, id)
	if errors.Is(err, keystore.ErrNoRow) {
		return nil, noSuchStore(id)
	}
	if err != nil {
		return nil, fmt.Errorf("read custom key store %s: %w", id, err)
	}
	return st, nil
}
