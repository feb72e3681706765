package state

import "github.com/strongroom/strongroom/keystore"

func scanUse(scan func(...any) error) (*keystore.LastUse, error) {
	var u keystore.LastUse
	var used stamp
	err := scan(&u.Region, &u.KeyID, &u.Action, &used, &u.EventID, &u.RequestID)
	u.Time = used.Time
	return &u, err
}

// LastUse gives the last use of a key that was put, or ErrNoRow.
func (t *tx) LastUse(region string, id keystore.KeyID) (*keystore.LastUse, error) {
	u, err := first(t, scanUse, "SELECT region, key_id, action, used_at, event_id, request_id FROM key_uses WHERE region = ? AND key_id = ?",
		region, id)
	return u, about(err, "last use of key %s in %s", id, region)
}

// PutLastUse stores the last use of a key, unless the key is gone or a later use is stored.
func (t *tx) PutLastUse(u *keystore.LastUse) error {
	_, err := t.exec("INSERT INTO key_uses (region, key_id, action, used_at, event_id, request_id) "+
		"SELECT region, id, ?, ?, ?, ? FROM keys WHERE region = ? AND id = ? "+
		"ON CONFLICT (region, key_id) DO UPDATE SET action = excluded.action, used_at = excluded.used_at, "+
		"event_id = excluded.event_id, request_id = excluded.request_id WHERE excluded.used_at >= key_uses.used_at",
		u.Action, at(u.Time), u.EventID, u.RequestID, u.Region, u.KeyID)
	return about(err, "put last use of key %s in %s", u.KeyID, u.Region)
}
