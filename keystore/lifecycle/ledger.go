package lifecycle

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend"
)

// registry names the keys whose material is being made or destroyed now, so that the Reconciler leaves their rows alone.
type registry struct {
	mu   sync.Mutex
	arns map[string]int // how many work on it
}

// enter registers a key until the function that it gives is called.
func (r *registry) enter(arn string) (leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.arns == nil {
		r.arns = map[string]int{}
	}
	r.arns[arn]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.arns[arn]--; r.arns[arn] == 0 {
			delete(r.arns, arn)
		}
	}
}

// tryEnter registers a key unless somebody works on it.
func (r *registry) tryEnter(arn string) (leave func(), entered bool) {
	r.mu.Lock()
	taken := r.arns[arn] > 0
	r.mu.Unlock()
	if taken {
		return nil, false
	}
	return r.enter(arn), true
}

// cleanUp bounds what is done about a failed create after its caller may have gone.
const cleanUp = 30 * time.Second

// handleOf names a row's objects for its backend. k is nil where the key is gone: then only finding and destroying matter.
func handleOf(m *keystore.Material, k *keystore.Key) backend.Handle {
	h := backend.Handle{ID: m.ID, Label: m.Label, External: m.ExternalID, CheckValue: m.CheckValue}
	if k != nil {
		h.Spec, h.Usage, h.Extractable = k.Spec, k.Usage, k.MultiRegion != nil
	}
	return h
}

// abandon ends a create that failed because of cause: what may lie on the token is looked for and destroyed. It answers
// cause. Where the token can't be looked at the row stays planned, and the Reconciler looks when it can: nothing that the
// token said in its trouble proves that there is no object.
func (s *Service) abandon(ctx context.Context, m *keystore.Material, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	if _, err := s.settlePlanned(ctx, m); err != nil {
		s.cfg.Logger.ErrorContext(ctx, "material of a key that could not be made is not settled yet",
			"key", m.KeyARN, "cka_id", m.ID.String(), "error", err, "cause", cause)
	}
	return cause
}

// settlePlanned looks on the token for what a planned row names, condemns it and destroys it. pending is true where the
// token can't be looked at now.
func (s *Service) settlePlanned(ctx context.Context, m *keystore.Material) (pending bool, err error) {
	if m.Kind == keystore.MaterialOnToken {
		b, conn := s.cfg.Resolver.Resolve(m.Region, m.StoreID)
		if b == nil {
			return true, fmt.Errorf("look for the object: %s", absent(m.StoreID, conn))
		}
		if _, err := look(ctx, b, m); err != nil {
			return true, fmt.Errorf("look for the object: %w", err)
		}
	}
	row, err := s.condemn(ctx, m.ID)
	if err != nil || row == nil {
		return false, err
	}
	s.step(StepAbandonCondemned)
	return false, s.finish(ctx, nil, []*keystore.Material{row})
}

// condemn moves a planned row on; nil where the row went another way meanwhile.
func (s *Service) condemn(ctx context.Context, id keystore.MaterialID) (*keystore.Material, error) {
	var condemned *keystore.Material
	err := s.update(ctx, func(tx keystore.Tx) error {
		condemned = nil
		row, err := tx.Material(id)
		if err != nil || row.State != keystore.MaterialPlanned {
			return err
		}
		if err := row.Advance(keystore.MaterialCondemned); err != nil {
			return err
		}
		row.DeletedAt = s.now()
		if err := tx.UpdateMaterial(row); err != nil {
			return err
		}
		condemned = row
		return nil
	})
	return condemned, err
}

// fate is what became of a condemned or orphaned row's objects.
type fate struct {
	state     keystore.MaterialState
	reason    string
	note      string
	attempted bool
}

// destroy tries, once, to destroy what a row names. It changes no row.
func (s *Service) destroy(ctx context.Context, m *keystore.Material) fate {
	if m.Kind == keystore.MaterialNotOurs {
		return fate{state: keystore.MaterialResolved, note: "external keys are never destroyed"}
	}
	b, conn := s.cfg.Resolver.Resolve(m.Region, m.StoreID)
	if b == nil {
		return fate{state: keystore.MaterialOrphaned, reason: absent(m.StoreID, conn), attempted: true}
	}
	there, err := look(ctx, b, m)
	if err != nil {
		return fate{state: keystore.MaterialOrphaned, reason: reasonOf(err), attempted: true}
	}
	if !there {
		return fate{state: keystore.MaterialDestroyed, attempted: true}
	}
	if _, err := b.DestroyKey(ctx, handleOf(m, nil)); err != nil {
		return fate{state: keystore.MaterialOrphaned, reason: reasonOf(err), attempted: true}
	}
	return fate{state: keystore.MaterialDestroyed, attempted: true}
}

