package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// killsVariable says how often TestKill kills; the suite's figure is for every day, hundreds are for `make torture`.
const (
	killsVariable = "STRONGROOM_KILLS"
	killsInSuite  = 20
)

// rig is an appliance in a directory that is started and killed again and again.
type rig struct {
	t    *testing.T
	dir  string
	env  []string
	args []string
	run  int
	*process
	vars  map[string]string
	admin *admin.Client
	kms   *kms.Client
}

func newRig(t *testing.T, args ...string) *rig {
	r := &rig{t: t, dir: filepath.Join(t.TempDir(), "appliance"), args: args, env: []string{"PATH=" + os.Getenv("PATH")}}
	t.Cleanup(func() {
		if r.process != nil {
			_ = r.end(syscall.SIGKILL)
		}
	})
	return r
}

// start starts the appliance with more variables in its environment.
func (r *rig) start(env ...string) {
	r.t.Helper()
	r.run++
	p, err := startDev(r.dir, filepath.Join(r.t.TempDir(), fmt.Sprintf("log-%d", r.run)), append(r.env, env...), r.args...)
	require.NoError(r.t, err)
	r.process = p
	r.vars, err = readEnvFile(filepath.Join(r.dir, "dev.env"))
	require.NoError(r.t, err)
	r.admin = admin.NewClient(r.vars["STRONGROOM_ADMIN_SOCKET"])
	r.kms = kms.New(kms.Options{
		BaseEndpoint: aws.String(r.vars["AWS_ENDPOINT_URL_KMS"]), Region: r.vars["AWS_REGION"],
		Credentials: credentials.NewStaticCredentialsProvider(r.vars["AWS_ACCESS_KEY_ID"], r.vars["AWS_SECRET_ACCESS_KEY"], ""),
		Retryer:     aws.NopRetryer{},
		HTTPClient:  &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: time.Minute},
	}, apitest.SendWhole)
}

// crash ends it by SIGKILL.
func (r *rig) crash() {
	_ = r.end(syscall.SIGKILL)
	assert.NotContains(r.t, r.printed(), "DATA RACE")
	r.process = nil
}

func (r *rig) shutdown() {
	r.t.Helper()
	p := r.process
	r.process = nil
	require.NoError(r.t, p.end(syscall.SIGTERM), p.printed())
}

// makeStore makes a store on a cluster; connect takes it up.
func (r *rig) makeStore(ctx context.Context, name, suffix string) string {
	r.t.Helper()
	pem, err := os.ReadFile(r.vars["STRONGROOM_TRUST_ANCHOR"+suffix])
	require.NoError(r.t, err)
	out, err := r.kms.CreateCustomKeyStore(ctx, &kms.CreateCustomKeyStoreInput{
		CustomKeyStoreName: &name, CloudHsmClusterId: aws.String(r.vars["STRONGROOM_CLUSTER_ID"+suffix]),
		KeyStorePassword: aws.String(r.vars["STRONGROOM_KMSUSER_PASSWORD"+suffix]), TrustAnchorCertificate: aws.String(string(pem)),
	})
	require.NoError(r.t, err)
	return *out.CustomKeyStoreId
}

// makeExternal makes an external key store over the appliance's own proxy.
func (r *rig) makeExternal(ctx context.Context) string {
	r.t.Helper()
	out, err := r.kms.CreateCustomKeyStore(ctx, &kms.CreateCustomKeyStoreInput{
		CustomKeyStoreName: aws.String("external"), CustomKeyStoreType: types.CustomKeyStoreTypeExternalKeyStore,
		XksProxyConnectivity: types.XksProxyConnectivityTypePublicEndpoint,
		XksProxyUriEndpoint:  aws.String(r.vars["STRONGROOM_XKS_URI"]), XksProxyUriPath: aws.String(r.vars["STRONGROOM_XKS_PATH"]),
		XksProxyAuthenticationCredential: &types.XksProxyAuthenticationCredentialType{
			AccessKeyId: aws.String(r.vars["STRONGROOM_XKS_ACCESS_KEY"]), RawSecretAccessKey: aws.String(r.vars["STRONGROOM_XKS_SECRET_KEY"])},
	})
	require.NoError(r.t, err)
	return *out.CustomKeyStoreId
}

