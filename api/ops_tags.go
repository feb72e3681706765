package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
)

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
