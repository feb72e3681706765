package shape

import "github.com/strongroom/strongroom/keystore"

// CreateKeyRequest is the request of CreateKey.
type CreateKeyRequest struct {
	Policy                         string
	Description                    string
	KeyUsage                       string
	CustomerMasterKeySpec          string
	KeySpec                        string
	Origin                         string
	CustomKeyStoreID               string
	BypassPolicyLockoutSafetyCheck bool
	Tags                           []keystore.Tag
	MultiRegion                    bool
	XksKeyID                       string
}

// Members implements Request.
func (r *CreateKeyRequest) Members(m *Members) {
	m.String("Policy", &r.Policy, optional, &policy)
	m.String("Description", &r.Description, optional, &description)
	m.String("KeyUsage", &r.KeyUsage, optional, &keyUsage)
	m.String("CustomerMasterKeySpec", &r.CustomerMasterKeySpec, optional, &customerMasterKeySpec)
	m.String("KeySpec", &r.KeySpec, optional, &keySpec)
	m.String("Origin", &r.Origin, optional, &origin)
	m.String("CustomKeyStoreId", &r.CustomKeyStoreID, optional, &storeID)
	m.Bool("BypassPolicyLockoutSafetyCheck", &r.BypassPolicyLockoutSafetyCheck)
	m.Tags("Tags", &r.Tags, optional)
	m.Bool("MultiRegion", &r.MultiRegion)
	m.String("XksKeyId", &r.XksKeyID, optional, &xksKeyID)
}

// KeyRequest is the request of the operations that take a KeyId alone: CancelKeyDeletion, DisableKey,
// DisableKeyRotation, EnableKey, GetKeyLastUsage, GetKeyRotationStatus, RotateKeyOnDemand.
type KeyRequest struct{ KeyID string }

// Members implements Request.
func (r *KeyRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
}

// DescribeKeyRequest is the request of DescribeKey and of GetPublicKey.
type DescribeKeyRequest struct {
	KeyID       string
	GrantTokens []string
}

// Members implements Request.
func (r *DescribeKeyRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Strings("GrantTokens", &r.GrantTokens, optional, &grantTokens, &grantToken)
}

// ListKeysRequest is the request of ListKeys.
type ListKeysRequest struct {
	Limit  *int32
	Marker string
}

// Members implements Request.
func (r *ListKeysRequest) Members(m *Members) {
	m.Int("Limit", &r.Limit, &limit)
	m.String("Marker", &r.Marker, optional, &marker)
}

// UpdateKeyDescriptionRequest is the request of UpdateKeyDescription.
type UpdateKeyDescriptionRequest struct {
	KeyID       string
	Description string
}

// Members implements Request.
func (r *UpdateKeyDescriptionRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("Description", &r.Description, required, &description)
}

// ScheduleKeyDeletionRequest is the request of ScheduleKeyDeletion.
type ScheduleKeyDeletionRequest struct {
	KeyID               string
	PendingWindowInDays *int32
}

// Members implements Request.
func (r *ScheduleKeyDeletionRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Int("PendingWindowInDays", &r.PendingWindowInDays, &pendingWindow)
}

// AliasRequest is the request of CreateAlias and of UpdateAlias.
type AliasRequest struct {
	AliasName   string
	TargetKeyID string
}

// Members implements Request.
func (r *AliasRequest) Members(m *Members) {
	m.String("AliasName", &r.AliasName, required, &aliasName)
	m.String("TargetKeyId", &r.TargetKeyID, required, &keyID)
}

// DeleteAliasRequest is the request of DeleteAlias.
type DeleteAliasRequest struct{ AliasName string }

// Members implements Request.
func (r *DeleteAliasRequest) Members(m *Members) {
	m.String("AliasName", &r.AliasName, required, &aliasName)
}

// ListAliasesRequest is the request of ListAliases.
type ListAliasesRequest struct {
	KeyID  string
	Limit  *int32
	Marker string
}

// Members implements Request.
func (r *ListAliasesRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, optional, &keyID)
	m.Int("Limit", &r.Limit, &limit)
	m.String("Marker", &r.Marker, optional, &marker)
}

// TagResourceRequest is the request of TagResource.
type TagResourceRequest struct {
	KeyID string
	Tags  []keystore.Tag
}

// Members implements Request.
func (r *TagResourceRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Tags("Tags", &r.Tags, required)
}

// UntagResourceRequest is the request of UntagResource.
type UntagResourceRequest struct {
	KeyID   string
	TagKeys []string
}

// Members implements Request.
func (r *UntagResourceRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Strings("TagKeys", &r.TagKeys, required, nil, &tagKey)
}

// ListOfKeyRequest is the request of ListKeyPolicies and of ListResourceTags.
type ListOfKeyRequest struct {
	KeyID  string
	Limit  *int32
	Marker string
}

// Members implements Request.
func (r *ListOfKeyRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.Int("Limit", &r.Limit, &limit)
	m.String("Marker", &r.Marker, optional, &marker)
}

// GetKeyPolicyRequest is the request of GetKeyPolicy.
type GetKeyPolicyRequest struct {
	KeyID      string
	PolicyName string
}

// Members implements Request.
func (r *GetKeyPolicyRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("PolicyName", &r.PolicyName, optional, &policyName)
}

// PutKeyPolicyRequest is the request of PutKeyPolicy.
type PutKeyPolicyRequest struct {
	KeyID                          string
	PolicyName                     string
	Policy                         string
	BypassPolicyLockoutSafetyCheck bool
}

// Members implements Request.
func (r *PutKeyPolicyRequest) Members(m *Members) {
	m.String("KeyId", &r.KeyID, required, &keyID)
	m.String("PolicyName", &r.PolicyName, optional, &policyName)
	m.String("Policy", &r.Policy, required, &policy)
	m.Bool("BypassPolicyLockoutSafetyCheck", &r.BypassPolicyLockoutSafetyCheck)
}
