package lifecycle

import (
	"errors"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

// family gives the other keys of a multi-Region key's family, nil for a single-Region key.
func family(tx keystore.Tx, k *keystore.Key) ([]*keystore.Key, error) {
	if k.MultiRegion == nil {
		return nil, nil
	}
	primary := k
	if !k.MultiRegion.Primary {
		var err error
		primary, err = tx.Key(k.MultiRegion.PrimaryRegion, k.ID)
		if err != nil {
			return nil, fmt.Errorf("primary of %s: %w", k.ARN(), err)
		}
	}
	var others []*keystore.Key
	if primary != k {
		others = append(others, primary)
	}
	for _, region := range primary.MultiRegion.ReplicaRegions {
		if region == k.Region {
			continue
		}
		other, err := tx.Key(region, k.ID)
		if errors.Is(err, keystore.ErrNoRow) {
			continue
		}
		if err != nil {
			return nil, err
		}
		others = append(others, other)
	}
	return others, nil
}

// shareImport tells the family of a key of new material that waits for its rotation, and works out how far it is: it can be
// rotated to when every related key has it (key-lifecycle.md section 6, "On demand"). The caller stores k, m is one of its
// materials.
func (s *Service) shareImport(tx keystore.Tx, k *keystore.Key, m *keystore.KeyMaterial) error {
	if !waiting(m) {
		return nil
	}
	others, err := family(tx, k)
	if err != nil {
		return err
	}
	role := keystore.MaterialPendingRotation
	if !m.Imported {
		role = keystore.MaterialPendingReplicas
	}
	for _, other := range others {
		theirs := sameMaterial(other, m)
		if theirs == nil {
			id, err := keystore.NewMaterialID(s.cfg.Random)
			if err != nil {
				return err
			}
			other.Materials = append(other.Materials, keystore.KeyMaterial{ID: id, KMSID: m.KMSID, State: m.State,
				Created: m.Created, Description: m.Description, Mark: m.Mark})
			theirs = &other.Materials[len(other.Materials)-1]
		}
		if !theirs.Imported {
			role = keystore.MaterialPendingReplicas
		}
	}
	m.State = role
	for _, other := range others {
		sameMaterial(other, m).State = role
		if err := tx.UpdateKey(other); err != nil {
			return err
		}
	}
	return nil
}

// unshareImport follows the loss of material that waits for its rotation. The primary's loss is that of every related key; a
// replica's is its own, but nobody can rotate to the material before it is there again. The caller stores k.
func (s *Service) unshareImport(tx keystore.Tx, k *keystore.Key, m *keystore.KeyMaterial) ([]*keystore.Material, error) {
	others, err := family(tx, k)
	if err != nil {
		return nil, err
	}
	if own := sameMaterial(k, m); own != nil {
		own.State = keystore.MaterialPendingReplicas
	}
	var rows []*keystore.Material
	for _, other := range others {
		theirs := sameMaterial(other, m)
		if theirs == nil {
			continue
		}
		theirs.State = keystore.MaterialPendingReplicas
		if !replicaOf(k) {
			gone := *theirs
			if gone.Imported {
				row, err := s.condemnLive(tx, other, gone.ID)
				if err != nil {
					return nil, err
				}
				rows = append(rows, row)
			}
			forget(other, &gone)
		}
		if err := tx.UpdateKey(other); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// forget removes a material from a key.
func forget(k *keystore.Key, m *keystore.KeyMaterial) {
	kept := k.Materials[:0]
	for _, old := range k.Materials {
		if old.KeyMaterialID() != m.KeyMaterialID() {
			kept = append(kept, old)
		}
	}
	k.Materials = kept
}
