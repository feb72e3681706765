package keystore

import "time"

// StoreType is a CustomKeyStoreType.
type StoreType string

// The custom key store types (API reference, CreateCustomKeyStore.CustomKeyStoreType).
const (
	StoreCloudHSM StoreType = "AWS_CLOUDHSM"
	StoreXKS      StoreType = "EXTERNAL_KEY_STORE"
)

// ConnState is a ConnectionState of the API.
type ConnState string

// The connection states (API reference, CustomKeyStoresListEntry.ConnectionState).
const (
	Disconnected  ConnState = "DISCONNECTED"
	Connecting    ConnState = "CONNECTING"
	Connected     ConnState = "CONNECTED"
	Disconnecting ConnState = "DISCONNECTING"
	Failed        ConnState = "FAILED"
)

// ConnErrorCode is a ConnectionErrorCode of the API; "" is none.
type ConnErrorCode string

// The whole enumeration of ConnectionErrorCode (API reference, CustomKeyStoresListEntry).
const (
	ConnInternalError       ConnErrorCode = "INTERNAL_ERROR"
	ConnNetworkErrors       ConnErrorCode = "NETWORK_ERRORS"
	ConnInvalidCredentials  ConnErrorCode = "INVALID_CREDENTIALS"
	ConnClusterNotFound     ConnErrorCode = "CLUSTER_NOT_FOUND"
	ConnInsufficientHSMs    ConnErrorCode = "INSUFFICIENT_CLOUDHSM_HSMS"
	ConnInsufficientFreeIPs ConnErrorCode = "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET"
	ConnSubnetNotFound      ConnErrorCode = "SUBNET_NOT_FOUND"
	ConnUserLockedOut       ConnErrorCode = "USER_LOCKED_OUT"
	ConnUserLoggedIn        ConnErrorCode = "USER_LOGGED_IN"
	ConnUserNotFound        ConnErrorCode = "USER_NOT_FOUND"
	ConnXksAccessDenied     ConnErrorCode = "XKS_PROXY_ACCESS_DENIED"
	ConnXksInvalidConfig    ConnErrorCode = "XKS_PROXY_INVALID_CONFIGURATION"
	ConnXksInvalidResponse  ConnErrorCode = "XKS_PROXY_INVALID_RESPONSE"
	ConnXksInvalidTLS       ConnErrorCode = "XKS_PROXY_INVALID_TLS_CONFIGURATION"
	ConnXksNotReachable     ConnErrorCode = "XKS_PROXY_NOT_REACHABLE"
	ConnXksTimedOut         ConnErrorCode = "XKS_PROXY_TIMED_OUT"
	ConnXksVpcInvalidConfig ConnErrorCode = "XKS_VPC_ENDPOINT_SERVICE_INVALID_CONFIGURATION"
	ConnXksVpcNotFound      ConnErrorCode = "XKS_VPC_ENDPOINT_SERVICE_NOT_FOUND"
)

// Store is a custom key store. Secrets in it are sealed by the appliance's token.
type Store struct {
	ID      StoreID
	Account string
	Region  string
	Name    string
	Type    StoreType
	Created time.Time

	Conn      ConnState     // as stored: DISCONNECTED, CONNECTING, CONNECTED, DISCONNECTING or FAILED
	ConnError ConnErrorCode // with FAILED only
	ConnCause string        // for operators: what the token or proxy said; never a secret

	// AWS_CLOUDHSM
	ClusterID      string
	TrustAnchor    string // PEM
	SealedPassword []byte // the kmsuser PIN
	PasswordDigest []byte // keyed digest, to find an identical create without opening the seal

	// EXTERNAL_KEY_STORE
	Xks *XksConfig

	Revision int64
}

// XksConfig is an external key store's XksProxyConfiguration and its sealed secret.
type XksConfig struct {
	Connectivity string `json:"connectivity"`
	AccessKeyID  string `json:"access_key_id"`
	SealedSecret []byte `json:"sealed_secret"`
	SecretDigest []byte `json:"secret_digest"`
	// CredentialSince is when the credential was given; zero for one of a release that did not note it.
	CredentialSince time.Time `json:"credential_since,omitzero"`
	URIEndpoint     string    `json:"uri_endpoint"`
	URIPath         string    `json:"uri_path"`
	VpcServiceName  string    `json:"vpc_service_name,omitempty"`
	VpcServiceOwner string    `json:"vpc_service_owner,omitempty"`
}

// Clone gives a deep copy.
func (s *Store) Clone() *Store {
	c := *s
	c.SealedPassword = append([]byte(nil), s.SealedPassword...)
	c.PasswordDigest = append([]byte(nil), s.PasswordDigest...)
	if s.Xks != nil {
		x := *s.Xks
		c.Xks = &x
	}
	return &c
}

// Cluster is a CloudHSM-style cluster as the configuration names it: what CreateCustomKeyStore checks against. The token
// behind it is known to the backend opener alone.
type Cluster struct {
	ID           string // CloudHsmClusterId
	TrustAnchor  string // PEM of the expected TrustAnchorCertificate; "" accepts any well-formed certificate
	RotatesPIN   bool   // whether connect rotates the kmsuser password
	RelatedGroup string // clusters with the same group are related (may replace each other on update)
}
