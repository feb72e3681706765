package keystore

import (
	"context"
	"time"
)

// Directory answers from memory what the cryptographic operations need; the database is not touched for what is in use.
// What it gives is shared: read only. Safe for concurrent use. A committed change is visible to every call that starts
// after the commit returned.
type Directory interface {
	// LookupKey gives the key, or ErrNoRow.
	LookupKey(ctx context.Context, region string, id KeyID) (*Key, error)
	// LookupAlias gives the alias by its full name ("alias/…"), or ErrNoRow.
	LookupAlias(ctx context.Context, region, name string) (*Alias, error)
	// LookupStore gives the custom key store, or ErrNoRow.
	LookupStore(ctx context.Context, region string, id StoreID) (*Store, error)
	// LookupGrants gives the grants on a key whose grantee is this very text, by id; nil where there are none. Its cost is
	// that of these grants, however many others the key has.
	LookupGrants(ctx context.Context, region string, id KeyID, grantee string) ([]*Grant, error)
}

// DB is the appliance's state. Update runs fn in one transaction that is durable when Update returns nil (synchronous
// FULL), or leaves nothing; View sees one consistent snapshot. fn may run only once and must not keep tx.
type DB interface {
	Directory
	View(ctx context.Context, fn func(tx Tx) error) error
	Update(ctx context.Context, fn func(tx Tx) error) error
}

// Tx is one transaction. Reads answer ErrNoRow, inserts ErrExists, updates ErrStale when the revision is not the stored
// one; an update raises Revision of its argument. What it gives is the caller's own.
type Tx interface {
	KeyTx
	AliasTx
	GrantTx
	StoreTx
	LedgerTx
	PrincipalTx
	SettingTx
	UseTx
}

// KeyTx is about keys, with their policy and tags.
type KeyTx interface {
	Key(region string, id KeyID) (*Key, error)
	InsertKey(k *Key) error
	UpdateKey(k *Key) error
	// DeleteKey removes the key with its aliases, grants, policy and tags (revision checked).
	DeleteKey(k *Key) error
	// KeyIDs lists ids of a Region in order, those greater than after, at most limit.
	KeyIDs(region string, after KeyID, limit int) ([]KeyID, error)
	CountKeys(region string) (int, error)
	// CountKeysByState counts stored states over all Regions.
	CountKeysByState() (map[State]int, error)
	// DueKeys lists keys in PendingDeletion whose DeletionDate is not after now, oldest date first.
	DueKeys(now time.Time, limit int) ([]*Key, error)
	// NextDeletion gives the earliest DeletionDate of any key; zero time where there is none.
	NextDeletion() (time.Time, error)
	// KeysInStore counts the keys of a custom key store, those pending deletion too.
	KeysInStore(region string, id StoreID) (int, error)
	// KeyByXksID gives the key that uses an external key in a store, or ErrNoRow.
	KeyByXksID(region string, store StoreID, xksKeyID string) (*Key, error)
	// RotatingKeys lists enabled keys with a rotation due (Rotation.Next not after now): a key in another state keeps its
	// schedule and rotates when it is enabled again.
	RotatingKeys(now time.Time, limit int) ([]*Key, error)
	// ExpiringKeys lists keys with imported material whose ValidTo is not after now.
	ExpiringKeys(now time.Time, limit int) ([]*Key, error)
	// KeysNaming lists keys of every Region whose policy may name a text, by (Region, id), those behind the one given, at most
	// limit. It reads all policies: it is for what happens rarely.
	KeysNaming(text, afterRegion string, after KeyID, limit int) ([]*Key, error)
	InsertTombstone(t *Tombstone) error
	// Tombstones lists them by deletion time, newest first; keyARN "" means all.
	Tombstones(keyARN string, limit int) ([]*Tombstone, error)
}

