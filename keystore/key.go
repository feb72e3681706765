package keystore

import (
	"slices"
	"time"
)

// State is a KeyState of the AWS KMS API. Unavailable is derived (EffectiveState) and never stored.
type State string

// The key states (API reference, KeyMetadata.KeyState).
const (
	Creating               State = "Creating"
	Enabled                State = "Enabled"
	Disabled               State = "Disabled"
	PendingImport          State = "PendingImport"
	PendingDeletion        State = "PendingDeletion"
	PendingReplicaDeletion State = "PendingReplicaDeletion"
	Unavailable            State = "Unavailable"
	Updating               State = "Updating"
)

// Origin says where a key's material comes from.
type Origin string

// The origins (API reference, KeyMetadata.Origin).
const (
	OriginKMS      Origin = "AWS_KMS"
	OriginExternal Origin = "EXTERNAL"
	OriginCloudHSM Origin = "AWS_CLOUDHSM"
	OriginXKS      Origin = "EXTERNAL_KEY_STORE"
)

// Tag is a key's tag.
type Tag struct {
	Key   string `json:"TagKey"`
	Value string `json:"TagValue"`
}

// Key is a KMS key: its metadata, policy and tags. A *Key that a Directory gives is shared and must not be changed; a
// *Key that a Tx gives is the caller's own.
type Key struct {
	ID          KeyID
	Account     string
	Region      string
	Origin      Origin
	Spec        Spec
	Usage       Usage
	Description string
	Created     time.Time
	State       State // as stored: never Unavailable
	StoreID     StoreID
	ClusterID   string // CloudHsmClusterId of the store when the key was made; AWS_CLOUDHSM only
	XksKeyID    string // EXTERNAL_KEY_STORE only

	Policy string // the policy "default", JSON text
	Tags   []Tag  // in the order of their keys

	// Deletion, set while the key is PendingDeletion or PendingReplicaDeletion.
	DeletionDate time.Time // zero while PendingReplicaDeletion
	WindowDays   int       // PendingWindowInDays as asked
	ScheduledAt  time.Time
	ScheduledBy  string // principal ARN

	// Materials, oldest first. At most one is Current. Custom store keys have exactly one.
	Materials []KeyMaterial

	MultiRegion *MultiRegion // nil for a single-Region key
	Rotation    Rotation
	Import      *ImportState // EXTERNAL only

	Revision int64 // raised by each committed change
}

// KeyMaterial is one material of a key, current or earlier.
type KeyMaterial struct {
	ID           MaterialID   `json:"id"`
	State        RotationRole `json:"state"`
	Created      time.Time    `json:"created"`
	Rotated      time.Time    `json:"rotated,omitzero"`       // when it became current by a rotation
	RotationType string       `json:"rotation_type,omitzero"` // AUTOMATIC, ON_DEMAND, "" for the first
	KMSID        string       `json:"kms_id,omitzero"`        // KeyMaterialId; "" means ID.KMSID()
	Description  string       `json:"description,omitzero"`   // KeyMaterialDescription, EXTERNAL only
	ValidTo      time.Time    `json:"valid_to,omitzero"`      // EXTERNAL with expiry
	Imported     bool         `json:"imported,omitzero"`      // EXTERNAL: present on the token now
	Mark         []byte       `json:"mark,omitempty"`         // EXTERNAL: what recognises the same material again, sealed
}

// KeyMaterialID is the KeyMaterialId shown to callers.
func (m *KeyMaterial) KeyMaterialID() string {
	if m.KMSID != "" {
		return m.KMSID
	}
	return m.ID.KMSID()
}

// RotationRole is a KeyMaterialState of the API.
type RotationRole string

// The roles of a material (API reference, RotationsListEntry.KeyMaterialState).
const (
	MaterialCurrent         RotationRole = "CURRENT"
	MaterialNonCurrent      RotationRole = "NON_CURRENT"
	MaterialPendingRotation RotationRole = "PENDING_ROTATION"
	MaterialPendingReplicas RotationRole = "PENDING_MULTI_REGION_IMPORT_AND_ROTATION"
)

