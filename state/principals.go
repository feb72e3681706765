package state

import (
	"encoding/json"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

const principalColumns = "arn, kind, name, disabled, created_at, revision, data"

// principalDocument is what is kept of a principal beyond its columns.
type principalDocument struct {
	ID       string                 `json:"id,omitempty"`
	Leaving  bool                   `json:"leaving,omitempty"`
	Policies []keystore.NamedPolicy `json:"policies,omitempty"`
}

func scanPrincipal(scan func(...any) error) (*keystore.Principal, error) {
	var p keystore.Principal
	var created stamp
	var data string
	if err := scan(&p.ARN, &p.Kind, &p.Name, &p.Disabled, &created, &p.Revision, &data); err != nil {
		return nil, err
	}
	var doc principalDocument
	if err := json.Unmarshal([]byte(data), &doc); err != nil {
		return nil, fmt.Errorf("principal %s: stored document: %w", p.ARN, err)
	}
	p.Created, p.Policies, p.ID, p.Leaving = created.Time, doc.Policies, doc.ID, doc.Leaving
	return &p, nil
}

// Principal gives the principal, or ErrNoRow.
func (t *tx) Principal(arn string) (*keystore.Principal, error) {
	p, err := first(t, scanPrincipal, "SELECT "+principalColumns+" FROM principals WHERE arn = ?", arn)
	return p, about(err, "principal %s", arn)
}

// InsertPrincipal stores a new principal at revision 1; ErrExists where the ARN is taken.
func (t *tx) InsertPrincipal(p *keystore.Principal) error {
	data, err := document(principalDocument{p.ID, p.Leaving, p.Policies})
	if err == nil {
		err = t.insert("INSERT INTO principals ("+principalColumns+") VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			p.ARN, p.Kind, p.Name, p.Disabled, at(p.Created), 1, data)
	}
	if err != nil {
		return about(err, "insert principal %s", p.ARN)
	}
	p.Revision, t.principals = 1, true
	return nil
}

// UpdatePrincipal stores every field of the principal but its ARN, and raises its revision: ErrStale where it is not the
// stored one, ErrNoRow where the principal is gone.
func (t *tx) UpdatePrincipal(p *keystore.Principal) error {
	data, err := document(principalDocument{p.ID, p.Leaving, p.Policies})
	if err == nil {
		err = t.revised("SELECT 1 FROM principals WHERE arn = ?", []any{p.ARN},
			"UPDATE principals SET kind = ?, name = ?, disabled = ?, created_at = ?, revision = ?, data = ? WHERE arn = ? AND revision = ?",
			p.Kind, p.Name, p.Disabled, at(p.Created), p.Revision+1, data, p.ARN, p.Revision)
	}
	if err != nil {
		return about(err, "update principal %s", p.ARN)
	}
	p.Revision++
	t.principals = true
	return nil
}

// DeletePrincipal removes a principal that exists, with its credentials.
func (t *tx) DeletePrincipal(arn string) error {
	_, err := t.exec("DELETE FROM credentials WHERE principal_arn = ?", arn)
	if err == nil {
		t.principals = true
		err = t.one("DELETE FROM principals WHERE arn = ?", arn)
	}
	return about(err, "delete principal %s", arn)
}

// Principals lists all by ARN.
func (t *tx) Principals() ([]*keystore.Principal, error) {
	all, err := list(t, scanPrincipal, "SELECT "+principalColumns+" FROM principals ORDER BY arn")
	return all, about(err, "list principals")
}

const credentialColumns = "access_key_id, principal_arn, sealed_secret, disabled, created_at"

func scanCredential(scan func(...any) error) (*keystore.Credential, error) {
	var c keystore.Credential
	var created stamp
	if err := scan(&c.AccessKeyID, &c.PrincipalARN, &c.SealedSecret, &c.Disabled, &created); err != nil {
		return nil, err
	}
	c.Created = created.Time
	return &c, nil
}

// Credential gives the access key, or ErrNoRow.
func (t *tx) Credential(accessKeyID string) (*keystore.Credential, error) {
	c, err := first(t, scanCredential, "SELECT "+credentialColumns+" FROM credentials WHERE access_key_id = ?", accessKeyID)
	return c, about(err, "credential %q", accessKeyID)
}

// InsertCredential stores a new access key; ErrExists where the id is taken, ErrNoRow where its principal does not exist.
func (t *tx) InsertCredential(c *keystore.Credential) error {
	err := t.insert("INSERT INTO credentials ("+credentialColumns+") VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		c.AccessKeyID, c.PrincipalARN, blob(c.SealedSecret), c.Disabled, at(c.Created))
	if err != nil {
		return about(err, "insert credential %q", c.AccessKeyID)
	}
	t.principals = true
	return nil
}

// UpdateCredential stores every field but the id of an access key that exists.
func (t *tx) UpdateCredential(c *keystore.Credential) error {
	err := t.one("UPDATE credentials SET principal_arn = ?, sealed_secret = ?, disabled = ?, created_at = ? WHERE access_key_id = ?",
		c.PrincipalARN, blob(c.SealedSecret), c.Disabled, at(c.Created), c.AccessKeyID)
	if err != nil {
		return about(err, "update credential %q", c.AccessKeyID)
	}
	t.principals = true
	return nil
}

// DeleteCredential removes an access key that exists.
func (t *tx) DeleteCredential(accessKeyID string) error {
	err := t.one("DELETE FROM credentials WHERE access_key_id = ?", accessKeyID)
	if err != nil {
		return about(err, "delete credential %q", accessKeyID)
	}
	t.principals = true
	return nil
}

// Credentials lists a principal's access keys by id.
func (t *tx) Credentials(principalARN string) ([]*keystore.Credential, error) {
	all, err := list(t, scanCredential, "SELECT "+credentialColumns+" FROM credentials WHERE principal_arn = ? ORDER BY access_key_id",
		principalARN)
	return all, about(err, "list credentials of %s", principalARN)
}
