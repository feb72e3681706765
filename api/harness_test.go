package api_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/api/apitest"
	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/cmd/strongroom/principals"
	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/access"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/crypt"
	"github.com/strongroom/strongroom/keystore/custom"
	"github.com/strongroom/strongroom/keystore/lifecycle"
	"github.com/strongroom/strongroom/keystore/usage"
	"github.com/strongroom/strongroom/state"
	"github.com/strongroom/strongroom/state/sqlite"
)

const (
	account   = "111122223333"
	region    = "us-east-1"
	clusterID = "cluster-22222222222"
	kmsuser   = "kmsuser1" // the PIN of the cluster's token: a KeyStorePassword has at least seven characters
)

// clusterToken makes a token that stands for a cluster. Its PIN is left to the store.
func clusterToken(t testing.TB) hsm.Config {
	t.Helper()
	hsmtest.Dir(t)
	label, module := "cluster-"+rand.Text()[:12], hsmtest.ModulePath(t)
	_, err := pkcs11.InitToken(context.Background(), module, label, hsm.NewSecret(hsmtest.SOPIN), hsm.NewSecret(kmsuser))
	require.NoError(t, err)
	return hsm.Config{Selector: hsm.Selector{Module: module, Label: label}}
}

// clock can be moved.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// moved is how far the clock is ahead of the real one.
func (c *clock) moved() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

// between holds a date against what an appliance can have made of its clock since a real time, however long that is ago; ahead is
// how far the date has to be ahead of the clock. Dates are rounded, and a machine's clock may be set: hence the minute.
func between(t testing.TB, got, since time.Time, ahead time.Duration) {
	t.Helper()
	assert.WithinRange(t, got, since.Add(ahead-time.Minute), time.Now().Add(ahead+time.Minute))
}

// seen is what an Observer was told.
type seen struct {
	mu       sync.Mutex
	requests []string // operation and exception
	pending  int
	audit    int
}

func (s *seen) Request(operation, exception string, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, operation+" "+exception)
}

func (s *seen) PendingDeletionUse() { s.mu.Lock(); s.pending++; s.mu.Unlock() }
func (s *seen) AuditError()         { s.mu.Lock(); s.audit++; s.mu.Unlock() }

func (s *seen) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1]
}

// appliance is a whole appliance: SoftHSM2 tokens, SQLite, audit log, services, and the front door on a listener.
type appliance struct {
	url        string
	anchor     string // PEM of the cluster's trust anchor
	db         *state.DB
	manager    *custom.Manager
	principals *principals.Registry
	root       principals.NewKey
	auditDir   string
	audit      *audit.File
	clock      *clock
	seen       *seen
	logs       *syncBuffer
	sweeper    *lifecycle.Sweeper
	usage      *usage.Recorder
	rotator    *lifecycle.Rotator
	expirer    *lifecycle.Expirer
	orphans    *lifecycle.Orphans
	server     *api.Server
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start makes an appliance; change may alter what the front door works with.
func start(t testing.TB, change ...func(*api.Config)) *appliance {
	t.Helper()
	ctx := context.Background()
	a := &appliance{clock: new(clock), seen: new(seen), logs: new(syncBuffer), anchor: trustAnchor(t), auditDir: filepath.Join(t.TempDir(), "audit")}
	log := slog.New(slog.NewTextHandler(a.logs, nil))
	tokens := hsmtest.SoftHSM(t, "default")

	var err error
	a.db, err = sqlite.Open(ctx, filepath.Join(t.TempDir(), "state", "strongroom.db"), sqlite.Options{Create: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.db.Close()) })
	token, err := pkcs11.Open(ctx, tokens.Config("default"))
	require.NoError(t, err)
	store := hsmstore.NewDefault(token).AllSpecs()
	vault, err := hsmstore.EnsureVault(ctx, hsmstore.VaultConfig{DB: a.db, Backend: store, Region: region, Clock: a.clock})
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(a.auditDir, 0o700))
	a.audit, err = audit.Open(a.auditDir, audit.Options{Clock: a.clock, Account: account, Region: region, Logger: log})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.audit.Close()) })

	a.principals, err = principals.Open(ctx, principals.Config{DB: a.db, Vault: vault, Clock: a.clock, Random: rand.Reader,
		Account: account, CheckPolicy: func(string) error { return nil }})
	require.NoError(t, err)
	_, a.root, err = a.principals.Create(ctx, keystore.PrincipalRoot, "", nil)
	require.NoError(t, err)

	a.manager, err = custom.NewManager(custom.ManagerConfig{DB: a.db, Secrets: vault, Logger: log,
		Defaults: map[string]backend.Backend{region: store},
		Opener: &hsmstore.Opener{ClusterTokens: map[string]hsm.Config{clusterID: clusterToken(t)},
			OpenToken: pkcs11.Open}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.manager.Close()) })
	require.NoError(t, a.manager.Start(ctx))
	a.serve(t, vault, log, change)
	return a
}

