package custom_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/custom"
)

func TestUpdateByState(t *testing.T) {
	name := custom.UpdateInput{NewCustomKeyStoreName: "renamed"}
	pass := custom.UpdateInput{KeyStorePassword: "newPswd1"}
	move := custom.UpdateInput{CloudHsmClusterID: clusterC}
	both := custom.UpdateInput{NewCustomKeyStoreName: "renamed", KeyStorePassword: "newPswd1"}
	nothing := custom.UpdateInput{}
	const bad = keystore.KindCustomKeyStoreInvalidState
	for conn, want := range map[keystore.ConnState]map[*custom.UpdateInput]keystore.Kind{
		keystore.Disconnected:  {&name: "", &pass: "", &move: "", &both: "", &nothing: ""},
		keystore.Connected:     {&name: "", &pass: bad, &move: bad, &both: bad, &nothing: ""},
		keystore.Connecting:    {&name: bad, &pass: bad, &move: bad, &both: bad, &nothing: bad},
		keystore.Disconnecting: {&name: bad, &pass: bad, &move: bad, &both: bad, &nothing: bad},
		keystore.Failed:        {&name: bad, &pass: bad, &move: bad, &both: bad, &nothing: bad},
	} {
		for in, kind := range want {
			b := newBench(t)
			id := b.create("one", clusterA)
			b.force(id, conn)
			before := b.row(id)
			in.CustomKeyStoreID = id
			err := b.service.UpdateCustomKeyStore(t.Context(), caller, in)
			require.Equal(t, kind, keystore.KindOf(err), "%s: %+v", conn, in)
			after := b.row(id)
			if kind != "" {
				assert.Equal(t, before, after, "%s: all or nothing", conn)
				continue
			}
			assert.Equal(t, in.NewCustomKeyStoreName != "", after.Name == "renamed")
			assert.Equal(t, in.CloudHsmClusterID != "", after.ClusterID == clusterC)
			assert.Equal(t, in.KeyStorePassword != "", string(after.SealedPassword) != string(before.SealedPassword))
			assert.Equal(t, in.KeyStorePassword != "", string(after.PasswordDigest) != string(before.PasswordDigest))
		}
	}
}

func TestUpdateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		in   custom.UpdateInput
		kind keystore.Kind
	}{
		"name of another":   {custom.UpdateInput{NewCustomKeyStoreName: "two"}, keystore.KindCustomKeyStoreNameInUse},
		"unknown cluster":   {custom.UpdateInput{CloudHsmClusterID: "cluster-2zzzzzzzzzz"}, keystore.KindCloudHsmClusterNotFound},
		"unrelated cluster": {custom.UpdateInput{CloudHsmClusterID: clusterB}, keystore.KindCloudHsmClusterNotRelated},
		"external path":     {custom.UpdateInput{XksProxyURIPath: "/kms/xks/v1"}, keystore.KindValidation},
		"external service":  {custom.UpdateInput{XksProxyVpcEndpointServiceName: new(string)}, keystore.KindValidation},
		"one of two bad":    {custom.UpdateInput{NewCustomKeyStoreName: "three", CloudHsmClusterID: clusterB}, keystore.KindCloudHsmClusterNotRelated},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.create("one", clusterA)
			b.create("two", clusterB)
			before := b.row(id)
			c.in.CustomKeyStoreID = id
			err := b.service.UpdateCustomKeyStore(t.Context(), caller, &c.in)
			assert.Equal(t, c.kind, keystore.KindOf(err), "%v", err)
			assert.Equal(t, before, b.row(id))
		})
	}
}

func TestUpdateToItsOwnValues(t *testing.T) {
	b := newBench(t)
	id := b.create("one", clusterA)
	require.NoError(t, b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id,
		NewCustomKeyStoreName: "one", CloudHsmClusterID: clusterA, KeyStorePassword: password}))
	again, err := b.service.CreateCustomKeyStore(t.Context(), caller, hsmInput("one"))
	require.NoError(t, err)
	assert.Equal(t, id, again)
}

