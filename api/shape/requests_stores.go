package shape

// XksCredential is XksProxyAuthenticationCredentialType.
type XksCredential struct {
	Given
	AccessKeyID     string
	RawSecretAccess string
}

// Members implements Request.
func (r *XksCredential) Members(m *Members) {
	m.String("AccessKeyId", &r.AccessKeyID, required, &xksAccessKey)
	m.String("RawSecretAccessKey", &r.RawSecretAccess, required, &xksSecret)
}

// CreateCustomKeyStoreRequest is the request of CreateCustomKeyStore.
type CreateCustomKeyStoreRequest struct {
	CustomKeyStoreName               string
	CloudHsmClusterID                string
	TrustAnchorCertificate           string
	KeyStorePassword                 string
	CustomKeyStoreType               string
	XksProxyURIEndpoint              string
	XksProxyURIPath                  string
	XksProxyVpcEndpointServiceName   string
	XksProxyVpcEndpointServiceOwner  string
	XksProxyAuthenticationCredential XksCredential
	XksProxyConnectivity             string
}

// Members implements Request.
func (r *CreateCustomKeyStoreRequest) Members(m *Members) {
	m.String("CustomKeyStoreName", &r.CustomKeyStoreName, required, &storeName)
	m.String("CloudHsmClusterId", &r.CloudHsmClusterID, optional, &clusterID)
	m.String("TrustAnchorCertificate", &r.TrustAnchorCertificate, optional, &trustAnchor)
	m.String("KeyStorePassword", &r.KeyStorePassword, optional, &keyStorePassword)
	m.String("CustomKeyStoreType", &r.CustomKeyStoreType, optional, &storeType)
	m.endpoint(&r.XksProxyURIEndpoint)
	m.String("XksProxyUriPath", &r.XksProxyURIPath, optional, &xksPath)
	m.String("XksProxyVpcEndpointServiceName", &r.XksProxyVpcEndpointServiceName, optional, &xksVpcService)
	m.String("XksProxyVpcEndpointServiceOwner", &r.XksProxyVpcEndpointServiceOwner, optional, &accountID)
	m.Struct("XksProxyAuthenticationCredential", &r.XksProxyAuthenticationCredential)
	m.String("XksProxyConnectivity", &r.XksProxyConnectivity, optional, &xksProxyConnectivity)
}

// UpdateCustomKeyStoreRequest is the request of UpdateCustomKeyStore.
type UpdateCustomKeyStoreRequest struct {
	CustomKeyStoreID                 string
	NewCustomKeyStoreName            string
	KeyStorePassword                 string
	CloudHsmClusterID                string
	XksProxyURIEndpoint              string
	XksProxyURIPath                  string
	XksProxyVpcEndpointServiceName   string
	XksProxyVpcEndpointServiceOwner  string
	XksProxyAuthenticationCredential XksCredential
	XksProxyConnectivity             string
}

// Members implements Request.
func (r *UpdateCustomKeyStoreRequest) Members(m *Members) {
	m.String("CustomKeyStoreId", &r.CustomKeyStoreID, required, &storeID)
	m.String("NewCustomKeyStoreName", &r.NewCustomKeyStoreName, optional, &storeName)
	m.String("KeyStorePassword", &r.KeyStorePassword, optional, &keyStorePassword)
	m.String("CloudHsmClusterId", &r.CloudHsmClusterID, optional, &clusterID)
	m.endpoint(&r.XksProxyURIEndpoint)
	m.String("XksProxyUriPath", &r.XksProxyURIPath, optional, &xksPath)
	m.String("XksProxyVpcEndpointServiceName", &r.XksProxyVpcEndpointServiceName, optional, &xksVpcServiceNew)
	m.String("XksProxyVpcEndpointServiceOwner", &r.XksProxyVpcEndpointServiceOwner, optional, &accountID)
	m.Struct("XksProxyAuthenticationCredential", &r.XksProxyAuthenticationCredential)
	m.String("XksProxyConnectivity", &r.XksProxyConnectivity, optional, &xksProxyConnectivity)
}

// StoreRequest is the request of ConnectCustomKeyStore, DisconnectCustomKeyStore and DeleteCustomKeyStore.
type StoreRequest struct{ CustomKeyStoreID string }

// Members implements Request.
func (r *StoreRequest) Members(m *Members) {
	m.String("CustomKeyStoreId", &r.CustomKeyStoreID, required, &storeID)
}

// DescribeCustomKeyStoresRequest is the request of DescribeCustomKeyStores.
type DescribeCustomKeyStoresRequest struct {
	CustomKeyStoreID   string
	CustomKeyStoreName string
	Limit              *int32
	Marker             string
}

// Members implements Request.
func (r *DescribeCustomKeyStoresRequest) Members(m *Members) {
	m.String("CustomKeyStoreId", &r.CustomKeyStoreID, optional, &storeID)
	m.String("CustomKeyStoreName", &r.CustomKeyStoreName, optional, &storeName)
	m.Int("Limit", &r.Limit, &limit)
	m.String("Marker", &r.Marker, optional, &marker)
}
