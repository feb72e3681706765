package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore/lifecycle"
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

func tagResource(ctx context.Context, c *call, r *shape.TagResourceRequest) (response, error) {
	return done(c.s.Keys.TagResource(ctx, c.caller, r.KeyID, r.Tags))
}

func untagResource(ctx context.Context, c *call, r *shape.UntagResourceRequest) (response, error) {
	return done(c.s.Keys.UntagResource(ctx, c.caller, r.KeyID, r.TagKeys))
}

func listResourceTags(ctx context.Context, c *call, r *shape.ListOfKeyRequest) (response, error) {
	tags, next, err := c.s.Keys.ListResourceTags(ctx, c.caller, r.KeyID, page(r.Limit, r.Marker))
	if err != nil {
		return nil, err
	}
	return &shape.ListResourceTagsResponse{Tags: tags, Next: shape.Next{NextMarker: next}}, nil
}

func getKeyPolicy(ctx context.Context, c *call, r *shape.GetKeyPolicyRequest) (response, error) {
	text, name, err := c.s.Keys.GetKeyPolicy(ctx, c.caller, r.KeyID, r.PolicyName)
	if err != nil {
		return nil, err
	}
	return &shape.GetKeyPolicyResponse{Policy: text, PolicyName: name}, nil
}

func putKeyPolicy(ctx context.Context, c *call, r *shape.PutKeyPolicyRequest) (response, error) {
	return done(c.s.Keys.PutKeyPolicy(ctx, c.caller, &lifecycle.PutKeyPolicyInput{
		KeyID: r.KeyID, PolicyName: r.PolicyName, Policy: r.Policy,
		BypassPolicyLockoutSafetyCheck: r.BypassPolicyLockoutSafetyCheck,
	}))
}

func listKeyPolicies(ctx context.Context, c *call, r *shape.ListOfKeyRequest) (response, error) {
	names, next, err := c.s.Keys.ListKeyPolicies(ctx, c.caller, r.KeyID, page(r.Limit, r.Marker))
	if err != nil {
		return nil, err
	}
	return &shape.ListKeyPoliciesResponse{PolicyNames: names, Next: shape.Next{NextMarker: next}}, nil
}
