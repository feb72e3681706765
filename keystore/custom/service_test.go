package custom_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/custom"
)

func hsmInput(name string) *custom.CreateInput {
	return &custom.CreateInput{CustomKeyStoreName: name, CloudHsmClusterID: clusterA, KeyStorePassword: password,
		TrustAnchorCertificate: anchorA}
}

func xksInput(name string) *custom.CreateInput {
	return &custom.CreateInput{CustomKeyStoreName: name, CustomKeyStoreType: keystore.StoreXKS,
		XksProxyConnectivity: custom.PublicEndpoint, XksProxyURIEndpoint: "https://proxy.example.com", XksProxyURIPath: "/kms/xks/v1",
		XksProxyAuthenticationCredential: &custom.XksCredential{AccessKeyID: "ABCDEFGHIJKLMNOPQRST", RawSecretAccess: xksSecret}}
}

var xksSecret = custom.Secret(strings.Repeat("s", 43))

func TestCreateMakesADisconnectedStore(t *testing.T) {
	b := newBench(t)
	id, err := b.service.CreateCustomKeyStore(t.Context(), caller, hsmInput("first"))
	require.NoError(t, err)
	assert.Regexp(t, `^cks-[0-9a-f]{17}$`, string(id))
	s := b.row(id)
	assert.Equal(t, keystore.Disconnected, s.Conn)
	assert.Equal(t, keystore.StoreCloudHSM, s.Type)
	assert.Equal(t, "first", s.Name)
	assert.Equal(t, clusterA, s.ClusterID)
	assert.Equal(t, anchorA, s.TrustAnchor)
	assert.Equal(t, account, s.Account)
	assert.Equal(t, clock{}.Now(), s.Created.UTC())
	assert.Zero(t, b.opener.count(id), "the password is not tried")
}

func TestIdenticalCreateGivesTheSameStore(t *testing.T) {
	b := newBench(t)
	id := b.create("first", clusterA)
	again, err := b.service.CreateCustomKeyStore(t.Context(), caller, hsmInput("first"))
	require.NoError(t, err)
	assert.Equal(t, id, again)
	spaced := hsmInput("first")
	spaced.TrustAnchorCertificate = "\n" + anchorA + "\n"
	again, err = b.service.CreateCustomKeyStore(t.Context(), caller, spaced)
	require.NoError(t, err)
	assert.Equal(t, id, again, "the same certificate")

	otherPassword := hsmInput("first")
	otherPassword.KeyStorePassword = "kmsPswd2"
	_, err = b.service.CreateCustomKeyStore(t.Context(), caller, otherPassword)
	assert.Equal(t, keystore.KindCloudHsmClusterInUse, keystore.KindOf(err))

	b.connect(id)
	b.settle()
	_, err = b.service.CreateCustomKeyStore(t.Context(), caller, hsmInput("first"))
	assert.Equal(t, keystore.KindCloudHsmClusterInUse, keystore.KindOf(err), "only of a DISCONNECTED store")
}

