package state

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/keystore"
)

// grantDocument is what is kept of a grant beyond its columns.
type grantDocument struct {
	GranteeService   string            `json:"grantee_service,omitempty"`
	RetiringService  string            `json:"retiring_service,omitempty"`
	Issuer           string            `json:"issuer,omitempty"`
	Operations       []string          `json:"operations,omitempty"`
	ContextEquals    map[string]string `json:"context_equals,omitempty"`
	ContextSubset    map[string]string `json:"context_subset,omitempty"`
	SourceARN        string            `json:"source_arn,omitempty"`
	ParametersDigest string            `json:"parameters_digest,omitempty"`
	IssuingPrincipal string            `json:"issuing_principal,omitempty"`
	ParentGrant      string            `json:"parent_grant,omitempty"`
	HasConstraints   bool              `json:"has_constraints,omitempty"`
}

const grantColumns = "region, key_id, id, name, grantee, retiring, token, created_at, data"

func scanGrant(scan func(...any) error) (*keystore.Grant, error) {
	var g keystore.Grant
	var name, grantee, retiring, token optional
	var created stamp
	var data string
	if err := scan(&g.Region, &g.KeyID, &g.ID, &name, &grantee, &retiring, &token, &created, &data); err != nil {
		return nil, err
	}
	var doc grantDocument
	if err := json.Unmarshal([]byte(data), &doc); err != nil {
		return nil, fmt.Errorf("grant %s: stored document: %w", g.ID, err)
	}
	g.Name, g.Grantee, g.Retiring, g.Token = string(name), string(grantee), string(retiring), string(token)
	g.Created = created.Time
	g.GranteeService, g.RetiringService, g.Issuer = doc.GranteeService, doc.RetiringService, doc.Issuer
	g.Operations, g.ContextEquals, g.ContextSubset = doc.Operations, doc.ContextEquals, doc.ContextSubset
	g.SourceARN, g.ParametersDigest, g.IssuingPrincipal = doc.SourceARN, doc.ParametersDigest, doc.IssuingPrincipal
	g.ParentGrant, g.HasConstraints = doc.ParentGrant, doc.HasConstraints
	return &g, nil
}

// Grant gives the grant, or ErrNoRow.
func (t *tx) Grant(region string, key keystore.KeyID, grantID string) (*keystore.Grant, error) {
	g, err := first(t, scanGrant, "SELECT "+grantColumns+" FROM grants WHERE region = ? AND key_id = ? AND id = ?",
		region, key, grantID)
	return g, about(err, "grant %q on key %s", grantID, key)
}

// GrantByToken gives the grant that a grant token stands for, or ErrNoRow. Tokens stay out of the error.
func (t *tx) GrantByToken(region, token string) (*keystore.Grant, error) {
	g, err := first(t, scanGrant, "SELECT "+grantColumns+" FROM grants WHERE region = ? AND token = ?", region, token)
	return g, about(err, "grant of a token in %s", region)
}

// GrantsByName gives the grants of that name on the key, by id.
func (t *tx) GrantsByName(region string, key keystore.KeyID, name string) ([]*keystore.Grant, error) {
	grants, err := list(t, scanGrant, "SELECT "+grantColumns+" FROM grants WHERE region = ? AND key_id = ? AND name = ? ORDER BY id",
		region, key, name)
	return grants, about(err, "list grants by name on key %s", key)
}