func TestClusterOfAnotherStoreIsRefused(t *testing.T) {
	b := newBench(t)
	id := b.create("one", clusterA)
	b.create("two", clusterB)
	// The configuration changed: B is related to A now.
	b.config.Clusters[clusterB] = keystore.Cluster{ID: clusterB, TrustAnchor: anchorB, RelatedGroup: "a"}
	err := b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, CloudHsmClusterID: clusterB})
	assert.Equal(t, keystore.KindCloudHsmClusterInvalidConfig, keystore.KindOf(err))
}

func TestNewPasswordIsTriedAtTheNextConnect(t *testing.T) {
	b := newBench(t)
	id := b.create("one", clusterA)
	require.NoError(t, b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, KeyStorePassword: "newPswd1"}))
	assert.Empty(t, b.opener.secrets)
	b.connect(id)
	b.settle()
	assert.Equal(t, []string{"newPswd1"}, b.opener.secrets)
}

// proxies is a checker that answers what it is told, and remembers what it was asked.
type proxies struct {
	err    error
	asked  atomic.Int32
	then   func() // done once, while the proxy is asked
	secret atomic.Value
	action atomic.Value
}

func (p *proxies) CheckAddress(x *keystore.XksConfig) error {
	if strings.Contains(x.URIPath, "//") {
		return keystore.Faultf(keystore.KindValidation, "no path")
	}
	return nil
}

func (p *proxies) CheckProxy(_ context.Context, c *keystore.Caller, a keystore.Action, s *keystore.Store, secret []byte) error {
	p.asked.Add(1)
	p.action.Store(c.Principal + " " + string(a))
	p.secret.Store(s.Xks.URIPath + " " + string(secret))
	if then := p.then; then != nil {
		p.then = nil
		then()
	}
	return p.err
}

func externalBench(t *testing.T) (*bench, *proxies) {
	t.Helper()
	p := &proxies{}
	return newBench(t, func(b *bench) { b.config.Proxies = p }), p
}

func TestExternalStoreIsCheckedBeforeItIsStored(t *testing.T) {
	b, p := externalBench(t)
	p.err = &keystore.Fault{Kind: keystore.KindXksProxyURIUnreachable}
	_, err := b.service.CreateCustomKeyStore(t.Context(), caller, xksInput("x"))
	require.Equal(t, keystore.KindXksProxyURIUnreachable, keystore.KindOf(err))
	p.err = nil
	id, err := b.service.CreateCustomKeyStore(t.Context(), caller, xksInput("x"))
	require.NoError(t, err)
	assert.Equal(t, "/kms/xks/v1 "+string(xksSecret), p.secret.Load())
	assert.Equal(t, caller.Principal+" CreateCustomKeyStore", p.action.Load())
	s := b.row(id)
	assert.Equal(t, keystore.StoreXKS, s.Type)
	assert.NotContains(t, string(s.Xks.SecretDigest), string(xksSecret))
	again, err := b.service.CreateCustomKeyStore(t.Context(), caller, xksInput("x"))
	require.NoError(t, err)
	assert.Equal(t, id, again)

	b.connect(id)
	b.settle()
	assert.Equal(t, []string{string(xksSecret)}, b.opener.secrets)

	p.err = errors.New("down")
	update := &custom.UpdateInput{CustomKeyStoreID: id, XksProxyURIPath: "/other/kms/xks/v1"}
	require.Error(t, b.service.UpdateCustomKeyStore(t.Context(), caller, update))
	assert.Equal(t, "/kms/xks/v1", b.row(id).Xks.URIPath)
	p.err = nil
	require.NoError(t, b.service.UpdateCustomKeyStore(t.Context(), caller, update))
	assert.Equal(t, "/other/kms/xks/v1 "+string(xksSecret), p.secret.Load(), "tried with the secret in force")
	assert.Equal(t, caller.Principal+" UpdateCustomKeyStore", p.action.Load())
	b.settle()
	require.Len(t, b.opener.opened, 2, "a CONNECTED store is reached in the new way at once")
	assert.Equal(t, "/other/kms/xks/v1", b.opener.opened[1].store.Xks.URIPath)
	assert.Equal(t, 1, b.opener.stillOpen(t))

	require.NoError(t, b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id,
		XksProxyAuthenticationCredential: &custom.XksCredential{AccessKeyID: "ABCDEFGHIJKLMNOPQRST", RawSecretAccess: custom.Secret(strings.Repeat("n", 43))}}))
	b.settle()
	assert.Len(t, b.opener.opened, 3)
	before := p.asked.Load()
	require.NoError(t, b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, NewCustomKeyStoreName: "y"}))
	b.settle()
	assert.Equal(t, before, p.asked.Load(), "a name is no matter for the proxy")
	assert.Len(t, b.opener.opened, 3)
	err = b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, XksProxyURIEndpoint: "https://new.example.com"})
	assert.Equal(t, keystore.KindCustomKeyStoreInvalidState, keystore.KindOf(err))
	err = b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, KeyStorePassword: password})
	assert.Equal(t, keystore.KindValidation, keystore.KindOf(err))
}

