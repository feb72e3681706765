package custom

import "github.com/strongroom/strongroom/keystore"

// The parameters of CreateCustomKeyStore that no update can change.
const paramAnchor = "TrustAnchorCertificate"

// parameterRow says which store type has a parameter, and whether a create needs it (custom-key-stores.md section 2).
// The service name is needed with VPC_ENDPOINT_SERVICE only: see checkConnectivity.
type parameterRow struct {
	name     string
	store    keystore.StoreType
	required bool
}

var parameterTable = []parameterRow{
	{keystore.ParamCloudHsmClusterID, keystore.StoreCloudHSM, true},
	{keystore.ParamKeyStorePassword, keystore.StoreCloudHSM, true},
	{paramAnchor, keystore.StoreCloudHSM, true},
	{keystore.ParamXksProxyConnectivity, keystore.StoreXKS, true},
	{keystore.ParamXksProxyAuthCredential, keystore.StoreXKS, true},
	{keystore.ParamXksProxyURIEndpoint, keystore.StoreXKS, true},
	{keystore.ParamXksProxyURIPath, keystore.StoreXKS, true},
	{keystore.ParamXksProxyVpcEndpointServiceName, keystore.StoreXKS, false},
	{keystore.ParamXksProxyVpcEndpointServiceOwner, keystore.StoreXKS, false},
}

// given is the set of parameters that a request has.
type given map[string]bool

// checkTypes refuses parameters of the other store type, and with create also missing ones.
func (g given) checkTypes(t keystore.StoreType, create bool) error {
	for _, row := range parameterTable {
		if row.store != t && g[row.name] {
			return foreign(row.name, t)
		}
	}
	for _, row := range parameterTable {
		if create && row.store == t && row.required && !g[row.name] {
			return missing(row.name, t)
		}
	}
	return nil
}

// checkStates refuses an update as a whole when the store's connection forbids one of its parameters.
func (g given) checkStates(st *keystore.Store) error {
	if g[keystore.ParamNewCustomKeyStoreName] && !keystore.UpdatableIn(keystore.ParamNewCustomKeyStoreName, st.Type, st.Conn) {
		return notWhile(keystore.ParamNewCustomKeyStoreName, st)
	}
	for _, row := range parameterTable {
		if g[row.name] && !keystore.UpdatableIn(row.name, st.Type, st.Conn) {
			return notWhile(row.name, st)
		}
	}
	return nil
}

func (in *CreateInput) given() given {
	return given{
		keystore.ParamCloudHsmClusterID:               in.CloudHsmClusterID != "",
		keystore.ParamKeyStorePassword:                in.KeyStorePassword != "",
		paramAnchor:                                   in.TrustAnchorCertificate != "",
		keystore.ParamXksProxyConnectivity:            in.XksProxyConnectivity != "",
		keystore.ParamXksProxyAuthCredential:          in.XksProxyAuthenticationCredential != nil,
		keystore.ParamXksProxyURIEndpoint:             in.XksProxyURIEndpoint != "",
		keystore.ParamXksProxyURIPath:                 in.XksProxyURIPath != "",
		keystore.ParamXksProxyVpcEndpointServiceName:  in.XksProxyVpcEndpointServiceName != "",
		keystore.ParamXksProxyVpcEndpointServiceOwner: in.XksProxyVpcEndpointServiceOwner != "",
	}
}

func (in *UpdateInput) given() given {
	return given{
		keystore.ParamNewCustomKeyStoreName:           in.NewCustomKeyStoreName != "",
		keystore.ParamCloudHsmClusterID:               in.CloudHsmClusterID != "",
		keystore.ParamKeyStorePassword:                in.KeyStorePassword != "",
		keystore.ParamXksProxyConnectivity:            in.XksProxyConnectivity != "",
		keystore.ParamXksProxyAuthCredential:          in.XksProxyAuthenticationCredential != nil,
		keystore.ParamXksProxyURIEndpoint:             in.XksProxyURIEndpoint != "",
		keystore.ParamXksProxyURIPath:                 in.XksProxyURIPath != "",
		keystore.ParamXksProxyVpcEndpointServiceName:  in.XksProxyVpcEndpointServiceName != nil,
		keystore.ParamXksProxyVpcEndpointServiceOwner: in.XksProxyVpcEndpointServiceOwner != "",
	}
}

// touchesProxy tells whether the request changes how the proxy is reached.
func (g given) touchesProxy() bool {
	for _, row := range parameterTable {
		if row.store == keystore.StoreXKS && g[row.name] {
			return true
		}
	}
	return false
}

// checkConnectivity refuses combinations of connectivity and VPC parameters that cannot be.
func checkConnectivity(x *keystore.XksConfig) error {
	switch {
	case x.Connectivity == VpcEndpointService && x.VpcServiceName == "":
		return keystore.Faultf(keystore.KindValidation, "%s is required with %s.", keystore.ParamXksProxyVpcEndpointServiceName, VpcEndpointService)
	case x.Connectivity == PublicEndpoint && x.VpcServiceName != "":
		return keystore.Faultf(keystore.KindValidation, "%s is not valid with %s.", keystore.ParamXksProxyVpcEndpointServiceName, PublicEndpoint)
	case x.Connectivity == PublicEndpoint && x.VpcServiceOwner != "":
		return keystore.Faultf(keystore.KindValidation, "%s is not valid with %s.", keystore.ParamXksProxyVpcEndpointServiceOwner, PublicEndpoint)
	}
	return nil
}
