package grants

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// Grants on a page: when no limit is asked for, and at most. The model lets callers ask for up to 1,000; a page may be shorter
// than its limit (API reference, ListGrants.Limit: "it might return fewer").
const (
	defaultPage = 50
	maxPage     = 100
)

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
	if err := s.admit(ctx, &access.Request{Caller: c, Action: keystore.ActionListGrants, Key: k, Conn: conn, Conditions: ofUs}); err != nil {
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

// RetirableInput is ListRetirableGrants' request: a principal, or a service principal.
type RetirableInput struct {
	RetiringPrincipal        string
	RetiringServicePrincipal string
	Page                     keystore.Page
}

// ListRetirableGrants lists the grants of the Region with that retiring principal, whatever their keys' states.
func (s *Service) ListRetirableGrants(ctx context.Context, c *keystore.Caller, in *RetirableInput) ([]*keystore.Grant, string, error) {
	retiring, p := in.RetiringPrincipal, in.Page
	switch {
	case (retiring == "") == (in.RetiringServicePrincipal == ""):
		return nil, "", invalid("You must specify either RetiringPrincipal or RetiringServicePrincipal, but not both.")
	case retiring != "" && !principalForm(retiring, c.Account):
		return nil, "", invalidPrincipal()
	}
	list := "retirable/" + retiring
	after, err := p.After(list)
	if err != nil {
		return nil, "", err
	}
	// What is authorised is the retiring principal (API reference, ListRetirableGrants, "Required permissions").
	resource := retiring
	if retiring == c.Account {
		resource = keystore.RootARN(c.Account)
	}
	if err := s.admit(ctx, &access.Request{Caller: c, Action: keystore.ActionListRetirableGrants, Resource: resource}); err != nil {
		return nil, "", err
	}
	if retiring == "" {
		return nil, "", nil // a filter for callers that are AWS services, as ListGrants has one
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
	return min(p.Limit, maxPage)
}

// cut takes the one item too many off, which tells that there is a next page.
func cut(list string, found []*keystore.Grant, limit int, name func(*keystore.Grant) string) ([]*keystore.Grant, string) {
	if len(found) <= limit {
		return found, ""
	}
	found = found[:limit]
	return found, keystore.NextMarker(list, name(found[limit-1]))
}
