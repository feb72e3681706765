package api

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/usage"
)

// Usage notes the uses of keys, and tells the last; *usage.Recorder is one.
type Usage interface {
	// Used notes a successful cryptographic operation. It is called on the hot path and must not block.
	Used(keyARN string, a keystore.Action, at time.Time, eventID, requestID string)
	GetKeyLastUsage(ctx context.Context, c *keystore.Caller, keyID string) (*usage.View, error)
}

// noUsage is the Usage of a Server without one.
type noUsage struct{}

func (noUsage) Used(string, keystore.Action, time.Time, string, string) {}

func (noUsage) GetKeyLastUsage(context.Context, *keystore.Caller, string) (*usage.View, error) {
	return nil, keystore.Faultf(keystore.KindUnsupportedOperation, "The uses of keys are not noted here.")
}

// used notes the use of the keys that a call was about, once it is recorded.
func (c *call) used(eventID string) {
	for i := range c.resources {
		c.s.Usage.Used(c.resources[i].ARN, c.row.name, c.caller.Time, eventID, c.id)
	}
}

func getKeyLastUsage(ctx context.Context, c *call, r *shape.KeyRequest) (response, error) {
	v, err := c.s.Usage.GetKeyLastUsage(ctx, c.caller, r.KeyID)
	if err != nil {
		return nil, err
	}
	c.about(v.Key.ARN())
	return &shape.KeyLastUsageResponse{KeyID: string(v.Key.ID), Created: v.Key.Created, Tracking: v.Tracking, Last: shape.LastUsage{
		Operation: v.Last.Action, Time: v.Last.Time, EventID: v.Last.EventID, RequestID: v.Last.RequestID}}, nil
}
