package lifecycle

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// defaultLimits of lists, where the request names none (API reference; key-lifecycle.md section 15).
const (
	pageKeys     = 100
	pagePolicies = 100
	pageAliases  = 50
	pageTags     = 50
)

// DescribeKey gives a key by any form of identifier.
func (s *Service) DescribeKey(ctx context.Context, c *keystore.Caller, keyID string, grantTokens []string) (*KeyView, error) {
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, keyID, keystore.RefKeyOrAlias)
	if err != nil {
		return nil, err
	}
	r := access.Request{Caller: c, Action: keystore.ActionDescribeKey, Key: k, GrantTokens: grantTokens}
	if ref, err := keystore.ParseRef(keyID, c.Region, c.Account, keystore.RefKeyOrAlias); err == nil && ref.Alias != "" {
		r.Conditions = map[string][]string{"kms:RequestAlias": {ref.Alias}}
	}
	err = s.admit(ctx, &r)
	if err != nil {
		return nil, err
	}
	return s.view(k), nil
}

// ListKeys lists the ids of the Region's keys in order, with the marker of the next page ("" where there is none).
func (s *Service) ListKeys(ctx context.Context, c *keystore.Caller, p keystore.Page) ([]keystore.KeyID, string, error) {
	const list = "keys"
	after, err := p.After(list)
	if err != nil {
		return nil, "", err
	}
	if err := s.admit(ctx, &access.Request{Caller: c, Action: keystore.ActionListKeys, Resource: "*"}); err != nil {
		return nil, "", err
	}
	var ids []keystore.KeyID
	limit := limitOf(p, pageKeys)
	err = s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		ids, err = tx.KeyIDs(c.Region, keystore.KeyID(after), limit+1)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	ids, next := cut(list, ids, limit, func(id keystore.KeyID) string { return string(id) })
	return ids, next, nil
}

func limitOf(p keystore.Page, usual int) int {
	if p.Limit <= 0 {
		return usual
	}
	return p.Limit
}

// cut makes a page of what may be one item too long, and the marker of the next.
func cut[T any](list string, items []T, limit int, name func(T) string) ([]T, string) {
	if len(items) <= limit {
		return items, ""
	}
	return items[:limit], keystore.NextMarker(list, name(items[limit-1]))
}
