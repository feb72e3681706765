package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/grants"
)

// Grants is the grants on keys; *grants.Service is one.
type Grants interface {
	CreateGrant(ctx context.Context, c *keystore.Caller, in *grants.CreateInput) (*grants.CreateOutput, error)
	ListGrants(ctx context.Context, c *keystore.Caller, in *grants.ListInput) (*keystore.Key, []*keystore.Grant, string, error)
	ListRetirableGrants(ctx context.Context, c *keystore.Caller, in *grants.RetirableInput) ([]*keystore.Grant, string, error)
	// RetireGrant and RevokeGrant give the ended grant's key and id, also beside an error where they are known.
	RetireGrant(ctx context.Context, c *keystore.Caller, in *grants.RetireInput) (*grants.Ended, error)
	RevokeGrant(ctx context.Context, c *keystore.Caller, in *grants.RevokeInput) (*grants.Ended, error)
}

func createGrant(ctx context.Context, c *call, r *shape.CreateGrantRequest) (response, error) {
	out, err := c.s.Grants.CreateGrant(ctx, c.caller, &grants.CreateInput{
		KeyID: r.KeyID, GranteePrincipal: r.GranteePrincipal, GranteeServicePrincipal: r.GranteeServicePrincipal,
		RetiringPrincipal: r.RetiringPrincipal, RetiringServicePrincipal: r.RetiringServicePrincipal, Operations: r.Operations,
		EncryptionContextEquals: r.Constraints.EncryptionContextEquals, EncryptionContextSubset: r.Constraints.EncryptionContextSubset,
		SourceARN: r.Constraints.SourceARN, HasConstraints: r.Constraints.Present, GrantTokens: r.GrantTokens, Name: r.Name,
		DryRun: r.DryRun,
	})
	if err != nil {
		return nil, err
	}
	return &shape.CreateGrantResponse{GrantToken: out.GrantToken, GrantID: out.GrantID}, nil
}

func listGrants(ctx context.Context, c *call, r *shape.ListGrantsRequest) (response, error) {
	_, found, next, err := c.s.Grants.ListGrants(ctx, c.caller, &grants.ListInput{
		KeyID: r.KeyID, GrantID: r.GrantID, GranteePrincipal: r.GranteePrincipal, GranteeServicePrincipal: r.GranteeServicePrincipal,
		Page: page(r.Limit, r.Marker),
	})
	return c.grantList(found, next, err)
}

func listRetirableGrants(ctx context.Context, c *call, r *shape.ListRetirableGrantsRequest) (response, error) {
	found, next, err := c.s.Grants.ListRetirableGrants(ctx, c.caller, &grants.RetirableInput{
		RetiringPrincipal: r.RetiringPrincipal, RetiringServicePrincipal: r.RetiringServicePrincipal, Page: page(r.Limit, r.Marker),
	})
	return c.grantList(found, next, err)
}

// grantList answers a page of grants.
func (c *call) grantList(found []*keystore.Grant, next string, err error) (response, error) {
	if err != nil {
		return nil, err
	}
	entries := make([]shape.GrantEntry, len(found))
	for i, g := range found {
		entries[i] = shape.GrantEntry{Grant: g, Account: c.caller.Account}
	}
	return &shape.ListGrantsResponse{Grants: entries, Next: shape.Next{NextMarker: next}}, nil
}

func retireGrant(ctx context.Context, c *call, r *shape.RetireGrantRequest) (response, error) {
	return c.ended(c.s.Grants.RetireGrant(ctx, c.caller, &grants.RetireInput{
		GrantToken: r.GrantToken, KeyID: r.KeyID, GrantID: r.GrantID, DryRun: r.DryRun,
	}))
}

func revokeGrant(ctx context.Context, c *call, r *shape.RevokeGrantRequest) (response, error) {
	return c.ended(c.s.Grants.RevokeGrant(ctx, c.caller, &grants.RevokeInput{KeyID: r.KeyID, GrantID: r.GrantID, DryRun: r.DryRun}))
}

// ended answers the end of a grant. The record names the grant, which a token in the request does not (CloudTrail,
// "RetireGrant": additionalEventData.grantId).
func (c *call) ended(e *grants.Ended, err error) (response, error) {
	if e != nil {
		c.about(e.Key.ARN())
		c.extra = c.extra.String("grantId", e.GrantID)
	}
	return done(err)
}
