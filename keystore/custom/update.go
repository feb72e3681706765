package custom

import (
	"context"
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

// UpdateCustomKeyStore changes a store, all of what is asked or nothing. Which parameter may change in which connection
// state is a table (keystore.UpdatableIn). KeyStorePassword tells the appliance the current password of the kmsuser; it
// changes nothing on the token and is tried at the next connect.
//
// Faults, in the order of their checks: CustomKeyStoreNotFound, Validation (parameters of the other type),
// CustomKeyStoreInvalidState, CustomKeyStoreNameInUse, CloudHsmClusterNotFound, CloudHsmClusterNotRelated,
// CloudHsmClusterInvalidConfiguration (another store has the cluster), XksProxy….
func (s *Service) UpdateCustomKeyStore(ctx context.Context, c *keystore.Caller, in *UpdateInput) error {
	if err := s.admit(ctx, c, keystore.ActionUpdateCustomKeyStore); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := s.updateOnce(ctx, c, in)
		if !errors.Is(err, errOvertaken) || try == maxTries {
			return err
		}
	}
}

// errOvertaken: the row changed while an update of it was tried at the proxy. Half of one update and half of another were
// never tried together.
var errOvertaken = errors.New("the custom key store was changed meanwhile")

// maxTries bounds how often an update that was overtaken begins anew.
const maxTries = 8

func (s *Service) updateOnce(ctx context.Context, c *keystore.Caller, in *UpdateInput) error {
	var seen, draft *keystore.Store
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		st, err := lookup(tx, c.Region, in.CustomKeyStoreID)
		if err != nil {
			return err
		}
		seen, draft = st.Clone(), st
		return s.revise(tx, c, st, in)
	})
	if err != nil {
		return err
	}
	// Sealing and asking the proxy take time: they are done before the writing transaction.
	sealed, err := s.reseal(ctx, c, draft, in)
	if err != nil {
		return err
	}
	st, err := s.change(ctx, c, in.CustomKeyStoreID, func(tx keystore.Tx, st *keystore.Store) (bool, error) {
		if in.given().touchesProxy() && !sameConnection(seen, st) {
			return false, errOvertaken
		}
		if err := s.revise(tx, c, st, in); err != nil {
			return false, err
		}
		switch {
		case sealed != nil && st.Type == keystore.StoreXKS:
			st.Xks.SealedSecret = sealed
		case sealed != nil:
			st.SealedPassword = sealed
			// What a rotation left is of no use: the owner knows the password.
			return true, forgetPending(tx, st.Region, st.ID)
		}
		return true, nil
	})
	if err == nil && st.Type == keystore.StoreXKS {
		s.cfg.Manager.Refresh(st)
	}
	return err
}

// revise checks an update against the stores that exist and applies it to the row, all but its secret's seal.
func (s *Service) revise(tx keystore.Tx, c *keystore.Caller, st *keystore.Store, in *UpdateInput) error {
	g := in.given()
	if err := g.checkTypes(st.Type, false); err != nil {
		return err
	}
	if err := keystore.PermitStore(keystore.ActionUpdateCustomKeyStore, st.Type, st.Conn); err != nil {
		return err
	}
	if err := g.checkStates(st); err != nil {
		return err
	}
	if err := rename(tx, st, in.NewCustomKeyStoreName); err != nil {
		return err
	}
	all, err := allStores(tx, "")
	if err != nil {
		return fmt.Errorf("read custom key stores: %w", err)
	}
	if st.Type == keystore.StoreXKS {
		return s.reviseExternal(c, all, st, in)
	}
	if in.CloudHsmClusterID != "" {
		if err := s.moveCluster(all, st, in.CloudHsmClusterID); err != nil {
			return err
		}
	}
	if in.KeyStorePassword != "" {
		secret := []byte(in.KeyStorePassword)
		st.PasswordDigest = s.digest(st.ID, secret)
		clear(secret)
	}
	return nil
}

func rename(tx keystore.Tx, st *keystore.Store, name string) error {
	if name == "" || name == st.Name {
		return nil
	}
	switch _, err := tx.StoreByName(st.Region, name); {
	case err == nil:
		return nameInUse(name)
	case !errors.Is(err, keystore.ErrNoRow):
		return fmt.Errorf("read custom key store by name: %w", err)
	}
	st.Name = name
	return nil
}

// moveCluster puts a store on a cluster that was made from a backup of its own.
func (s *Service) moveCluster(all []*keystore.Store, st *keystore.Store, cluster string) error {
	if _, ok := s.cfg.Clusters[cluster]; !ok {
		return noSuchCluster(cluster)
	}
	if !s.related(st.ClusterID, cluster) {
		return clusterNotRelated(cluster)
	}
	st.ClusterID = cluster
	if s.clusterUser(all, st) != nil {
		return clusterTaken(cluster)
	}
	return nil
}