func TestProxyAddressesAreUnique(t *testing.T) {
	vpc := func(name, endpoint, service string) *custom.CreateInput {
		in := xksInput(name)
		in.XksProxyConnectivity, in.XksProxyURIEndpoint, in.XksProxyVpcEndpointServiceName = custom.VpcEndpointService, endpoint, service
		return in
	}
	path := func(in *custom.CreateInput, path string) *custom.CreateInput {
		in.XksProxyURIPath = path
		return in
	}
	const service = "com.amazonaws.vpce.us-east-1.vpce-svc-0123"
	for name, c := range map[string]struct {
		first, second *custom.CreateInput
		want          keystore.Kind
	}{
		"same pair": {xksInput("a"), xksInput("b"), keystore.KindXksProxyURIInUse},
		"same pair, other case": {xksInput("a"), func() *custom.CreateInput {
			in := xksInput("b")
			in.XksProxyURIEndpoint = "https://Proxy.Example.com"
			return in
		}(), keystore.KindXksProxyURIInUse},
		"public, other path":      {xksInput("a"), path(xksInput("b"), "/b/kms/xks/v1"), ""},
		"public and VPC":          {xksInput("a"), path(vpc("b", "https://proxy.example.com", service), "/b/kms/xks/v1"), keystore.KindXksProxyURIEndpointInUse},
		"VPC and public":          {vpc("a", "https://proxy.example.com", service), path(xksInput("b"), "/b/kms/xks/v1"), keystore.KindXksProxyURIEndpointInUse},
		"two VPCs, same endpoint": {vpc("a", "https://v.example.com", service), path(vpc("b", "https://v.example.com", service+"4"), "/b/kms/xks/v1"), keystore.KindXksProxyURIEndpointInUse},
		"two VPCs, same service":  {vpc("a", "https://v.example.com", service), vpc("b", "https://w.example.com", service), keystore.KindXksProxyVpcServiceInUse},
		"two VPCs":                {vpc("a", "https://v.example.com", service), vpc("b", "https://w.example.com", service+"4"), ""},
		"VPC without a service":   {xksInput("a"), vpc("b", "https://v.example.com", ""), keystore.KindValidation},
		"public with a service": {xksInput("a"), func() *custom.CreateInput {
			in := vpc("b", "https://v.example.com", service)
			in.XksProxyConnectivity = custom.PublicEndpoint
			return in
		}(), keystore.KindValidation},
		"public with a service's owner": {xksInput("a"), func() *custom.CreateInput {
			in := path(xksInput("b"), "/b/kms/xks/v1")
			in.XksProxyVpcEndpointServiceOwner = account
			return in
		}(), keystore.KindValidation},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := externalBench(t)
			_, err := b.service.CreateCustomKeyStore(t.Context(), caller, c.first)
			require.NoError(t, err)
			_, err = b.service.CreateCustomKeyStore(t.Context(), caller, c.second)
			assert.Equal(t, c.want, keystore.KindOf(err), "%v", err)
		})
	}
}

