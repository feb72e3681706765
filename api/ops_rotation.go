package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// Rotations is the part of Keys that is about rotation.
type Rotations interface {
	EnableKeyRotation(ctx context.Context, c *keystore.Caller, keyID string, days int) error
	DisableKeyRotation(ctx context.Context, c *keystore.Caller, keyID string) error
	GetKeyRotationStatus(ctx context.Context, c *keystore.Caller, keyID string) (*lifecycle.RotationStatus, error)
	ListKeyRotations(ctx context.Context, c *keystore.Caller, keyID string, all bool, page keystore.Page) (*keystore.Key, []keystore.KeyMaterial, string, error)
	RotateKeyOnDemand(ctx context.Context, c *keystore.Caller, keyID string) (*keystore.Key, error)
}

// allKeyMaterial is the value of IncludeKeyMaterial that asks for the first material and waiting ones too; the other one,
// ROTATIONS_ONLY, is the default.
const allKeyMaterial = "ALL_KEY_MATERIAL"

func enableKeyRotation(ctx context.Context, c *call, r *shape.EnableKeyRotationRequest) (response, error) {
	days := lifecycle.DefaultRotationPeriod
	if r.RotationPeriodInDays != nil {
		days = int(*r.RotationPeriodInDays)
	}
	return done(c.s.Keys.EnableKeyRotation(ctx, c.caller, r.KeyID, days))
}

func disableKeyRotation(ctx context.Context, c *call, r *shape.KeyRequest) (response, error) {
	return done(c.s.Keys.DisableKeyRotation(ctx, c.caller, r.KeyID))
}

// getKeyRotationStatus answers with the key's id, not its ARN, as the developer guide's sample shows. A rotation on demand is
// done when RotateKeyOnDemand answers, so that there is never one in progress to tell of.
func getKeyRotationStatus(ctx context.Context, c *call, r *shape.KeyRequest) (response, error) {
	st, err := c.s.Keys.GetKeyRotationStatus(ctx, c.caller, r.KeyID)
	if err != nil {
		return nil, err
	}
	return &shape.RotationStatusResponse{KeyID: string(st.Key.ID),
		Rotation: keystore.Rotation{Enabled: st.Enabled, PeriodDays: st.PeriodDays, Next: st.Next}}, nil
}

func listKeyRotations(ctx context.Context, c *call, r *shape.ListKeyRotationsRequest) (response, error) {
	k, found, next, err := c.s.Keys.ListKeyRotations(ctx, c.caller, r.KeyID, r.IncludeKeyMaterial == allKeyMaterial, page(r.Limit, r.Marker))
	if err != nil {
		return nil, err
	}
	entries := make([]shape.RotationEntry, len(found))
	for i := range found {
		entries[i] = shape.RotationEntry{Key: k, Material: &found[i]}
	}
	return &shape.ListKeyRotationsResponse{Rotations: entries, Next: shape.Next{NextMarker: next}}, nil
}

func rotateKeyOnDemand(ctx context.Context, c *call, r *shape.KeyRequest) (response, error) {
	k, err := c.s.Keys.RotateKeyOnDemand(ctx, c.caller, r.KeyID)
	if err != nil {
		return nil, err
	}
	c.about(k.ARN())
	return &shape.KeyIDResponse{KeyID: string(k.ID)}, nil
}