func (r *rig) connect(ctx context.Context, store string) {
	r.t.Helper()
	_, err := r.kms.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &store})
	require.NoError(r.t, err)
	r.await(ctx, store, types.ConnectionStateTypeConnected)
}

func (r *rig) state(ctx context.Context, store string) types.ConnectionStateType {
	r.t.Helper()
	out, err := r.kms.DescribeCustomKeyStores(ctx, &kms.DescribeCustomKeyStoresInput{CustomKeyStoreId: &store})
	require.NoError(r.t, err)
	return out.CustomKeyStores[0].ConnectionState
}

func (r *rig) await(ctx context.Context, store string, want types.ConnectionStateType) {
	r.t.Helper()
	var got types.ConnectionStateType
	require.Eventually(r.t, func() bool { got = r.state(ctx, store); return got == want }, time.Minute, 10*time.Millisecond,
		"store %s is not %s", store, want)
}

func (r *rig) status(ctx context.Context) *admin.Status {
	r.t.Helper()
	var s admin.Status
	require.NoError(r.t, r.admin.Call(ctx, http.MethodGet, admin.PathStatus, nil, &s))
	return &s
}

func (r *rig) advance(ctx context.Context, d time.Duration) error {
	return r.admin.Call(ctx, http.MethodPost, admin.PathAdvance, admin.Advance{Seconds: int64(d / time.Second)}, nil)
}

// honest shows that tokens and ledger agree: every object is named by a row, every live key has its object, and what a
// crash left open is settled. What was planned in a store that is disconnected waits until it is connected.
func (r *rig) honest(ctx context.Context) {
	r.t.Helper()
	var s *admin.Status
	require.Eventually(r.t, func() bool {
		s = r.status(ctx)
		away := slices.ContainsFunc(s.Stores, func(st admin.Store) bool { return st.State != "CONNECTED" })
		return s.Material["condemned"] == 0 && (away || s.Material["planned"] == 0)
	}, time.Minute, 20*time.Millisecond, "the ledger is not settled")
	var report lifecycle.ScanReport
	require.Eventually(r.t, func() bool {
		report = lifecycle.ScanReport{}
		require.NoError(r.t, r.admin.Call(ctx, http.MethodPost, admin.PathScan, admin.Empty{}, &report))
		// While one store is away, what was planned in another is settled all the same, only nobody counts it apart.
		return !slices.ContainsFunc(report.Orphaned, func(o *lifecycle.Orphan) bool { return o.State == keystore.MaterialPlanned })
	}, time.Minute, 100*time.Millisecond, "planned objects on tokens that are there are not settled")
	assert.Empty(r.t, report.Unknown, "objects that no row names")
	assert.Empty(r.t, report.Missing, "live keys without an object")
	for _, o := range report.Orphaned {
		assert.Equal(r.t, "orphaned", string(o.State), "the object of a row that has ended: %+v", o)
	}
	for _, o := range report.Skipped {
		assert.True(r.t, slices.ContainsFunc(s.Stores, func(st admin.Store) bool {
			return st.ID == string(o.StoreID) && st.State != "CONNECTED"
		}), "a token was not looked at: %+v", o)
	}
}

func kills(t *testing.T) int {
	text := os.Getenv(killsVariable)
	if text == "" {
		return killsInSuite
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, killsVariable)
	return n
}

// TestKill kills the appliance at random instants under concurrent changes, starts it again, and shows that every change
// that was acknowledged is there and that tokens and ledger agree.
func TestKill(t *testing.T) {
	ctx := context.Background()
	// The external store's proxy is the appliance's own: it must be at the same address after each start.
	address, release, err := keepAddress()
	require.NoError(t, err)
	t.Cleanup(release)
	r := newRig(t, "--xks-addr", address, "--xks-timeout", "20s")
	r.start()
	m := newModel(ctx, r)
	n := kills(t)
	for i := range n {
		m.torment(ctx, r, time.Duration(rand.IntN(400))*time.Millisecond)
		r.start()
		m.check(ctx, r)
		r.honest(ctx)
		if t.Failed() {
			t.Fatalf("after kill %d of %d", i+1, n)
		}
	}
	if !m.connected() {
		r.connect(ctx, m.flapping)
		r.honest(ctx)
	}
	m.checkKeys(ctx, r)
	t.Logf("%d kills: %s", n, m.summary())
	r.shutdown()
	witness(t, r.dir)
}