// InsertGrant stores a new grant; ErrExists where the key has one with that id or the Region one with that token,
// ErrNoRow where the key does not exist.
func (t *tx) InsertGrant(g *keystore.Grant) error {
	data, err := document(grantDocument{
		GranteeService: g.GranteeService, RetiringService: g.RetiringService, Issuer: g.Issuer, Operations: g.Operations,
		ContextEquals: g.ContextEquals, ContextSubset: g.ContextSubset, SourceARN: g.SourceARN,
		ParametersDigest: g.ParametersDigest, IssuingPrincipal: g.IssuingPrincipal, ParentGrant: g.ParentGrant,
		HasConstraints: g.HasConstraints,
	})
	if err == nil {
		err = t.insert("INSERT INTO grants ("+grantColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			g.Region, g.KeyID, g.ID, optional(g.Name), optional(g.Grantee), optional(g.Retiring), optional(g.Token),
			at(g.Created), data)
	}
	if err != nil {
		return about(err, "insert grant %q on key %s", g.ID, g.KeyID)
	}
	t.noteGrant(ref{g.Region, string(g.KeyID), g.Grantee}, grantChange{added: ownGrant(g)})
	return nil
}

// DeleteGrant removes a grant that exists.
func (t *tx) DeleteGrant(region string, key keystore.KeyID, grantID string) error {
	var grantee optional
	err := t.row("SELECT grantee FROM grants WHERE region = ? AND key_id = ? AND id = ?", []any{region, key, grantID}, &grantee)
	if err == nil {
		err = t.one("DELETE FROM grants WHERE region = ? AND key_id = ? AND id = ?", region, key, grantID)
	}
	if err != nil {
		return about(err, "delete grant %q on key %s", grantID, key)
	}
	t.noteGrant(ref{region, string(key), string(grantee)}, grantChange{removed: grantID})
	return nil
}

// Grants lists a key's grants by id, those greater than after, at most limit; grantee and grantID filter where not "".
func (t *tx) Grants(region string, key keystore.KeyID, grantee, grantID, after string, limit int) ([]*keystore.Grant, error) {
	query, args := "SELECT "+grantColumns+" FROM grants WHERE region = ? AND key_id = ? AND id > ?", []any{region, key, after}
	if grantee != "" {
		query, args = query+" AND grantee = ?", append(args, grantee)
	}
	if grantID != "" {
		query, args = query+" AND id = ?", append(args, grantID)
	}
	grants, err := list(t, scanGrant, query+" ORDER BY id LIMIT ?", append(args, bound(limit))...)
	return grants, about(err, "list grants on key %s", key)
}

func (t *tx) grantsTo(region string, key keystore.KeyID, grantee string) ([]*keystore.Grant, error) {
	grants, err := list(t, scanGrant, "SELECT "+grantColumns+" FROM grants WHERE region = ? AND key_id = ? AND grantee = ? ORDER BY id",
		region, key, grantee)
	return grants, about(err, "read grants on key %s", key)
}

// GrantsNaming lists grants of every Region with that grantee or retiring principal, at most limit. It reads all grants.
func (t *tx) GrantsNaming(principal string, limit int) ([]*keystore.Grant, error) {
	grants, err := list(t, scanGrant, "SELECT "+grantColumns+" FROM grants WHERE grantee = ? OR retiring = ? ORDER BY region, key_id, id LIMIT ?",
		principal, principal, bound(limit))
	return grants, about(err, "list grants of %s", principal)
}

// RetirableGrants lists by (key, id) the grants with that retiring principal; after is the key id, "/" and the grant id
// of the last one listed.
func (t *tx) RetirableGrants(region, retiring, after string, limit int) ([]*keystore.Grant, error) {
	key, id, _ := strings.Cut(after, "/")
	grants, err := list(t, scanGrant, "SELECT "+grantColumns+` FROM grants WHERE region = ? AND retiring = ? AND (key_id, id) > (?, ?)
		ORDER BY key_id, id LIMIT ?`, region, retiring, key, id, bound(limit))
	return grants, about(err, "list retirable grants in %s", region)
}

// CountGrants counts the grants on a key.
func (t *tx) CountGrants(region string, key keystore.KeyID) (int, error) {
	n, err := t.count("SELECT n FROM grant_counts WHERE region = ? AND key_id = ?", region, key)
	return n, about(err, "count grants on key %s", key)
}
