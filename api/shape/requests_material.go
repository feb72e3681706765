package shape

import (
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// GetParametersForImportRequest is the request of GetParametersForImport.
type GetParametersForImportRequest struct {
	KeyID             string
	WrappingAlgorithm string
	WrappingKeySpec   string
}

// Members implements Request.
func (r *GetParametersForImportRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("WrappingAlgorithm", &r.WrappingAlgorithm, required, &wrappingAlgorithm)
	m.String("WrappingKeySpec", &r.WrappingKeySpec, required, &wrappingKeySpec)
}

// ImportKeyMaterialRequest is the request of ImportKeyMaterial.
type ImportKeyMaterialRequest struct {
	KeyID                  string
	ImportToken            []byte
	EncryptedKeyMaterial   []byte
	ValidTo                time.Time
	ExpirationModel        string
	ImportType             string
	KeyMaterialDescription string
	KeyMaterialID          string
}

// Members implements Request.
func (r *ImportKeyMaterialRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Blob("ImportToken", &r.ImportToken, required, &ciphertext)
	m.Blob("EncryptedKeyMaterial", &r.EncryptedKeyMaterial, required, &ciphertext)
	m.Time("ValidTo", &r.ValidTo)
	m.String("ExpirationModel", &r.ExpirationModel, optional, &expirationModel)
	m.String("ImportType", &r.ImportType, optional, &importType)
	m.String("KeyMaterialDescription", &r.KeyMaterialDescription, optional, &materialNote)
	m.String("KeyMaterialId", &r.KeyMaterialID, optional, &backingKeyID)
}

// DeleteImportedKeyMaterialRequest is the request of DeleteImportedKeyMaterial.
type DeleteImportedKeyMaterialRequest struct {
	KeyID         string
	KeyMaterialID string
}

// Members implements Request.
func (r *DeleteImportedKeyMaterialRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("KeyMaterialId", &r.KeyMaterialID, optional, &backingKeyID)
}

// EnableKeyRotationRequest is the request of EnableKeyRotation.
type EnableKeyRotationRequest struct {
	KeyID                string
	RotationPeriodInDays *int32
}

// Members implements Request.
func (r *EnableKeyRotationRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Int("RotationPeriodInDays", &r.RotationPeriodInDays, &rotationPeriod)
}

// ListKeyRotationsRequest is the request of ListKeyRotations.
type ListKeyRotationsRequest struct {
	KeyID              string
	IncludeKeyMaterial string
	Limit              *int32
	Marker             string
}

// Members implements Request.
func (r *ListKeyRotationsRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("IncludeKeyMaterial", &r.IncludeKeyMaterial, optional, &includeKeyMaterial)
	m.Int("Limit", &r.Limit, &limit)
	m.String("Marker", &r.Marker, optional, &marker)
}

// ReplicateKeyRequest is the request of ReplicateKey.
type ReplicateKeyRequest struct {
	KeyID                          string
	ReplicaRegion                  string
	Policy                         string
	BypassPolicyLockoutSafetyCheck bool
	Description                    string
	Tags                           []keystore.Tag
}

// Members implements Request.
func (r *ReplicateKeyRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("ReplicaRegion", &r.ReplicaRegion, required, &region)
	m.String("Policy", &r.Policy, optional, &policy)
	m.Bool("BypassPolicyLockoutSafetyCheck", &r.BypassPolicyLockoutSafetyCheck)
	m.String("Description", &r.Description, optional, &description)
	m.Tags("Tags", &r.Tags, optional)
}

// UpdatePrimaryRegionRequest is the request of UpdatePrimaryRegion.
type UpdatePrimaryRegionRequest struct {
	KeyID         string
	PrimaryRegion string
}

// Members implements Request.
func (r *UpdatePrimaryRegionRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("PrimaryRegion", &r.PrimaryRegion, required, &region)
}