func TestCreateRefuses(t *testing.T) {
	with := func(change func(*custom.CreateInput)) *custom.CreateInput {
		in := hsmInput("new")
		change(in)
		return in
	}
	for name, c := range map[string]struct {
		in   *custom.CreateInput
		kind keystore.Kind
		text string
	}{
		"no cluster":  {with(func(in *custom.CreateInput) { in.CloudHsmClusterID = "" }), keystore.KindValidation, "CloudHsmClusterId is required"},
		"no password": {with(func(in *custom.CreateInput) { in.KeyStorePassword = "" }), keystore.KindValidation, "KeyStorePassword is required"},
		"no anchor":   {with(func(in *custom.CreateInput) { in.TrustAnchorCertificate = "" }), keystore.KindValidation, "TrustAnchorCertificate is required"},
		"external path": {with(func(in *custom.CreateInput) { in.XksProxyURIPath = "/kms/xks/v1" }), keystore.KindValidation,
			"XksProxyUriPath is not valid for a custom key store of type AWS_CLOUDHSM"},
		"external credential": {with(func(in *custom.CreateInput) { in.XksProxyAuthenticationCredential = &custom.XksCredential{} }),
			keystore.KindValidation, "XksProxyAuthenticationCredential is not valid"},
		"unknown type":    {with(func(in *custom.CreateInput) { in.CustomKeyStoreType = "OTHER" }), keystore.KindValidation, ""},
		"unknown cluster": {with(func(in *custom.CreateInput) { in.CloudHsmClusterID = "cluster-2zzzzzzzzzz" }), keystore.KindCloudHsmClusterNotFound, "cluster-2zzzzzzzzzz"},
		"other anchor":    {with(func(in *custom.CreateInput) { in.TrustAnchorCertificate = anchorB }), keystore.KindIncorrectTrustAnchor, ""},
		"no certificate":  {with(func(in *custom.CreateInput) { in.TrustAnchorCertificate = "rubbish" }), keystore.KindIncorrectTrustAnchor, ""},
		"damaged certificate": {with(func(in *custom.CreateInput) {
			in.TrustAnchorCertificate = strings.Replace(anchorA, "MII", "MIA", 1)
		}), keystore.KindIncorrectTrustAnchor, ""},
		"two certificates": {with(func(in *custom.CreateInput) { in.TrustAnchorCertificate = anchorA + anchorB }), keystore.KindIncorrectTrustAnchor, ""},
		"text before":      {with(func(in *custom.CreateInput) { in.TrustAnchorCertificate = "x\n" + anchorA }), keystore.KindIncorrectTrustAnchor, ""},
		"a key": {with(func(in *custom.CreateInput) {
			in.TrustAnchorCertificate = strings.ReplaceAll(anchorA, "CERTIFICATE", "PUBLIC KEY")
		}), keystore.KindIncorrectTrustAnchor, ""},
		"name in use": {&custom.CreateInput{CustomKeyStoreName: "taken", CloudHsmClusterID: clusterA, KeyStorePassword: password,
			TrustAnchorCertificate: anchorA}, keystore.KindCustomKeyStoreNameInUse, "'taken'"},
		"external store": {xksInput("new"), keystore.KindUnsupportedOperation, ""},
		"external store with a cluster": {func() *custom.CreateInput {
			in := xksInput("new")
			in.CloudHsmClusterID = clusterA
			return in
		}(), keystore.KindValidation, "CloudHsmClusterId is not valid for a custom key store of type EXTERNAL_KEY_STORE"},
		"external store without a path": {func() *custom.CreateInput {
			in := xksInput("new")
			in.XksProxyURIPath = ""
			return in
		}(), keystore.KindValidation, "XksProxyUriPath is required"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.create("taken", clusterB)
			_, err := b.service.CreateCustomKeyStore(t.Context(), caller, c.in)
			require.Equal(t, c.kind, keystore.KindOf(err), "%v", err)
			assert.ErrorContains(t, err, c.text)
			assert.NotContains(t, err.Error(), password)
			stores, _, err := b.service.DescribeCustomKeyStores(t.Context(), caller, &custom.DescribeInput{})
			require.NoError(t, err)
			assert.Len(t, stores, 1)
		})
	}
}

func TestOneClusterServesOneStore(t *testing.T) {
	b := newBench(t)
	b.create("first", clusterA)
	elsewhere := *caller
	elsewhere.Region = "eu-west-1"
	related := hsmInput("second")
	related.CloudHsmClusterID = clusterC
	for name, c := range map[string]struct {
		caller *keystore.Caller
		in     *custom.CreateInput
	}{
		"the same cluster":   {caller, hsmInput("second")},
		"a related cluster":  {caller, related},
		"from other regions": {&elsewhere, hsmInput("first")},
	} {
		_, err := b.service.CreateCustomKeyStore(t.Context(), c.caller, c.in)
		assert.Equal(t, keystore.KindCloudHsmClusterInUse, keystore.KindOf(err), name)
	}
}

func TestClusterWithoutAnAnchorTakesAnyCertificate(t *testing.T) {
	b := newBench(t, func(b *bench) { b.config.Clusters = map[string]keystore.Cluster{clusterA: {ID: clusterA}} })
	in := hsmInput("first")
	in.TrustAnchorCertificate = "rubbish"
	_, err := b.service.CreateCustomKeyStore(t.Context(), caller, in)
	assert.Equal(t, keystore.KindIncorrectTrustAnchor, keystore.KindOf(err))
	in.TrustAnchorCertificate = anchorB
	_, err = b.service.CreateCustomKeyStore(t.Context(), caller, in)
	assert.NoError(t, err)
}

