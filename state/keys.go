package state

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// keyDocument is what is kept of a key beyond its columns.
type keyDocument struct {
	Description string                 `json:"description,omitempty"`
	ClusterID   string                 `json:"cluster_id,omitempty"`
	Tags        []keystore.Tag         `json:"tags,omitempty"`
	WindowDays  int                    `json:"window_days,omitempty"`
	ScheduledAt time.Time              `json:"scheduled_at,omitzero"`
	ScheduledBy string                 `json:"scheduled_by,omitempty"`
	Materials   []keystore.KeyMaterial `json:"materials,omitempty"`
	MultiRegion *keystore.MultiRegion  `json:"multi_region,omitempty"`
	Rotation    keystore.Rotation      `json:"rotation,omitzero"`
	Import      *keystore.ImportState  `json:"import,omitempty"`
}

const keyColumns = "region, id, account, origin, spec, usage, state, store_id, xks_key_id, created_at, deletion_at, policy, revision, data"

// keyRow is a key as its columns. A key comes out of it as out of the database, so that what the directory keeps after a
// commit is what the next reader of the row would get.
type keyRow struct {
	key               keystore.Key
	storeID, xksKeyID optional
	created, deletion stamp
	data              string
}

func (r *keyRow) decode() (*keystore.Key, error) {
	var doc keyDocument
	if err := json.Unmarshal([]byte(r.data), &doc); err != nil {
		return nil, fmt.Errorf("key %s in %s: stored document: %w", r.key.ID, r.key.Region, err)
	}
	k := r.key
	k.StoreID, k.XksKeyID = keystore.StoreID(r.storeID), string(r.xksKeyID)
	k.Created, k.DeletionDate = r.created.Time, r.deletion.Time
	k.Description, k.ClusterID, k.Tags = doc.Description, doc.ClusterID, doc.Tags
	k.WindowDays, k.ScheduledAt, k.ScheduledBy = doc.WindowDays, doc.ScheduledAt, doc.ScheduledBy
	k.Materials, k.MultiRegion, k.Rotation, k.Import = doc.Materials, doc.MultiRegion, doc.Rotation, doc.Import
	return &k, nil
}

func encodeKey(k *keystore.Key) (*keyRow, error) {
	k = k.Clone()
	for i := range k.Materials {
		m := &k.Materials[i]
		m.Created, m.Rotated, m.ValidTo = at(m.Created).Time, at(m.Rotated).Time, at(m.ValidTo).Time
	}
	k.Rotation.Since, k.Rotation.Next = at(k.Rotation.Since).Time, at(k.Rotation.Next).Time
	if k.Import != nil {
		k.Import.ValidTo = at(k.Import.ValidTo).Time
	}
	data, err := document(keyDocument{
		Description: k.Description, ClusterID: k.ClusterID, Tags: k.Tags,
		WindowDays: k.WindowDays, ScheduledAt: at(k.ScheduledAt).Time, ScheduledBy: k.ScheduledBy,
		Materials: k.Materials, MultiRegion: k.MultiRegion, Rotation: k.Rotation, Import: k.Import,
	})
	if err != nil {
		return nil, err
	}
	return &keyRow{
		key: keystore.Key{ID: k.ID, Account: k.Account, Region: k.Region, Origin: k.Origin, Spec: k.Spec, Usage: k.Usage,
			State: k.State, Policy: k.Policy, Revision: k.Revision},
		storeID: optional(k.StoreID), xksKeyID: optional(k.XksKeyID),
		created: at(k.Created), deletion: at(k.DeletionDate), data: data,
	}, nil
}

// expiry is the earliest time at which imported material of the key expires; zero where none does.
func expiry(k *keystore.Key) time.Time {
	var first time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	if k.Import != nil {
		earlier(k.Import.ValidTo)
	}
	for _, m := range k.Materials {
		if m.Imported {
			earlier(m.ValidTo)
		}
	}
	return first
}

func scanKey(scan func(...any) error) (*keystore.Key, error) {
	var r keyRow
	k := &r.key
	if err := scan(&k.Region, &k.ID, &k.Account, &k.Origin, &k.Spec, &k.Usage, &k.State, &r.storeID, &r.xksKeyID,
		&r.created, &r.deletion, &k.Policy, &k.Revision, &r.data); err != nil {
		return nil, err
	}
	return r.decode()
}

