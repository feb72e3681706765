package proxy_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/proxy"
)

func sealedLike(plaintext []byte) xks.Sealed {
	return xks.Sealed{IV: make([]byte, 12), Ciphertext: append([]byte{}, plaintext...), Tag: make([]byte, 16), Metadata: []byte{1, 0}}
}

func TestErrorsOfKeys(t *testing.T) {
	keys := &scripted{}
	d := deploy(t, keys, nil)
	body := decryptBody(xks.EncryptResponse{Ciphertext: []byte("c"), IV: make([]byte, 12), Tag: make([]byte, 16)}, "")
	for _, name := range xks.ErrorNames() {
		t.Run(string(name), func(t *testing.T) {
			cause := errors.New("10.0.0.1: secret detail")
			keys.encrypt = func(context.Context, []byte, []byte) (xks.Sealed, error) {
				return xks.Sealed{}, xks.WrapError(name, "message", cause)
			}
			keys.decrypt = func(context.Context, xks.Sealed, []byte) ([]byte, error) {
				return nil, xks.WrapError(name, "message", cause)
			}
			want := name
			if !name.AllowedFor(xks.OpEncrypt) {
				want = xks.InternalException
			}
			a := d.call(pathA, xks.OpEncrypt, "k", encryptBody("p", "", false))
			d.want(want, a)
			assert.NotContains(t, string(a.body), "detail")
			assert.ErrorIs(t, d.lastEvent().Cause, cause)
			d.want(name, d.call(pathA, xks.OpDecrypt, "k", body))
		})
	}
	t.Run("untyped", func(t *testing.T) {
		keys.encrypt = nil
		d.want(xks.InternalException, d.call(pathA, xks.OpEncrypt, "k", encryptBody("p", "", false)))
	})
	t.Run("panic", func(t *testing.T) {
		keys.encrypt = func(context.Context, []byte, []byte) (xks.Sealed, error) { panic("boom") }
		d.want(xks.InternalException, d.call(pathA, xks.OpEncrypt, "k", encryptBody("p", "", false)))
		keys.encrypt = func(_ context.Context, p, _ []byte) (xks.Sealed, error) { return sealedLike(p), nil }
		d.want("", d.call(pathA, xks.OpEncrypt, "k", encryptBody("p", "", false)))
	})
}

func TestIntegrityValueNeedsTheSamePlaintextBack(t *testing.T) {
	keys := &scripted{}
	d := deploy(t, keys, nil)
	var encrypts atomic.Int64
	keys.encrypt = func(_ context.Context, p, _ []byte) (xks.Sealed, error) { encrypts.Add(1); return sealedLike(p), nil }
	back := func(answers ...func() ([]byte, error)) {
		i := 0
		encrypts.Store(0)
		keys.decrypt = func(context.Context, xks.Sealed, []byte) ([]byte, error) { i++; return answers[i-1]() }
	}
	good := func() ([]byte, error) { return []byte("plaintext"), nil }
	other := func() ([]byte, error) { return []byte("plaintexT"), nil }
	corrupt := func() ([]byte, error) { return nil, xks.NewError(xks.InvalidCiphertextException, "") }
	gone := func() ([]byte, error) { return nil, xks.NewError(xks.ThrottlingException, "") }
	call := func() answer { return d.call(pathA, xks.OpEncrypt, "k", encryptBody("plaintext", "", true)) }

	back(good)
	d.want("", call())
	back(other, good)
	d.want("", call())
	assert.EqualValues(t, 2, encrypts.Load(), "a new ciphertext is made")
	back(corrupt, good)
	d.want("", call())
	back(other, other)
	d.want(xks.InternalException, call())
	back(corrupt, corrupt)
	d.want(xks.InternalException, call())
	back(gone)
	d.want(xks.ThrottlingException, call())
	keys.metadata = func(context.Context) (xks.MetadataResponse, error) {
		return xks.MetadataResponse{KeySpec: "AES_256", KeyUsage: []string{"ENCRYPT"}, KeyStatus: xks.KeyEnabled}, nil
	}
	back()
	d.want(xks.InvalidKeyUsageException, call())
	assert.Zero(t, encrypts.Load(), "usage is checked before anything is encrypted")
}