func manyClusters(n int) map[string]keystore.Cluster {
	out := make(map[string]keystore.Cluster)
	for i := range n {
		id := fmt.Sprintf("cluster-%011d", i)
		out[id] = keystore.Cluster{ID: id, TrustAnchor: anchorA}
	}
	return out
}

func TestQuotaIsTenStoresInARegion(t *testing.T) {
	b := newBench(t, func(b *bench) { b.config.Clusters = manyClusters(12) })
	make := func(c *keystore.Caller, i int) error {
		in := hsmInput(fmt.Sprintf("store %d", i))
		in.CloudHsmClusterID = fmt.Sprintf("cluster-%011d", i)
		_, err := b.service.CreateCustomKeyStore(t.Context(), c, in)
		return err
	}
	for i := range 10 {
		require.NoError(t, make(caller, i))
	}
	assert.Equal(t, keystore.KindLimitExceeded, keystore.KindOf(make(caller, 10)))
	assert.NoError(t, make(caller, 3), "an identical create is none")
	elsewhere := *caller
	elsewhere.Region = "eu-west-1"
	assert.NoError(t, make(&elsewhere, 11), "each Region has its own quota")
}

func TestConcurrentCreatesMakeOneStore(t *testing.T) {
	b := newBench(t)
	ids := make([]keystore.StoreID, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			var err error
			ids[i], err = b.service.CreateCustomKeyStore(context.Background(), caller, hsmInput("first"))
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	for _, id := range ids {
		assert.Equal(t, ids[0], id)
	}
}

func TestSecretsAreSealedAndUnreadable(t *testing.T) {
	b := newBench(t)
	one, two := b.row(b.create("one", clusterA)), b.row(b.create("two", clusterB))
	assert.NotEqual(t, one.PasswordDigest, two.PasswordDigest, "equal passwords do not show")
	assert.NotEqual(t, one.SealedPassword, two.SealedPassword)
	in := hsmInput("x")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		assert.NotContains(t, fmt.Sprintf(format, in), password)
		assert.NotContains(t, fmt.Sprintf(format, in), fmt.Sprintf("%x", password))
		assert.NotContains(t, fmt.Sprintf(format, xksInput("x").XksProxyAuthenticationCredential), string(xksSecret))
	}
	text, err := in.KeyStorePassword.MarshalText()
	require.NoError(t, err)
	assert.Equal(t, "[secret]", string(text))
	assert.Equal(t, "[secret]", in.KeyStorePassword.LogValue().String())
}

func TestVaultThatFailsIsAnInternalFault(t *testing.T) {
	b := newBench(t)
	id := b.create("one", clusterA)
	b.vault.broken.Store(true)
	in := hsmInput("two")
	in.CloudHsmClusterID, in.TrustAnchorCertificate = clusterB, anchorB
	_, err := b.service.CreateCustomKeyStore(t.Context(), caller, in)
	var f *keystore.Fault
	require.ErrorAs(t, err, &f)
	assert.Equal(t, keystore.KindInternal, f.Kind)
	before := b.row(id)
	err = b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, NewCustomKeyStoreName: "renamed", KeyStorePassword: "newPswd1"})
	require.ErrorAs(t, err, &f)
	assert.Equal(t, keystore.KindInternal, f.Kind)
	assert.Equal(t, before, b.row(id))
	b.connect(id)
	b.settle()
	assert.Equal(t, keystore.ConnInternalError, b.row(id).ConnError)
}

