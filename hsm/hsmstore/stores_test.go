package hsmstore_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/custom"
	"github.com/strongroom/strongroom/state/statetest"
)

const (
	region   = "us-east-1"
	account  = "000000000000"
	clusterA = "cluster-2aaaaaaaaaa"
	clusterB = "cluster-2bbbbbbbbbb"
)

var caller = &keystore.Caller{Account: account, Region: region, Principal: keystore.RootARN(account), Root: true}

// stores is the service for custom key stores on real tokens, a real database and a real vault.
type stores struct {
	t       *testing.T
	db      keystore.DB
	vault   *hsmstore.Vault
	opener  *hsmstore.Opener
	tries   atomic.Int32
	service *custom.Service
	manager *custom.Manager
	rotates bool
}

// newStores makes the service; the first store's cluster is the token that a selects, the second's the one that b does.
func newStores(t *testing.T, a, b hsm.Config) *stores {
	t.Helper()
	s := &stores{t: t, db: statetest.Open(t)}
	own, _ := openDefault(t)
	var err error
	s.vault, err = hsmstore.EnsureVault(t.Context(), hsmstore.VaultConfig{DB: s.db, Backend: own, Region: region, Clock: noon})
	require.NoError(t, err)
	a.PIN, b.PIN = hsm.Secret{}, hsm.Secret{}
	s.opener = &hsmstore.Opener{ClusterTokens: map[string]hsm.Config{clusterA: a, clusterB: b},
		OpenToken: func(ctx context.Context, cfg hsm.Config) (*hsm.Token, error) {
			s.tries.Add(1)
			return pkcs11.Open(ctx, cfg)
		}}
	s.start()
	return s
}

func (s *stores) start() {
	s.t.Helper()
	var err error
	clusters := map[string]keystore.Cluster{clusterA: {ID: clusterA, RotatesPIN: s.rotates}, clusterB: {ID: clusterB}}
	s.manager, err = custom.NewManager(custom.ManagerConfig{DB: s.db, Clusters: clusters, Opener: s.opener, Secrets: s.vault,
		RetryMin: 5 * time.Millisecond, RetryMax: 20 * time.Millisecond})
	require.NoError(s.t, err)
	manager := s.manager
	s.t.Cleanup(func() { require.NoError(s.t, manager.Close()) })
	s.service, err = custom.New(custom.Config{DB: s.db, Gate: access.New(access.Config{Directory: s.db}), Clock: noon,
		Random: rand.Reader, Secrets: s.vault, Manager: s.manager,
		Clusters: clusters})
	require.NoError(s.t, err)
	require.NoError(s.t, s.manager.Start(s.t.Context()))
}

func (s *stores) restart() {
	s.t.Helper()
	require.NoError(s.t, s.manager.Close())
	s.start()
}

func (s *stores) create(cluster, pin string) keystore.StoreID {
	s.t.Helper()
	id, err := s.service.CreateCustomKeyStore(s.t.Context(), caller, &custom.CreateInput{CustomKeyStoreName: cluster,
		CloudHsmClusterID: cluster, KeyStorePassword: custom.Secret(pin), TrustAnchorCertificate: anchor(s.t)})
	require.NoError(s.t, err)
	return id
}

// connect asks for a connection, waits, and gives the row.
func (s *stores) connect(id keystore.StoreID) *keystore.Store {
	s.t.Helper()
	require.NoError(s.t, s.service.ConnectCustomKeyStore(s.t.Context(), caller, id))
	return s.settled(id)
}

func (s *stores) disconnect(id keystore.StoreID) *keystore.Store {
	s.t.Helper()
	require.NoError(s.t, s.service.DisconnectCustomKeyStore(s.t.Context(), caller, id))
	return s.settled(id)
}

func (s *stores) settled(id keystore.StoreID) *keystore.Store {
	s.t.Helper()
	require.NoError(s.t, s.manager.Wait(s.t.Context()))
	found, _, err := s.service.DescribeCustomKeyStores(s.t.Context(), caller, &custom.DescribeInput{CustomKeyStoreID: id})
	require.NoError(s.t, err)
	return found[0]
}

