package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
)

// finish destroys the condemned rows of one key, records the outcome in the audit log and then in the ledger. t is the
// key's tombstone, nil where the key was never made. A crash anywhere in it repeats harmless work. It gives the rows as they
// are now, also with an error of the audit log; errNotYet where a store is about to be connected, and nothing was recorded.
func (s *Service) finish(ctx context.Context, t *keystore.Tombstone, rows []*keystore.Material) ([]*keystore.Material, error) {
	fates := make([]fate, len(rows))
	for i, m := range rows {
		fates[i] = s.destroy(ctx, m)
	}
	s.step(StepDestroyed)
	if err := interrupted(ctx, fates); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(fates, fate.early) {
		return nil, fmt.Errorf("destruction of key material waits: %w", errNotYet)
	}
	after := make([]*keystore.Material, len(rows))
	for i, m := range rows {
		after[i] = m.Clone()
		if err := fates[i].apply(after[i], s.now()); err != nil {
			return nil, err
		}
	}
	// What happened is recorded even while the log can't be written: then the log gets it later.
	auditErr := s.tell(ctx, t, after)
	s.step(StepDestroyAudited)
	err := s.record(context.WithoutCancel(ctx), rows, fates, owedIf(auditErr, audit.EventDeleteKey))
	s.step(StepDestroySettled)
	if err != nil {
		return nil, errors.Join(err, auditErr)
	}
	for _, m := range after {
		s.observe(m)
	}
	return after, auditErr
}

// interrupted tells whether a token's refusal is only that somebody stops the appliance: then the rows stay condemned, and
// the next start goes on.
func interrupted(ctx context.Context, fates []fate) error {
	if ctx.Err() == nil || !slices.ContainsFunc(fates, func(f fate) bool { return f.state == keystore.MaterialOrphaned }) {
		return nil
	}
	return fmt.Errorf("destruction of key material is interrupted: %w", context.Cause(ctx))
}

func (s *Service) observe(m *keystore.Material) {
	if m.State == keystore.MaterialOrphaned {
		s.cfg.Logger.Warn("key material is orphaned", "key", m.KeyARN, "store", m.StoreID, "token", m.Token.Label,
			"cka_id", m.ID.String(), "reason", m.Reason)
	}
	if s.cfg.Observer != nil {
		s.cfg.Observer.MaterialSettled(m)
	}
}

// record writes fates into the ledger, in one transaction. Rows that went another way meanwhile are left alone. owed is the
// event that the audit log has yet to be told of, "" for none.
func (s *Service) record(ctx context.Context, rows []*keystore.Material, fates []fate, owed string) error {
	return s.update(ctx, func(tx keystore.Tx) error {
		for i, m := range rows {
			row, err := tx.Material(m.ID)
			if err != nil {
				return err
			}
			if row.State != m.State {
				continue
			}
			if err := fates[i].apply(row, s.now()); err != nil {
				return err
			}
			if err := tx.UpdateMaterial(row); err != nil {
				return err
			}
		}
		switch owed {
		case "":
			return nil
		case audit.EventDeleteKey:
			return tx.PutSetting(owedPrefix+owed+"/"+rows[0].KeyARN, []byte(rows[0].KeyARN))
		default:
			return tx.PutSetting(owedPrefix+owed+"/"+rows[0].ID.String(), []byte(rows[0].ID.String()))
		}
	})
}

// tell writes the audit events of rows that were just settled: one for each orphan and, where a key was deleted, its own.
func (s *Service) tell(ctx context.Context, t *keystore.Tombstone, rows []*keystore.Material) error {
	for _, m := range rows {
		if m.State != keystore.MaterialOrphaned {
			continue
		}
		e := audit.MaterialEvent(audit.EventOrphaned, m, s.cfg.Account, s.now())
		if err := s.cfg.Audit.Append(ctx, e, t == nil); err != nil {
			return fmt.Errorf("record an orphan: %w", err)
		}
	}
	if t == nil {
		return nil
	}
	if err := s.cfg.Audit.Append(ctx, audit.DeleteKey(t, s.cfg.Account, rows, s.now()), true); err != nil {
		return fmt.Errorf("record the deletion of %s: %w", t.KeyARN, err)
	}
	return nil
}