// AliasTx is about aliases.
type AliasTx interface {
	Alias(region, name string) (*Alias, error)
	InsertAlias(a *Alias) error
	UpdateAlias(a *Alias) error
	DeleteAlias(region, name string) error
	// Aliases lists by name, those greater than after, at most limit; target "" means of every key.
	Aliases(region string, target KeyID, after string, limit int) ([]*Alias, error)
	CountAliases(region string, target KeyID) (int, error)
}

// GrantTx is about grants.
type GrantTx interface {
	Grant(region string, key KeyID, grantID string) (*Grant, error)
	GrantByToken(region, token string) (*Grant, error)
	// GrantByName gives the grants of that name on the key (idempotence).
	GrantsByName(region string, key KeyID, name string) ([]*Grant, error)
	InsertGrant(g *Grant) error
	DeleteGrant(region string, key KeyID, grantID string) error
	// Grants lists a key's grants by id, those greater than after, at most limit; grantee and grantID filter where not "".
	Grants(region string, key KeyID, grantee, grantID, after string, limit int) ([]*Grant, error)
	// RetirableGrants lists by (key, id) the grants with that retiring principal; after is the last one's KeyID + "/" + ID.
	RetirableGrants(region, retiring, after string, limit int) ([]*Grant, error)
	// GrantsNaming lists grants of every Region with that grantee or retiring principal, at most limit. It reads all grants: it
	// is for what happens rarely.
	GrantsNaming(principal string, limit int) ([]*Grant, error)
	// CountGrants costs the same however many there are.
	CountGrants(region string, key KeyID) (int, error)
}

// StoreTx is about custom key stores.
type StoreTx interface {
	Store(region string, id StoreID) (*Store, error)
	StoreByName(region, name string) (*Store, error)
	InsertStore(s *Store) error
	UpdateStore(s *Store) error
	DeleteStore(region string, id StoreID) error
	// Stores lists by id, those greater than after, at most limit; region "" means every Region.
	Stores(region string, after StoreID, limit int) ([]*Store, error)
}

// LedgerTx is the material ledger. Rows are never removed.
type LedgerTx interface {
	Material(id MaterialID) (*Material, error)
	InsertMaterial(m *Material) error
	UpdateMaterial(m *Material) error
	// Materials lists rows in the given states (all where none is given) by id, those greater than after, at most limit.
	Materials(after MaterialID, limit int, states ...MaterialState) ([]*Material, error)
	// MaterialsOfKey lists every row of a key, oldest first.
	MaterialsOfKey(keyARN string) ([]*Material, error)
	// OpenMaterialsOfKey lists those that are neither destroyed nor resolved, oldest first; the others cost nothing.
	OpenMaterialsOfKey(keyARN string) ([]*Material, error)
	CountMaterials() (map[MaterialState]int, error)
}

// PrincipalTx is about principals and their credentials.
type PrincipalTx interface {
	Principal(arn string) (*Principal, error)
	InsertPrincipal(p *Principal) error
	UpdatePrincipal(p *Principal) error
	DeletePrincipal(arn string) error // with its credentials
	Principals() ([]*Principal, error)
	Credential(accessKeyID string) (*Credential, error)
	InsertCredential(c *Credential) error
	UpdateCredential(c *Credential) error
	DeleteCredential(accessKeyID string) error
	Credentials(principalARN string) ([]*Credential, error)
}

// SettingTx keeps small named values of the appliance itself.
type SettingTx interface {
	// Setting gives the value, or ErrNoRow.
	Setting(name string) ([]byte, error)
	PutSetting(name string, value []byte) error
	DeleteSetting(name string) error
	// Settings lists the names with that prefix, in order.
	Settings(prefix string) ([]string, error)
}

// UseTx keeps the last use of each key; it goes with its key.
type UseTx interface {
	// LastUse gives the last use of a key that was put, or ErrNoRow.
	LastUse(region string, id KeyID) (*LastUse, error)
	// PutLastUse stores the last use of a key. It changes nothing where the key is gone or a later use is stored.
	PutLastUse(u *LastUse) error
}

// Clock tells the appliance's time. Under dev it can be moved forward.
type Clock interface {
	Now() time.Time
}