// Key gives the key, or ErrNoRow.
func (t *tx) Key(region string, id keystore.KeyID) (*keystore.Key, error) {
	k, err := first(t, scanKey, "SELECT "+keyColumns+" FROM keys WHERE region = ? AND id = ?", region, id)
	return k, about(err, "key %s in %s", id, region)
}

// InsertKey stores a new key at revision 1; ErrExists where the id, or the external key in its store, is taken, ErrNoRow
// where its custom key store does not exist.
func (t *tx) InsertKey(k *keystore.Key) error {
	c := *k
	c.Revision = 1
	r, err := encodeKey(&c)
	if err == nil {
		err = t.insert(`INSERT INTO keys (`+keyColumns+`, rotation_next, valid_to)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			k.Region, k.ID, k.Account, k.Origin, k.Spec, k.Usage, k.State, r.storeID, r.xksKeyID, r.created, r.deletion,
			k.Policy, c.Revision, r.data, at(k.Rotation.Next), at(expiry(k)))
	}
	if err == nil {
		err = t.keyChanged(r)
	}
	if err != nil {
		return about(err, "insert key %s in %s", k.ID, k.Region)
	}
	k.Revision = c.Revision
	return nil
}

// UpdateKey stores every field of the key but its identity, and raises its revision: ErrStale where it is not the stored
// one, ErrNoRow where the key is gone.
func (t *tx) UpdateKey(k *keystore.Key) error {
	c := *k
	c.Revision++
	r, err := encodeKey(&c)
	if err == nil {
		err = t.revised("SELECT 1 FROM keys WHERE region = ? AND id = ?", []any{k.Region, k.ID},
			`UPDATE keys SET account = ?, origin = ?, spec = ?, usage = ?, state = ?, store_id = ?, xks_key_id = ?, created_at = ?,
				deletion_at = ?, policy = ?, revision = ?, data = ?, rotation_next = ?, valid_to = ?
			WHERE region = ? AND id = ? AND revision = ?`,
			k.Account, k.Origin, k.Spec, k.Usage, k.State, r.storeID, r.xksKeyID, r.created, r.deletion,
			k.Policy, c.Revision, r.data, at(k.Rotation.Next), at(expiry(k)), k.Region, k.ID, k.Revision)
	}
	if err == nil {
		err = t.keyChanged(r)
	}
	if err != nil {
		return about(err, "update key %s in %s", k.ID, k.Region)
	}
	k.Revision = c.Revision
	return nil
}

func (t *tx) keyChanged(r *keyRow) error {
	k, err := r.decode()
	if err != nil {
		return err
	}
	note(&t.keys, ref{region: k.Region, name: string(k.ID)}, k)
	return nil
}

// DeleteKey removes the key with its aliases, grants, policy and tags.
func (t *tx) DeleteKey(k *keystore.Key) error {
	return about(t.deleteKey(k), "delete key %s in %s", k.ID, k.Region)
}

func (t *tx) deleteKey(k *keystore.Key) error {
	// First of all the revision: a stale caller removes nothing, whatever it does with the error.
	var revision int64
	if err := t.row("SELECT revision FROM keys WHERE region = ? AND id = ?", []any{k.Region, k.ID}, &revision); err != nil {
		return err
	}
	if revision != k.Revision {
		return keystore.ErrStale
	}
	names, err := list(t, scanText, "SELECT name FROM aliases WHERE region = ? AND target = ?", k.Region, k.ID)
	if err != nil {
		return err
	}
	grantees, err := list(t, scanText, "SELECT DISTINCT grantee FROM grants WHERE region = ? AND key_id = ? AND grantee IS NOT NULL",
		k.Region, k.ID)
	if err != nil {
		return err
	}
	for _, statement := range []string{
		"DELETE FROM aliases WHERE region = ? AND target = ?",
		"DELETE FROM grants WHERE region = ? AND key_id = ?",
	} {
		if _, err := t.exec(statement, k.Region, k.ID); err != nil {
			return err
		}
	}
	for _, name := range names {
		note(&t.aliases, ref{region: k.Region, name: name}, nil)
	}
	for _, grantee := range grantees {
		t.noteGrant(ref{k.Region, string(k.ID), grantee}, grantChange{})
	}
	if err := t.one("DELETE FROM keys WHERE region = ? AND id = ?", k.Region, k.ID); err != nil {
		return err
	}
	note(&t.keys, ref{region: k.Region, name: string(k.ID)}, nil)
	return nil
}
