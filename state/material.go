package state

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// materialDocument is what is kept of a ledger row beyond its columns.
type materialDocument struct {
	KeyID       keystore.KeyID         `json:"key_id,omitempty"`
	ClusterID   string                 `json:"cluster_id,omitempty"`
	Token       keystore.TokenIdentity `json:"token"`
	Label       string                 `json:"label,omitempty"`
	Classes     []string               `json:"classes,omitempty"`
	KeyType     string                 `json:"key_type,omitempty"`
	CheckValue  string                 `json:"check_value,omitempty"`
	ExternalID  string                 `json:"external_id,omitempty"`
	CreatedAt   time.Time              `json:"created_at,omitzero"`
	KeyCreated  time.Time              `json:"key_created,omitzero"`
	ScheduledAt time.Time              `json:"scheduled_at,omitzero"`
	ScheduledBy string                 `json:"scheduled_by,omitempty"`
	DeletedAt   time.Time              `json:"deleted_at,omitzero"`
	EndedAt     time.Time              `json:"ended_at,omitzero"`
	Reason      string                 `json:"reason,omitempty"`
	Attempts    int                    `json:"attempts,omitempty"`
	Note        string                 `json:"note,omitempty"`
}

const materialColumns = "id, state, kind, key_arn, region, store_id, planned_at, revision, data"

func scanMaterial(scan func(...any) error) (*keystore.Material, error) {
	var m keystore.Material
	var id, data string
	var store optional
	var planned stamp
	if err := scan(&id, &m.State, &m.Kind, &m.KeyARN, &m.Region, &store, &planned, &m.Revision, &data); err != nil {
		return nil, err
	}
	var doc materialDocument
	err := json.Unmarshal([]byte(data), &doc)
	if err == nil {
		m.ID, err = keystore.ParseMaterialID(id)
	}
	if err != nil {
		return nil, fmt.Errorf("material %s: stored row: %w", id, err)
	}
	m.StoreID, m.PlannedAt = keystore.StoreID(store), planned.Time
	m.KeyID, m.ClusterID, m.Token, m.Label = doc.KeyID, doc.ClusterID, doc.Token, doc.Label
	m.Classes, m.KeyType, m.CheckValue, m.ExternalID = doc.Classes, doc.KeyType, doc.CheckValue, doc.ExternalID
	m.CreatedAt, m.KeyCreated, m.ScheduledAt, m.ScheduledBy = doc.CreatedAt, doc.KeyCreated, doc.ScheduledAt, doc.ScheduledBy
	m.DeletedAt, m.EndedAt = doc.DeletedAt, doc.EndedAt
	m.Reason, m.Attempts, m.Note = doc.Reason, doc.Attempts, doc.Note
	return &m, nil
}

func materialData(m *keystore.Material) (string, error) {
	return document(materialDocument{
		KeyID: m.KeyID, ClusterID: m.ClusterID, Token: m.Token, Label: m.Label, Classes: m.Classes, KeyType: m.KeyType,
		CheckValue: m.CheckValue, ExternalID: m.ExternalID,
		CreatedAt: at(m.CreatedAt).Time, KeyCreated: at(m.KeyCreated).Time,
		ScheduledAt: at(m.ScheduledAt).Time, ScheduledBy: m.ScheduledBy,
		DeletedAt: at(m.DeletedAt).Time, EndedAt: at(m.EndedAt).Time,
		Reason: m.Reason, Attempts: m.Attempts, Note: m.Note,
	})
}

// Material gives the ledger row, or ErrNoRow.
func (t *tx) Material(id keystore.MaterialID) (*keystore.Material, error) {
	m, err := first(t, scanMaterial, "SELECT "+materialColumns+" FROM materials WHERE id = ?", id.String())
	return m, about(err, "material %s", id)
}

