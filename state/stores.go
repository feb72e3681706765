package state

import (
	"encoding/json"
	"fmt"

	"github.com/strongroom/strongroom/keystore"
)

// storeDocument is what is kept of a custom key store beyond its columns.
type storeDocument struct {
	ConnError      keystore.ConnErrorCode `json:"conn_error,omitempty"`
	ConnCause      string                 `json:"conn_cause,omitempty"`
	TrustAnchor    string                 `json:"trust_anchor,omitempty"`
	SealedPassword []byte                 `json:"sealed_password,omitempty"`
	PasswordDigest []byte                 `json:"password_digest,omitempty"`
	Xks            *keystore.XksConfig    `json:"xks,omitempty"`
}

const storeColumns = "region, id, account, name, type, conn, cluster_id, created_at, revision, data"

type storeRow struct {
	store   keystore.Store
	cluster optional
	created stamp
	data    string
}

func (r *storeRow) decode() (*keystore.Store, error) {
	var doc storeDocument
	if err := json.Unmarshal([]byte(r.data), &doc); err != nil {
		return nil, fmt.Errorf("custom key store %s: stored document: %w", r.store.ID, err)
	}
	s := r.store
	s.ClusterID, s.Created = string(r.cluster), r.created.Time
	s.ConnError, s.ConnCause, s.TrustAnchor = doc.ConnError, doc.ConnCause, doc.TrustAnchor
	s.SealedPassword, s.PasswordDigest, s.Xks = doc.SealedPassword, doc.PasswordDigest, doc.Xks
	return &s, nil
}

func encodeStore(s *keystore.Store) (*storeRow, error) {
	data, err := document(storeDocument{ConnError: s.ConnError, ConnCause: s.ConnCause, TrustAnchor: s.TrustAnchor,
		SealedPassword: s.SealedPassword, PasswordDigest: s.PasswordDigest, Xks: s.Xks})
	if err != nil {
		return nil, err
	}
	return &storeRow{
		store: keystore.Store{ID: s.ID, Account: s.Account, Region: s.Region, Name: s.Name, Type: s.Type, Conn: s.Conn,
			Revision: s.Revision},
		cluster: optional(s.ClusterID), created: at(s.Created), data: data,
	}, nil
}

func scanStore(scan func(...any) error) (*keystore.Store, error) {
	var r storeRow
	s := &r.store
	if err := scan(&s.Region, &s.ID, &s.Account, &s.Name, &s.Type, &s.Conn, &r.cluster, &r.created, &s.Revision, &r.data); err != nil {
		return nil, err
	}
	return r.decode()
}

// xksURI is the pair that must be unique in a Region (custom key stores, XksProxyUriInUseException).
func xksURI(s *keystore.Store) optional {
	if s.Xks == nil {
		return ""
	}
	return optional(s.Xks.URIEndpoint + s.Xks.URIPath)
}

// Store gives the custom key store, or ErrNoRow.
func (t *tx) Store(region string, id keystore.StoreID) (*keystore.Store, error) {
	s, err := first(t, scanStore, "SELECT "+storeColumns+" FROM stores WHERE region = ? AND id = ?", region, id)
	return s, about(err, "custom key store %s in %s", id, region)
}

// StoreByName gives the custom key store of that name in a Region, or ErrNoRow.
func (t *tx) StoreByName(region, name string) (*keystore.Store, error) {
	s, err := first(t, scanStore, "SELECT "+storeColumns+" FROM stores WHERE region = ? AND name = ? ORDER BY id", region, name)
	return s, about(err, "custom key store %q in %s", name, region)
}

// InsertStore stores a new custom key store at revision 1; ErrExists where its id, name, cluster or proxy URI is taken.
func (t *tx) InsertStore(s *keystore.Store) error {
	c := *s
	c.Revision = 1
	r, err := encodeStore(&c)
	if err == nil {
		err = t.insert("INSERT INTO stores ("+storeColumns+", xks_uri) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			s.Region, s.ID, s.Account, s.Name, s.Type, s.Conn, r.cluster, r.created, c.Revision, r.data, xksURI(s))
	}
	if err == nil {
		err = t.storeChanged(r)
	}
	if err != nil {
		return about(err, "insert custom key store %s in %s", s.ID, s.Region)
	}
	s.Revision = c.Revision
	return nil
}

// UpdateStore stores every field of the store but its identity, and raises its revision: ErrStale where it is not the
// stored one, ErrNoRow where the store is gone, ErrExists where its new name, cluster or proxy URI is taken.
func (t *tx) UpdateStore(s *keystore.Store) error {
	c := *s
	c.Revision++
	r, err := encodeStore(&c)
	if err == nil {
		err = t.revised("SELECT 1 FROM stores WHERE region = ? AND id = ?", []any{s.Region, s.ID},
			`UPDATE stores SET account = ?, name = ?, type = ?, conn = ?, cluster_id = ?, created_at = ?, revision = ?, data = ?,
				xks_uri = ? WHERE region = ? AND id = ? AND revision = ?`,
			s.Account, s.Name, s.Type, s.Conn, r.cluster, r.created, c.Revision, r.data, xksURI(s), s.Region, s.ID, s.Revision)
	}
	if err == nil {
		err = t.storeChanged(r)
	}
	if err != nil {
		return about(err, "update custom key store %s in %s", s.ID, s.Region)
	}
	s.Revision = c.Revision
	return nil
}

func (t *tx) storeChanged(r *storeRow) error {
	s, err := r.decode()
	if err != nil {
		return err
	}
	note(&t.stores, ref{region: s.Region, name: string(s.ID)}, s)
	return nil
}

// ErrStoreInUse is the error of deleting a custom key store that has keys.
var ErrStoreInUse = fmt.Errorf("the custom key store has keys")

// DeleteStore removes a custom key store that exists and has no key (ErrStoreInUse).
func (t *tx) DeleteStore(region string, id keystore.StoreID) error {
	n, err := t.KeysInStore(region, id)
	if err == nil && n > 0 {
		err = ErrStoreInUse
	}
	if err == nil {
		err = t.one("DELETE FROM stores WHERE region = ? AND id = ?", region, id)
	}
	if err != nil {
		return about(err, "delete custom key store %s in %s", id, region)
	}
	note(&t.stores, ref{region: region, name: string(id)}, nil)
	return nil
}

// Stores lists by id, those greater than after, at most limit; region "" means every Region.
func (t *tx) Stores(region string, after keystore.StoreID, limit int) ([]*keystore.Store, error) {
	query, args := "SELECT "+storeColumns+" FROM stores WHERE region = ? AND id > ? ORDER BY id LIMIT ?", []any{region, after, bound(limit)}
	if region == "" {
		query = "SELECT " + storeColumns + " FROM stores WHERE id > ? ORDER BY id, region LIMIT ?"
		args = []any{after, bound(limit)}
	}
	stores, err := list(t, scanStore, query, args...)
	return stores, about(err, "list custom key stores")
}

func (t *tx) allStores() ([]*keystore.Store, error) {
	stores, err := list(t, scanStore, "SELECT "+storeColumns+" FROM stores")
	return stores, about(err, "read custom key stores")
}
