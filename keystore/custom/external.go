package custom

import (
	"context"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/keystore"
)

// external fills in the row of an external key store, and gives its secret.
func (s *Service) external(c *keystore.Caller, in *CreateInput, st *keystore.Store) ([]byte, error) {
	if s.cfg.Proxies == nil {
		return nil, noExternalStores()
	}
	x := &keystore.XksConfig{Connectivity: in.XksProxyConnectivity, URIEndpoint: in.XksProxyURIEndpoint, URIPath: in.XksProxyURIPath,
		VpcServiceName: in.XksProxyVpcEndpointServiceName, VpcServiceOwner: in.XksProxyVpcEndpointServiceOwner}
	st.Xks = x
	if err := s.checkAddress(x); err != nil {
		return nil, err
	}
	defaultOwner(x, c)
	return s.setCredential(st.ID, x, in.XksProxyAuthenticationCredential), nil
}

// checkAddress refuses what cannot be the place of a proxy.
func (s *Service) checkAddress(x *keystore.XksConfig) error {
	if err := checkConnectivity(x); err != nil {
		return err
	}
	return s.cfg.Proxies.CheckAddress(x)
}

// defaultOwner is the caller's account, where a service has a name and no owner (custom-key-stores.md section 2).
func defaultOwner(x *keystore.XksConfig, c *keystore.Caller) {
	if x.VpcServiceName != "" && x.VpcServiceOwner == "" {
		x.VpcServiceOwner = c.Account
	}
}

// setCredential notes a credential, all but its seal, and gives its secret key.
func (s *Service) setCredential(id keystore.StoreID, x *keystore.XksConfig, cred *XksCredential) []byte {
	secret := []byte(cred.RawSecretAccess)
	x.AccessKeyID = cred.AccessKeyID
	x.SecretDigest = s.digest(id, secret)
	x.CredentialSince = s.cfg.Clock.Now().UTC()
	return secret
}

func sameProxy(a, b *keystore.XksConfig) bool {
	return a != nil && b != nil && a.Connectivity == b.Connectivity && a.URIEndpoint == b.URIEndpoint && a.URIPath == b.URIPath &&
		a.AccessKeyID == b.AccessKeyID && a.VpcServiceName == b.VpcServiceName && a.VpcServiceOwner == b.VpcServiceOwner
}

// checkProxyUnique refuses a proxy address that another store has (custom-key-stores.md section 5): a pair of endpoint and
// path is used once in a Region; stores on public endpoints may share an endpoint with one another alone; a VPC endpoint
// service and its endpoint belong to one store. Endpoints are compared over all Regions of the appliance.
func checkProxyUnique(all []*keystore.Store, st *keystore.Store) error {
	x := st.Xks
	for _, other := range all {
		if other.ID == st.ID || other.Type != keystore.StoreXKS || other.Xks == nil {
			continue
		}
		o := other.Xks
		switch {
		case x.VpcServiceName != "" && o.VpcServiceName == x.VpcServiceName:
			return keystore.Faultf(keystore.KindXksProxyVpcServiceInUse,
				"The VPC endpoint service %s is already used by another custom key store.", x.VpcServiceName)
		case !strings.EqualFold(o.URIEndpoint, x.URIEndpoint): // it is a host name
		case o.Connectivity != PublicEndpoint || x.Connectivity != PublicEndpoint:
			return keystore.Faultf(keystore.KindXksProxyURIEndpointInUse,
				"The endpoint %s is already used by another custom key store.", x.URIEndpoint)
		case other.Region == st.Region && o.URIPath == x.URIPath:
			return keystore.Faultf(keystore.KindXksProxyURIInUse,
				"The endpoint %s with the path %s is already used by another custom key store.", x.URIEndpoint, x.URIPath)
		}
	}
	return nil
}

// reviseExternal applies an update to an external store's row. A change of connectivity needs a new endpoint
// (custom-key-stores.md section 4).
func (s *Service) reviseExternal(c *keystore.Caller, all []*keystore.Store, st *keystore.Store, in *UpdateInput) error {
	if s.cfg.Proxies == nil {
		return noExternalStores()
	}
	x := *st.Xks
	if in.XksProxyConnectivity != "" && in.XksProxyConnectivity != x.Connectivity {
		if in.XksProxyURIEndpoint == "" {
			return keystore.Faultf(keystore.KindValidation, "%s is required to change %s.",
				keystore.ParamXksProxyURIEndpoint, keystore.ParamXksProxyConnectivity)
		}
		if x.Connectivity == VpcEndpointService && in.XksProxyVpcEndpointServiceOwner == "" {
			x.VpcServiceOwner = ""
		}
		x.Connectivity = in.XksProxyConnectivity
	}
	overlay(&x.URIEndpoint, in.XksProxyURIEndpoint)
	overlay(&x.URIPath, in.XksProxyURIPath)
	overlay(&x.VpcServiceOwner, in.XksProxyVpcEndpointServiceOwner)
	if in.XksProxyVpcEndpointServiceName != nil {
		x.VpcServiceName = *in.XksProxyVpcEndpointServiceName
	}
	if err := s.checkAddress(&x); err != nil {
		return err
	}
	defaultOwner(&x, c)
	if in.XksProxyAuthenticationCredential != nil {
		clear(s.setCredential(st.ID, &x, in.XksProxyAuthenticationCredential))
	}
	st.Xks = &x
	return checkProxyUnique(all, st)
}

func overlay(field *string, value string) {
	if value != "" {
		*field = value
	}
}

// reseal gives the sealed form of the secret that an update brings, nil where it brings none. An external store's new values
// are tried at the proxy first, with the secret that will be in force; failure leaves the old values.
func (s *Service) reseal(ctx context.Context, c *keystore.Caller, draft *keystore.Store, in *UpdateInput) ([]byte, error) {
	if draft.Type == keystore.StoreCloudHSM {
		if in.KeyStorePassword == "" {
			return nil, nil
		}
		secret := []byte(in.KeyStorePassword)
		defer clear(secret)
		if err := s.seal(ctx, draft, secret); err != nil {
			return nil, err
		}
		return draft.SealedPassword, nil
	}
	if in.XksProxyAuthenticationCredential != nil {
		secret := []byte(in.XksProxyAuthenticationCredential.RawSecretAccess)
		defer clear(secret)
		if err := s.cfg.Proxies.CheckProxy(ctx, c, keystore.ActionUpdateCustomKeyStore, draft, secret); err != nil {
			return nil, err
		}
		if err := s.seal(ctx, draft, secret); err != nil {
			return nil, err
		}
		return draft.Xks.SealedSecret, nil
	}
	if !in.given().touchesProxy() {
		return nil, nil
	}
	secret, err := s.cfg.Secrets.Open(ctx, sealPurpose(draft.ID), draft.Xks.SealedSecret)
	if err != nil {
		return nil, sealFailed(fmt.Errorf("open the secret of custom key store %s: %w", draft.ID, err))
	}
	defer clear(secret)
	return nil, s.cfg.Proxies.CheckProxy(ctx, c, keystore.ActionUpdateCustomKeyStore, draft, secret)
}
