package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
)

// Orphans is the ledger of key material that outlived its key. It is for operators, who stand outside key policies.
type Orphans struct {
	s *Service
}

// NewOrphans gives the orphans of a service.
func NewOrphans(s *Service) *Orphans { return &Orphans{s: s} }

// Orphan is an orphaned or resolved ledger row as operators see it.
type Orphan struct {
	ID        string                 `json:"id"`
	State     keystore.MaterialState `json:"state"`
	KeyID     keystore.KeyID         `json:"key_id"`
	KeyARN    string                 `json:"key_arn"`
	Region    string                 `json:"region"`
	StoreID   keystore.StoreID       `json:"store_id"`
	ClusterID string                 `json:"cluster_id"`
	keystore.TokenIdentity
	CKAID         string    `json:"cka_id"`
	Label         string    `json:"label"`
	ObjectClasses []string  `json:"object_classes"`
	KeyType       string    `json:"key_type"`
	CheckValue    string    `json:"check_value"`
	CreatedAt     time.Time `json:"created_at"`
	ScheduledAt   time.Time `json:"scheduled_at,omitzero"`
	DeletedAt     time.Time `json:"deleted_at"`
	Reason        string    `json:"reason"`
	Attempts      int       `json:"attempts"`
	EndedAt       time.Time `json:"ended_at,omitzero"` // destroyed or resolved
	Note          string    `json:"note,omitempty"`
	// Backups says where copies may be that no call can reach.
	Backups string `json:"backups"`
}

func orphanOf(m *keystore.Material) *Orphan {
	o := &Orphan{
		ID: m.ID.String(), State: m.State, KeyID: m.KeyID, KeyARN: m.KeyARN, Region: m.Region, StoreID: m.StoreID,
		ClusterID: m.ClusterID, TokenIdentity: m.Token, CKAID: m.ID.String(), Label: m.Label, ObjectClasses: m.Classes,
		KeyType: m.KeyType, CheckValue: m.CheckValue, CreatedAt: m.CreatedAt, ScheduledAt: m.ScheduledAt,
		DeletedAt: m.DeletedAt, Reason: m.Reason, Attempts: m.Attempts, EndedAt: m.EndedAt, Note: m.Note,
	}
	if o.CreatedAt.IsZero() {
		o.CreatedAt = m.PlannedAt
	}
	if o.ObjectClasses == nil {
		o.ObjectClasses = []string{}
	}
	until := "its destruction"
	if !m.EndedAt.IsZero() {
		until = m.EndedAt.UTC().Format(time.RFC3339)
	}
	o.Backups = fmt.Sprintf("Copies may be in any backup of token %q (serial %s) taken between %s and %s.",
		m.Token.Label, m.Token.Serial, o.CreatedAt.UTC().Format(time.RFC3339), until)
	return o
}

// OrphanFilter narrows a list; zero members let all through.
type OrphanFilter struct {
	States  []keystore.MaterialState // of orphaned and resolved; none: both
	Region  string
	StoreID keystore.StoreID
	KeyARN  string
}

// List gives orphaned and resolved material, orphaned first, each by the time when its key was deleted.
func (o *Orphans) List(ctx context.Context, f OrphanFilter) ([]*Orphan, error) {
	states := f.States
	if len(states) == 0 {
		states = []keystore.MaterialState{keystore.MaterialOrphaned, keystore.MaterialResolved}
	}
	list := []*Orphan{}
	err := o.s.eachMaterial(ctx, func(m *keystore.Material) error {
		if f.matches(m) {
			list = append(list, orphanOf(m))
		}
		return nil
	}, states...)
	if err != nil {
		return nil, fmt.Errorf("list orphans: %w", err)
	}
	slices.SortStableFunc(list, func(a, b *Orphan) int {
		// "orphaned" sorts before "resolved".
		if c := strings.Compare(string(a.State), string(b.State)); c != 0 {
			return c
		}
		return a.DeletedAt.Compare(b.DeletedAt)
	})
	return list, nil
}

func (f *OrphanFilter) matches(m *keystore.Material) bool {
	return m.Kind == keystore.MaterialOnToken && (f.Region == "" || f.Region == m.Region) &&
		(f.StoreID == "" || f.StoreID == m.StoreID) && (f.KeyARN == "" || f.KeyARN == m.KeyARN)
}

