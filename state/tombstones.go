package state

import (
	"encoding/json"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

func scanTombstone(scan func(...any) error) (*keystore.Tombstone, error) {
	var data string
	if err := scan(&data); err != nil {
		return nil, err
	}
	var s keystore.Tombstone
	if err := json.Unmarshal([]byte(data), &s); err != nil {
		return nil, fmt.Errorf("tombstone: stored document: %w", err)
	}
	return &s, nil
}

// InsertTombstone stores what is kept of a deleted key; ErrExists where there is one of the same key and time.
func (t *tx) InsertTombstone(s *keystore.Tombstone) error {
	c := *s
	c.Created, c.ScheduledAt = at(s.Created).Time, at(s.ScheduledAt).Time
	c.DueAt, c.DeletedAt = at(s.DueAt).Time, at(s.DeletedAt).Time
	data, err := document(c)
	if err == nil {
		err = t.insert("INSERT INTO tombstones (key_arn, deleted_at, data) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			s.KeyARN, at(s.DeletedAt), data)
	}
	return about(err, "insert tombstone of %s", s.KeyARN)
}

// Tombstones lists them by deletion time, newest first, at most limit; keyARN "" means all.
func (t *tx) Tombstones(keyARN string, limit int) ([]*keystore.Tombstone, error) {
	query, args := "SELECT data FROM tombstones WHERE key_arn = ? ORDER BY deleted_at DESC LIMIT ?", []any{keyARN, bound(limit)}
	if keyARN == "" {
		query, args = "SELECT data FROM tombstones ORDER BY deleted_at DESC, key_arn DESC LIMIT ?", []any{bound(limit)}
	}
	stones, err := list(t, scanTombstone, query, args...)
	return stones, about(err, "list tombstones")
}