func TestDescribe(t *testing.T) {
	b := newBench(t, func(b *bench) { b.config.Clusters = manyClusters(5) })
	var want []keystore.StoreID
	for i := range 5 {
		in := hsmInput(fmt.Sprintf("store %d", i))
		in.CloudHsmClusterID = fmt.Sprintf("cluster-%011d", i)
		id, err := b.service.CreateCustomKeyStore(t.Context(), caller, in)
		require.NoError(t, err)
		want = append(want, id)
	}
	describe := func(in custom.DescribeInput) ([]*keystore.Store, string, error) {
		return b.service.DescribeCustomKeyStores(t.Context(), caller, &in)
	}
	t.Run("pages", func(t *testing.T) {
		var got []keystore.StoreID
		marker, pages := "", 0
		for {
			stores, next, err := describe(custom.DescribeInput{Page: keystore.Page{Limit: 2, Marker: marker}})
			require.NoError(t, err)
			for _, s := range stores {
				got = append(got, s.ID)
			}
			pages++
			if marker = next; next == "" {
				break
			}
		}
		assert.Equal(t, 3, pages)
		assert.ElementsMatch(t, want, got)
	})
	t.Run("a page that ends with the list has no marker", func(t *testing.T) {
		stores, next, err := describe(custom.DescribeInput{Page: keystore.Page{Limit: 5}})
		require.NoError(t, err)
		assert.Len(t, stores, 5)
		assert.Empty(t, next)
	})
	t.Run("by id and by name", func(t *testing.T) {
		for _, in := range []custom.DescribeInput{{CustomKeyStoreID: want[3]}, {CustomKeyStoreName: "store 3"}} {
			stores, next, err := describe(in)
			require.NoError(t, err)
			require.Len(t, stores, 1)
			assert.Equal(t, want[3], stores[0].ID)
			assert.Empty(t, next)
		}
	})
	for name, c := range map[string]struct {
		in   custom.DescribeInput
		kind keystore.Kind
	}{
		"both filters": {custom.DescribeInput{CustomKeyStoreID: want[0], CustomKeyStoreName: "store 0"}, keystore.KindValidation},
		"unknown id":   {custom.DescribeInput{CustomKeyStoreID: "cks-0"}, keystore.KindCustomKeyStoreNotFound},
		"unknown name": {custom.DescribeInput{CustomKeyStoreName: "STORE 0"}, keystore.KindCustomKeyStoreNotFound},
		"bad marker":   {custom.DescribeInput{Page: keystore.Page{Marker: "?"}}, keystore.KindInvalidMarker},
		"marker of another list": {custom.DescribeInput{Page: keystore.Page{Marker: keystore.NextMarker("keys", "a")}},
			keystore.KindInvalidMarker},
	} {
		t.Run(name, func(t *testing.T) {
			stores, _, err := describe(c.in)
			assert.Equal(t, c.kind, keystore.KindOf(err))
			assert.Empty(t, stores)
		})
	}
	t.Run("another Region has none", func(t *testing.T) {
		elsewhere := *caller
		elsewhere.Region = "eu-west-1"
		stores, _, err := b.service.DescribeCustomKeyStores(t.Context(), &elsewhere, &custom.DescribeInput{})
		require.NoError(t, err)
		assert.Empty(t, stores)
		_, _, err = b.service.DescribeCustomKeyStores(t.Context(), &elsewhere, &custom.DescribeInput{CustomKeyStoreID: want[0]})
		assert.Equal(t, keystore.KindCustomKeyStoreNotFound, keystore.KindOf(err))
	})
}

func TestUnknownStore(t *testing.T) {
	b := newBench(t)
	const id = keystore.StoreID("cks-0123456789abcdef0")
	for name, err := range map[string]error{
		"connect":    b.service.ConnectCustomKeyStore(t.Context(), caller, id),
		"disconnect": b.service.DisconnectCustomKeyStore(t.Context(), caller, id),
		"delete":     b.service.DeleteCustomKeyStore(t.Context(), caller, id),
		"update":     b.service.UpdateCustomKeyStore(t.Context(), caller, &custom.UpdateInput{CustomKeyStoreID: id, NewCustomKeyStoreName: "x"}),
	} {
		assert.Equal(t, keystore.KindCustomKeyStoreNotFound, keystore.KindOf(err), name)
		assert.ErrorContains(t, err, string(id), name)
	}
}

