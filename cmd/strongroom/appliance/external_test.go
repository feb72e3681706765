package appliance_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/apitest"
	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/appliance"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/cmd/strongroom/dev"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/lifecycle"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/xkstest"
)

// house is an appliance on SoftHSM2 tokens in this process, that trusts one test authority for external stores' proxies.
type house struct {
	t         *testing.T
	timeout   time.Duration // for a proxy's answer
	change    []func(*config.Config)
	dir       string
	authority *xkstest.Authority
	kms       *kms.Client
	admin     string // URL
	socket    string // path
	stop      func()
}

// How long proxies may take: so long that no busy machine makes one late, and what is enough where one hangs.
const (
	patient   = 30 * time.Second
	impatient = 3 * time.Second
)

func newHouse(t *testing.T, timeout time.Duration, change ...func(*config.Config)) *house {
	h := &house{t: t, timeout: timeout, change: change, dir: filepath.Join(t.TempDir(), "appliance"), authority: xkstest.NewAuthority(t)}
	require.NoError(t, os.MkdirAll(h.dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "test-ca.pem"), h.authority.PEM(), 0o600))
	h.start()
	t.Cleanup(func() { h.stop() })
	return h
}

func (h *house) start() {
	t := h.t
	ctx, cancel := context.WithCancel(context.Background())
	setup, err := dev.Prepare(ctx, dev.Options{Dir: h.dir, KMSAddr: "127.0.0.1:0", XKSAddr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0",
		Regions: []string{xkstest.Region}, Account: "000000000000", ExternalTimeout: h.timeout})
	require.NoError(t, err)
	cfg := setup.Config
	cfg.ExternalStores.CAFiles = []string{filepath.Join(h.dir, "test-ca.pem")}
	cfg.ExternalStores.HealthSeconds = 1
	cfg.Limits.StoresPerRegion = 100
	for _, change := range h.change {
		change(cfg)
	}
	a, err := appliance.Open(ctx, appliance.Options{Config: cfg, Logger: slog.New(slog.DiscardHandler), Create: true})
	require.NoError(t, err)
	root, err := a.RootKey(ctx)
	require.NoError(t, err)
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- a.Serve(ctx, func() error { close(ready); return nil }) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("serve: %v", err)
	}
	h.admin = "http://" + a.Addr("admin")
	h.kms = kms.New(kms.Options{BaseEndpoint: aws.String("http://" + a.Addr("kms")), Region: xkstest.Region, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(root.AccessKeyID, root.Secret, "")}, apitest.SendWhole)
	h.socket = cfg.AdminSocket()
	stopped := false
	h.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		assert.NoError(t, <-done)
		assert.NoError(t, a.Close())
	}
}

// scan compares the tokens with the ledger.
func (h *house) scan(t *testing.T) *lifecycle.ScanReport {
	t.Helper()
	c := admin.NewClient(h.socket)
	defer c.Close()
	var r lifecycle.ScanReport
	require.NoError(t, c.Call(t.Context(), http.MethodPost, admin.PathScan, admin.Empty{}, &r))
	require.Empty(t, r.Skipped)
	return &r
}

func (h *house) metrics() string {
	h.t.Helper()
	resp, err := http.Get(h.admin + "/metrics")
	require.NoError(h.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(h.t, err)
	return string(text)
}

// proxy starts a scripted proxy of the authority that the appliance trusts. Once its certificate is switched it shows one of a
// stranger. It stays for as long as the appliance does, as its store may: its port is nobody else's meanwhile.
func (h *house) proxy() (p *xkstest.Proxy, stranger *atomic.Bool) {
	stranger = new(atomic.Bool)
	good := h.authority.Issue("localhost")
	p = xkstest.Start(h.t, func(own *xkstest.Authority, c *tls.Config) {
		bad := own.Issue("localhost")
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if stranger.Load() {
				return &bad, nil
			}
			return &good, nil
		}
	})
	return p, stranger
}