// keepAddress gives an address where an appliance can listen that is told to, again and again. Until release is called its
// port is nobody else's, neither to listen nor for a connection: a socket is bound to it that never listens. Linux lets others
// listen beside such a socket if both have SO_REUSEADDR, as Go's listeners do, and gives the port to none that did not ask for it.
func keepAddress() (address string, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, os.NewSyscallError("socket", err)
	}
	release = func() { _ = syscall.Close(fd) } // nothing was ever written to it
	err = os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
	if err == nil {
		err = os.NewSyscallError("bind", syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	}
	var at syscall.Sockaddr
	if err == nil {
		at, err = syscall.Getsockname(fd)
	}
	if err != nil {
		release()
		return "", nil, err
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port), release, nil // the family is that of the socket
}

// change is what a worker knows of one thing: what was last acknowledged, and what was asked after that without an answer.
type change struct {
	acked, asked string
	clock        int // model.moves when a deletion was asked for
}

func (c *change) allows(state string) bool {
	return state == c.acked || c.asked != "" && state == c.asked
}

// States that a change has besides those of the API.
const (
	gone    = "gone" // a deleted key
	nothing = "none" // a deleted alias
)

// model is what the workers were told. Each thing has one worker, so that its changes are in order.
type model struct {
	steady, flapping string
	external         string    // a store over the appliance's own proxy
	targets          [2]string // keys that aliases point to

	mu      sync.Mutex // guards what follows
	keys    map[string]*change
	aliases map[string]*change // name to target
	conn    change             // of the flapping store
	moves   int                // of the clock: raised when one begins and when it is acknowledged
	acks    int
}

func newModel(ctx context.Context, r *rig) *model {
	m := &model{keys: map[string]*change{}, aliases: map[string]*change{}, conn: change{acked: "DISCONNECTED"}}
	m.steady = r.makeStore(ctx, "steady", "")
	r.connect(ctx, m.steady)
	m.flapping = r.makeStore(ctx, "flapping", "_2")
	m.external = r.makeExternal(ctx)
	r.connect(ctx, m.external)
	for i := range m.targets {
		out, err := r.kms.CreateKey(ctx, &kms.CreateKeyInput{})
		require.NoError(r.t, err)
		m.targets[i] = *out.KeyMetadata.KeyId
	}
	return m
}

// answered tells whether the appliance answered, be it with a refusal.
func answered(err error) bool {
	var api smithy.APIError
	return err == nil || errors.As(err, &api)
}

// do asks for a change of one thing and notes the answer. It tells whether the appliance answered.
func (m *model) do(c *change, to string, call func() error) bool {
	m.mu.Lock()
	c.asked, c.clock = to, m.moves
	m.mu.Unlock()
	err := call()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !answered(err):
		return false
	case err == nil:
		c.acked = to
		m.acks++
	}
	c.asked = ""
	return true
}

// torment runs the workers and kills the appliance under them.
func (m *model) torment(ctx context.Context, r *rig, after time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, work := range []func(context.Context, *rig) bool{
		m.makeKey(""), m.makeKey(m.steady), m.makeKey(m.steady), m.makeKey(m.flapping), m.makeKey(m.external), m.name, m.flap, m.passTime,
	} {
		wg.Go(func() {
			for ctx.Err() == nil && work(ctx, r) {
			}
		})
	}
	time.Sleep(after)
	r.crash()
	cancel()
	wg.Wait()
}

// makeKey makes a key in a store and takes it through some of its life.
func (m *model) makeKey(store string) func(context.Context, *rig) bool {
	return func(ctx context.Context, r *rig) bool {
		in := &kms.CreateKeyInput{}
		switch store {
		case "":
		case m.external:
			// There are few external keys, and each serves one KMS key: most calls are refused until deletions are over.
			in.CustomKeyStoreId, in.Origin = &store, types.OriginTypeExternalKeyStore
			keys := strings.Split(r.vars["STRONGROOM_XKS_KEY_IDS"], ",")
			in.XksKeyId = &keys[rand.IntN(len(keys))]
		default:
			in.CustomKeyStoreId, in.Origin = &store, types.OriginTypeAwsCloudhsm
		}
		out, err := r.kms.CreateKey(ctx, in)
		if err != nil {
			return answered(err) // the flapping store refuses while it is away
		}
		id, c := *out.KeyMetadata.KeyId, &change{acked: "Enabled"}
		m.mu.Lock()
		m.keys[id] = c
		m.acks++
		m.mu.Unlock()
		if rand.IntN(2) == 0 && !m.do(c, "Disabled", func() error {
			_, err := r.kms.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &id})
			return err
		}) {
			return false
		}
		return rand.IntN(3) == 0 || m.do(c, "PendingDeletion", func() error {
			_, err := r.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &id, PendingWindowInDays: aws.Int32(7)})
			return err
		})
	}
}

