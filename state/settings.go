package state

import "strings"

// blob is a value that is never NULL: no bytes are an empty value.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// Setting gives the value, or ErrNoRow.
func (t *tx) Setting(name string) ([]byte, error) {
	var value []byte
	err := t.row("SELECT value FROM settings WHERE name = ?", []any{name}, &value)
	return value, about(err, "setting %q", name)
}

// PutSetting stores a value, new or not.
func (t *tx) PutSetting(name string, value []byte) error {
	_, err := t.exec("INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
		name, blob(value))
	return about(err, "put setting %q", name)
}

// DeleteSetting removes a setting that exists.
func (t *tx) DeleteSetting(name string) error {
	return about(t.one("DELETE FROM settings WHERE name = ?", name), "delete setting %q", name)
}

// Settings lists the names with that prefix, in order.
func (t *tx) Settings(prefix string) ([]string, error) {
	names, err := list(t, scanText, "SELECT name FROM settings WHERE name >= ? ORDER BY name", prefix)
	for i, name := range names {
		if !strings.HasPrefix(name, prefix) { // names with a prefix stand together in byte order
			names = names[:i]
			break
		}
	}
	return names, about(err, "list settings")
}