// createInput asks for an external key store over an endpoint.
func createInput(name, endpoint string) *kms.CreateCustomKeyStoreInput {
	return &kms.CreateCustomKeyStoreInput{
		CustomKeyStoreName: aws.String(name), CustomKeyStoreType: types.CustomKeyStoreTypeExternalKeyStore,
		XksProxyConnectivity: types.XksProxyConnectivityTypePublicEndpoint,
		XksProxyUriEndpoint:  aws.String(endpoint), XksProxyUriPath: aws.String(xkstest.URIPath),
		XksProxyAuthenticationCredential: &types.XksProxyAuthenticationCredentialType{
			AccessKeyId: aws.String(xkstest.AccessKeyID), RawSecretAccessKey: aws.String(xkstest.Secret)},
	}
}

func (h *house) create(t *testing.T, p *xkstest.Proxy) *string {
	t.Helper()
	out, err := h.kms.CreateCustomKeyStore(t.Context(), createInput(t.Name(), p.Endpoint))
	require.NoError(t, err)
	return out.CustomKeyStoreId
}

// state waits until a store is in one of the states, and gives its description.
func (h *house) state(t *testing.T, store *string, want ...types.ConnectionStateType) types.CustomKeyStoresListEntry {
	t.Helper()
	for {
		out, err := h.kms.DescribeCustomKeyStores(t.Context(), &kms.DescribeCustomKeyStoresInput{CustomKeyStoreId: store})
		require.NoError(t, err)
		for _, w := range want {
			if out.CustomKeyStores[0].ConnectionState == w {
				return out.CustomKeyStores[0]
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (h *house) connect(t *testing.T, store *string) types.CustomKeyStoresListEntry {
	t.Helper()
	_, err := h.kms.ConnectCustomKeyStore(t.Context(), &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: store})
	require.NoError(t, err)
	return h.state(t, store, types.ConnectionStateTypeConnected, types.ConnectionStateTypeFailed)
}

func (h *house) disconnect(t *testing.T, store *string) {
	t.Helper()
	_, err := h.kms.DisconnectCustomKeyStore(t.Context(), &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: store})
	require.NoError(t, err)
	h.state(t, store, types.ConnectionStateTypeDisconnected)
}

func (h *house) createKey(ctx context.Context, store *string, xksKey string) (*types.KeyMetadata, error) {
	out, err := h.kms.CreateKey(ctx, &kms.CreateKeyInput{CustomKeyStoreId: store, Origin: types.OriginTypeExternalKeyStore, XksKeyId: &xksKey})
	if err != nil {
		return nil, err
	}
	return out.KeyMetadata, nil
}

// errorOf gives exception and message of what the SDK answered.
func errorOf(t *testing.T, err error) (exception, message string) {
	t.Helper()
	var e smithy.APIError
	require.True(t, errors.As(err, &e), "%v", err)
	return e.ErrorCode(), e.ErrorMessage()
}

// ward is a connected store with a key and a ciphertext, and a second proxy that no store is on.
type ward struct {
	*house
	store, key           *string
	blob                 []byte
	inside               *string // a key of the default store
	proxy, spare         *xkstest.Proxy
	spareEndpoint        string
	stranger, spareWrong *atomic.Bool
}

func (h *house) ward(t *testing.T) *ward {
	t.Helper()
	w := &ward{house: h}
	w.proxy, w.stranger = h.proxy()
	w.spare, w.spareWrong = h.proxy()
	w.spareEndpoint = w.spare.Endpoint
	w.store = h.create(t, w.proxy)
	require.Equal(t, types.ConnectionStateTypeConnected, h.connect(t, w.store).ConnectionState)
	key, err := h.createKey(t.Context(), w.store, "key-1")
	require.NoError(t, err)
	w.key = key.KeyId
	sealed, err := h.kms.Encrypt(t.Context(), &kms.EncryptInput{KeyId: w.key, Plaintext: []byte("before")})
	require.NoError(t, err)
	w.blob = sealed.CiphertextBlob
	inside, err := h.kms.CreateKey(t.Context(), &kms.CreateKeyInput{})
	require.NoError(t, err)
	w.inside = inside.KeyMetadata.KeyId
	return w
}

// fail makes the proxies fail in the way of a scenario of the specification.
func (w *ward) fail(t *testing.T, scenario string) {
	t.Helper()
	both := func(f xkstest.Fault) { w.proxy.Set(f); w.spare.Set(f) }
	switch scenario {
	case "AWS KMS cannot establish a TCP connection":
		w.proxy.Stop()
		w.spareEndpoint = xkstest.Closed(t)
	case "AWS KMS cannot establish a TLS connection":
		w.stranger.Store(true)
		w.spareWrong.Store(true)
		w.proxy.CloseConnections() // the watch over the store's health may be using one right now
	case "AWS KMS encounters a socket timeout":
		both(xkstest.Hang())
	case "Proxy returns a malformed response":
		both(xkstest.Reply(200, "<html>"))
	case "Proxy returns an invalid ciphertext":
		both(xkstest.SpoilDecrypt(func(r *xks.DecryptResponse) { r.Plaintext[0] ^= 1 }))
	case "Custom key store is not in CONNECTED state":
		w.disconnect(t, w.store)
	default:
		name := xks.ErrorName(scenario[strings.LastIndexByte(scenario, ' ')+1:])
		require.True(t, name.Known(), scenario)
		both(xkstest.Refuse(name))
	}
}

// do calls an operation that reaches a proxy.
func (w *ward) do(ctx context.Context, operation string) (err error) {
	spec := types.DataKeySpecAes256
	switch operation {
	case "CreateCustomKeyStore":
		_, err = w.kms.CreateCustomKeyStore(ctx, createInput("another", w.spareEndpoint))
	case "UpdateCustomKeyStore":
		_, err = w.kms.UpdateCustomKeyStore(ctx, &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: w.store, XksProxyUriPath: aws.String(xkstest.URIPath)})
	case "CreateKey":
		_, err = w.createKey(ctx, w.store, "key-2")
	case "Encrypt":
		_, err = w.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: w.key, Plaintext: []byte("x")})
	case "Decrypt":
		_, err = w.kms.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: w.blob})
	case "ReEncrypt":
		_, err = w.kms.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: w.blob, DestinationKeyId: w.inside})
	case "GenerateDataKey":
		_, err = w.kms.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: w.key, KeySpec: spec})
	case "GenerateDataKeyWithoutPlaintext":
		_, err = w.kms.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: w.key, KeySpec: spec})
	default:
		err = errors.New("no such operation: " + operation)
	}
	return err
}