// name makes an alias, moves it to another key, and takes half of them away again.
func (m *model) name(ctx context.Context, r *rig) bool {
	alias, c := fmt.Sprintf("alias/a%d", rand.Uint64()), &change{acked: nothing}
	m.mu.Lock()
	m.aliases[alias] = c
	m.mu.Unlock()
	return m.do(c, m.targets[0], func() error {
		_, err := r.kms.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &m.targets[0]})
		return err
	}) && m.do(c, m.targets[1], func() error {
		_, err := r.kms.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: &alias, TargetKeyId: &m.targets[1]})
		return err
	}) && (rand.IntN(8) == 0 || m.do(c, nothing, func() error {
		_, err := r.kms.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: &alias})
		return err
	}))
}

// flap connects the flapping store, leaves it for a while, and disconnects it.
func (m *model) flap(ctx context.Context, r *rig) bool {
	if m.connected() {
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		return m.do(&m.conn, "DISCONNECTED", func() error {
			_, err := r.kms.DisconnectCustomKeyStore(ctx, &kms.DisconnectCustomKeyStoreInput{CustomKeyStoreId: &m.flapping})
			return err
		})
	}
	// It refuses while it is still on its way to DISCONNECTED.
	return m.do(&m.conn, "CONNECTED", func() error {
		_, err := r.kms.ConnectCustomKeyStore(ctx, &kms.ConnectCustomKeyStoreInput{CustomKeyStoreId: &m.flapping})
		return err
	})
}

func (m *model) connected() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn.acked == "CONNECTED"
}

// passTime moves the clock by eight days, which ends every waiting period that has begun.
func (m *model) passTime(ctx context.Context, r *rig) bool {
	time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
	var due []*change
	m.mu.Lock()
	m.moves++
	for _, c := range m.keys {
		if c.acked == "PendingDeletion" {
			due = append(due, c)
		}
	}
	m.mu.Unlock()
	if err := r.advance(ctx, 8*24*time.Hour); err != nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.moves++
	m.acks++
	for _, c := range due {
		c.acked = gone
	}
	return true
}

// mayBeGone tells whether the clock moved, or may have moved, since the key's deletion was asked for.
func (m *model) mayBeGone(c *change) bool {
	return (c.acked == "PendingDeletion" || c.asked == "PendingDeletion") && (m.moves != c.clock || m.moves%2 == 1)
}

// check holds what the appliance shows after a restart against what it had acknowledged, and goes on from there.
func (m *model) check(ctx context.Context, r *rig) {
	t := r.t
	require.Eventually(t, func() bool {
		s := r.state(ctx, m.flapping)
		return s == "CONNECTED" || s == "DISCONNECTED"
	}, time.Minute, 10*time.Millisecond, "the store does not settle")
	conn := string(r.state(ctx, m.flapping))
	assert.True(t, m.conn.allows(conn), "the store is %s, not %+v", conn, m.conn)
	m.conn = change{acked: conn}
	r.await(ctx, m.steady, types.ConnectionStateTypeConnected)
	r.await(ctx, m.external, types.ConnectionStateTypeConnected)
	m.checkAliases(ctx, r)
	m.checkKeys(ctx, r)
	m.moves = 0
}

