package shape

import (
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Empty is an answer without members. Whether it is sent as "{}" or as no body at all depends on the operation.
type Empty struct{}

// Write implements Response.
func (Empty) Write(*Writer) {}

// EncryptResponse is the answer of Encrypt.
type EncryptResponse struct {
	CiphertextBlob      []byte
	KeyID               string
	EncryptionAlgorithm string
}

// Write implements Response.
func (r *EncryptResponse) Write(w *Writer) {
	w.Blob("CiphertextBlob", r.CiphertextBlob)
	w.String("KeyId", r.KeyID)
	w.String("EncryptionAlgorithm", r.EncryptionAlgorithm)
}

// DecryptResponse is the answer of Decrypt.
type DecryptResponse struct {
	KeyID               string
	Plaintext           []byte
	EncryptionAlgorithm string
	KeyMaterialID       string
}

// Write implements Response.
func (r *DecryptResponse) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.Blob("Plaintext", r.Plaintext)
	w.String("EncryptionAlgorithm", r.EncryptionAlgorithm)
	w.String("KeyMaterialId", r.KeyMaterialID)
}

// ReEncryptResponse is the answer of ReEncrypt.
type ReEncryptResponse struct {
	CiphertextBlob                 []byte
	SourceKeyID                    string
	KeyID                          string
	SourceEncryptionAlgorithm      string
	DestinationEncryptionAlgorithm string
	SourceKeyMaterialID            string
	DestinationKeyMaterialID       string
}

// Write implements Response.
func (r *ReEncryptResponse) Write(w *Writer) {
	w.Blob("CiphertextBlob", r.CiphertextBlob)
	w.String("SourceKeyId", r.SourceKeyID)
	w.String("KeyId", r.KeyID)
	w.String("SourceEncryptionAlgorithm", r.SourceEncryptionAlgorithm)
	w.String("DestinationEncryptionAlgorithm", r.DestinationEncryptionAlgorithm)
	w.String("SourceKeyMaterialId", r.SourceKeyMaterialID)
	w.String("DestinationKeyMaterialId", r.DestinationKeyMaterialID)
}

// DataKeyResponse is the answer of GenerateDataKey, and without Plaintext of GenerateDataKeyWithoutPlaintext.
type DataKeyResponse struct {
	CiphertextBlob []byte
	Plaintext      []byte
	KeyID          string
	KeyMaterialID  string
}

// Write implements Response.
func (r *DataKeyResponse) Write(w *Writer) {
	w.Blob("CiphertextBlob", r.CiphertextBlob)
	w.Blob("Plaintext", r.Plaintext)
	w.String("KeyId", r.KeyID)
	w.String("KeyMaterialId", r.KeyMaterialID)
}

// RandomResponse is the answer of GenerateRandom.
type RandomResponse struct{ Plaintext []byte }

// Write implements Response.
func (r *RandomResponse) Write(w *Writer) { w.Blob("Plaintext", r.Plaintext) }

// KeyIDResponse is the answer of operations that only name the key: CancelKeyDeletion, RotateKeyOnDemand.
type KeyIDResponse struct{ KeyID string }

// Write implements Response.
func (r *KeyIDResponse) Write(w *Writer) { w.String("KeyId", r.KeyID) }

// KeyMetadataResponse is the answer of CreateKey and DescribeKey.
type KeyMetadataResponse struct{ KeyMetadata *KeyMetadata }

// Write implements Response.
func (r *KeyMetadataResponse) Write(w *Writer) { w.Object("KeyMetadata", r.KeyMetadata) }

// KeyListEntry is an element of ListKeys.
type KeyListEntry struct{ KeyID, KeyARN string }

// Write implements Response.
func (r KeyListEntry) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.String("KeyArn", r.KeyARN)
}

// Next is the end of a list's page: NextMarker "" is the last one.
type Next struct{ NextMarker string }

// Write implements Response.
func (r Next) Write(w *Writer) {
	w.String("NextMarker", r.NextMarker)
	w.Bool("Truncated", r.NextMarker != "")
}

// ListKeysResponse is the answer of ListKeys.
type ListKeysResponse struct {
	Keys []KeyListEntry
	Next
}

// Write implements Response.
func (r *ListKeysResponse) Write(w *Writer) {
	List(w, "Keys", r.Keys)
	r.Next.Write(w)
}

// ScheduleKeyDeletionResponse is the answer of ScheduleKeyDeletion. A zero DeletionDate is left out.
type ScheduleKeyDeletionResponse struct {
	KeyID               string
	DeletionDate        time.Time
	KeyState            keystore.State
	PendingWindowInDays int32
}