// Every row of the specification's table of failures, from the AWS SDK through the whole appliance to a proxy over TLS.
func TestExternalStoreFailures(t *testing.T) {
	file, err := os.Open(filepath.Join("..", "..", "..", "testdata", "spec", "xks-kms-errors.csv"))
	require.NoError(t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 121)
	scenarios := map[string][][]string{}
	for _, row := range rows[1:] {
		scenarios[row[0]] = append(scenarios[row[0]], row)
	}
	require.Len(t, scenarios, 18)
	// Where a proxy hangs each call takes the whole of its time.
	const hangs = "AWS KMS encounters a socket timeout"
	require.Contains(t, scenarios, hangs)
	failures(t, impatient, map[string][][]string{hangs: scenarios[hangs]})
	delete(scenarios, hangs)
	failures(t, patient, scenarios)
}

// failures plays scenarios with an appliance that gives proxies that time.
func failures(t *testing.T, timeout time.Duration, scenarios map[string][][]string) {
	h := newHouse(t, timeout)
	defer h.stop() // there is one appliance at a time in a process
	t.Run("rows", func(t *testing.T) {
		for scenario, rows := range scenarios {
			t.Run(scenario, func(t *testing.T) {
				t.Parallel()
				w := h.ward(t)
				w.fail(t, scenario)
				for _, row := range rows {
					operation, want := row[1], row[2]
					if want == "XksKeyInvalidResponseException" {
						want = "UnsupportedOperationException" // no AWS SDK knows the other
					}
					exception, message := errorOf(t, w.do(t.Context(), operation))
					assert.Equal(t, want, exception, operation)
					assert.Equal(t, row[3], message, operation)
				}
			})
		}
	})
	t.Run("and nothing is left of what failed", func(t *testing.T) {
		scan := h.scan(t)
		assert.Empty(t, scan.Unknown)
		assert.Empty(t, scan.Missing)
		out, err := h.kms.DescribeCustomKeyStores(t.Context(), &kms.DescribeCustomKeyStoresInput{Limit: aws.Int32(1000)})
		require.NoError(t, err)
		assert.Len(t, out.CustomKeyStores, len(scenarios))
	})
}