// look tells whether the object of a row is on the token behind b. An error means that it can't be told, or that there is
// something else in the object's place.
func look(ctx context.Context, b backend.Backend, m *keystore.Material) (there bool, err error) {
	f, ok := b.(backend.Finder)
	if !ok {
		return false, errors.New("the key store can't be searched")
	}
	objects, err := f.Find(ctx, handleOf(m, nil))
	if err != nil {
		return false, err
	}
	if len(objects) == 0 {
		if now := b.Identity(); m.Token.Serial != "" && now.Serial != m.Token.Serial {
			return false, fmt.Errorf("the object was made on the token with serial %s; the key store is on the token with serial %s now, which has no such object",
				m.Token.Serial, now.Serial)
		}
		return false, nil
	}
	for _, o := range objects {
		if why := differs(&o, m); why != "" {
			return false, fmt.Errorf("there is another object with this CKA_ID: %s", why)
		}
	}
	return true, nil
}

// differs says what tells an object apart from the one that a row names; "" where nothing does.
func differs(o *backend.Object, m *keystore.Material) string {
	switch {
	case hex.EncodeToString(o.ID) != m.ID.String():
		return fmt.Sprintf("its CKA_ID is %x", o.ID)
	case o.Label != m.Label:
		return fmt.Sprintf("its label is %q", o.Label)
	case m.KeyType != "" && o.KeyType != "" && o.KeyType != m.KeyType:
		return fmt.Sprintf("its type is %s", o.KeyType)
	case m.CheckValue != "" && o.CheckValue != "" && o.CheckValue != m.CheckValue:
		return fmt.Sprintf("its key check value is %s", o.CheckValue)
	}
	return ""
}

// absent is the reason of an orphan whose store has no connection.
func absent(id keystore.StoreID, conn keystore.ConnState) string {
	if id == "" {
		return "the token of the default key store can't be reached"
	}
	return fmt.Sprintf("custom key store %s is %s", id, conn)
}

// reasonOf gives what the token said, for people; it keeps the CKR name.
func reasonOf(err error) string {
	var f *keystore.Fault
	if errors.As(err, &f) && f.Cause != nil {
		return f.Cause.Error()
	}
	return err.Error()
}

// finish destroys the condemned rows of one key, records the outcome in the audit log and then in the ledger. t is the
// key's tombstone, nil where the key was never made. A crash anywhere in it repeats harmless work.
func (s *Service) finish(ctx context.Context, t *keystore.Tombstone, rows []*keystore.Material) error {
	fates := make([]fate, len(rows))
	for i, m := range rows {
		fates[i] = s.destroy(ctx, m)
	}
	s.step(StepDestroyed)
	after := make([]*keystore.Material, len(rows))
	for i, m := range rows {
		after[i] = m.Clone()
		if err := fates[i].apply(after[i], s.now()); err != nil {
			return err
		}
	}
	// What happened is recorded even while the log can't be written: then the log gets it later.
	auditErr := s.tell(ctx, t, after)
	s.step(StepDestroyAudited)
	err := s.record(ctx, rows, fates, t, auditErr != nil)
	s.step(StepDestroySettled)
	if err == nil {
		for _, m := range after {
			s.observe(m)
		}
	}
	return errors.Join(err, auditErr)
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

// apply writes a fate into a row.
func (f *fate) apply(m *keystore.Material, now time.Time) error {
	if f.state != m.State {
		if err := m.Advance(f.state); err != nil {
			return err
		}
	}
	m.Reason, m.Note = f.reason, f.note
	if f.attempted {
		m.Attempts++
	}
	if f.state == keystore.MaterialDestroyed || f.state == keystore.MaterialResolved {
		m.EndedAt = now
	}
	return nil
}

// record writes fates into the ledger, in one transaction. Rows that went another way meanwhile are left alone. owed says
// that the audit log has yet to be told of the key's deletion.
func (s *Service) record(ctx context.Context, rows []*keystore.Material, fates []fate, t *keystore.Tombstone, owed bool) error {
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
		if owed && t != nil {
			return tx.PutSetting(owedPrefix+t.KeyARN, []byte(t.KeyARN))
		}
		return nil
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

// owedPrefix begins the names of settings that remember deletions which the audit log was not told of.
const owedPrefix = "lifecycle.audit-owed/"

// payDebts tells the audit log of deletions that it could not be told of when they happened.
func (s *Service) payDebts(ctx context.Context) error {
	var names []string
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		names, err = tx.Settings(owedPrefix)
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.payDebt(ctx, name, name[len(owedPrefix):]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) payDebt(ctx context.Context, name, arn string) error {
	var tombs []*keystore.Tombstone
	var rows []*keystore.Material
	err := s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		if tombs, err = tx.Tombstones(arn, 1); err != nil {
			return err
		}
		rows, err = tx.MaterialsOfKey(arn)
		return err
	})
	if err != nil {
		return err
	}
	if len(tombs) > 0 {
		if err := s.tell(ctx, tombs[0], rows); err != nil {
			return err
		}
	}
	return s.update(ctx, func(tx keystore.Tx) error { return tx.DeleteSetting(name) })
}
