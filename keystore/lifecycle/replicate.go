package lifecycle

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend"
)

// ReplicateInput is ReplicateKey's request with the members of the API.
type ReplicateInput struct {
	KeyID                          string
	ReplicaRegion                  string
	Policy                         string
	BypassPolicyLockoutSafetyCheck bool
	Description                    string
	Tags                           []keystore.Tag
}

// transitionPrefix begins the names of settings that say which multi-Region keys are on their way: what becomes of them, the
// Region and the id. They are written and removed in the transactions that begin and end the way, so that a start goes on
// where the last run stopped.
const (
	transitionPrefix  = "lifecycle.transition/"
	transitionReplica = "replica" // the key is Creating and gets its material
	transitionPrimary = "primary" // the key becomes the primary of its family
)

func transitionSetting(what, region string, id keystore.KeyID) string {
	return transitionPrefix + what + "/" + region + "/" + string(id)
}

// elsewhere is the same caller in another Region.
func elsewhere(c *keystore.Caller, region string) *keystore.Caller {
	there := *c
	there.Region = region
	return &there
}

// served refuses Regions that the appliance does not have.
func (s *Service) served(region string) error {
	if slices.Contains(s.cfg.Regions, region) {
		return nil
	}
	return keystore.Faultf(keystore.KindUnsupportedOperation, "Region %s is not served by this appliance.", region)
}

// ReplicateKey makes a replica of a primary in another Region. It answers as soon as the replica is there: Creating, until its
// material has come from the primary's token.
func (s *Service) ReplicateKey(ctx context.Context, c *keystore.Caller, in *ReplicateInput) (*KeyView, error) {
	const a = keystore.ActionReplicateKey
	tags, err := s.checkTags(in.Tags)
	if err != nil {
		return nil, err
	}
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, in.KeyID, keystore.RefKeyOnly)
	if err != nil {
		return nil, err
	}
	err = s.admit(ctx, &access.Request{Caller: c, Action: a, Key: k, Conditions: map[string][]string{
		"kms:ReplicaRegion": {in.ReplicaRegion}}})
	if err != nil {
		return nil, err
	}
	if err := s.served(in.ReplicaRegion); err != nil {
		return nil, err
	}
	there := elsewhere(c, in.ReplicaRegion)
	if err := s.mayReplicate(ctx, there, k, in, tags); err != nil {
		return nil, err
	}
	if err := s.canCarry(k, in.ReplicaRegion); err != nil {
		return nil, err
	}
	r := &keystore.Key{
		ID: k.ID, Account: k.Account, Region: in.ReplicaRegion, Origin: k.Origin, Spec: k.Spec, Usage: k.Usage,
		Description: in.Description, Created: s.now(), State: keystore.Creating, Tags: tags,
		MultiRegion: &keystore.MultiRegion{PrimaryRegion: k.Region},
	}
	if r.Policy, err = s.checkPolicy(ctx, there, r, in.Policy, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	if err := s.insertReplica(ctx, c, k, r); err != nil {
		return nil, err
	}
	s.step(StepReplicaPlanned)
	s.tellReplica(ctx, there, r)
	s.moving.tell()
	return s.view(r), nil
}

// mayReplicate authorises what happens in the replica's Region: a key is created there, perhaps with tags.
func (s *Service) mayReplicate(ctx context.Context, there *keystore.Caller, k *keystore.Key, in *ReplicateInput, tags []keystore.Tag) error {
	conditions := map[string][]string{
		"kms:KeySpec": {string(k.Spec)}, "kms:KeyUsage": {string(k.Usage)}, "kms:KeyOrigin": {string(k.Origin)},
		"kms:MultiRegion": {"true"}, "kms:MultiRegionKeyType": {"REPLICA"}, "kms:PrimaryRegion": {k.Region},
		"kms:BypassPolicyLockoutSafetyCheck": {strconv.FormatBool(in.BypassPolicyLockoutSafetyCheck)},
	}
	tagConditions(conditions, tags)
	r := access.Request{Caller: there, Action: keystore.ActionCreateKey, Resource: "*", Conditions: conditions}
	if err := s.admit(ctx, &r); err != nil || len(tags) == 0 {
		return err
	}
	r.Permission, r.Resource = "kms:TagResource", keystore.KeyARN(there.Region, k.Account, k.ID)
	return s.admit(ctx, &r)
}