// What CreateKey wants of an external key, in AWS's words.
func TestExternalKeyRequirements(t *testing.T) {
	h := newHouse(t, patient)
	w := h.ward(t)
	both := []string{xks.UsageEncrypt, xks.UsageDecrypt}
	for name, c := range map[string]struct {
		metadata xks.MetadataResponse
		text     string
	}{
		"key spec": {xks.MetadataResponse{KeySpec: "RSA_2048", KeyUsage: both, KeyStatus: xks.KeyEnabled},
			"The key spec of the external key must be AES_256. The key spec of specified external key is RSA_2048."},
		"status": {xks.MetadataResponse{KeySpec: xks.KeySpecAES256, KeyUsage: both, KeyStatus: xks.KeyDisabled},
			"The status of the external key must be ENABLED. The status of specified external key is DISABLED."},
		"usage": {xks.MetadataResponse{KeySpec: xks.KeySpecAES256, KeyUsage: []string{"ENCRYPT", "WRAP"}, KeyStatus: xks.KeyEnabled},
			"The key usage of the external key must include ENCRYPT and DECRYPT. The key use of specified external key is ENCRYPT, WRAP."},
	} {
		w.proxy.SetMetadata(c.metadata)
		_, err := h.createKey(t.Context(), w.store, "key-2")
		exception, message := errorOf(t, err)
		assert.Equal(t, "XksKeyInvalidConfigurationException", exception, name)
		assert.Equal(t, c.text, message, name)
	}
	w.proxy.SetMetadata(xks.MetadataResponse{KeySpec: xks.KeySpecAES256, KeyUsage: both, KeyStatus: xks.KeyEnabled})
	asked := w.proxy.Calls(xks.OpMetadata)
	_, err := h.createKey(t.Context(), w.store, "key-1")
	exception, _ := errorOf(t, err)
	assert.Equal(t, "XksKeyAlreadyInUseException", exception)
	assert.Equal(t, asked, w.proxy.Calls(xks.OpMetadata), "the proxy is not asked about a key that cannot be had")
	_, err = h.createKey(t.Context(), w.store, "missing")
	exception, _ = errorOf(t, err)
	assert.Equal(t, "XksKeyNotFoundException", exception)
	_, err = h.createKey(t.Context(), w.store, "..")
	exception, _ = errorOf(t, err)
	assert.Equal(t, "ValidationException", exception, "a dot segment would be another URI")
	for name, in := range map[string]*kms.CreateKeyInput{
		"no XksKeyId":     {CustomKeyStoreId: w.store, Origin: types.OriginTypeExternalKeyStore},
		"no store":        {XksKeyId: aws.String("key-2"), Origin: types.OriginTypeExternalKeyStore},
		"other origin":    {CustomKeyStoreId: w.store, Origin: types.OriginTypeAwsCloudhsm},
		"asymmetric":      {CustomKeyStoreId: w.store, Origin: types.OriginTypeExternalKeyStore, XksKeyId: aws.String("key-2"), KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeEncryptDecrypt},
		"XksKeyId inside": {XksKeyId: aws.String("key-2")},
	} {
		_, err := h.kms.CreateKey(t.Context(), in)
		exception, _ := errorOf(t, err)
		assert.Equal(t, "ValidationException", exception, name)
	}
	_, err = h.kms.GenerateRandom(t.Context(), &kms.GenerateRandomInput{CustomKeyStoreId: w.store, NumberOfBytes: aws.Int32(16)})
	exception, _ = errorOf(t, err)
	assert.Equal(t, "UnsupportedOperationException", exception, "an external key manager is no source of randomness")
	key, err := h.createKey(t.Context(), w.store, "key-2")
	require.NoError(t, err)
	assert.Equal(t, "key-2", *key.XksKeyConfiguration.Id)
	assert.Equal(t, *w.store, *key.CustomKeyStoreId)
	assert.Equal(t, types.OriginTypeExternalKeyStore, key.Origin)
	assert.Nil(t, key.CurrentKeyMaterialId)
	scan := h.scan(t)
	assert.Empty(t, scan.Unknown)
	assert.Empty(t, scan.Missing)
}