func TestDeadlineIsAnswered(t *testing.T) {
	keys := &scripted{encrypt: func(ctx context.Context, _, _ []byte) (xks.Sealed, error) {
		<-ctx.Done()
		return xks.Sealed{}, ctx.Err()
	}}
	d := deploy(t, keys, func(c *proxy.Config, _ []proxy.Realm) { c.Deadline = 30 * time.Millisecond })
	d.want(xks.DependencyTimeoutException, d.call(pathA, xks.OpEncrypt, "k", encryptBody("p", "", false)))
}

// When all places are taken and the queue is full, further calls are refused at once; another realm is not concerned.
func TestQueueIsBounded(t *testing.T) {
	entered, release := make(chan struct{}, 64), make(chan struct{})
	keys := &scripted{encrypt: func(_ context.Context, p, _ []byte) (xks.Sealed, error) {
		entered <- struct{}{}
		<-release
		return sealedLike(p), nil
	}}
	d := deploy(t, keys, func(c *proxy.Config, realms []proxy.Realm) {
		c.Deadline = time.Minute
		realms[0].Concurrency, realms[0].Queue = 2, 1
	})
	var wg sync.WaitGroup
	statuses := make(chan int, 8)
	call := func() {
		wg.Go(func() { statuses <- d.call(pathA, xks.OpEncrypt, "k", encryptBody("p", "", false)).status })
	}
	call()
	call()
	<-entered
	<-entered
	// One place in the queue; it is left after a while without luck.
	d.want(xks.ThrottlingException, d.call(pathA, xks.OpEncrypt, "k", encryptBody("p", "", false)))
	d.want("", d.call(pathB, xks.OpMetadata, "k", metadataBody()))
	close(release)
	wg.Wait()
	close(statuses)
	for status := range statuses {
		assert.Equal(t, http.StatusOK, status)
	}
	assert.Zero(t, d.proxy.Realms()[0].Waiting)
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	entered, release := make(chan struct{}, 1), make(chan struct{})
	keys := &scripted{encrypt: func(_ context.Context, p, _ []byte) (xks.Sealed, error) {
		entered <- struct{}{}
		<-release
		return sealedLike(p), nil
	}}
	d := deploy(t, keys, func(c *proxy.Config, _ []proxy.Realm) { c.MaxInFlight, c.Deadline = 1, time.Minute })
	done := make(chan answer)
	go func() { done <- d.call(pathA, xks.OpEncrypt, "k", encryptBody("p", "", false)) }()
	<-entered
	d.want(xks.ThrottlingException, d.call(pathB, xks.OpMetadata, "k", metadataBody()))
	close(release)
	d.want("", <-done)
	d.want("", d.call(pathB, xks.OpMetadata, "k", metadataBody()))
}

// A client that hangs up does not cost the token a session: the call goes on.
func TestClientThatHangsUp(t *testing.T) {
	entered, finished := make(chan struct{}), make(chan error, 1)
	release := make(chan struct{})
	keys := &scripted{encrypt: func(ctx context.Context, p, _ []byte) (xks.Sealed, error) {
		close(entered)
		<-release
		finished <- ctx.Err()
		return sealedLike(p), nil
	}}
	d := deploy(t, keys, func(c *proxy.Config, _ []proxy.Realm) { c.Deadline = time.Minute })
	ctx, cancel := context.WithCancel(context.Background())
	r := d.request(xks.OperationPath(pathA, xks.OpEncrypt, "k"), encryptBody("p", "", false), d.creds[pathA]).WithContext(ctx)
	gone := make(chan error)
	go func() { _, err := d.client.Do(r); gone <- err }() //nolint:bodyclose // there is no answer
	<-entered
	cancel()
	require.ErrorIs(t, <-gone, context.Canceled)
	close(release)
	require.NoError(t, <-finished)
}

