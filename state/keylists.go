package state

import (
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// KeyIDs lists ids of a Region in order, those greater than after, at most limit.
func (t *tx) KeyIDs(region string, after keystore.KeyID, limit int) ([]keystore.KeyID, error) {
	ids, err := list(t, func(scan func(...any) error) (id keystore.KeyID, err error) {
		err = scan(&id)
		return id, err
	}, "SELECT id FROM keys WHERE region = ? AND id > ? ORDER BY id LIMIT ?", region, after, bound(limit))
	return ids, about(err, "list keys in %s", region)
}

// CountKeys counts the keys of a Region.
func (t *tx) CountKeys(region string) (int, error) {
	n, err := t.count("SELECT SUM(n) FROM key_counts WHERE region = ?", region)
	return n, about(err, "count keys in %s", region)
}

// CountKeysByState counts stored states over all Regions; states without a key are absent.
func (t *tx) CountKeysByState() (map[keystore.State]int, error) {
	counts := map[keystore.State]int{}
	err := t.each("SELECT state, SUM(n) FROM key_counts WHERE n > 0 GROUP BY state", nil, func(scan func(...any) error) error {
		var s keystore.State
		var n int
		if err := scan(&s, &n); err != nil {
			return err
		}
		counts[s] = n
		return nil
	})
	return counts, about(err, "count keys by state")
}

// DueKeys lists keys in PendingDeletion whose DeletionDate is not after now, oldest date first.
func (t *tx) DueKeys(now time.Time, limit int) ([]*keystore.Key, error) {
	keys, err := list(t, scanKey, "SELECT "+keyColumns+` FROM keys WHERE state = 'PendingDeletion' AND deletion_at <= ?
		ORDER BY deletion_at, region, id LIMIT ?`, at(now), bound(limit))
	return keys, about(err, "list keys due for deletion")
}

// NextDeletion gives the earliest DeletionDate of any key in PendingDeletion; zero time where there is none.
func (t *tx) NextDeletion() (time.Time, error) {
	var next stamp
	err := t.row("SELECT MIN(deletion_at) FROM keys WHERE state = 'PendingDeletion'", nil, &next)
	return next.Time, about(err, "find the next deletion")
}

// KeysInStore counts the keys of a custom key store, those pending deletion too.
func (t *tx) KeysInStore(region string, id keystore.StoreID) (int, error) {
	n, err := t.count("SELECT COUNT(*) FROM keys WHERE region = ? AND store_id = ?", region, id)
	return n, about(err, "count keys of custom key store %s", id)
}

// KeyByXksID gives the key that uses an external key in a store, or ErrNoRow.
func (t *tx) KeyByXksID(region string, store keystore.StoreID, xksKeyID string) (*keystore.Key, error) {
	k, err := first(t, scanKey, "SELECT "+keyColumns+" FROM keys WHERE region = ? AND store_id = ? AND xks_key_id = ?",
		region, store, xksKeyID)
	return k, about(err, "key of an external key in %s", store)
}

// RotatingKeys lists enabled keys with a rotation due, oldest date first.
func (t *tx) RotatingKeys(now time.Time, limit int) ([]*keystore.Key, error) {
	keys, err := list(t, scanKey, "SELECT "+keyColumns+` FROM keys WHERE rotation_next <= ? AND state = 'Enabled'
		ORDER BY rotation_next, region, id LIMIT ?`, at(now), bound(limit))
	return keys, about(err, "list keys due for rotation")
}

// ExpiringKeys lists keys that have imported material whose ValidTo is not after now, oldest date first.
func (t *tx) ExpiringKeys(now time.Time, limit int) ([]*keystore.Key, error) {
	keys, err := list(t, scanKey, "SELECT "+keyColumns+` FROM keys WHERE valid_to <= ?
		ORDER BY valid_to, region, id LIMIT ?`, at(now), bound(limit))
	return keys, about(err, "list keys whose material expires")
}

// KeysNaming lists keys whose policy may name a text, by (Region, id), those behind the one given, at most limit: JSON can
// write the same text with escapes, so that policies with any come too. It reads all policies.
func (t *tx) KeysNaming(text, afterRegion string, after keystore.KeyID, limit int) ([]*keystore.Key, error) {
	keys, err := list(t, scanKey, "SELECT "+keyColumns+` FROM keys WHERE (region, id) > (?, ?) AND (instr(policy, ?) > 0 OR instr(policy, '\') > 0)
		ORDER BY region, id LIMIT ?`, afterRegion, after, text, bound(limit))
	return keys, about(err, "list keys whose policy names %s", text)
}