// Why a connect failed, as ConnectionErrorCode; and the way back.
func TestExternalConnectionErrorCodes(t *testing.T) {
	h := newHouse(t, impatient)
	unhealthy := xks.HealthResponse{FleetSize: 1, Vendor: "v", Model: "m", EKMVendor: "e",
		Instances: []xks.Instance{{ID: "1", Model: "m", Status: xks.Unavailable}, {ID: "2", Model: "m", Status: xks.Unavailable}}}
	for name, c := range map[string]struct {
		spoil func(p *xkstest.Proxy, stranger *atomic.Bool)
		want  types.ConnectionErrorCodeType
	}{
		"wrong credential": {func(p *xkstest.Proxy, _ *atomic.Bool) { p.Set(xkstest.Refuse(xks.AuthenticationFailedException)) },
			types.ConnectionErrorCodeTypeInvalidCredentials},
		"access denied": {func(p *xkstest.Proxy, _ *atomic.Bool) { p.Set(xkstest.Refuse(xks.AccessDeniedException)) },
			types.ConnectionErrorCodeTypeXksProxyAccessDenied},
		"wrong path": {func(p *xkstest.Proxy, _ *atomic.Bool) { p.Set(xkstest.Refuse(xks.InvalidURIPathException)) },
			types.ConnectionErrorCodeTypeXksProxyInvalidConfiguration},
		"garbage": {func(p *xkstest.Proxy, _ *atomic.Bool) { p.Set(xkstest.Garbage()) }, types.ConnectionErrorCodeTypeXksProxyInvalidResponse},
		"internal": {func(p *xkstest.Proxy, _ *atomic.Bool) { p.Set(xkstest.Refuse(xks.InternalException)) },
			types.ConnectionErrorCodeTypeXksProxyInvalidResponse},
		"certificate": {func(p *xkstest.Proxy, stranger *atomic.Bool) { stranger.Store(true); p.CloseConnections() },
			types.ConnectionErrorCodeTypeXksProxyInvalidTlsConfiguration},
		"gone": {func(p *xkstest.Proxy, _ *atomic.Bool) { p.Stop() }, types.ConnectionErrorCodeTypeXksProxyNotReachable},
		"all key managers unavailable": {func(p *xkstest.Proxy, _ *atomic.Bool) { p.SetHealth(unhealthy) },
			types.ConnectionErrorCodeTypeXksProxyNotReachable},
		"hangs": {func(p *xkstest.Proxy, _ *atomic.Bool) { p.Set(xkstest.Hang()) }, types.ConnectionErrorCodeTypeXksProxyTimedOut},
		"waits for others": {func(p *xkstest.Proxy, _ *atomic.Bool) { p.Set(xkstest.Refuse(xks.DependencyTimeoutException)) },
			types.ConnectionErrorCodeTypeXksProxyTimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			p, stranger := h.proxy()
			store := h.create(t, p)
			c.spoil(p, stranger)
			is := h.connect(t, store)
			require.Equal(t, types.ConnectionStateTypeFailed, is.ConnectionState)
			assert.Equal(t, c.want, is.ConnectionErrorCode)
			h.disconnect(t, store)
			if name == "gone" {
				return
			}
			p.Set(nil)
			p.SetHealth(xks.HealthResponse{FleetSize: 1, Vendor: "v", Model: "m", EKMVendor: "e", Instances: []xks.Instance{{ID: "1", Model: "m", Status: xks.Degraded}}})
			stranger.Store(false)
			assert.Equal(t, types.ConnectionStateTypeConnected, h.connect(t, store).ConnectionState)
		})
	}
	t.Run("unhealthy at create", func(t *testing.T) {
		p, _ := h.proxy()
		p.SetHealth(unhealthy)
		_, err := h.kms.CreateCustomKeyStore(t.Context(), createInput("unhealthy", p.Endpoint))
		exception, message := errorOf(t, err)
		assert.Equal(t, "XksProxyUriUnreachableException", exception)
		assert.Equal(t, "The external key store proxy is in an unhealthy state. If you see this message repeatedly, notify your external key store proxy administrator.", message)
	})
}