// InsertMaterial stores a new ledger row at revision 1; ErrExists where the id is taken.
func (t *tx) InsertMaterial(m *keystore.Material) error {
	data, err := materialData(m)
	if err == nil {
		err = t.insert("INSERT INTO materials ("+materialColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			m.ID.String(), m.State, m.Kind, m.KeyARN, m.Region, optional(m.StoreID), at(m.PlannedAt), 1, data)
	}
	if err != nil {
		return about(err, "insert material %s", m.ID)
	}
	m.Revision = 1
	return nil
}

// UpdateMaterial stores every field of the row but its id, and raises its revision: ErrStale where it is not the stored
// one, ErrNoRow where there is no such row.
func (t *tx) UpdateMaterial(m *keystore.Material) error {
	data, err := materialData(m)
	if err == nil {
		err = t.revised("SELECT 1 FROM materials WHERE id = ?", []any{m.ID.String()},
			`UPDATE materials SET state = ?, kind = ?, key_arn = ?, region = ?, store_id = ?, planned_at = ?, revision = ?, data = ?
			WHERE id = ? AND revision = ?`,
			m.State, m.Kind, m.KeyARN, m.Region, optional(m.StoreID), at(m.PlannedAt), m.Revision+1, data, m.ID.String(), m.Revision)
	}
	if err != nil {
		return about(err, "update material %s", m.ID)
	}
	m.Revision++
	return nil
}

// Materials lists rows in the given states (all where none is given) by id, those greater than after, at most limit.
func (t *tx) Materials(after keystore.MaterialID, limit int, states ...keystore.MaterialState) ([]*keystore.Material, error) {
	from := after.String()
	if after.IsZero() {
		from = ""
	}
	if len(states) == 0 {
		rows, err := list(t, scanMaterial, "SELECT "+materialColumns+" FROM materials WHERE id > ? ORDER BY id LIMIT ?", from, bound(limit))
		return rows, about(err, "list material")
	}
	// A page of each state, merged: each comes in the order of its index, however long the ledger has become.
	states = slices.Compact(slices.Sorted(slices.Values(states)))
	var all []*keystore.Material
	for _, s := range states {
		rows, err := list(t, scanMaterial, "SELECT "+materialColumns+" FROM materials WHERE state = ? AND id > ? ORDER BY id LIMIT ?",
			s, from, bound(limit))
		if err != nil {
			return nil, about(err, "list material that is %s", s)
		}
		all = append(all, rows...)
	}
	slices.SortFunc(all, func(a, b *keystore.Material) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return all[:min(bound(limit), len(all))], nil
}

// MaterialsOfKey lists every row of a key, oldest first.
func (t *tx) MaterialsOfKey(keyARN string) ([]*keystore.Material, error) {
	rows, err := list(t, scanMaterial, "SELECT "+materialColumns+" FROM materials WHERE key_arn = ? ORDER BY planned_at, id", keyARN)
	return rows, about(err, "list material of %s", keyARN)
}

// OpenMaterialsOfKey lists the rows of a key that are neither destroyed nor resolved, oldest first.
func (t *tx) OpenMaterialsOfKey(keyARN string) ([]*keystore.Material, error) {
	rows, err := list(t, scanMaterial, "SELECT "+materialColumns+` FROM materials WHERE key_arn = ? AND state NOT IN ('destroyed', 'resolved')
		ORDER BY planned_at, id`, keyARN)
	return rows, about(err, "list open material of %s", keyARN)
}

// CountMaterials counts the rows by state; states without a row are absent.
func (t *tx) CountMaterials() (map[keystore.MaterialState]int, error) {
	counts := map[keystore.MaterialState]int{}
	err := t.each("SELECT state, n FROM material_counts WHERE n > 0", nil, func(scan func(...any) error) error {
		var s keystore.MaterialState
		var n int
		if err := scan(&s, &n); err != nil {
			return err
		}
		counts[s] = n
		return nil
	})
	return counts, about(err, "count material")
}
