package lifecycle

import (
	"context"
	"fmt"
	"strconv"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
)

// importing is one import under way.
type importing struct {
	in    *ImportInput
	token *importToken
	b     backend.Backend
	u     backend.Unwrapper
	row   *keystore.Material // of the new object
	made  backend.Created
	kind  importKind
	found int // the key's material with the same value, -1 for none
	mark  []byte
}

// ImportKeyMaterial puts wrapped material on the token of a key and makes it the key's, by the ledger's flow: planned row,
// object, one transaction. Only on the token it shows whether it is the material that the key has had before; an object that
// may not stay is destroyed. The wrapping key has served and ends with it.
func (s *Service) ImportKeyMaterial(ctx context.Context, c *keystore.Caller, in *ImportInput) (*ImportOutput, error) {
	const a = keystore.ActionImportKeyMaterial
	request := *in
	in = &request
	if err := in.checkImport(s.now()); err != nil {
		return nil, err
	}
	k, err := keystore.ResolveKey(ctx, s.cfg.DB, c, in.KeyID, keystore.RefKeyOnly)
	if err != nil {
		return nil, err
	}
	if err := s.admit(ctx, &access.Request{Caller: c, Action: a, Key: k, Conditions: in.conditions()}); err != nil {
		return nil, err
	}
	if err := in.checkFor(k); err != nil {
		return nil, err
	}
	w := &importing{in: in}
	if w.b, w.u, err = s.unwrapper(k); err != nil {
		return nil, err
	}
	unlock, err := s.imports.lock(ctx, k.ARN())
	if err != nil {
		return nil, err
	}
	defer unlock()
	defer s.busy.enter(k.ARN())()
	if w.token, err = s.openToken(ctx, k, in.ImportToken); err != nil {
		return nil, err
	}
	if k, err = s.unused(ctx, k, w.token); err != nil {
		return nil, err
	}
	return s.runImport(ctx, k, w)
}

func (in *ImportInput) conditions() map[string][]string {
	m := map[string][]string{"kms:ExpirationModel": {in.ExpirationModel}}
	if !in.ValidTo.IsZero() {
		// Unix time, which numeric and date operators read (developer guide, "kms:ValidTo").
		m["kms:ValidTo"] = []string{strconv.FormatFloat(float64(in.ValidTo.UnixMilli())/1000, 'f', -1, 64)}
	}
	return m
}

// unused makes sure that the wrapping key of a token waits for its use, and gives the key as it is now.
func (s *Service) unused(ctx context.Context, k *keystore.Key, t *importToken) (*keystore.Key, error) {
	var now *keystore.Key
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) error {
		row, err := tx.Material(t.Wrapping)
		if err != nil {
			return err
		}
		if row.State != keystore.MaterialLive {
			return keystore.Faultf(keystore.KindInvalidImportToken, textBadToken)
		}
		if now, err = tx.Key(k.Region, k.ID); err != nil {
			return keystore.NoSuchKey(k.Region, k.Account, k.ID)
		}
		return nil
	})
	return now, err
}

// runImport is the part of an import that touches token and ledger.
func (s *Service) runImport(ctx context.Context, k *keystore.Key, w *importing) (*ImportOutput, error) {
	err := awake(ctx, w.b, "")
	if err != nil {
		return nil, err
	}
	if w.row, err = s.plan(ctx, k, w.b, keystore.MaterialOnToken, k.ARN()); err != nil {
		return nil, err
	}
	s.step(StepImportPlanned)
	h := handleOf(w.row, k)
	h.Extractable = false
	wrapping := wrappingHandle(w.token.Wrapping, w.token.Spec)
	if w.made, err = w.u.ImportWrapped(ctx, h, &wrapping, w.token.Algorithm, w.in.EncryptedKeyMaterial); err == nil {
		s.step(StepImportUnwrapped)
		err = s.judge(ctx, k, w, &h)
	}
	if err != nil {
		return nil, s.abandon(ctx, w.row, err)
	}
	used, err := s.commitImport(ctx, k, w)
	if err != nil {
		return nil, s.abandon(ctx, w.row, err)
	}
	s.step(StepImportCommitted)
	if w.kind == importPresent {
		if _, _, err := s.settlePlanned(context.WithoutCancel(ctx), w.row); err != nil {
			s.leftOpen(k.ARN())
			s.cfg.Logger.ErrorContext(ctx, "a second copy of key material is not settled yet", "key", k.ARN(), "error", err)
		}
	}
	s.endRows(ctx, used.rows...)
	return used.out, nil
}

