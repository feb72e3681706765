package lifecycle

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// DeleteImportedKeyMaterial destroys imported material at once; materialID "" is the current one. The key, its metadata and
// its tie to the material stay. Material that waits for its rotation is not tied to the key, and is forgotten. Where there is
// nothing on the token the call does nothing.
func (s *Service) DeleteImportedKeyMaterial(ctx context.Context, c *keystore.Caller, keyID, materialID string) (*ImportOutput, error) {
	const a = keystore.ActionDeleteImportedKeyMaterial
	k, err := s.find(ctx, c, keyID, keystore.RefKeyOnly, a)
	if err != nil {
		return nil, err
	}
	unlock, err := s.imports.lock(ctx, k.ARN())
	if err != nil {
		return nil, err
	}
	defer unlock()
	defer s.enterFamily(k)()
	out := &ImportOutput{}
	var rows []*keystore.Material
	out.Key, err = s.change(ctx, k, a, func(tx keystore.Tx, k *keystore.Key) error {
		m, err := chosenMaterial(k, materialID)
		if err != nil {
			return err
		}
		if m == nil {
			return errUnchanged
		}
		out.KeyMaterialID = m.KeyMaterialID()
		if rows, err = s.dropMaterial(tx, k, *m); err != nil {
			return err
		}
		settleImport(k)
		if next, ok := keystore.Next(a, k); ok {
			k.State = next
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		s.step(StepMaterialCondemned)
	}
	s.endByKey(ctx, rows)
	return out, nil
}

// enterFamily registers a key, and with a primary its replicas, whose material may go with its own.
func (s *Service) enterFamily(k *keystore.Key) (leave func()) {
	leaves := []func(){s.busy.enter(k.ARN())}
	if k.MultiRegion != nil && k.MultiRegion.Primary {
		for _, region := range k.MultiRegion.ReplicaRegions {
			leaves = append(leaves, s.busy.enter(keystore.KeyARN(region, k.Account, k.ID)))
		}
	}
	return func() {
		for _, leave := range leaves {
			leave()
		}
	}
}

// chosenMaterial finds the material that a request means, nil where it names none and the key has none.
func chosenMaterial(k *keystore.Key, materialID string) (*keystore.KeyMaterial, error) {
	if materialID == "" {
		return k.Current(), nil
	}
	for i := range k.Materials {
		if k.Materials[i].KeyMaterialID() == materialID {
			return &k.Materials[i], nil
		}
	}
	return nil, keystore.Faultf(keystore.KindNotFound, "Key material '%s' is not associated with KMS key %s", materialID, k.ARN())
}

// dropMaterial takes imported material from a key in a transaction, and gives the condemned rows. The caller stores the key.
func (s *Service) dropMaterial(tx keystore.Tx, k *keystore.Key, m keystore.KeyMaterial) ([]*keystore.Material, error) {
	rows, err := s.unload(tx, k, m)
	if err != nil || !waiting(&m) {
		return rows, err
	}
	more, err := s.unshareImport(tx, k, &m)
	return append(rows, more...), err
}

// unload takes the object of a material from a key; material that waits for its rotation is forgotten with it, unless the key
// is a replica, which follows its primary.
func (s *Service) unload(tx keystore.Tx, k *keystore.Key, m keystore.KeyMaterial) ([]*keystore.Material, error) {
	var rows []*keystore.Material
	if m.Imported {
		row, err := s.condemnLive(tx, k, m.ID)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	kept := k.Materials[:0]
	for _, old := range k.Materials {
		if old.KeyMaterialID() == m.KeyMaterialID() {
			if waiting(&old) && !replicaOf(k) {
				continue
			}
			old.Imported, old.ValidTo = false, time.Time{}
		}
		kept = append(kept, old)
	}
	k.Materials = kept
	return rows, nil
}

// endByKey destroys condemned rows of several keys.
func (s *Service) endByKey(ctx context.Context, rows []*keystore.Material) {
	byKey := map[string][]*keystore.Material{}
	for _, m := range rows {
		byKey[m.KeyARN] = append(byKey[m.KeyARN], m)
	}
	for _, group := range byKey {
		s.endRows(ctx, group...)
	}
}
