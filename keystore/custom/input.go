package custom

import "github.com/strongroom/strongroom/keystore"

// XksCredential is an XksProxyAuthenticationCredential: the credential that an external key store proxy checks.
type XksCredential struct {
	AccessKeyID     string
	RawSecretAccess Secret
}

// CreateInput is a CreateCustomKeyStore request. Shape limits (lengths, patterns, enumerations) hold already; "" and nil
// stand for a member that is absent.
type CreateInput struct {
	CustomKeyStoreName string
	CustomKeyStoreType keystore.StoreType // "" is AWS_CLOUDHSM

	// AWS_CLOUDHSM only
	CloudHsmClusterID      string
	KeyStorePassword       Secret
	TrustAnchorCertificate string

	// EXTERNAL_KEY_STORE only
	XksProxyConnectivity             string
	XksProxyURIEndpoint              string
	XksProxyURIPath                  string
	XksProxyAuthenticationCredential *XksCredential
	XksProxyVpcEndpointServiceName   string
	XksProxyVpcEndpointServiceOwner  string
}

// DescribeInput is a DescribeCustomKeyStores request. At most one of the filters may be given; Page.Limit 0 is
// DefaultPage.
type DescribeInput struct {
	CustomKeyStoreID   keystore.StoreID
	CustomKeyStoreName string
	Page               keystore.Page
}

// UpdateInput is an UpdateCustomKeyStore request. Shape limits hold already; "" and nil stand for a member that is absent.
type UpdateInput struct {
	CustomKeyStoreID      keystore.StoreID
	NewCustomKeyStoreName string

	// AWS_CLOUDHSM only
	KeyStorePassword  Secret
	CloudHsmClusterID string

	// EXTERNAL_KEY_STORE only
	XksProxyConnectivity             string
	XksProxyURIEndpoint              string
	XksProxyURIPath                  string
	XksProxyAuthenticationCredential *XksCredential
	// XksProxyVpcEndpointServiceName may be an empty string, which removes the name (change to PUBLIC_ENDPOINT).
	XksProxyVpcEndpointServiceName  *string
	XksProxyVpcEndpointServiceOwner string
}

// XksProxyConnectivity values (API reference, XksProxyConfigurationType.Connectivity).
const (
	PublicEndpoint     = "PUBLIC_ENDPOINT"
	VpcEndpointService = "VPC_ENDPOINT_SERVICE"
)
