package grants

import (
	"context"
	"errors"
	"slices"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
)

// RetireInput is RetireGrant's request: a token, or a key and a grant id.
type RetireInput struct {
	GrantToken string
	KeyID      string
	GrantID    string
	DryRun     bool
}

// Ended is a grant that a request ended, or was about to end.
type Ended struct {
	Key     *keystore.Key
	GrantID string
}

// RetireGrant ends a grant for one of those whom the grant itself allows to: its retiring principal, its grantee where the
// grant has RetireGrant among its operations, and the account that issued it (developer guide, "Retiring and revoking
// grants"). It works in every key state.
func (s *Service) RetireGrant(ctx context.Context, c *keystore.Caller, in *RetireInput) (*Ended, error) {
	given, grantID, err := in.target()
	if err != nil {
		return nil, err
	}
	k, conn, err := s.key(ctx, c, given)
	if err != nil {
		return nil, err
	}
	e := &Ended{k, grantID}
	g, err := s.grant(ctx, k, grantID)
	if err != nil {
		return e, err
	}
	if err := s.mayRetire(ctx, c, k, g); err != nil {
		return e, err
	}
	if err := keystore.Admit(keystore.ActionRetireGrant, k, conn); err != nil {
		return e, err
	}
	return e, s.remove(ctx, k, grantID, in.DryRun)
}

// target gives the key and the grant that the request names.
func (in *RetireInput) target() (string, string, error) {
	switch {
	case in.GrantToken != "" && in.GrantID == "":
		id, grant, err := keystore.ParseGrantToken(in.GrantToken)
		return string(id), grant, err
	case in.GrantToken == "" && in.GrantID != "" && in.KeyID != "":
		return in.KeyID, in.GrantID, nil
	default:
		return "", "", invalid("Grant token OR (grant ID, key ID) must be specified")
	}
}

// mayRetire decides about RetireGrant. A policy alone gives no permission, except to principals to whom the issuing account
// hands it on; an explicit deny holds against everyone.
func (s *Service) mayRetire(ctx context.Context, c *keystore.Caller, k *keystore.Key, g *keystore.Grant) error {
	r := &access.Request{Caller: c, Action: keystore.ActionRetireGrant, Key: k, Now: s.cfg.Clock.Now(), EncryptionContext: constraintContext(g),
		AcceptGrant: func(other *keystore.Grant) bool { return other.ID == g.ID }}
	d, err := s.cfg.Gate.Authorize(ctx, r)
	if err != nil {
		return err
	}
	switch d.Reason {
	case access.DeniedByKeyPolicy, access.DeniedByIdentityPolicy, access.UnreadablePolicy:
		return d.Fault(r)
	}
	account := c.Root && (g.Issuer == c.Principal || g.Retiring == c.Account || g.Retiring == c.Principal)
	grantee := g.Grantee == c.Principal && slices.Contains(g.Operations, string(keystore.ActionRetireGrant))
	own := d.Allowed && d.Identity != nil // their own policies give the permission
	if account || grantee || g.Retiring == c.Principal || own {
		return nil
	}
	d.Allowed = false
	if d.Reason != access.NotInIdentityPolicy {
		d.Reason = access.NotInKeyPolicy
	}
	return d.Fault(r)
}

// RevokeInput is RevokeGrant's request.
type RevokeInput struct {
	KeyID   string
	GrantID string
	DryRun  bool
}

// RevokeGrant ends a grant for whom the key policy or their own policies allow kms:RevokeGrant. It works in every key state.
func (s *Service) RevokeGrant(ctx context.Context, c *keystore.Caller, in *RevokeInput) (*Ended, error) {
	k, conn, err := s.key(ctx, c, in.KeyID)
	if err != nil {
		return nil, err
	}
	e := &Ended{k, in.GrantID}
	if err := s.admit(ctx, &access.Request{Caller: c, Action: keystore.ActionRevokeGrant, Key: k, Conn: conn,
		Conditions: ofUs}); err != nil {
		return e, err
	}
	return e, s.remove(ctx, k, in.GrantID, in.DryRun)
}

// ofUs is kms:GrantIsForAWSResource of every request to the appliance: AWS's services call no appliance.
var ofUs = map[string][]string{"kms:GrantIsForAWSResource": {"false"}}

func (s *Service) grant(ctx context.Context, k *keystore.Key, id string) (*keystore.Grant, error) {
	var g *keystore.Grant
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		g, err = tx.Grant(k.Region, k.ID, id)
		return err
	})
	if errors.Is(err, keystore.ErrNoRow) {
		return nil, noSuchGrant(id)
	}
	return g, err
}

func (s *Service) remove(ctx context.Context, k *keystore.Key, id string, dryRun bool) error {
	err := s.cfg.DB.Update(ctx, func(tx keystore.Tx) error {
		if err := tx.DeleteGrant(k.Region, k.ID, id); err != nil {
			return err
		}
		if dryRun {
			return errDryRun // and the transaction leaves nothing
		}
		return nil
	})
	if errors.Is(err, keystore.ErrNoRow) {
		return noSuchGrant(id)
	}
	return err
}
