package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
)

func createAlias(ctx context.Context, c *call, r *shape.AliasRequest) (response, error) {
	return done(c.s.Keys.CreateAlias(ctx, c.caller, r.AliasName, r.TargetKeyID))
}

func updateAlias(ctx context.Context, c *call, r *shape.AliasRequest) (response, error) {
	return done(c.s.Keys.UpdateAlias(ctx, c.caller, r.AliasName, r.TargetKeyID))
}

func deleteAlias(ctx context.Context, c *call, r *shape.DeleteAliasRequest) (response, error) {
	return done(c.s.Keys.DeleteAlias(ctx, c.caller, r.AliasName))
}

func listAliases(ctx context.Context, c *call, r *shape.ListAliasesRequest) (response, error) {
	aliases, next, err := c.s.Keys.ListAliases(ctx, c.caller, r.KeyID, page(r.Limit, r.Marker))
	if err != nil {
		return nil, err
	}
	entries := make([]shape.AliasEntry, len(aliases))
	for i, a := range aliases {
		entries[i] = shape.AliasEntry{Alias: a}
	}
	return &shape.ListAliasesResponse{Aliases: entries, Next: shape.Next{NextMarker: next}}, nil
}
