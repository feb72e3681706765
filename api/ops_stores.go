package api

import (
	"context"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/custom"
)

func createCustomKeyStore(ctx context.Context, c *call, r *shape.CreateCustomKeyStoreRequest) (response, error) {
	id, err := c.s.Stores.CreateCustomKeyStore(ctx, c.caller, &custom.CreateInput{
		CustomKeyStoreName: r.CustomKeyStoreName, CustomKeyStoreType: keystore.StoreType(r.CustomKeyStoreType),
		CloudHsmClusterID: r.CloudHsmClusterID, KeyStorePassword: custom.Secret(r.KeyStorePassword),
		TrustAnchorCertificate: r.TrustAnchorCertificate, XksProxyConnectivity: r.XksProxyConnectivity,
		XksProxyURIEndpoint: r.XksProxyURIEndpoint, XksProxyURIPath: r.XksProxyURIPath,
		XksProxyAuthenticationCredential: xksCredential(&r.XksProxyAuthenticationCredential),
		XksProxyVpcEndpointServiceName:   r.XksProxyVpcEndpointServiceName,
		XksProxyVpcEndpointServiceOwner:  r.XksProxyVpcEndpointServiceOwner,
	})
	if err != nil {
		return nil, err
	}
	return &shape.StoreIDResponse{CustomKeyStoreID: string(id)}, nil
}

func xksCredential(r *shape.XksCredential) *custom.XksCredential {
	if !r.Present {
		return nil
	}
	return &custom.XksCredential{AccessKeyID: r.AccessKeyID, RawSecretAccess: custom.Secret(r.RawSecretAccess)}
}

func describeCustomKeyStores(ctx context.Context, c *call, r *shape.DescribeCustomKeyStoresRequest) (response, error) {
	stores, next, err := c.s.Stores.DescribeCustomKeyStores(ctx, c.caller, &custom.DescribeInput{
		CustomKeyStoreID: keystore.StoreID(r.CustomKeyStoreID), CustomKeyStoreName: r.CustomKeyStoreName,
		Page: page(r.Limit, r.Marker),
	})
	if err != nil {
		return nil, err
	}
	entries := make([]shape.StoreEntry, len(stores))
	for i, s := range stores {
		entries[i] = shape.StoreEntry{Store: s}
	}
	return &shape.DescribeCustomKeyStoresResponse{CustomKeyStores: entries, Next: shape.Next{NextMarker: next}}, nil
}

func connectCustomKeyStore(ctx context.Context, c *call, r *shape.StoreRequest) (response, error) {
	c.aboutStore(ctx, r.CustomKeyStoreID)
	return done(c.s.Stores.ConnectCustomKeyStore(ctx, c.caller, keystore.StoreID(r.CustomKeyStoreID)))
}

func disconnectCustomKeyStore(ctx context.Context, c *call, r *shape.StoreRequest) (response, error) {
	c.aboutStore(ctx, r.CustomKeyStoreID)
	return done(c.s.Stores.DisconnectCustomKeyStore(ctx, c.caller, keystore.StoreID(r.CustomKeyStoreID)))
}

func deleteCustomKeyStore(ctx context.Context, c *call, r *shape.StoreRequest) (response, error) {
	c.aboutStore(ctx, r.CustomKeyStoreID)
	return done(c.s.Stores.DeleteCustomKeyStore(ctx, c.caller, keystore.StoreID(r.CustomKeyStoreID)))
}

func updateCustomKeyStore(ctx context.Context, c *call, r *shape.UpdateCustomKeyStoreRequest) (response, error) {
	c.aboutStore(ctx, r.CustomKeyStoreID)
	in := &custom.UpdateInput{
		CustomKeyStoreID: keystore.StoreID(r.CustomKeyStoreID), NewCustomKeyStoreName: r.NewCustomKeyStoreName,
		KeyStorePassword: custom.Secret(r.KeyStorePassword), CloudHsmClusterID: r.CloudHsmClusterID,
		XksProxyConnectivity: r.XksProxyConnectivity, XksProxyURIEndpoint: r.XksProxyURIEndpoint,
		XksProxyURIPath:                  r.XksProxyURIPath,
		XksProxyAuthenticationCredential: xksCredential(&r.XksProxyAuthenticationCredential),
		XksProxyVpcEndpointServiceOwner:  r.XksProxyVpcEndpointServiceOwner,
	}
	if c.members.Has("XksProxyVpcEndpointServiceName") {
		in.XksProxyVpcEndpointServiceName = &r.XksProxyVpcEndpointServiceName
	}
	return done(c.s.Stores.UpdateCustomKeyStore(ctx, c.caller, in))
}