func TestWhenTheProxyIsAsked(t *testing.T) {
	b, p := externalBench(t)
	bad := xksInput("bad")
	bad.XksProxyURIPath = "/a//kms/xks/v1"
	_, err := b.service.CreateCustomKeyStore(t.Context(), caller, bad)
	assert.Equal(t, keystore.KindValidation, keystore.KindOf(err))
	in := xksInput("in a VPC")
	in.XksProxyConnectivity, in.XksProxyVpcEndpointServiceName = custom.VpcEndpointService, "com.amazonaws.vpce.us-east-1.vpce-svc-0123"
	id, err := b.service.CreateCustomKeyStore(t.Context(), caller, in)
	require.NoError(t, err)
	assert.Zero(t, p.asked.Load(), "a store in a VPC is tried when it is connected")
	require.NoError(t, b.service.UpdateCustomKeyStore(t.Context(), caller,
		&custom.UpdateInput{CustomKeyStoreID: id, XksProxyURIPath: "/other/kms/xks/v1"}))
	assert.EqualValues(t, 1, p.asked.Load(), "and at an update")
	err = b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, XksProxyURIPath: "/b//kms/xks/v1"})
	assert.Equal(t, keystore.KindValidation, keystore.KindOf(err))
	assert.EqualValues(t, 1, p.asked.Load())
}

// Two updates that meet are not stored together before the proxy was asked with both.
func TestUpdatesThatMeet(t *testing.T) {
	b, p := externalBench(t)
	id, err := b.service.CreateCustomKeyStore(t.Context(), caller, xksInput("x"))
	require.NoError(t, err)
	p.then = func() {
		require.NoError(t, b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, XksProxyURIPath: "/b/kms/xks/v1"}))
	}
	const secret = "another/secret/of/forty/three/characters/xx"
	before := p.asked.Load()
	require.NoError(t, b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id,
		XksProxyAuthenticationCredential: &custom.XksCredential{AccessKeyID: "ABCDEFGHIJKLMNOPQRST", RawSecretAccess: secret}}))
	assert.EqualValues(t, 3, p.asked.Load()-before)
	assert.Equal(t, "/b/kms/xks/v1 "+secret, p.secret.Load(), "asked with what is stored")
	x := b.row(id).Xks
	assert.Equal(t, "/b/kms/xks/v1", x.URIPath)
	assert.Equal(t, "ABCDEFGHIJKLMNOPQRST", x.AccessKeyID)
}

func TestChangeOfConnectivity(t *testing.T) {
	b, _ := externalBench(t)
	id, err := b.service.CreateCustomKeyStore(t.Context(), caller, xksInput("x"))
	require.NoError(t, err)
	service, none := "com.amazonaws.vpce.us-east-1.vpce-svc-0123", ""
	update := func(in custom.UpdateInput) error {
		in.CustomKeyStoreID = id
		return b.service.UpdateCustomKeyStore(t.Context(), caller, &in)
	}
	for name, in := range map[string]custom.UpdateInput{
		"without an endpoint": {XksProxyConnectivity: custom.VpcEndpointService, XksProxyVpcEndpointServiceName: &service},
		"without a service":   {XksProxyConnectivity: custom.VpcEndpointService, XksProxyURIEndpoint: "https://v.example.com"},
	} {
		assert.Equal(t, keystore.KindValidation, keystore.KindOf(update(in)), name)
	}
	require.NoError(t, update(custom.UpdateInput{XksProxyConnectivity: custom.VpcEndpointService, XksProxyURIEndpoint: "https://v.example.com",
		XksProxyVpcEndpointServiceName: &service}))
	assert.Equal(t, account, b.row(id).Xks.VpcServiceOwner, "the caller's account by default")
	assert.Equal(t, keystore.KindValidation, keystore.KindOf(update(custom.UpdateInput{XksProxyConnectivity: custom.PublicEndpoint,
		XksProxyURIEndpoint: "https://p.example.com"})), "the service name must go")
	require.NoError(t, update(custom.UpdateInput{XksProxyConnectivity: custom.PublicEndpoint, XksProxyURIEndpoint: "https://p.example.com",
		XksProxyVpcEndpointServiceName: &none}))
	x := b.row(id).Xks
	assert.Empty(t, x.VpcServiceName+x.VpcServiceOwner)
}

func TestExternalStoresWithoutACheckerAreRefused(t *testing.T) {
	b, _ := externalBench(t)
	id, err := b.service.CreateCustomKeyStore(t.Context(), caller, xksInput("x"))
	require.NoError(t, err)
	b.config.Proxies = nil
	b.restart()
	err = b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, XksProxyURIPath: "/b/kms/xks/v1"})
	assert.Equal(t, keystore.KindUnsupportedOperation, keystore.KindOf(err))
}
