package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// defaultWindow is PendingWindowInDays where it is not given (API reference, ScheduleKeyDeletion).
const defaultWindow = 30

// page makes the page that a list was asked for; Limit 0 leaves the size to the service.
func page(limit *int32, marker string) keystore.Page {
	p := keystore.Page{Marker: marker}
	if limit != nil {
		p.Limit = int(*limit)
	}
	return p
}

// done answers an operation that has no output.
func done(err error) (response, error) {
	if err != nil {
		return nil, err
	}
	return shape.Empty{}, nil
}

func (c *call) metadata(v *lifecycle.KeyView, err error) (response, error) {
	if err != nil {
		return nil, err
	}
	c.about(v.Key.ARN())
	return &shape.KeyMetadataResponse{KeyMetadata: &shape.KeyMetadata{Key: v.Key, State: v.State}}, nil
}

func createKey(ctx context.Context, c *call, r *shape.CreateKeyRequest) (response, error) {
	v, err := c.s.Keys.CreateKey(ctx, c.caller, &lifecycle.CreateKeyInput{
		Policy: r.Policy, Description: r.Description, KeyUsage: r.KeyUsage, KeySpec: r.KeySpec,
		CustomerMasterKeySpec: r.CustomerMasterKeySpec, Origin: r.Origin, CustomKeyStoreID: r.CustomKeyStoreID,
		XksKeyID: r.XksKeyID, BypassPolicyLockoutSafetyCheck: r.BypassPolicyLockoutSafetyCheck, Tags: r.Tags,
		MultiRegion: r.MultiRegion,
	})
	if err == nil {
		c.backingKey(v.Key)
	}
	return c.metadata(v, err)
}

func describeKey(ctx context.Context, c *call, r *shape.DescribeKeyRequest) (response, error) {
	return c.metadata(c.s.Keys.DescribeKey(ctx, c.caller, r.KeyID, r.GrantTokens))
}

func listKeys(ctx context.Context, c *call, r *shape.ListKeysRequest) (response, error) {
	ids, next, err := c.s.Keys.ListKeys(ctx, c.caller, page(r.Limit, r.Marker))
	if err != nil {
		return nil, err
	}
	keys := make([]shape.KeyListEntry, len(ids))
	for i, id := range ids {
		keys[i] = shape.KeyListEntry{KeyID: string(id), KeyARN: keystore.KeyARN(c.caller.Region, c.caller.Account, id)}
	}
	return &shape.ListKeysResponse{Keys: keys, Next: shape.Next{NextMarker: next}}, nil
}

func enableKey(ctx context.Context, c *call, r *shape.KeyRequest) (response, error) {
	return done(c.s.Keys.EnableKey(ctx, c.caller, r.KeyID))
}

func disableKey(ctx context.Context, c *call, r *shape.KeyRequest) (response, error) {
	return done(c.s.Keys.DisableKey(ctx, c.caller, r.KeyID))
}

func updateKeyDescription(ctx context.Context, c *call, r *shape.UpdateKeyDescriptionRequest) (response, error) {
	return done(c.s.Keys.UpdateKeyDescription(ctx, c.caller, r.KeyID, r.Description))
}

func scheduleKeyDeletion(ctx context.Context, c *call, r *shape.ScheduleKeyDeletionRequest) (response, error) {
	days := defaultWindow
	if r.PendingWindowInDays != nil {
		days = int(*r.PendingWindowInDays)
	}
	v, err := c.s.Keys.ScheduleKeyDeletion(ctx, c.caller, r.KeyID, days)
	if err != nil {
		return nil, err
	}
	c.about(v.Key.ARN())
	return &shape.ScheduleKeyDeletionResponse{KeyID: v.Key.ARN(), DeletionDate: v.Key.DeletionDate, KeyState: v.State,
		PendingWindowInDays: int32(days)}, nil
}

func cancelKeyDeletion(ctx context.Context, c *call, r *shape.KeyRequest) (response, error) {
	arn, err := c.s.Keys.CancelKeyDeletion(ctx, c.caller, r.KeyID)
	if err != nil {
		return nil, err
	}
	c.about(arn)
	return &shape.KeyIDResponse{KeyID: arn}, nil
}
