package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// Replicas is the part of Keys that is about multi-Region keys.
type Replicas interface {
	ReplicateKey(ctx context.Context, c *keystore.Caller, in *lifecycle.ReplicateInput) (*lifecycle.KeyView, error)
	UpdatePrimaryRegion(ctx context.Context, c *keystore.Caller, keyID, region string) error
}

func replicateKey(ctx context.Context, c *call, r *shape.ReplicateKeyRequest) (response, error) {
	v, err := c.s.Keys.ReplicateKey(ctx, c.caller, &lifecycle.ReplicateInput{
		KeyID: r.KeyID, ReplicaRegion: r.ReplicaRegion, Policy: r.Policy,
		BypassPolicyLockoutSafetyCheck: r.BypassPolicyLockoutSafetyCheck, Description: r.Description, Tags: r.Tags,
	})
	if err != nil {
		return nil, err
	}
	c.about(keystore.KeyARN(c.caller.Region, c.caller.Account, v.Key.ID))
	c.about(v.Key.ARN())
	return &shape.ReplicateKeyResponse{Replica: &shape.KeyMetadata{Key: v.Key, State: v.State}, Policy: v.Key.Policy, Tags: v.Key.Tags}, nil
}

func updatePrimaryRegion(ctx context.Context, c *call, r *shape.UpdatePrimaryRegionRequest) (response, error) {
	return done(c.s.Keys.UpdatePrimaryRegion(ctx, c.caller, r.KeyID, r.PrimaryRegion))
}