// ErrNotOrphan says that there is no orphan with the id that was given.
var ErrNotOrphan = errors.New("no such orphan")

// Show gives one orphan by its id, in whatever state its row is now.
func (o *Orphans) Show(ctx context.Context, id string) (*Orphan, error) {
	m, err := o.row(ctx, id)
	if err != nil {
		return nil, err
	}
	return orphanOf(m), nil
}

// row reads the row of an orphan, or of what was one.
func (o *Orphans) row(ctx context.Context, id string) (*keystore.Material, error) {
	mid, err := keystore.ParseMaterialID(id)
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrNotOrphan, id)
	}
	var m *keystore.Material
	err = o.s.cfg.DB.View(ctx, func(tx keystore.Tx) (err error) {
		m, err = tx.Material(mid)
		return err
	})
	if errors.Is(err, keystore.ErrNoRow) {
		return nil, fmt.Errorf("%w: %q", ErrNotOrphan, id)
	}
	if err != nil {
		return nil, err
	}
	switch m.State {
	case keystore.MaterialOrphaned, keystore.MaterialResolved, keystore.MaterialDestroyed:
		return m, nil
	}
	return nil, fmt.Errorf("%w: material %s is %s", ErrNotOrphan, id, m.State)
}

// Destroy tries once more to destroy an orphan. Its store must be connected, and the object must be the same that the
// ledger means. An error says why it is an orphan still; the attempt is recorded.
func (o *Orphans) Destroy(ctx context.Context, id string) (*Orphan, error) {
	m, err := o.row(ctx, id)
	if err != nil {
		return nil, err
	}
	if m.State != keystore.MaterialOrphaned {
		return orphanOf(m), fmt.Errorf("%w: material %s is %s already", ErrNotOrphan, id, m.State)
	}
	leave, entered := o.s.busy.tryEnter(m.KeyARN)
	if !entered {
		return orphanOf(m), fmt.Errorf("material %s is being worked on", id)
	}
	defer leave()
	f := o.s.destroy(ctx, m)
	o.s.step(StepDestroyed)
	if err := interrupted(ctx, []fate{f}); err != nil {
		return orphanOf(m), err
	}
	return o.settle(ctx, m, f, audit.EventOrphanDestroyed)
}

// Resolve records that a person removed an orphan, or that it needs no removal, and why.
func (o *Orphans) Resolve(ctx context.Context, id, note string) (*Orphan, error) {
	if strings.TrimSpace(note) == "" {
		return nil, errors.New("a note must say what was done about the orphan")
	}
	m, err := o.row(ctx, id)
	if err != nil {
		return nil, err
	}
	if m.State != keystore.MaterialOrphaned {
		return orphanOf(m), fmt.Errorf("%w: material %s is %s already", ErrNotOrphan, id, m.State)
	}
	return o.settle(ctx, m, fate{state: keystore.MaterialResolved, reason: m.Reason, note: note}, audit.EventOrphanResolved)
}

// settle records what became of an orphan.
func (o *Orphans) settle(ctx context.Context, m *keystore.Material, f fate, event string) (*Orphan, error) {
	s := o.s
	after := m.Clone()
	if err := f.apply(after, s.now()); err != nil {
		return nil, err
	}
	var auditErr error
	if f.state != keystore.MaterialOrphaned {
		auditErr = s.cfg.Audit.Append(ctx, audit.MaterialEvent(event, after, s.cfg.Account, s.now()), true)
		// A person can wait until the log can be written; an object that is gone already can't.
		if auditErr != nil && f.state == keystore.MaterialResolved {
			return orphanOf(m), fmt.Errorf("record the resolution: %w", auditErr)
		}
	}
	s.step(StepDestroyAudited)
	if err := s.record(context.WithoutCancel(ctx), []*keystore.Material{m}, []fate{f}, owedIf(auditErr, event)); err != nil {
		return orphanOf(m), errors.Join(err, auditErr)
	}
	s.step(StepDestroySettled)
	s.observe(after)
	if f.state == keystore.MaterialOrphaned {
		return orphanOf(after), fmt.Errorf("material %s is orphaned still: %s", m.ID, f.reason)
	}
	return orphanOf(after), auditErr
}
