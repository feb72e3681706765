package keystore

import (
	"fmt"
	"slices"
	"time"
)

// MaterialState is the life of backing material in the ledger.
type MaterialState string

// planned → live → condemned → destroyed | orphaned → resolved. Rows are written before the token is touched and never
// removed, so that every object that was ever made is named by a row at every instant.
const (
	MaterialPlanned   MaterialState = "planned"   // an object may exist; its key does not
	MaterialLive      MaterialState = "live"      // belongs to an existing key
	MaterialCondemned MaterialState = "condemned" // its key is gone; destruction is due, once
	MaterialDestroyed MaterialState = "destroyed" // gone from the token
	MaterialOrphaned  MaterialState = "orphaned"  // could not be destroyed; a person must see to it
	MaterialResolved  MaterialState = "resolved"  // a person removed it, or it was never ours to remove
)

// materialNext is the transition table; final states have no exit.
var materialNext = map[MaterialState][]MaterialState{
	MaterialPlanned:   {MaterialLive, MaterialCondemned},
	MaterialLive:      {MaterialCondemned},
	MaterialCondemned: {MaterialDestroyed, MaterialOrphaned, MaterialResolved},
	MaterialOrphaned:  {MaterialDestroyed, MaterialResolved},
	MaterialDestroyed: {},
	MaterialResolved:  {},
}

// MaterialStates lists the states in the order of a material's life.
func MaterialStates() []MaterialState {
	return []MaterialState{MaterialPlanned, MaterialLive, MaterialCondemned, MaterialDestroyed, MaterialOrphaned, MaterialResolved}
}

// Advance moves the row to a next state, or fails where the table has no such step.
func (m *Material) Advance(to MaterialState) error {
	if !slices.Contains(materialNext[m.State], to) {
		return fmt.Errorf("material %s: no step from %s to %s", m.ID, m.State, to)
	}
	m.State = to
	return nil
}

// MaterialKind says whose the material is.
type MaterialKind string

// Kinds of ledger rows.
const (
	MaterialOnToken   MaterialKind = "token"     // objects that Strongroom made or imported on a token
	MaterialNotOurs   MaterialKind = "not_ours"  // an external key behind an XKS proxy: never destroyed
	MaterialAppliance MaterialKind = "appliance" // objects of the appliance itself ("strongroom:<purpose>")
)

// TokenIdentity is how a person finds a token.
type TokenIdentity struct {
	Label        string `json:"token_label"`
	Serial       string `json:"token_serial"`
	Manufacturer string `json:"token_manufacturer"`
	Model        string `json:"token_model"`
}

// Material is a ledger row: one piece of backing material (an object, or a pair with the same CKA_ID) and all that a
// person needs to find and remove it.
type Material struct {
	ID         MaterialID
	State      MaterialState
	Kind       MaterialKind
	KeyID      KeyID
	KeyARN     string
	Region     string
	StoreID    StoreID
	ClusterID  string
	Token      TokenIdentity
	Label      string   // CKA_LABEL: the key's ARN
	Classes    []string // CKO_… names of its objects
	KeyType    string   // CKK_… name
	CheckValue string   // hex, where the token gives one
	ExternalID string   // kind not_ours: the XksKeyId

	PlannedAt   time.Time // row written
	CreatedAt   time.Time // object made (state live)
	KeyCreated  time.Time // creation date of the KMS key
	ScheduledAt time.Time // ScheduleKeyDeletion
	ScheduledBy string
	DeletedAt   time.Time // key really deleted (state condemned)
	EndedAt     time.Time // destroyed or resolved

	Reason   string // why it could not be destroyed, with the CKR name
	Attempts int    // destruction attempts
	Note     string // of the person who resolved it

	Revision int64
}

// Clone gives a deep copy.
func (m *Material) Clone() *Material {
	c := *m
	c.Classes = slices.Clone(m.Classes)
	return &c
}
