package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
)

// relatives is a key of a family with its primary, as they are now.
type relatives struct{ primary, replica *keystore.Key }

// relativesOf reads a replica and its primary; nil where the replica is gone.
func (s *Service) relativesOf(ctx context.Context, region string, id keystore.KeyID) (*relatives, error) {
	var r relatives
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		if r.replica, err = tx.Key(region, id); err != nil || r.replica.MultiRegion == nil {
			return err
		}
		r.primary, err = tx.Key(r.replica.MultiRegion.PrimaryRegion, id)
		return err
	})
	if errors.Is(err, keystore.ErrNoRow) && r.replica == nil {
		return nil, nil
	}
	return &r, err
}

// raise gives a new replica its material: that of the primary, or of an imported key only the knowledge of it, since the
// owner brings it to every Region.
func (s *Service) raise(ctx context.Context, region string, id keystore.KeyID) error {
	r, err := s.relativesOf(ctx, region, id)
	if err != nil {
		return err
	}
	if r == nil { // deleted meanwhile
		return s.update(ctx, func(tx keystore.Tx) error { return arrived(tx, transitionReplica, region, id) })
	}
	leave, entered := s.busy.tryEnter(r.replica.ARN())
	if !entered {
		return errors.New("the key is being worked on")
	}
	defer leave()
	if info, ok := keystore.LookupSpec(r.primary.Spec); ok && info.Asymmetric() {
		defer s.busy.enter(r.primary.ARN())() // its token gets a transport key
	}
	var c *carriage
	if r.primary.Origin != keystore.OriginExternal {
		if c, err = s.carry(ctx, r.primary, r.replica); err != nil {
			return err
		}
	}
	raised, err := s.raiseWith(ctx, r, c)
	if c != nil {
		if err != nil || raised == nil {
			c.abandon(ctx)
		} else {
			c.end(ctx)
		}
	}
	if err == nil && raised != nil {
		s.tellSynchronized(ctx, raised)
	}
	return err
}

// errMore: the primary has material that the replica has not been given.
var errMore = errors.New("the primary key was rotated meanwhile")

// raiseWith moves what the primary has, again where it gets more meanwhile, and commits. It gives nil where the replica is
// gone.
func (s *Service) raiseWith(ctx context.Context, r *relatives, c *carriage) (*keystore.Key, error) {
	for {
		for i := range r.primary.Materials {
			if m := &r.primary.Materials[i]; c != nil && c.has(m) == nil {
				if err := c.move(ctx, m); err != nil {
					return nil, err
				}
			}
		}
		raised, err := s.commitReplica(ctx, r, c)
		if err == nil {
			s.step(StepReplicaCommitted)
		}
		if !errors.Is(err, errMore) {
			return raised, err
		}
		if r, err = s.relativesOf(ctx, r.replica.Region, r.replica.ID); err != nil || r == nil {
			return nil, err
		}
	}
}

// commitReplica is the transaction that gives a replica its material and lets it out of Creating.
func (s *Service) commitReplica(ctx context.Context, seen *relatives, c *carriage) (*keystore.Key, error) {
	var raised *keystore.Key
	err := s.update(ctx, func(tx keystore.Tx) error {
		raised = nil
		r, err := tx.Key(seen.replica.Region, seen.replica.ID)
		if errors.Is(err, keystore.ErrNoRow) {
			return arrived(tx, transitionReplica, seen.replica.Region, seen.replica.ID)
		}
		if err != nil {
			return err
		}
		p, err := tx.Key(r.MultiRegion.PrimaryRegion, r.ID)
		if err != nil {
			return fmt.Errorf("primary of %s: %w", r.ARN(), err)
		}
		if r.Materials, err = s.inherit(tx, p, r, c); err != nil {
			return err
		}
		r.Rotation = p.Rotation
		r.Rotation.Next = time.Time{}
		if next, ok := keystore.After(keystore.EventReplicaMade, r); ok {
			r.State = next
		}
		if err := tx.UpdateKey(r); err != nil {
			return err
		}
		if err := s.inheritWaiting(tx, p); err != nil {
			return err
		}
		raised = r
		return arrived(tx, transitionReplica, r.Region, r.ID)
	})
	return raised, err
}

// inherit makes a replica's list of materials of its primary's, and the rows of what has come live.
func (s *Service) inherit(tx keystore.Tx, p, r *keystore.Key, c *carriage) ([]keystore.KeyMaterial, error) {
	out := make([]keystore.KeyMaterial, len(p.Materials))
	for i := range p.Materials {
		m := p.Materials[i]
		m.KMSID = p.Materials[i].KeyMaterialID()
		if c == nil {
			id, err := keystore.NewMaterialID(s.cfg.Random)
			if err != nil {
				return nil, err
			}
			m.ID, m.Imported, m.ValidTo = id, false, time.Time{}
			out[i] = m
			continue
		}
		come := c.has(&p.Materials[i])
		if come == nil {
			return nil, errMore
		}
		if err := s.makeLive(tx, r, come.row.ID, come.made); err != nil {
			return nil, err
		}
		come.kept = true
		m.ID = come.row.ID
		out[i] = m
	}
	return out, nil
}

// inheritWaiting: imported material that waits for its rotation waits for the new replica too.
func (s *Service) inheritWaiting(tx keystore.Tx, p *keystore.Key) error {
	for i := range p.Materials {
		if m := &p.Materials[i]; waiting(m) {
			if err := s.shareImport(tx, p, m); err != nil {
				return err
			}
			return tx.UpdateKey(p)
		}
	}
	return nil
}

// tellSynchronized records that a key has taken over its primary's shared properties.
func (s *Service) tellSynchronized(ctx context.Context, k *keystore.Key) {
	s.tellKey(ctx, audit.KeyServiceEvent(audit.EventSynchronize, k, s.now()))
}