// judge finds out what the new object is to the key, and marks it where it is new.
func (s *Service) judge(ctx context.Context, k *keystore.Key, w *importing, h *backend.Handle) error {
	w.found = -1
	for i := range k.Materials {
		same, err := s.marked(ctx, w.b, k, h, k.Materials[i].Mark)
		if err != nil {
			return fmt.Errorf("compare with material %s: %w", k.Materials[i].ID, err)
		}
		if same {
			w.found = i
			break
		}
	}
	var err error
	if w.kind, err = w.in.decide(k, w.found, w.row.ID); err != nil {
		return err
	}
	if w.found < 0 {
		w.mark, err = s.mark(ctx, w.b, k, h)
	}
	return err
}

// imported is what a committed import answers and leaves to do.
type imported struct {
	out  *ImportOutput
	rows []*keystore.Material // condemned
}

// commitImport is the transaction of an import.
func (s *Service) commitImport(ctx context.Context, k *keystore.Key, w *importing) (*imported, error) {
	done := &imported{}
	changed, err := s.change(ctx, k, keystore.ActionImportKeyMaterial, func(tx keystore.Tx, now *keystore.Key) error {
		done.rows = nil
		m, err := s.take(tx, k, now, w)
		if err != nil {
			return err
		}
		settleImport(now)
		if next, ok := keystore.Next(keystore.ActionImportKeyMaterial, now); ok {
			now.State = next
		}
		done.out = &ImportOutput{KeyMaterialID: m.KeyMaterialID()}
		row, err := s.condemnWrapping(tx, now, w.token.ValidTo, w.token.Wrapping)
		if row != nil {
			done.rows = append(done.rows, row)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	done.out.Key = changed
	return done, nil
}

// take gives a key its imported material. seen is the key that the import was judged on.
func (s *Service) take(tx keystore.Tx, seen, k *keystore.Key, w *importing) (*keystore.KeyMaterial, error) {
	var m *keystore.KeyMaterial
	switch w.kind {
	case importFirst, importPending:
		role := keystore.MaterialCurrent
		if w.kind == importPending {
			role = keystore.MaterialPendingRotation
		}
		if len(k.Materials) != len(seen.Materials) {
			return nil, keystore.Faultf(keystore.KindConflict, "The key material of %s was changed meanwhile.", k.ARN())
		}
		k.Materials = append(k.Materials, keystore.KeyMaterial{KMSID: w.row.ID.KMSID(), State: role, Created: s.now(), Mark: w.mark})
		m = &k.Materials[len(k.Materials)-1]
	default:
		if m = sameMaterial(k, &seen.Materials[w.found]); m == nil {
			return nil, keystore.Faultf(keystore.KindConflict, "The key material of %s was changed meanwhile.", k.ARN())
		}
	}
	if w.kind != importPresent {
		m.ID, m.Imported = w.row.ID, true
		if err := s.makeLive(tx, k, w.row.ID, w.made); err != nil {
			return nil, err
		}
	}
	m.ValidTo = w.in.ValidTo
	if w.in.KeyMaterialDescription != "" {
		m.Description = w.in.KeyMaterialDescription
	}
	return m, s.shareImport(tx, k, m)
}

// sameMaterial gives a key's material with the KeyMaterialId of another, nil where it has none such.
func sameMaterial(k *keystore.Key, other *keystore.KeyMaterial) *keystore.KeyMaterial {
	for i := range k.Materials {
		if k.Materials[i].KeyMaterialID() == other.KeyMaterialID() {
			return &k.Materials[i]
		}
	}
	return nil
}