// What a proxy is told of the call, and what it never sees.
func TestWhatAProxyIsTold(t *testing.T) {
	h := newHouse(t, patient)
	w := h.ward(t)
	out, err := h.kms.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{KeyId: w.key, KeySpec: types.DataKeySpecAes256,
		EncryptionContext: map[string]string{"tenant": "seven"}})
	require.NoError(t, err)
	opened, err := h.kms.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob, EncryptionContext: map[string]string{"tenant": "seven"}})
	require.NoError(t, err)
	assert.Equal(t, out.Plaintext, opened.Plaintext)
	type metadata struct{ AwsPrincipalArn, KmsOperation, KmsRequestId, KmsKeyArn string }
	seen := map[string]metadata{}
	for _, r := range w.proxy.Requests() {
		var body struct {
			RequestMetadata                                                               metadata
			Plaintext, AdditionalAuthenticatedData, CiphertextDataIntegrityValueAlgorithm string
		}
		require.NoError(t, json.Unmarshal(r.Body, &body))
		seen[string(r.Op)+" "+body.RequestMetadata.KmsOperation] = body.RequestMetadata
		assert.NotEmpty(t, body.RequestMetadata.KmsRequestId)
		if r.Op == xks.OpEncrypt {
			assert.Equal(t, "SHA_256", body.CiphertextDataIntegrityValueAlgorithm)
			inner, err := base64.StdEncoding.DecodeString(body.Plaintext)
			require.NoError(t, err)
			assert.NotContains(t, string(inner), "before", "the proxy never sees a plaintext")
			assert.NotContains(t, string(inner), string(out.Plaintext))
		}
		aad, err := base64.StdEncoding.DecodeString(body.AdditionalAuthenticatedData)
		require.NoError(t, err)
		if strings.HasPrefix(body.RequestMetadata.KmsOperation, "GenerateDataKey") {
			assert.Contains(t, string(aad), "tenant")
			assert.Contains(t, string(aad), "seven")
		}
	}
	key, err := h.kms.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: w.key})
	require.NoError(t, err)
	root := keystore.RootARN("000000000000")
	for _, call := range []string{"Encrypt Encrypt", "Encrypt GenerateDataKey", "Decrypt Decrypt"} {
		require.Contains(t, seen, call)
		assert.Equal(t, root, seen[call].AwsPrincipalArn, call)
		assert.Equal(t, *key.KeyMetadata.Arn, seen[call].KmsKeyArn, call)
	}
	require.Contains(t, seen, "GetKeyMetadata CreateKey")
	assert.Equal(t, root, seen["GetKeyMetadata CreateKey"].AwsPrincipalArn)
	assert.Empty(t, seen["GetKeyMetadata CreateKey"].KmsKeyArn)
	assert.Contains(t, seen, "GetHealthStatus CreateCustomKeyStore")
	assert.Contains(t, seen, "GetHealthStatus ConnectCustomKeyStore")

	t.Run("an answer whose integrity value is wrong is no answer", func(t *testing.T) {
		for name, spoil := range map[string]func(*xks.EncryptResponse){
			"value":      func(r *xks.EncryptResponse) { r.CDIV[0] ^= 1 },
			"no value":   func(r *xks.EncryptResponse) { r.CDIV = nil },
			"ciphertext": func(r *xks.EncryptResponse) { r.Ciphertext[0] ^= 1 },
			"tag":        func(r *xks.EncryptResponse) { r.Tag[0] ^= 1 },
			"length":     func(r *xks.EncryptResponse) { r.Ciphertext = r.Ciphertext[1:] },
		} {
			w.proxy.Set(xkstest.SpoilEncrypt(spoil))
			_, err := h.kms.Encrypt(t.Context(), &kms.EncryptInput{KeyId: w.key, Plaintext: []byte("x")})
			exception, message := errorOf(t, err)
			assert.Equal(t, "KMSInvalidStateException", exception, name)
			assert.Contains(t, message, "AWS KMS cannot interpret the response from the external key store proxy.", name)
		}
		w.proxy.Set(nil)
	})
	t.Run("the longest plaintext and a long context", func(t *testing.T) {
		long := map[string]string{"note": strings.Repeat("n", 9000)}
		sealed, err := h.kms.Encrypt(t.Context(), &kms.EncryptInput{KeyId: w.key, Plaintext: make([]byte, 4096), EncryptionContext: long})
		require.NoError(t, err)
		assert.LessOrEqual(t, len(sealed.CiphertextBlob), 6144, "Decrypt takes no longer ones")
		opened, err := h.kms.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: long})
		require.NoError(t, err)
		assert.Len(t, opened.Plaintext, 4096)
	})
}