func (s *stores) backend(id keystore.StoreID) backend.Backend {
	s.t.Helper()
	b, conn := s.manager.Resolve(region, id)
	require.Equal(s.t, keystore.Connected, conn)
	return b
}

func sealOn(b backend.Backend, h *backend.Handle) error {
	_, err := b.(backend.Sealer).Seal(context.Background(), h, nil, []byte("x"), nil)
	return err
}

func anchor(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestStoresOnTwoTokens(t *testing.T) {
	tokens := hsmtest.SoftHSM(t, "a", "b")
	s := newStores(t, tokens.Config("a"), tokens.Config("b"))
	one, two := s.create(clusterA, hsmtest.PIN), s.create(clusterB, hsmtest.PIN)
	for _, id := range []keystore.StoreID{one, two} {
		row := s.connect(id)
		require.Equal(t, keystore.Connected, row.Conn, row.ConnCause)
		assert.NotContains(t, string(row.SealedPassword), hsmtest.PIN)
	}
	a, b := s.backend(one), s.backend(two)
	assert.NotEqual(t, a.Identity(), b.Identity())
	h := handle(t)
	_, err := a.CreateKey(t.Context(), h)
	require.NoError(t, err)
	require.NoError(t, sealOn(a, &h))
	assert.Equal(t, keystore.KindInvalidState, keystore.KindOf(sealOn(b, &h)), "the key is on the other token")
	require.NoError(t, b.(backend.Randomer).Random(t.Context(), make([]byte, 32)))

	assert.Equal(t, keystore.Disconnected, s.disconnect(one).Conn)
	assert.ErrorIs(t, sealOn(a, &h), hsm.Closed, "whoever still has the backend is refused")
	require.NoError(t, b.(backend.Randomer).Random(t.Context(), make([]byte, 32)), "the other store goes on")
	s.connect(one)
	require.NoError(t, sealOn(s.backend(one), &h), "the key is there again")
	s.restart()
	s.settled(one)
	require.NoError(t, sealOn(s.backend(one), &h), "and after a restart")
}

// TestConnectionErrorCodes provokes every ConnectionErrorCode that a PKCS#11 token can cause, and repairs it.
func TestConnectionErrorCodes(t *testing.T) {
	tokens := hsmtest.Fault(t, "a", "b")
	blank := blankSlot(t, tokens.Module)
	for name, c := range map[string]struct {
		pin     string
		rules   []string
		change  func(*hsm.Config)
		nowhere bool // the cluster leaves the configuration
		want    keystore.ConnErrorCode
		cause   string
	}{
		"wrong PIN":              {pin: "7654321", want: "INVALID_CREDENTIALS", cause: "CKR_PIN_INCORRECT"},
		"PIN expired":            {rules: []string{"fail C_Login 0xa3"}, want: "INVALID_CREDENTIALS", cause: "CKR_PIN_EXPIRED"},
		"no such token":          {change: func(c *hsm.Config) { c.Label = "nowhere" }, want: "CLUSTER_NOT_FOUND", cause: "nowhere"},
		"no such module":         {change: func(c *hsm.Config) { c.Module = "/nonexistent/module.so" }, want: "CLUSTER_NOT_FOUND", cause: "/nonexistent/module.so"},
		"token out of its slot":  {rules: []string{"gone"}, want: "CLUSTER_NOT_FOUND", cause: "none of 0 tokens"},
		"cluster not configured": {nowhere: true, want: "CLUSTER_NOT_FOUND", cause: "not in the configuration"},
		"PIN locked":             {rules: []string{"lock-pin"}, want: "USER_LOCKED_OUT", cause: "CKR_PIN_LOCKED"},
		"PIN not set":            {rules: []string{"fail C_Login 0x102"}, want: "USER_NOT_FOUND", cause: "CKR_USER_PIN_NOT_INITIALIZED"},
		"another user":           {rules: []string{"fail C_Login 0x104"}, want: "USER_LOGGED_IN", cause: "CKR_USER_ANOTHER_ALREADY_LOGGED_IN"},
		"removed":                {rules: []string{"fail C_OpenSession 0x32"}, want: "INSUFFICIENT_CLOUDHSM_HSMS", cause: "CKR_DEVICE_REMOVED"},
		"blank":                  {change: func(c *hsm.Config) { c.Label, c.Slot = "", &blank }, want: "INSUFFICIENT_CLOUDHSM_HSMS", cause: "no contents"},
		"hangs": {rules: []string{"hang C_Login"}, change: func(c *hsm.Config) { c.CallTimeout = 200 * time.Millisecond },
			want: "NETWORK_ERRORS", cause: "in time"},
		"something else": {rules: []string{"fail C_Login 0x30f"}, want: "INTERNAL_ERROR", cause: "CKR_0x30f"},
	} {
		t.Run(name, func(t *testing.T) {
			good := tokens.Config("a")
			bad := good
			if c.change != nil {
				c.change(&bad)
			}
			s := newStores(t, bad, tokens.Config("b"))
			if c.nowhere {
				delete(s.opener.ClusterTokens, clusterA)
			}
			pin := hsmtest.PIN
			if c.pin != "" {
				pin = c.pin
			}
			id := s.create(clusterA, pin)
			tokens.Set(c.rules...)
			t.Cleanup(func() { tokens.Set() })
			tokens.ResetCalls()
			row := s.connect(id)
			require.Equal(t, keystore.Failed, row.Conn)
			assert.Equal(t, c.want, row.ConnError, row.ConnCause)
			assert.Contains(t, row.ConnCause, c.cause)
			assert.NotContains(t, row.ConnCause, pin)
			most := 1
			if c.want == keystore.ConnInternalError {
				most = 2 // a code that says nothing about the PIN: once more after the module was initialised anew
			}
			assert.LessOrEqual(t, tokens.Calls()["C_Login"], most, "a PIN is tried once")
			_, conn := s.manager.Resolve(region, id)
			assert.Equal(t, keystore.Failed, conn)

			tokens.Set()
			if c.want == "NETWORK_ERRORS" { // the token is not opened before the call that hung is over
				require.Eventually(t, func() bool { return opens(good) }, time.Minute, 10*time.Millisecond)
			}
			good.PIN = hsm.Secret{}
			s.opener.ClusterTokens[clusterA] = good
			assert.Equal(t, keystore.Disconnected, s.disconnect(id).Conn)
			require.NoError(t, s.service.UpdateCustomKeyStore(t.Context(), caller,
				&custom.UpdateInput{CustomKeyStoreID: id, KeyStorePassword: hsmtest.PIN}))
			row = s.connect(id)
			require.Equal(t, keystore.Connected, row.Conn, row.ConnCause)
			require.NoError(t, s.backend(id).Health(t.Context()))
		})
	}
}

// opens reports whether a token can be opened.
func opens(cfg hsm.Config) bool {
	token, err := pkcs11.Open(context.Background(), cfg)
	return err == nil && token.Close() == nil
}

// blankSlot finds the slot that SoftHSM2 keeps for a token to come.
func blankSlot(t *testing.T, module string) uint {
	t.Helper()
	lib, err := pkcs11.Library(module, "")
	require.NoError(t, err)
	found, err := lib.Tokens(t.Context())
	require.NoError(t, err)
	for _, e := range found {
		if !e.Initialized {
			return e.Slot
		}
	}
	t.Fatal("no blank slot")
	return 0
}

func TestLostTokenChangesNoState(t *testing.T) {
	for name, rules := range map[string][]string{
		"gone":                         {"gone"},
		"gone until initialised anew":  {"gone sticky"},
		"gone quietly":                 {"gone-quietly"},
		"gone quietly, until the same": {"gone-quietly sticky"},
		"device error":                 {"fail * 0x30"},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := hsmtest.Fault(t, "a", "b")
			s := newStores(t, tokens.Config("a"), tokens.Config("b"))
			id := s.create(clusterA, hsmtest.PIN)
			require.Equal(t, keystore.Connected, s.connect(id).Conn)
			b, h := s.backend(id), handle(t)
			_, err := b.CreateKey(t.Context(), h)
			require.NoError(t, err)
			require.NoError(t, sealOn(b, &h))

			tokens.Set(rules...)
			var fault *keystore.Fault
			require.Eventually(t, func() bool { return sealOn(b, &h) != nil }, time.Minute, 10*time.Millisecond)
			require.ErrorAs(t, sealOn(b, &h), &fault)
			assert.Equal(t, keystore.KindInvalidState, fault.Kind)
			assert.Equal(t, "KMS cannot communicate with your CloudHSM cluster", fault.Text, fault.Error())
			_, err = b.DestroyKey(t.Context(), h)
			require.ErrorAs(t, err, &fault, "a lost token is no proof that a key is gone")
			assert.NotEmpty(t, fault.Cause.Error())
			_, err = b.(backend.Finder).Find(t.Context(), h)
			require.Error(t, err)
			assert.Equal(t, keystore.Connected, s.settled(id).Conn)
			_, conn := s.manager.Resolve(region, id)
			assert.Equal(t, keystore.Connected, conn)

			tokens.Set()
			require.Eventually(t, func() bool { return sealOn(b, &h) == nil }, time.Minute, 20*time.Millisecond,
				"it works again by itself")
			found, err := b.DestroyKey(t.Context(), h)
			require.NoError(t, err)
			assert.True(t, found)
		})
	}
}

