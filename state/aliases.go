package state

import "github.com/strongroom/strongroom/keystore"

const aliasColumns = "region, name, account, target, created_at, updated_at"

func scanAlias(scan func(...any) error) (*keystore.Alias, error) {
	var a keystore.Alias
	var created, updated stamp
	if err := scan(&a.Region, &a.Name, &a.Account, &a.Target, &created, &updated); err != nil {
		return nil, err
	}
	a.Created, a.Updated = created.Time, updated.Time
	return &a, nil
}

// Alias gives the alias by its full name, or ErrNoRow.
func (t *tx) Alias(region, name string) (*keystore.Alias, error) {
	a, err := first(t, scanAlias, "SELECT "+aliasColumns+" FROM aliases WHERE region = ? AND name = ?", region, name)
	return a, about(err, "alias %q in %s", name, region)
}

// InsertAlias stores a new alias; ErrExists where the Region has one of that name, ErrNoRow where its target is none.
func (t *tx) InsertAlias(a *keystore.Alias) error {
	err := t.insert("INSERT INTO aliases ("+aliasColumns+") VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		a.Region, a.Name, a.Account, a.Target, at(a.Created), at(a.Updated))
	if err != nil {
		return about(err, "insert alias %q in %s", a.Name, a.Region)
	}
	t.aliasChanged(a)
	return nil
}

// UpdateAlias stores target and dates of an alias that exists.
func (t *tx) UpdateAlias(a *keystore.Alias) error {
	err := t.one("UPDATE aliases SET account = ?, target = ?, created_at = ?, updated_at = ? WHERE region = ? AND name = ?",
		a.Account, a.Target, at(a.Created), at(a.Updated), a.Region, a.Name)
	if err != nil {
		return about(err, "update alias %q in %s", a.Name, a.Region)
	}
	t.aliasChanged(a)
	return nil
}

func (t *tx) aliasChanged(a *keystore.Alias) {
	c := *a
	c.Created, c.Updated = at(a.Created).Time, at(a.Updated).Time
	note(&t.aliases, ref{region: a.Region, name: a.Name}, &c)
}

// DeleteAlias removes an alias that exists.
func (t *tx) DeleteAlias(region, name string) error {
	err := t.one("DELETE FROM aliases WHERE region = ? AND name = ?", region, name)
	if err != nil {
		return about(err, "delete alias %q in %s", name, region)
	}
	note(&t.aliases, ref{region: region, name: name}, nil)
	return nil
}

// Aliases lists by name, those greater than after, at most limit; target "" means of every key.
func (t *tx) Aliases(region string, target keystore.KeyID, after string, limit int) ([]*keystore.Alias, error) {
	query, args := "SELECT "+aliasColumns+" FROM aliases WHERE region = ? AND name > ? ORDER BY name LIMIT ?",
		[]any{region, after, bound(limit)}
	if target != "" {
		query = "SELECT " + aliasColumns + " FROM aliases WHERE region = ? AND target = ? AND name > ? ORDER BY name LIMIT ?"
		args = []any{region, target, after, bound(limit)}
	}
	aliases, err := list(t, scanAlias, query, args...)
	return aliases, about(err, "list aliases in %s", region)
}

// CountAliases counts the aliases of a key.
func (t *tx) CountAliases(region string, target keystore.KeyID) (int, error) {
	n, err := t.count("SELECT COUNT(*) FROM aliases WHERE region = ? AND target = ?", region, target)
	return n, about(err, "count aliases of key %s", target)
}