// A restart finds the store CONNECTED, whatever its proxy does, and what fails meanwhile works again when the proxy does.
func TestExternalStoreAfterARestart(t *testing.T) {
	h := newHouse(t, patient)
	w := h.ward(t)
	h.stop()
	w.proxy.Set(xkstest.Refuse(xks.InternalException))
	h.start()
	assert.Equal(t, types.ConnectionStateTypeConnected, h.state(t, w.store, types.ConnectionStateTypeConnected, types.ConnectionStateTypeFailed).ConnectionState)
	var exception, message string
	require.Eventually(t, func() bool {
		exception, message = errorOf(t, w.do(t.Context(), "Decrypt"))
		return strings.Contains(message, "cannot communicate with the external key manager")
	}, time.Minute, 10*time.Millisecond, "the store is opened in the background: %s %s", exception, message)
	w.proxy.Set(nil)
	opened, err := h.kms.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: w.blob})
	require.NoError(t, err)
	assert.Equal(t, "before", string(opened.Plaintext))

	t.Run("health is looked at again and again", func(t *testing.T) {
		healthy := func(v string) func() bool {
			line := `strongroom_external_store_healthy{region="` + xkstest.Region + `",store="` + *w.store + `"} ` + v
			return func() bool { return strings.Contains(h.metrics(), line) }
		}
		require.Eventually(t, healthy("1"), time.Minute, 20*time.Millisecond)
		assert.Contains(t, h.metrics(), `strongroom_external_store_credential_since_seconds{region="`+xkstest.Region+`",store="`+*w.store+`"} 1.`)
		w.proxy.Set(xkstest.Refuse(xks.ThrottlingException))
		require.Eventually(t, healthy("0"), time.Minute, 20*time.Millisecond)
		assert.Contains(t, h.metrics(), `error="ThrottlingException",kms_operation="KmsHealthCheck"`)
		w.proxy.Set(nil)
		require.Eventually(t, healthy("1"), time.Minute, 20*time.Millisecond)
		h.disconnect(t, w.store)
		assert.NotContains(t, h.metrics(), "strongroom_external_store_healthy{")
		// One that was on its way may still arrive.
		require.Eventually(t, func() bool {
			before := w.proxy.Calls(xks.OpHealth)
			time.Sleep(1500 * time.Millisecond)
			return before == w.proxy.Calls(xks.OpHealth)
		}, time.Minute, time.Millisecond, "nothing is sent to the proxy of a disconnected store")
	})
}

