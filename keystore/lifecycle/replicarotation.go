package lifecycle

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// spreading is new material of a primary on its way to the replicas. It becomes current on all of them in the transaction
// that makes it current on the primary, so that no related key ever seals what another one can't open (developer guide,
// "Rotating multi-Region keys").
type spreading struct {
	ways   []*carriage
	leaves []func()
}

// spread carries new material, which is on the primary's token and not its key's yet, to every replica that has material. A
// replica that is still Creating gets it with the rest.
func (s *Service) spread(ctx context.Context, k *keystore.Key, row *keystore.Material) (*spreading, error) {
	sp := &spreading{}
	if k.MultiRegion == nil || !k.MultiRegion.Primary {
		return sp, nil
	}
	var others []*keystore.Key
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		others, err = family(tx, k)
		return err
	})
	for _, other := range others {
		if err != nil {
			break
		}
		if len(other.Materials) == 0 {
			continue
		}
		sp.leaves = append(sp.leaves, s.busy.enter(other.ARN()))
		var c *carriage
		if c, err = s.carry(ctx, k, other); err == nil {
			sp.ways = append(sp.ways, c)
			err = c.move(ctx, &keystore.KeyMaterial{ID: row.ID})
		}
	}
	if err != nil {
		sp.abandon(ctx)
		return nil, err
	}
	return sp, nil
}

// end ends the transfers; what has come stays.
func (sp *spreading) end(ctx context.Context) { sp.close(func(c *carriage) { c.end(ctx) }) }

// abandon destroys what has come.
func (sp *spreading) abandon(ctx context.Context) { sp.close(func(c *carriage) { c.abandon(ctx) }) }

func (sp *spreading) close(fn func(*carriage)) {
	for _, c := range sp.ways {
		fn(c)
	}
	for _, leave := range sp.leaves {
		leave()
	}
}

// shareRotation makes on every replica current what has become current on the primary k. The caller stores k.
func (s *Service) shareRotation(tx keystore.Tx, k *keystore.Key, sp *spreading, kind string) error {
	others, err := family(tx, k)
	if err != nil {
		return err
	}
	current := k.Current()
	for _, c := range sp.ways {
		for _, r := range c.received {
			r.kept = false // said by an earlier try
		}
	}
	for _, other := range others {
		if len(other.Materials) == 0 {
			continue
		}
		var come *received
		for _, c := range sp.ways {
			if c.to.Region == other.Region {
				come = c.has(current)
			}
		}
		if come == nil {
			return keystore.Faultf(keystore.KindConflict, "A replica of key %s was made meanwhile. Try again.", k.ARN())
		}
		if err := s.makeLive(tx, other, come.row.ID, come.made); err != nil {
			return err
		}
		come.kept = true
		other.Materials = append(other.Materials, keystore.KeyMaterial{ID: come.row.ID, KMSID: current.KeyMaterialID(), Created: current.Created})
		if err := s.follow(tx, other, k, len(other.Materials)-1, kind); err != nil {
			return err
		}
	}
	return nil
}

// shareAdoption makes imported material current on every replica that has become current on the primary k. The caller stores k.
func (s *Service) shareAdoption(tx keystore.Tx, k *keystore.Key, kind string) error {
	others, err := family(tx, k)
	if err != nil {
		return err
	}
	for _, other := range others {
		for i := range other.Materials {
			if other.Materials[i].KeyMaterialID() != k.Current().KeyMaterialID() {
				continue
			}
			if err := s.follow(tx, other, k, i, kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// follow turns a replica over as its primary was, and stores it.
func (s *Service) follow(tx keystore.Tx, replica, primary *keystore.Key, i int, kind string) error {
	s.turnOver(replica, i, kind)
	replica.Rotation = primary.Rotation
	replica.Rotation.Next = time.Time{}
	return tx.UpdateKey(replica)
}
