package custom

import (
	"context"
	"crypto/hmac"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

// CreateCustomKeyStore makes a DISCONNECTED store and gives its id. A request whose values all equal those of a store that
// is DISCONNECTED gives that store's id (developer guide, "Create a custom key store"). The password is not tried.
//
// Faults, in the order of their checks: Validation (parameters of the other type, missing ones), UnsupportedOperation
// (external stores not enabled), CloudHsmClusterNotFound, IncorrectTrustAnchor, CloudHsmClusterInUse, XksProxy…InUse,
// CustomKeyStoreNameInUse, LimitExceeded, then those of the proxy's check.
func (s *Service) CreateCustomKeyStore(ctx context.Context, c *keystore.Caller, in *CreateInput) (keystore.StoreID, error) {
	if err := s.admit(ctx, c, keystore.ActionCreateCustomKeyStore); err != nil {
		return "", err
	}
	st, secret, err := s.candidate(c, in)
	if err != nil {
		return "", err
	}
	defer clear(secret)
	var same *keystore.Store
	err = s.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		same, err = s.checkNew(tx, st, secret)
		return err
	})
	if err != nil {
		return "", err
	}
	if same != nil {
		return same.ID, nil
	}
	// A store in a VPC is tried when it is connected (custom-key-stores.md section 5).
	if st.Type == keystore.StoreXKS && st.Xks.Connectivity == PublicEndpoint {
		if err := s.cfg.Proxies.CheckProxy(ctx, c, keystore.ActionCreateCustomKeyStore, st, secret); err != nil {
			return "", err
		}
	}
	if err := s.seal(ctx, st, secret); err != nil {
		return "", err
	}
	err = s.cfg.DB.Update(ctx, func(tx keystore.Tx) error {
		// Once more: another create may have come between.
		if same, err = s.checkNew(tx, st, secret); err != nil || same != nil {
			return err
		}
		return tx.InsertStore(st)
	})
	if err != nil {
		return "", err
	}
	if same != nil {
		return same.ID, nil
	}
	return st.ID, nil
}

// candidate makes the row that a request asks for, with all but its sealed secret, and the secret.
func (s *Service) candidate(c *keystore.Caller, in *CreateInput) (*keystore.Store, []byte, error) {
	st := &keystore.Store{Account: c.Account, Region: c.Region, Name: in.CustomKeyStoreName, Type: in.CustomKeyStoreType,
		Created: s.cfg.Clock.Now(), Conn: keystore.Disconnected}
	if st.Type == "" {
		st.Type = keystore.StoreCloudHSM
	}
	if err := in.given().checkTypes(st.Type, true); err != nil {
		return nil, nil, err
	}
	id, err := keystore.NewStoreID(s.cfg.Random)
	if err != nil {
		return nil, nil, err
	}
	st.ID = id
	switch st.Type {
	case keystore.StoreCloudHSM:
		secret := []byte(in.KeyStorePassword)
		st.ClusterID, st.TrustAnchor = in.CloudHsmClusterID, in.TrustAnchorCertificate
		st.PasswordDigest = s.digest(st.ID, secret)
		return st, secret, nil
	case keystore.StoreXKS:
		secret, err := s.external(c, in, st)
		return st, secret, err
	default:
		return nil, nil, keystore.Faultf(keystore.KindValidation, "%s is not a CustomKeyStoreType.", st.Type)
	}
}

// checkNew checks a candidate against the stores that exist; same is the DISCONNECTED store that already is what was asked.
func (s *Service) checkNew(tx keystore.Tx, st *keystore.Store, secret []byte) (same *keystore.Store, err error) {
	all, err := allStores(tx, "")
	if err != nil {
		return nil, fmt.Errorf("read custom key stores: %w", err)
	}
	inRegion, named := 0, false
	for _, other := range all {
		if other.Region != st.Region {
			continue
		}
		if other.Conn == keystore.Disconnected && s.identical(other, st, secret) {
			return other, nil
		}
		inRegion++
		named = named || other.Name == st.Name
	}
	if err := s.checkBacking(all, st); err != nil {
		return nil, err
	}
	switch {
	case named:
		return nil, nameInUse(st.Name)
	case inRegion >= s.cfg.Limits.StoresPerRegion:
		return nil, overQuota(s.cfg.Limits.StoresPerRegion)
	}
	return nil, nil
}

// checkBacking checks what a new store stands on: its cluster or its proxy's address.
func (s *Service) checkBacking(all []*keystore.Store, st *keystore.Store) error {
	if st.Type == keystore.StoreXKS {
		return checkProxyUnique(all, st)
	}
	cluster, ok := s.cfg.Clusters[st.ClusterID]
	if !ok {
		return noSuchCluster(st.ClusterID)
	}
	if err := checkAnchor(st.TrustAnchor, cluster.TrustAnchor); err != nil {
		return err
	}
	if s.clusterUser(all, st) != nil {
		return clusterInUse(st.ClusterID)
	}
	return nil
}

// clusterUser finds another store, in any Region, on the same cluster or on a related one.
func (s *Service) clusterUser(all []*keystore.Store, st *keystore.Store) *keystore.Store {
	for _, other := range all {
		if other.ID != st.ID && other.Type == keystore.StoreCloudHSM && s.related(other.ClusterID, st.ClusterID) {
			return other
		}
	}
	return nil
}

// related tells whether two clusters are one or share their backups.
func (s *Service) related(a, b string) bool {
	if a == b {
		return true
	}
	x, y := s.cfg.Clusters[a], s.cfg.Clusters[b]
	return x.RelatedGroup != "" && x.RelatedGroup == y.RelatedGroup
}

// identical tells whether a request, whose row would be st, asks for what other already is.
func (s *Service) identical(other, st *keystore.Store, secret []byte) bool {
	if other.Account != st.Account || other.Name != st.Name || other.Type != st.Type {
		return false
	}
	digest := s.digest(other.ID, secret)
	if st.Type == keystore.StoreXKS {
		return sameProxy(other.Xks, st.Xks) && hmac.Equal(other.Xks.SecretDigest, digest)
	}
	return other.ClusterID == st.ClusterID && sameAnchor(other.TrustAnchor, st.TrustAnchor) && hmac.Equal(other.PasswordDigest, digest)
}

// digest is the keyed digest of a store's secret. It is bound to the store, so that equal secrets of two stores do not show.
func (s *Service) digest(id keystore.StoreID, secret []byte) []byte {
	return s.cfg.Secrets.Digest("custom-key-store-digest/"+string(id), secret)
}

// seal seals the secret into the row.
func (s *Service) seal(ctx context.Context, st *keystore.Store, secret []byte) error {
	sealed, err := s.cfg.Secrets.Seal(ctx, sealPurpose(st.ID), secret)
	if err != nil {
		return sealFailed(fmt.Errorf("seal the secret of custom key store %s: %w", st.ID, err))
	}
	if st.Type == keystore.StoreXKS {
		st.Xks.SealedSecret = sealed
	} else {
		st.SealedPassword = sealed
	}
	return nil
}
