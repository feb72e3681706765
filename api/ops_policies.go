package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

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
