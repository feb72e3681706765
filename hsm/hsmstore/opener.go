package hsmstore

import (
	"context"
	"fmt"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Opener opens AWS_CLOUDHSM stores on the tokens that stand for their clusters.
type Opener struct {
	// ClusterTokens says which token a CloudHsmClusterId is. The PIN is filled in from the store.
	ClusterTokens map[string]hsm.Config
	// OpenToken opens a token and logs in; package hsm/pkcs11 has one on real modules.
	OpenToken func(ctx context.Context, cfg hsm.Config) (*hsm.Token, error)
}

// Open logs in to the token of the store's cluster with the kmsuser PIN, which is tried once. Failures are
// *backend.ConnectError.
func (o *Opener) Open(ctx context.Context, s *keystore.Store, secret []byte) (backend.Backend, error) {
	cfg, ok := o.ClusterTokens[s.ClusterID]
	switch {
	case s.Type != keystore.StoreCloudHSM:
		return nil, &backend.ConnectError{Code: keystore.ConnInternalError, Cause: fmt.Errorf("%s is no store on a token", s.Type)}
	case !ok:
		return nil, &backend.ConnectError{Code: keystore.ConnClusterNotFound,
			Cause: fmt.Errorf("cluster %s is not in the configuration", s.ClusterID)}
	case len(secret) == 0:
		return nil, &backend.ConnectError{Code: keystore.ConnInvalidCredentials, Cause: fmt.Errorf("the store has no password")}
	}
	cfg.PIN = hsm.NewSecret(string(secret))
	token, err := o.OpenToken(ctx, cfg)
	if err != nil {
		return nil, connectError(err)
	}
	token.Prime() // beside the connect: a key that is wanted before waits for it, or is searched for
	return NewCloudHSM(token), nil
}

// ChangeSecret replaces the PIN of the token's user. Whoever else knows the old one is locked out: it is for tokens that
// nobody shares.
func (b *Backend) ChangeSecret(ctx context.Context, old, replacement []byte) error {
	if err := b.enter(); err != nil {
		return connectError(err)
	}
	defer b.leave()
	if err := b.token.SetPIN(ctx, hsm.NewSecret(string(old)), hsm.NewSecret(string(replacement))); err != nil {
		return connectError(err)
	}
	return nil
}
