package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// registry names the keys whose material is being made or destroyed now, so that the Reconciler leaves their rows alone.
type registry struct {
	mu   sync.Mutex
	arns map[string]int // how many work on it
	// after says what is to be told when nobody works on a key any more.
	after map[string]signal
}

// enter registers a key until the function that it gives is called.
func (r *registry) enter(arn string) (leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.enterLocked(arn)
}

// tryEnter registers a key unless somebody works on it.
func (r *registry) tryEnter(arn string) (leave func(), entered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.arns[arn] > 0 {
		return nil, false
	}
	return r.enterLocked(arn), true
}

// has tells whether somebody works on a key.
func (r *registry) has(arn string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arns[arn] > 0
}

func (r *registry) enterLocked(arn string) (leave func()) {
	if r.arns == nil {
		r.arns = map[string]int{}
	}
	r.arns[arn]++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.arns[arn]--; r.arns[arn] == 0 {
			delete(r.arns, arn)
			if s, ok := r.after[arn]; ok {
				delete(r.after, arn)
				s.tell()
			}
		}
	}
}

// tellAfter tells a signal when nobody works on a key: at once, or when the last one leaves. Whoever is told earlier would find
// the key at work, and pass it over.
func (r *registry) tellAfter(arn string, s signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.arns[arn] == 0 {
		s.tell()
		return
	}
	if r.after == nil {
		r.after = map[string]signal{}
	}
	r.after[arn] = s
}

// doubts remembers creates that a token did not answer.
type doubts struct {
	mu    sync.Mutex
	until map[keystore.MaterialID]time.Time
}

func (d *doubts) add(id keystore.MaterialID, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.until == nil {
		d.until = map[keystore.MaterialID]time.Time{}
	}
	d.until[id] = until
}

// about tells whether the object may appear yet.
func (d *doubts) about(id keystore.MaterialID, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ok := d.until[id]
	if ok && !now.Before(until) {
		delete(d.until, id)
	}
	return ok && now.Before(until)
}

// doubtful is how long a call that was not answered may have its effect yet. A crash ends it: the module goes with the
// process.
const doubtful = 10 * time.Minute

// cleanUp bounds what is done about a failed create after its caller may have gone.
const cleanUp = 30 * time.Second

// awake makes sure that a token can be reached before a row is planned for it: the ledger keeps every row, and callers ask again
// and again while a token is away. Its answer is that of a token that failed to make the key.
func awake(ctx context.Context, b backend.Backend, t keystore.StoreType) error {
	if err := b.Health(ctx); err != nil {
		return backend.Unreachable(t, backend.CallCreate).Because(err)
	}
	return nil
}

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
	if errors.Is(cause, backend.ErrUnanswered) {
		s.doubts.add(m.ID, s.now().Add(doubtful))
	}
	if _, _, err := s.settlePlanned(ctx, m); err != nil {
		s.leftOpen(m.KeyARN)
		s.cfg.Logger.ErrorContext(ctx, "material of a key that could not be made is not settled yet",
			"key", m.KeyARN, "cka_id", m.ID.String(), "error", err, "cause", cause)
	}
	return cause
}

// settlePlanned looks on the token for what a planned row names, condemns it and destroys it. pending is true where the
// token can't be looked at now, and err says why.
func (s *Service) settlePlanned(ctx context.Context, m *keystore.Material) (settled []*keystore.Material, pending bool, err error) {
	if m.Kind != keystore.MaterialNotOurs {
		if pending, err := s.pending(ctx, m); pending {
			return nil, true, err
		}
	}
	row, err := s.condemn(ctx, m.ID)
	if err != nil || row == nil {
		return nil, false, err
	}
	s.step(StepAbandonCondemned)
	settled, err = s.finish(ctx, nil, []*keystore.Material{row})
	return settled, false, err
}

// pending tells whether it can't be said now what is on the token for a planned row, and why.
func (s *Service) pending(ctx context.Context, m *keystore.Material) (bool, error) {
	b, err := s.tokenOf(ctx, m)
	if errors.Is(err, errNoStore) {
		return false, nil // nobody will ever be able to look there: it becomes an orphan
	}
	there := false
	if err == nil {
		there, err = look(ctx, b, m)
	}
	switch {
	case errors.Is(err, errOtherObject):
		return false, nil // no doubt about the token: the orphan will say so
	case err != nil:
		return true, fmt.Errorf("look for the object: %w", err)
	case !there && s.doubts.about(m.ID, s.now()):
		return true, fmt.Errorf("look for the object: %w", backend.ErrUnanswered)
	}
	return false, nil
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