func (m *model) checkAliases(ctx context.Context, r *rig) {
	there := map[string]string{}
	// Small pages: the SDK's client closes its request while it is still being sent if the answer comes at once, and then
	// loses what is left of an answer beyond its first buffer of 4 KiB.
	pages := kms.NewListAliasesPaginator(r.kms, &kms.ListAliasesInput{Limit: aws.Int32(15)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		require.NoError(r.t, err)
		for _, a := range page.Aliases {
			there[*a.AliasName] = *a.TargetKeyId
		}
	}
	for name, c := range m.aliases {
		target, ok := there[name]
		if !ok {
			target = nothing
		}
		assert.True(r.t, c.allows(target), "%s is %q, not %+v", name, target, c)
		delete(there, name)
		if m.aliases[name] = (&change{acked: target}); target == nothing {
			delete(m.aliases, name)
		}
	}
	assert.Empty(r.t, there, "aliases that nobody asked for")
}

// remembered bounds how many settled keys are looked at after each kill.
const remembered = 400

func (m *model) checkKeys(ctx context.Context, r *rig) {
	settled := map[string]*change{}
	for id, c := range m.keys {
		state := gone
		out, err := r.kms.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &id})
		if err == nil {
			state = string(out.KeyMetadata.KeyState)
		} else if notFound := new(types.NotFoundException); !assert.ErrorAs(r.t, err, &notFound) {
			return
		}
		switch {
		case state == "Unavailable" && c.acked != "PendingDeletion" && c.acked != gone:
			// The flapping store is away: Enabled and Disabled show again when it is back.
			c.clock = 0
			settled[id] = c
			continue
		case state == gone && m.mayBeGone(c):
		default:
			assert.True(r.t, c.allows(state), "key %s is %q, not %+v", id, state, c)
		}
		if state != gone && len(settled) < remembered {
			settled[id] = &change{acked: state}
		}
	}
	m.keys = settled
}

func (m *model) summary() string {
	return fmt.Sprintf("%d acknowledged changes, %d keys and %d aliases looked at in the end", m.acks, len(m.keys), len(m.aliases))
}

// TestKillBetweenSteps stops the appliance between every two steps of making and deleting a key.
func TestKillBetweenSteps(t *testing.T) {
	t.Parallel()
	for _, step := range lifecycle.Steps() {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			r := newRig(t)
			var faults string
			if step == lifecycle.StepAbandonCondemned {
				// A create is given up only if the token fails under it.
				faults = shim(t, r)
			}
			r.start(crashVariable + "=" + step)
			provoke(t, r, step, faults)
			<-r.ended
			r.process = nil

			r.start()
			r.honest(ctx)
			left, err := r.kms.ListKeys(ctx, &kms.ListKeysInput{})
			require.NoError(t, err)
			assert.Len(t, left.Keys, keysLeft[step])
			for _, k := range left.Keys {
				_, err := r.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: k.KeyId, Plaintext: []byte("a")})
				assert.NoError(t, err)
			}
			r.shutdown()
			witness(t, r.dir)
		})
	}
}

// keysLeft is how many keys there are after a crash at a step, in the appliance in which provoke made it.
var keysLeft = map[string]int{
	lifecycle.StepCreatePlanned: 0, lifecycle.StepCreateGenerated: 0, lifecycle.StepCreateCommitted: 1,
	lifecycle.StepAbandonCondemned: 1,
	lifecycle.StepDeleteCondemned:  0, lifecycle.StepDestroyed: 0, lifecycle.StepDestroyAudited: 0, lifecycle.StepDestroySettled: 0,
	lifecycle.StepRotatePlanned: 1, lifecycle.StepRotateGenerated: 1, lifecycle.StepRotateCommitted: 1,
}

// provoke does what leads the appliance to the step, at which it dies.
func provoke(t *testing.T, r *rig, step, faults string) {
	t.Helper()
	ctx := context.Background()
	require.Contains(t, keysLeft, step, "a step that this test does not know")
	created, err := r.kms.CreateKey(ctx, &kms.CreateKeyInput{})
	switch step {
	case lifecycle.StepCreatePlanned, lifecycle.StepCreateGenerated, lifecycle.StepCreateCommitted:
		require.Error(t, err)
	case lifecycle.StepAbandonCondemned:
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(faults, []byte("fail C_GenerateKey 0x30\n"), 0o600))
		_, err = r.kms.CreateKey(ctx, &kms.CreateKeyInput{})
		require.Error(t, err)
		require.NoError(t, os.Remove(faults))
	case lifecycle.StepRotatePlanned, lifecycle.StepRotateGenerated, lifecycle.StepRotateCommitted:
		require.NoError(t, err)
		_, err = r.kms.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: created.KeyMetadata.KeyId})
		require.Error(t, err)
		require.False(t, answered(err), "it was refused: %v", err)
	default:
		require.NoError(t, err)
		_, err = r.kms.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: created.KeyMetadata.KeyId})
		require.NoError(t, err)
		require.Error(t, r.advance(ctx, 31*24*time.Hour))
	}
}