func TestStartWithoutTheToken(t *testing.T) {
	tokens := hsmtest.Fault(t, "a", "b")
	s := newStores(t, tokens.Config("a"), tokens.Config("b"))
	id := s.create(clusterA, hsmtest.PIN)
	s.connect(id)
	h := handle(t)
	_, err := s.backend(id).CreateKey(t.Context(), h)
	require.NoError(t, err)

	require.NoError(t, s.manager.Close())
	tokens.Set("gone")
	s.start()
	assert.Equal(t, keystore.Connected, s.settled(id).Conn)
	assert.Equal(t, keystore.KindInvalidState, keystore.KindOf(sealOn(s.backend(id), &h)))
	tokens.Set()
	require.Eventually(t, func() bool {
		b, conn := s.manager.Resolve(region, id)
		return conn == keystore.Connected && sealOn(b, &h) == nil
	}, time.Minute, 10*time.Millisecond)
}

func TestStartWithAPINThatWasChangedMeanwhile(t *testing.T) {
	tokens := hsmtest.Fault(t, "a", "b")
	s := newStores(t, tokens.Config("a"), tokens.Config("b"))
	id := s.create(clusterA, hsmtest.PIN)
	s.connect(id)
	require.NoError(t, s.manager.Close())
	tokens.Set("fail C_Login 0xa0")
	tokens.ResetCalls()
	s.start()
	row := s.settled(id)
	assert.Equal(t, keystore.Failed, row.Conn)
	assert.Equal(t, keystore.ConnInvalidCredentials, row.ConnError)
	time.Sleep(100 * time.Millisecond) // several pauses of the search for a missing token
	assert.Equal(t, 1, tokens.Calls()["C_Login"])
}

func TestPasswordRotationOnAToken(t *testing.T) {
	tokens := hsmtest.SoftHSM(t, "a", "b")
	s := newStores(t, tokens.Config("a"), tokens.Config("b"))
	s.rotates = true
	s.restart()
	id := s.create(clusterA, hsmtest.PIN)
	row := s.connect(id)
	require.Equal(t, keystore.Connected, row.Conn, row.ConnCause)
	h := handle(t)
	_, err := s.backend(id).CreateKey(t.Context(), h)
	require.NoError(t, err)
	s.disconnect(id)
	_, err = pkcs11.Open(t.Context(), tokens.Config("a"))
	require.ErrorIs(t, err, hsm.PINIncorrect, "the administrator's password does no longer work")
	row = s.connect(id)
	require.Equal(t, keystore.Connected, row.Conn, row.ConnCause)
	require.NoError(t, sealOn(s.backend(id), &h))
	s.restart()
	s.settled(id)
	require.NoError(t, sealOn(s.backend(id), &h))
}