// MultiRegion is the multi-Region configuration of a key. Every related key's copy lists the Regions of the replicas.
type MultiRegion struct {
	Primary        bool     `json:"primary"`
	PrimaryRegion  string   `json:"primary_region"`
	ReplicaRegions []string `json:"replica_regions,omitempty"`
}

// Rotation is a key's automatic rotation setting and its on-demand count.
type Rotation struct {
	Enabled    bool      `json:"enabled,omitzero"`
	PeriodDays int       `json:"period_days,omitzero"`
	Since      time.Time `json:"since,omitzero"` // when it was enabled
	Next       time.Time `json:"next,omitzero"`
	OnDemand   int       `json:"on_demand,omitzero"` // on-demand rotations done
}

// ImportState is what only keys with imported material have.
type ImportState struct {
	ExpirationModel string    `json:"expiration_model,omitzero"` // "" while there is no material
	ValidTo         time.Time `json:"valid_to,omitzero"`
}

// ARN is the key's ARN.
func (k *Key) ARN() string { return KeyARN(k.Region, k.Account, k.ID) }

// Current gives the current material, nil where there is none (an EXTERNAL key before its first import).
func (k *Key) Current() *KeyMaterial {
	for i := range k.Materials {
		if k.Materials[i].State == MaterialCurrent {
			return &k.Materials[i]
		}
	}
	return nil
}

// Material gives the material with that id, nil where the key has none such.
func (k *Key) Material(id MaterialID) *KeyMaterial {
	for i := range k.Materials {
		if k.Materials[i].ID == id {
			return &k.Materials[i]
		}
	}
	return nil
}

// PendingDeletion tells whether deletion is scheduled, in either form.
func (k *Key) PendingDeletion() bool {
	return k.State == PendingDeletion || k.State == PendingReplicaDeletion
}

// ShowsMaterialID tells whether KeyMaterialId and CurrentKeyMaterialId exist for this key: symmetric encryption keys of
// origin AWS_KMS or EXTERNAL (SDK, KeyMetadata.CurrentKeyMaterialId).
func (k *Key) ShowsMaterialID() bool {
	return k.Spec == SymmetricDefault && (k.Origin == OriginKMS || k.Origin == OriginExternal)
}

// Clone gives a deep copy.
func (k *Key) Clone() *Key {
	c := *k
	c.Tags = slices.Clone(k.Tags)
	c.Materials = slices.Clone(k.Materials)
	if k.MultiRegion != nil {
		m := *k.MultiRegion
		m.ReplicaRegions = slices.Clone(m.ReplicaRegions)
		c.MultiRegion = &m
	}
	if k.Import != nil {
		i := *k.Import
		c.Import = &i
	}
	return &c
}

// Alias is a name for a key in one account and Region.
type Alias struct {
	Name    string // with the prefix "alias/"
	Account string
	Region  string
	Target  KeyID
	Created time.Time
	Updated time.Time
}

// ARN is the alias's ARN.
func (a *Alias) ARN() string { return AliasARN(a.Region, a.Account, a.Name) }

// Grant is a grant on a key (API reference, GrantListEntry).
type Grant struct {
	ID               string
	KeyID            KeyID
	Region           string
	Name             string
	Grantee          string // principal ARN
	GranteeService   string
	Retiring         string
	RetiringService  string
	Issuer           string
	Operations       []string
	ContextEquals    map[string]string
	ContextSubset    map[string]string
	SourceARN        string
	Token            string
	Created          time.Time
	ParametersDigest string // of the request, for idempotence by name
	IssuingPrincipal string
	ParentGrant      string // the grant through whose CreateGrant permission it was made
	HasConstraints   bool
}

// Tombstone is what is kept of a deleted key, so that token backups made in its life can be found and destroyed.
type Tombstone struct {
	KeyARN      string    `json:"key_arn"`
	KeyID       KeyID     `json:"key_id"`
	Region      string    `json:"region"`
	Origin      Origin    `json:"origin"`
	StoreID     StoreID   `json:"store_id"`
	ClusterID   string    `json:"cluster_id"`
	Created     time.Time `json:"created_at"`
	ScheduledAt time.Time `json:"scheduled_at"`
	ScheduledBy string    `json:"scheduled_by"`
	DueAt       time.Time `json:"due_at"` // the DeletionDate that callers saw
	DeletedAt   time.Time `json:"deleted_at"`
}