func TestHealth(t *testing.T) {
	var broken atomic.Bool
	var clock atomic.Int64
	start := time.Now()
	// Held, no probe comes to an end: the proxy wakes by itself as well, and would find out about the clock too early.
	var gate sync.Mutex
	keys := &scripted{
		manager: xks.KeyManager{ID: "serial", Vendor: "vendor", Model: "model"},
		probe: func(context.Context) error {
			gate.Lock()
			defer gate.Unlock()
			if broken.Load() {
				return errors.New("token is gone")
			}
			return nil
		},
	}
	gate.Lock()
	d := deploy(t, keys, func(c *proxy.Config, _ []proxy.Realm) {
		c.Vendor, c.Model, c.FleetSize = "Example", "Proxy 1.2", 3
		c.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
	})
	ready := func() int {
		resp, err := d.client.Get(d.url + "/ready")
		require.NoError(t, err)
		defer resp.Body.Close()
		return resp.StatusCode
	}
	d.want(xks.DependencyTimeoutException, d.call(pathA, xks.OpHealth, "", healthBody()))
	assert.Equal(t, http.StatusServiceUnavailable, ready(), "nothing is known yet")
	status := func() xks.HealthStatus {
		a := d.call(pathA, xks.OpHealth, "", healthBody())
		if a.status != http.StatusOK {
			return ""
		}
		h, err := xks.DecodeHealthResponse(a.body)
		require.NoError(t, err)
		assert.Equal(t, xks.HealthResponse{FleetSize: 3, Vendor: "Example", Model: "Proxy 1.2", EKMVendor: "vendor",
			Instances: []xks.Instance{{ID: "serial", Model: "model", Status: h.Instances[0].Status}}}, h)
		return h.Instances[0].Status
	}
	// reach lets probes end, and waits for a verdict; then they are held again.
	reach := func(want xks.HealthStatus) {
		t.Helper()
		gate.Unlock()
		defer gate.Lock()
		require.NoError(t, d.proxy.Update(d.realms)) // wakes the prober
		require.Eventually(t, func() bool { return status() == want }, time.Minute, 10*time.Millisecond)
	}
	defer gate.Unlock()
	reach(xks.Active)
	assert.Equal(t, http.StatusOK, ready())

	clock.Add(int64(61 * time.Second))
	assert.Equal(t, xks.Unavailable, status(), "an answer older than a minute is no answer")
	reach(xks.Active)

	broken.Store(true)
	clock.Add(int64(30 * time.Second))
	assert.Equal(t, xks.Active, status(), "nobody has looked since")
	reach(xks.Unavailable)
	assert.Equal(t, http.StatusServiceUnavailable, ready())
	assert.Equal(t, xks.Unavailable, d.proxy.Realms()[1].Health, "one token, one verdict")

	broken.Store(false)
	clock.Add(int64(3 * time.Second))
	assert.Equal(t, xks.Unavailable, status())
	reach(xks.Degraded)
	assert.Equal(t, http.StatusOK, ready(), "degraded still serves")
	clock.Add(int64(110 * time.Second))
	assert.Equal(t, xks.Unavailable, status())
	reach(xks.Degraded)
	clock.Add(int64(8 * time.Second))
	assert.Equal(t, xks.Active, status(), "two minutes after the last failure")
}

// The first use of the test key after a login may be a search for it. That it is slow once says nothing of other keys; a
// key manager that stays slow is DEGRADED.
func TestSlowOnceIsNotDegraded(t *testing.T) {
	for name, tt := range map[string]struct {
		slow int64 // probes
		want xks.HealthStatus
	}{"once": {1, xks.Active}, "always": {math.MaxInt64, xks.Degraded}} {
		t.Run(name, func(t *testing.T) {
			var clock, probes atomic.Int64
			start := time.Now()
			keys := &scripted{manager: xks.KeyManager{ID: "serial"}, probe: func(context.Context) error {
				if probes.Add(1) <= tt.slow {
					clock.Add(int64(time.Second))
				}
				return nil
			}}
			d := deploy(t, keys, func(c *proxy.Config, _ []proxy.Realm) {
				c.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
			})
			var seen xks.HealthStatus
			require.Eventually(t, func() bool { seen = d.proxy.Realms()[0].Health; return seen != "" }, time.Minute, time.Millisecond)
			assert.Equal(t, tt.want, seen)
		})
	}
}

func TestKeysThatCannotBeProbedAreActive(t *testing.T) {
	d := deploy(t, struct{ proxy.Keys }{&scripted{}}, nil)
	a := d.call(pathA, xks.OpHealth, "", healthBody())
	d.want("", a)
	h, err := xks.DecodeHealthResponse(a.body)
	require.NoError(t, err)
	assert.Equal(t, xks.Active, h.Instances[0].Status)
}