// canCarry makes sure that the key's material can get to another Region's token.
func (s *Service) canCarry(k *keystore.Key, region string) error {
	from, _ := s.cfg.Resolver.Resolve(k.Region, "")
	to, _ := s.cfg.Resolver.Resolve(region, "")
	if from == nil || to == nil {
		return backend.Unreachable("", backend.CallCreate)
	}
	if k.Origin == keystore.OriginExternal {
		_, ok := to.(backend.Unwrapper) // its owner brings the material there too
		if ok {
			return nil
		}
	} else if format := carries(from, k.Spec); format != "" && format == carries(to, k.Spec) {
		return nil
	}
	return keystore.Faultf(keystore.KindUnsupportedOperation, "Keys of spec %s can't be replicated from the token of Region %s to that of Region %s.",
		k.Spec, k.Region, region)
}

// carries gives the form in which a backend exchanges keys of a spec, "" where it can't.
func carries(b backend.Backend, spec keystore.Spec) string {
	c, ok := b.(backend.Carrier)
	_, unwraps := b.(backend.Unwrapper)
	_, shows := b.(backend.PublicKeyer)
	if !ok || !unwraps || !shows {
		return ""
	}
	return c.CarryFormat(spec)
}

// insertReplica is the transaction that makes a replica without material, and a member of its family.
func (s *Service) insertReplica(ctx context.Context, c *keystore.Caller, k, r *keystore.Key) error {
	return s.update(ctx, func(tx keystore.Tx) error {
		primary, err := tx.Key(k.Region, k.ID)
		if errors.Is(err, keystore.ErrNoRow) {
			return keystore.NoSuchKey(k.Region, k.Account, k.ID)
		}
		if err != nil {
			return err
		}
		if err := keystore.Admit(keystore.ActionReplicateKey, primary, keystore.Connected); err != nil {
			return err
		}
		if _, err := tx.Key(r.Region, r.ID); err == nil {
			return keystore.Faultf(keystore.KindAlreadyExists, "A related multi-Region key exists in Region %s already: %s", r.Region, r.ARN())
		} else if !errors.Is(err, keystore.ErrNoRow) {
			return err
		}
		if err := s.underQuota(tx, r.Region); err != nil {
			return err
		}
		if err := namesStand(tx, c, r.Policy); err != nil {
			return err
		}
		regions := slices.Sorted(slices.Values(append(slices.Clone(primary.MultiRegion.ReplicaRegions), r.Region)))
		if err := setRelated(tx, primary, regions); err != nil {
			return err
		}
		r.MultiRegion.ReplicaRegions = regions
		if err := tx.InsertKey(r); err != nil {
			return err
		}
		return tx.PutSetting(transitionSetting(transitionReplica, r.Region, r.ID), []byte(r.ARN()))
	})
}

// setRelated writes the list of replicas into every key of a family.
func setRelated(tx keystore.Tx, primary *keystore.Key, regions []string) error {
	others, err := family(tx, primary)
	if err != nil {
		return err
	}
	for _, other := range others {
		other.MultiRegion.ReplicaRegions = regions
		if err := tx.UpdateKey(other); err != nil {
			return err
		}
	}
	primary.MultiRegion.ReplicaRegions = regions
	return tx.UpdateKey(primary)
}

// tellReplica records CreateKey in the replica's Region, as CloudTrail does beside ReplicateKey in the primary's.
func (s *Service) tellReplica(ctx context.Context, there *keystore.Caller, r *keystore.Key) {
	e := &audit.Event{
		Type: audit.APICall, Time: s.now(), Name: string(keystore.ActionCreateKey), Region: r.Region, Account: r.Account, Caller: there,
		RequestParameters: audit.Object{}.String("origin", string(r.Origin)).String("keySpec", string(r.Spec)).
			String("keyUsage", string(r.Usage)).Bool("multiRegion", true).String("multiRegionKeyType", "REPLICA").
			String("primaryRegion", r.MultiRegion.PrimaryRegion),
		ResponseElements: audit.Object{}.String("keyId", r.ARN()),
		Resources:        []audit.Resource{audit.KeyResource(r)},
	}
	if err := s.cfg.Audit.Append(ctx, e, true); err != nil {
		s.cfg.Logger.ErrorContext(ctx, "a replica is not in the audit log", "key", r.ARN(), "error", err)
	}
}
