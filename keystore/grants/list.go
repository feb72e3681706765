package grants

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// defaultPage is the number of grants on a page when no limit is asked for (1 to 100 may be).
const defaultPage = 50

// ListInput is ListGrants' request; "" filters nothing.
type ListInput struct {
	KeyID                   string
	GrantID                 string
	GranteePrincipal        string
	GranteeServicePrincipal string
	Page                    keystore.Page
}

// ListGrants lists the grants on a key by id, and the marker of the next page.
func (s *Service) ListGrants(ctx context.Context, c *keystore.Caller, in *ListInput) (*keystore.Key, []*keystore.Grant, string, error) {
	if in.GranteePrincipal != "" && in.GranteeServicePrincipal != "" {
		return nil, nil, "", invalid("You can specify either GranteePrincipal or GranteeServicePrincipal, but not both.")
	}
	k, conn, err := s.key(ctx, c, in.KeyID)
	if err != nil {
		return nil, nil, "", err
	}
	list := "grants/" + string(k.ID)
	after, err := in.Page.After(list)
	if err != nil {
		return nil, nil, "", err
	}
	if err := s.admit(ctx, &access.Request{Caller: c, Action: keystore.ActionListGrants, Key: k, Conn: conn}); err != nil {
		return nil, nil, "", err
	}
	if in.GranteeServicePrincipal != "" {
		return k, nil, "", nil // a filter for callers that are AWS services; grants to services serve nobody here
	}
	limit := limitOf(in.Page)
	var found []*keystore.Grant
	err = s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		found, err = tx.Grants(k.Region, k.ID, in.GranteePrincipal, in.GrantID, after, limit+1)
		return err
	})
	if err != nil {
		return nil, nil, "", err
	}
	found, next := cut(list, found, limit, func(g *keystore.Grant) string { return g.ID })
	return k, found, next, nil
}

// ListRetirableGrants lists the grants of the Region with that retiring principal, whatever their keys' states.
func (s *Service) ListRetirableGrants(ctx context.Context, c *keystore.Caller, retiring string, p keystore.Page) ([]*keystore.Grant, string, error) {
	if !principalForm(retiring, c.Account) {
		return nil, "", invalidPrincipal()
	}
	list := "retirable/" + retiring
	after, err := p.After(list)
	if err != nil {
		return nil, "", err
	}
	if err := s.admit(ctx, &access.Request{Caller: c, Action: keystore.ActionListRetirableGrants, Resource: "*"}); err != nil {
		return nil, "", err
	}
	limit := limitOf(p)
	var found []*keystore.Grant
	err = s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		found, err = tx.RetirableGrants(c.Region, retiring, after, limit+1)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	found, next := cut(list, found, limit, func(g *keystore.Grant) string { return string(g.KeyID) + "/" + g.ID })
	return found, next, nil
}

func limitOf(p keystore.Page) int {
	if p.Limit <= 0 {
		return defaultPage
	}
	return p.Limit
}

// cut takes the one item too many off, which tells that there is a next page.
func cut(list string, found []*keystore.Grant, limit int, name func(*keystore.Grant) string) ([]*keystore.Grant, string) {
	if len(found) <= limit {
		return found, ""
	}
	found = found[:limit]
	return found, keystore.NextMarker(list, name(found[limit-1]))
}
