package custom

import (
	"context"
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

// storeList is the kind of this list in its markers.
const storeList = "custom-key-stores"

// DescribeCustomKeyStores lists the stores of the caller's Region by id, or the one that the filter names. next is the
// marker of the next page, "" on the last. Faults: Validation (both filters), CustomKeyStoreNotFound, InvalidMarker.
func (s *Service) DescribeCustomKeyStores(ctx context.Context, c *keystore.Caller, in *DescribeInput) (stores []*keystore.Store, next string, err error) {
	if err := s.admit(ctx, c, keystore.ActionDescribeCustomKeyStores); err != nil {
		return nil, "", err
	}
	if in.CustomKeyStoreID != "" && in.CustomKeyStoreName != "" {
		return nil, "", bothFilters()
	}
	after, err := in.Page.After(storeList)
	if err != nil {
		return nil, "", err
	}
	limit := in.Page.Limit
	if limit <= 0 {
		limit = DefaultPage
	}
	err = s.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		if in.CustomKeyStoreID != "" || in.CustomKeyStoreName != "" {
			st, err := findOne(tx, c.Region, in)
			stores = []*keystore.Store{st}
			return err
		}
		stores, err = tx.Stores(c.Region, keystore.StoreID(after), limit+1)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(stores) > limit {
		stores = stores[:limit]
		next = keystore.NextMarker(storeList, string(stores[limit-1].ID))
	}
	return stores, next, nil
}

func findOne(tx keystore.Tx, region string, in *DescribeInput) (*keystore.Store, error) {
	if in.CustomKeyStoreID != "" {
		return lookup(tx, region, in.CustomKeyStoreID)
	}
	st, err := tx.StoreByName(region, in.CustomKeyStoreName)
	if errors.Is(err, keystore.ErrNoRow) {
		return nil, noStoreNamed(in.CustomKeyStoreName)
	}
	if err != nil {
		return nil, fmt.Errorf("read custom key store by name: %w", err)
	}
	return st, nil
}