func TestEveryOperationAsksTheGateFirst(t *testing.T) {
	b := newBench(t)
	id := b.create("one", clusterA)
	nobody := *caller
	nobody.Root, nobody.Principal = false, "arn:aws:iam::"+account+":user/nobody"
	ask := func(c *keystore.Caller, id keystore.StoreID) map[string]error {
		_, created := b.service.CreateCustomKeyStore(t.Context(), c, &custom.CreateInput{CustomKeyStoreName: "bad"})
		_, _, described := b.service.DescribeCustomKeyStores(t.Context(), c, &custom.DescribeInput{CustomKeyStoreID: id})
		return map[string]error{
			"CreateCustomKeyStore": created, "DescribeCustomKeyStores": described,
			"UpdateCustomKeyStore":     b.service.UpdateCustomKeyStore(t.Context(), c, &custom.UpdateInput{CustomKeyStoreID: id}),
			"ConnectCustomKeyStore":    b.service.ConnectCustomKeyStore(t.Context(), c, id),
			"DisconnectCustomKeyStore": b.service.DisconnectCustomKeyStore(t.Context(), c, id),
			"DeleteCustomKeyStore":     b.service.DeleteCustomKeyStore(t.Context(), c, id),
		}
	}
	for _, target := range []keystore.StoreID{id, "cks-unknown"} {
		for name, err := range ask(&nobody, target) {
			assert.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err), name)
			assert.ErrorContains(t, err, "kms:"+name)
		}
	}
	assert.Equal(t, keystore.Disconnected, b.row(id).Conn)

	allowed := nobody
	allowed.Policies = []string{`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"kms:ConnectCustomKeyStore","Resource":"*"}]}`}
	for name, err := range ask(&allowed, id) {
		if name == "ConnectCustomKeyStore" {
			assert.NoError(t, err)
		} else {
			assert.Equal(t, keystore.KindAccessDenied, keystore.KindOf(err), name)
		}
	}
	b.settle()
	assert.Equal(t, keystore.Connected, b.row(id).Conn)
}

// addKey puts a key into a store, in a state.
func (b *bench) addKey(id keystore.StoreID, state keystore.State) {
	b.t.Helper()
	keyID, err := keystore.NewKeyID(rand.Reader, false)
	require.NoError(b.t, err)
	material, err := keystore.NewMaterialID(rand.Reader)
	require.NoError(b.t, err)
	k := &keystore.Key{ID: keyID, Account: account, Region: region, Origin: keystore.OriginCloudHSM, Spec: keystore.SymmetricDefault,
		Usage: keystore.UsageEncryptDecrypt, Created: clock{}.Now(), State: state, StoreID: id, ClusterID: clusterA, Policy: "{}",
		Materials: []keystore.KeyMaterial{{ID: material, State: keystore.MaterialCurrent, Created: clock{}.Now()}}}
	if state == keystore.PendingDeletion {
		k.DeletionDate, k.WindowDays = clock{}.Now().AddDate(0, 0, 7), 7
	}
	require.NoError(b.t, b.db.Update(b.t.Context(), func(tx keystore.Tx) error { return tx.InsertKey(k) }))
}

func TestDeleteNeedsADisconnectedEmptyStore(t *testing.T) {
	for _, state := range []keystore.State{keystore.Enabled, keystore.Disabled, keystore.PendingDeletion} {
		b := newBench(t)
		id := b.create("one", clusterA)
		b.addKey(id, state)
		err := b.service.DeleteCustomKeyStore(t.Context(), caller, id)
		assert.Equal(t, keystore.KindCustomKeyStoreHasCMKs, keystore.KindOf(err), "with a key that is %s", state)
	}
	for _, conn := range []keystore.ConnState{keystore.Connected, keystore.Failed, keystore.Connecting, keystore.Disconnecting} {
		b := newBench(t)
		id := b.create("one", clusterA)
		b.force(id, conn)
		b.addKey(id, keystore.Enabled)
		err := b.service.DeleteCustomKeyStore(t.Context(), caller, id)
		assert.Equal(t, keystore.KindCustomKeyStoreInvalidState, keystore.KindOf(err), "a store that is %s", conn)
	}
	b := newBench(t)
	id := b.create("one", clusterA)
	require.NoError(t, b.service.DeleteCustomKeyStore(t.Context(), caller, id))
	again := b.create("one", clusterA)
	assert.NotEqual(t, id, again, "name and cluster are free again, the id is not used twice")
}
