package shape

import (
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// ImportParametersResponse is the answer of GetParametersForImport.
type ImportParametersResponse struct {
	KeyID       string
	ImportToken []byte
	PublicKey   []byte
	ValidTo     time.Time
}

// Write implements Response.
func (r *ImportParametersResponse) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.Blob("ImportToken", r.ImportToken)
	w.Blob("PublicKey", r.PublicKey)
	w.Time("ParametersValidTo", r.ValidTo)
}

// KeyMaterialResponse is the answer of ImportKeyMaterial and DeleteImportedKeyMaterial.
type KeyMaterialResponse struct{ KeyID, KeyMaterialID string }

// Write implements Response.
func (r *KeyMaterialResponse) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.String("KeyMaterialId", r.KeyMaterialID)
}

// RotationStatusResponse is the answer of GetKeyRotationStatus. OnDemandStart is zero unless a rotation on demand is
// going on.
type RotationStatusResponse struct {
	KeyID         string
	Rotation      keystore.Rotation
	OnDemandStart time.Time
}

// Write implements Response. Period and next date are shown while rotation is enabled.
func (r *RotationStatusResponse) Write(w *Writer) {
	w.Bool("KeyRotationEnabled", r.Rotation.Enabled)
	w.String("KeyId", r.KeyID)
	if r.Rotation.Enabled {
		days := int32(r.Rotation.PeriodDays)
		w.Int("RotationPeriodInDays", &days)
		w.Time("NextRotationDate", r.Rotation.Next)
	}
	w.Time("OnDemandRotationStartDate", r.OnDemandStart)
}

// RotationEntry is a RotationsListEntry: one material of a key.
type RotationEntry struct {
	Key      *keystore.Key
	Material *keystore.KeyMaterial
}

// Write implements Response. What is only for imported material is in key-lifecycle.md, section 6.
func (r RotationEntry) Write(w *Writer) {
	m := r.Material
	w.String("KeyId", string(r.Key.ID))
	w.String("KeyMaterialId", m.KeyMaterialID())
	w.String("KeyMaterialDescription", m.Description)
	if r.Key.Origin == keystore.OriginExternal {
		state, expires := "PENDING_IMPORT", ""
		if m.Imported {
			state, expires = "IMPORTED", "KEY_MATERIAL_DOES_NOT_EXPIRE"
		}
		if m.Imported && !m.ValidTo.IsZero() {
			expires = "KEY_MATERIAL_EXPIRES"
		}
		w.String("ImportState", state)
		w.String("ExpirationModel", expires)
		w.Time("ValidTo", m.ValidTo)
	}
	w.String("KeyMaterialState", string(m.State))
	w.Time("RotationDate", m.Rotated)
	w.String("RotationType", m.RotationType)
}

// ListKeyRotationsResponse is the answer of ListKeyRotations.
type ListKeyRotationsResponse struct {
	Rotations []RotationEntry
	Next
}

// Write implements Response.
func (r *ListKeyRotationsResponse) Write(w *Writer) {
	List(w, "Rotations", r.Rotations)
	r.Next.Write(w)
}

// ReplicateKeyResponse is the answer of ReplicateKey. A replica without tags has an empty list of them (AWS CLI, example of
// replicate-key).
type ReplicateKeyResponse struct {
	Replica *KeyMetadata
	Policy  string
	Tags    []keystore.Tag
}

// Write implements Response.
func (r *ReplicateKeyResponse) Write(w *Writer) {
	w.Object("ReplicaKeyMetadata", r.Replica)
	w.String("ReplicaPolicy", r.Policy)
	w.Tags("ReplicaTags", append([]keystore.Tag{}, r.Tags...))
}

// LastUsage is KeyLastUsageData; the zero value is a key that was not used.
type LastUsage struct {
	Operation keystore.Action
	Time      time.Time
	EventID   string
	RequestID string
}

// Write implements Response.
func (r *LastUsage) Write(w *Writer) {
	w.String("Operation", string(r.Operation))
	w.Time("Timestamp", r.Time)
	w.String("CloudTrailEventId", r.EventID)
	w.String("KmsRequestId", r.RequestID)
}

// KeyLastUsageResponse is the answer of GetKeyLastUsage.
type KeyLastUsageResponse struct {
	KeyID    string
	Created  time.Time
	Tracking time.Time
	Last     LastUsage
}

// Write implements Response.
func (r *KeyLastUsageResponse) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.Time("KeyCreationDate", r.Created)
	w.Time("TrackingStartDate", r.Tracking)
	w.Object("KeyLastUsage", &r.Last)
}