// There is no VPC here: the appliance reaches the endpoint by its name. The proxy is not asked before the store is connected.
func TestExternalStoreInAVPC(t *testing.T) {
	h := newHouse(t, patient)
	p, _ := h.proxy()
	in := createInput("in a VPC", p.Endpoint)
	in.XksProxyConnectivity = types.XksProxyConnectivityTypeVpcEndpointService
	_, err := h.kms.CreateCustomKeyStore(t.Context(), in)
	exception, _ := errorOf(t, err)
	assert.Equal(t, "ValidationException", exception, "a service needs its name")
	in.XksProxyVpcEndpointServiceName = aws.String("com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0")
	out, err := h.kms.CreateCustomKeyStore(t.Context(), in)
	require.NoError(t, err)
	assert.Zero(t, p.Calls(xks.OpHealth))
	store := out.CustomKeyStoreId
	again, err := h.kms.CreateCustomKeyStore(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, *store, *again.CustomKeyStoreId, "the same request of a DISCONNECTED store")
	is := h.connect(t, store)
	require.Equal(t, types.ConnectionStateTypeConnected, is.ConnectionState)
	x := is.XksProxyConfiguration
	assert.Equal(t, *in.XksProxyVpcEndpointServiceName, *x.VpcEndpointServiceName)
	assert.Equal(t, "000000000000", *x.VpcEndpointServiceOwner, "the caller's account by default")
	assert.Equal(t, xkstest.AccessKeyID, *x.AccessKeyId)

	public := createInput("public", p.Endpoint)
	public.XksProxyUriPath = aws.String("/other/kms/xks/v1")
	_, err = h.kms.CreateCustomKeyStore(t.Context(), public)
	exception, _ = errorOf(t, err)
	assert.Equal(t, "XksProxyUriEndpointInUseException", exception)
	other, _ := h.proxy()
	in.CustomKeyStoreName, in.XksProxyUriEndpoint = aws.String("other"), &other.Endpoint
	_, err = h.kms.CreateCustomKeyStore(t.Context(), in)
	exception, _ = errorOf(t, err)
	assert.Equal(t, "XksProxyVpcEndpointServiceInUseException", exception)

	toPublic := &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: store, XksProxyConnectivity: types.XksProxyConnectivityTypePublicEndpoint,
		XksProxyUriEndpoint: &other.Endpoint, XksProxyVpcEndpointServiceName: aws.String("")}
	_, err = h.kms.UpdateCustomKeyStore(t.Context(), toPublic)
	exception, _ = errorOf(t, err)
	assert.Equal(t, "CustomKeyStoreInvalidStateException", exception, "while it is CONNECTED")
	h.disconnect(t, store)
	other.Set(xkstest.Refuse(xks.AuthenticationFailedException))
	_, err = h.kms.UpdateCustomKeyStore(t.Context(), toPublic)
	exception, _ = errorOf(t, err)
	assert.Equal(t, "XksProxyIncorrectAuthenticationCredentialException", exception)
	assert.Equal(t, p.Endpoint, *h.state(t, store, types.ConnectionStateTypeDisconnected).XksProxyConfiguration.UriEndpoint, "nothing changed")
	other.Set(nil)
	_, err = h.kms.UpdateCustomKeyStore(t.Context(), toPublic)
	require.NoError(t, err)
	x = h.state(t, store, types.ConnectionStateTypeDisconnected).XksProxyConfiguration
	assert.Equal(t, other.Endpoint, *x.UriEndpoint)
	assert.Nil(t, x.VpcEndpointServiceName)
	assert.Nil(t, x.VpcEndpointServiceOwner)
	_, err = h.kms.DeleteCustomKeyStore(t.Context(), &kms.DeleteCustomKeyStoreInput{CustomKeyStoreId: store})
	require.NoError(t, err)
}

// A credential is changed at the proxy's side and here while the store serves, without a call that fails.
func TestExternalCredentialChangesWhileConnected(t *testing.T) {
	h := newHouse(t, patient)
	w := h.ward(t)
	_, err := h.kms.UpdateCustomKeyStore(t.Context(), &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: w.store,
		XksProxyAuthenticationCredential: &types.XksProxyAuthenticationCredentialType{
			AccessKeyId: aws.String(xkstest.AccessKeyID), RawSecretAccessKey: aws.String(strings.Repeat("w", 43))}})
	exception, _ := errorOf(t, err)
	assert.Equal(t, "XksProxyIncorrectAuthenticationCredentialException", exception)
	require.NoError(t, w.do(t.Context(), "Decrypt"), "the old one is in force")
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := w.do(context.Background(), "Decrypt"); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 3 {
		_, err = h.kms.UpdateCustomKeyStore(t.Context(), &kms.UpdateCustomKeyStoreInput{CustomKeyStoreId: w.store,
			XksProxyAuthenticationCredential: createInput("", "").XksProxyAuthenticationCredential})
		require.NoError(t, err)
		assert.Equal(t, types.ConnectionStateTypeConnected, h.state(t, w.store, types.ConnectionStateTypeConnected, types.ConnectionStateTypeFailed).ConnectionState)
	}
	close(stop)
	require.NoError(t, <-done)
}