// Write implements Response.
func (r *ScheduleKeyDeletionResponse) Write(w *Writer) {
	w.String("KeyId", r.KeyID)
	w.Time("DeletionDate", r.DeletionDate)
	w.String("KeyState", string(r.KeyState))
	w.Int("PendingWindowInDays", &r.PendingWindowInDays)
}

// AliasEntry is an AliasListEntry.
type AliasEntry struct{ *keystore.Alias }

// Write implements Response.
func (r AliasEntry) Write(w *Writer) {
	w.String("AliasName", r.Name)
	w.String("AliasArn", r.ARN())
	w.String("TargetKeyId", string(r.Target))
	w.Time("CreationDate", r.Created)
	w.Time("LastUpdatedDate", r.Updated)
}

// ListAliasesResponse is the answer of ListAliases.
type ListAliasesResponse struct {
	Aliases []AliasEntry
	Next
}

// Write implements Response.
func (r *ListAliasesResponse) Write(w *Writer) {
	List(w, "Aliases", r.Aliases)
	r.Next.Write(w)
}

// ListResourceTagsResponse is the answer of ListResourceTags.
type ListResourceTagsResponse struct {
	Tags []keystore.Tag
	Next
}

// Write implements Response.
func (r *ListResourceTagsResponse) Write(w *Writer) {
	tags := r.Tags
	if tags == nil {
		tags = []keystore.Tag{}
	}
	w.Tags("Tags", tags)
	r.Next.Write(w)
}

// GetKeyPolicyResponse is the answer of GetKeyPolicy.
type GetKeyPolicyResponse struct{ Policy, PolicyName string }

// Write implements Response.
func (r *GetKeyPolicyResponse) Write(w *Writer) {
	w.String("Policy", r.Policy)
	w.String("PolicyName", r.PolicyName)
}

// ListKeyPoliciesResponse is the answer of ListKeyPolicies.
type ListKeyPoliciesResponse struct {
	PolicyNames []string
	Next
}

// Write implements Response.
func (r *ListKeyPoliciesResponse) Write(w *Writer) {
	names := r.PolicyNames
	if names == nil {
		names = []string{}
	}
	w.Strings("PolicyNames", names)
	r.Next.Write(w)
}

// StoreIDResponse is the answer of CreateCustomKeyStore.
type StoreIDResponse struct{ CustomKeyStoreID string }

// Write implements Response.
func (r *StoreIDResponse) Write(w *Writer) { w.String("CustomKeyStoreId", r.CustomKeyStoreID) }

// DescribeCustomKeyStoresResponse is the answer of DescribeCustomKeyStores.
type DescribeCustomKeyStoresResponse struct {
	CustomKeyStores []StoreEntry
	Next
}

// Write implements Response.
func (r *DescribeCustomKeyStoresResponse) Write(w *Writer) {
	List(w, "CustomKeyStores", r.CustomKeyStores)
	r.Next.Write(w)
}

// StoreEntry is a CustomKeyStoresListEntry. Its secrets are not written.
type StoreEntry struct{ *keystore.Store }

// Write implements Response.
func (r StoreEntry) Write(w *Writer) {
	w.String("CustomKeyStoreId", string(r.ID))
	w.String("CustomKeyStoreName", r.Name)
	if r.Type == keystore.StoreCloudHSM {
		w.String("CloudHsmClusterId", r.ClusterID)
		w.String("TrustAnchorCertificate", r.TrustAnchor)
	}
	w.String("ConnectionState", string(r.Conn))
	if r.Conn == keystore.Failed {
		w.String("ConnectionErrorCode", string(r.ConnError))
	}
	w.Time("CreationDate", r.Created)
	w.String("CustomKeyStoreType", string(r.Type))
	if r.Type == keystore.StoreXKS && r.Xks != nil {
		w.Object("XksProxyConfiguration", xksEntry{r.Xks})
	}
}

// xksEntry is XksProxyConfigurationType.
type xksEntry struct{ *keystore.XksConfig }

func (r xksEntry) Write(w *Writer) {
	w.String("Connectivity", r.Connectivity)
	w.String("AccessKeyId", r.AccessKeyID)
	w.String("UriEndpoint", r.URIEndpoint)
	w.String("UriPath", r.URIPath)
	w.String("VpcEndpointServiceName", r.VpcServiceName)
	w.String("VpcEndpointServiceOwner", r.VpcServiceOwner)
}