func (a *appliance) serve(t testing.TB, vault *hsmstore.Vault, log *slog.Logger, change []func(*api.Config)) {
	t.Helper()
	gate := access.New(access.Config{Directory: a.db})
	stores, err := custom.New(custom.Config{DB: a.db, Gate: gate, Clock: a.clock, Random: rand.Reader, Secrets: vault, Manager: a.manager,
		Clusters: map[string]keystore.Cluster{clusterID: {ID: clusterID, TrustAnchor: a.anchor}}})
	require.NoError(t, err)
	keys := lifecycle.New(lifecycle.Config{DB: a.db, Resolver: a.manager, Gate: gate, Clock: a.clock, Random: rand.Reader,
		Audit: a.audit, Vault: vault, Account: account, Regions: []string{region}, Logger: log})
	a.sweeper = lifecycle.NewSweeper(keys)
	a.rotator = lifecycle.NewRotator(keys)
	a.expirer = lifecycle.NewExpirer(keys)
	a.orphans = lifecycle.NewOrphans(keys)
	a.usage, err = usage.Open(context.Background(), usage.Config{DB: a.db, Gate: gate, Clock: a.clock, Logger: log})
	require.NoError(t, err)
	c := api.Config{
		Account: account, Regions: []string{region}, Credentials: a.principals, Directory: a.db,
		Crypt: crypt.New(crypt.Config{DB: a.db, Resolver: a.manager, Gate: gate, Clock: a.clock}),
		Keys:  keys, Stores: stores, Grants: a.grants(gate), Audit: a.audit, Clock: a.clock, Logger: log, Observer: a.seen,
		Usage: a.usage,
	}
	for _, f := range change {
		f(&c)
	}
	a.server = api.New(c)
	a.principals.OnChange(a.server.CredentialsChanged)
	a.url = listen(t, api.NewHTTPServer(watch(t, a.server), log))
}

// listen serves on a port of its own until the test ends.
func listen(t testing.TB, s *http.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return "http://" + l.Addr().String()
}

// client is the SDK's client, which signs by itself and does not retry.
func (a *appliance) client(key principals.NewKey) *kms.Client {
	return kms.New(kms.Options{
		Region: region, BaseEndpoint: aws.String(a.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.Secret, ""),
	}, apitest.SendWhole)
}

// answer is what came back over HTTP.
type answer struct {
	status int
	header http.Header
	body   string
}

// request makes a signed request of the root principal.
func (a *appliance) request(t testing.TB, operation, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, a.url+"/", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService."+operation)
	sigv4.SignRequest(r, []byte(body), sigv4.Credential{AccessKeyID: a.root.AccessKeyID, Secret: []byte(a.root.Secret)}, region, "kms", time.Now())
	return r
}

func do(t testing.TB, r *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// post sends a body as it is, signed.
func (a *appliance) post(t testing.TB, operation, body string) answer {
	t.Helper()
	return do(t, a.request(t, operation, body))
}

// records reads the audit log.
func (a *appliance) records(t testing.TB) []map[string]any {
	t.Helper()
	require.NoError(t, a.audit.Sync(context.Background()))
	files, err := filepath.Glob(filepath.Join(a.auditDir, "*"))
	require.NoError(t, err)
	var all []map[string]any
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		for line := range bytes.Lines(data) {
			var record map[string]any
			require.NoError(t, json.Unmarshal(line, &record), "%s", line)
			all = append(all, record)
		}
	}
	return all
}

// lastRecord gives the newest record of an operation.
func (a *appliance) lastRecord(t testing.TB, operation string) map[string]any {
	t.Helper()
	all := a.records(t)
	for i := len(all) - 1; i >= 0; i-- {
		if all[i]["eventName"] == operation && all[i]["eventType"] == "AwsApiCall" {
			return all[i]
		}
	}
	require.Fail(t, "no record of "+operation)
	return nil
}

func trustAnchor(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test cluster"}, IsCA: true,
		BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// resign signs a request anew, as it has become.
func (a *appliance) resign(r *http.Request) {
	body := []byte("{}")
	r.Body = io.NopCloser(bytes.NewReader(body))
	sigv4.SignRequest(r, body, sigv4.Credential{AccessKeyID: a.root.AccessKeyID, Secret: []byte(a.root.Secret)}, region, "kms", time.Now())
}
