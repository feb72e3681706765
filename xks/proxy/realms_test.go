package proxy_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/proxy"
	"github.com/strongroom/strongroom/xks/xkstest"
)

func xksClientAuthority(t testing.TB) *xkstest.Authority { return xkstest.NewAuthority(t) }

func TestRealmsAreIsolated(t *testing.T) {
	d := deploy(t, tokenKeys(t), func(_ *proxy.Config, realms []proxy.Realm) {
		realms[0].AllowedKeys = []string{"key-1", "key-2"}
		realms[1].AllowedKeys = []string{"key-2", "key-3"}
	})
	d.want("", d.call(pathA, xks.OpMetadata, "key-1", metadataBody()))
	d.want(xks.KeyNotFoundException, d.call(pathA, xks.OpMetadata, "key-3", metadataBody()))
	d.want(xks.KeyNotFoundException, d.call(pathB, xks.OpEncrypt, "key-1", encryptBody("p", "", false)))
	d.want("", d.call(pathB, xks.OpEncrypt, "key-3", encryptBody("p", "", false)))
}

// A credential is exchanged while calls are running: none of them fails.
func TestCredentialsChangeWithoutInterruption(t *testing.T) {
	d := deploy(t, tokenKeys(t), nil)
	first, second := d.creds[pathA], newCredential(t)
	var current atomic.Pointer[proxy.Credential]
	current.Store(&first)
	var stop atomic.Bool
	var calls atomic.Int64
	var wg sync.WaitGroup
	failures := make(chan string, 8)
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				a := d.do(d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), encryptBody("p", "", false), *current.Load()))
				if a.status != http.StatusOK {
					failures <- fmt.Sprintf("%d %s", a.status, a.body)
					return
				}
				calls.Add(1)
			}
		})
	}
	update := func(credentials ...proxy.Credential) {
		d.realms[0].Credentials = credentials
		require.NoError(t, d.proxy.Update(d.realms))
	}
	waitFor := func(n int64) {
		from := calls.Load()
		require.Eventually(t, func() bool { return calls.Load() >= from+n || len(failures) > 0 }, time.Minute, time.Millisecond)
	}
	waitFor(20)
	update(first, second)
	waitFor(20)
	current.Store(&second)
	waitFor(20)
	status := d.proxy.Realms()[0]
	require.Len(t, status.Credentials, 2)
	for _, c := range status.Credentials {
		assert.False(t, c.LastUsed.IsZero(), "both were used")
	}
	stop.Store(true) // calls in flight may still bear the first one
	wg.Wait()
	update(second)
	require.Empty(t, failures)
	a := d.do(d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), encryptBody("p", "", false), first))
	d.want(xks.AuthenticationFailedException, a)
	a = d.do(d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), encryptBody("p", "", false), second))
	d.want("", a)
}

func TestQuota(t *testing.T) {
	var now atomic.Int64
	start := time.Now()
	d := deploy(t, tokenKeys(t), func(c *proxy.Config, realms []proxy.Realm) {
		c.Now = func() time.Time { return start.Add(time.Duration(now.Load())) }
		realms[0].Quota = proxy.Quota{PerSecond: 10, Burst: 3}
	})
	health := func(path string) answer { return d.call(path, xks.OpMetadata, "key-1", metadataBody()) }
	for range 3 {
		d.want("", health(pathA))
	}
	d.want(xks.ThrottlingException, health(pathA))
	d.want("", health(pathB))
	r := d.request(xks.OperationPath(pathA, xks.OpMetadata, "key-1"), metadataBody(), d.creds[pathB])
	d.want(xks.AuthenticationFailedException, d.do(r))
	now.Add(int64(100 * time.Millisecond))
	d.want("", health(pathA))
	d.want(xks.ThrottlingException, health(pathA))
	require.NoError(t, d.proxy.Update(d.realms))
	d.want(xks.ThrottlingException, health(pathA))
	now.Add(int64(time.Minute))
	for range 3 {
		d.want("", health(pathA))
	}
	d.want(xks.ThrottlingException, health(pathA))
}

func TestPolicy(t *testing.T) {
	rules := []proxy.Rule{
		{Name: "our roles", Effect: proxy.Allow, Principals: []string{"arn:aws:iam::123456789012:role/*", "arn:aws:sts::123456789012:assumed-role/*"}},
		{Name: "not key-2", Effect: proxy.Deny, Keys: []string{"key-2"}, Operations: []string{"Encrypt"}},
		{Name: "not from that network", Effect: proxy.Deny, SourceVPCs: []string{"vpc-bad*"}},
		{Name: "services", Effect: proxy.Allow, Principals: []string{"ec?.amazonaws.com"}, ViaServices: []string{"ec2.*.amazonaws.com"}},
	}
	d := deploy(t, tokenKeys(t), func(_ *proxy.Config, realms []proxy.Realm) { realms[0].Policy.Rules = rules })
	call := func(keyID string, change func(*xks.RequestMetadata)) answer {
		r := xks.EncryptRequest{Metadata: metadata, Plaintext: []byte("p")}
		change(&r.Metadata)
		return d.call(pathA, xks.OpEncrypt, keyID, r.Encode())
	}
	keep := func(*xks.RequestMetadata) {}
	d.want("", call("key-1", keep))
	d.want(xks.AccessDeniedException, call("key-2", keep))
	assert.Equal(t, "not key-2", d.lastEvent().Rule)
	d.want("", d.call(pathA, xks.OpMetadata, "key-2", metadataBody()))
	d.want(xks.AccessDeniedException, call("key-1", func(m *xks.RequestMetadata) { m.SourceVPC = "vpc-bad1" }))
	d.want("", call("key-1", func(m *xks.RequestMetadata) { m.SourceVPC = "" }))
	d.want(xks.AccessDeniedException, call("key-1", func(m *xks.RequestMetadata) { m.PrincipalARN = "arn:aws:iam::210987654321:role/app" }))
	assert.Equal(t, "(no allow rule matches)", d.lastEvent().Rule)
	d.want("", call("key-1", func(m *xks.RequestMetadata) { m.PrincipalARN = "ec2.amazonaws.com" }))
	d.want(xks.AccessDeniedException, call("key-1", func(m *xks.RequestMetadata) { m.PrincipalARN, m.ViaService = "ec2.amazonaws.com", "" }))
	a := d.call(pathA, xks.OpHealth, "", healthBody())
	assert.NotEqual(t, xks.AccessDeniedException, a.name, "health is exempt")

	d.realms[0].Policy.DryRun = true
	require.NoError(t, d.proxy.Update(d.realms))
	d.want("", call("key-2", keep))
	assert.Equal(t, "not key-2", d.lastEvent().Rule)
	assert.True(t, d.lastEvent().DryRun)
}

func TestBlockedRealm(t *testing.T) {
	d := deploy(t, tokenKeys(t), func(_ *proxy.Config, realms []proxy.Realm) { realms[0].Blocked = true })
	d.want(xks.InvalidStateException, d.call(pathA, xks.OpHealth, "", healthBody()))
	d.want(xks.InvalidStateException, d.call(pathA, xks.OpEncrypt, "key-1", encryptBody("p", "", false)))
	d.want(xks.InvalidStateException, d.call(pathA, xks.OpMetadata, "key-1", metadataBody()))
	d.want("", d.call(pathB, xks.OpEncrypt, "key-1", encryptBody("p", "", false)))
	r := d.request(xks.OperationPath(pathA, xks.OpHealth, ""), healthBody(), d.creds[pathB])
	d.want(xks.AuthenticationFailedException, d.do(r))
}

func TestUpdateRefusesBadRealmsWhole(t *testing.T) {
	keys := &scripted{}
	good := func() proxy.Realm {
		return proxy.Realm{Name: "a", URIPath: pathA, Credentials: []proxy.Credential{newCredential(t)}, Keys: keys}
	}
	p := proxy.New(proxy.Config{})
	require.NoError(t, p.Update([]proxy.Realm{good()}))
	tests := map[string]struct {
		change func(*proxy.Realm)
		text   string
	}{
		"no name":            {func(r *proxy.Realm) { r.Name = "" }, "needs a name"},
		"path":               {func(r *proxy.Realm) { r.URIPath = "/a/kms/xks/v2" }, "/a/kms/xks/v2"},
		"no keys":            {func(r *proxy.Realm) { r.Keys = nil }, "no keys"},
		"no credential":      {func(r *proxy.Realm) { r.Credentials = nil }, "no credential"},
		"short secret":       {func(r *proxy.Realm) { r.Credentials[0].Secret = []byte("short") }, "secret access key must be"},
		"access key id":      {func(r *proxy.Realm) { r.Credentials[0].AccessKeyID = "lower-case-identifier" }, "access key id must be"},
		"credential twice":   {func(r *proxy.Realm) { r.Credentials = append(r.Credentials, r.Credentials[0]) }, "appears twice"},
		"allowed key":        {func(r *proxy.Realm) { r.AllowedKeys = []string{"a/b"} }, `allowed key "a/b"`},
		"negative quota":     {func(r *proxy.Realm) { r.Quota.PerSecond = -1 }, "negative"},
		"rule without name":  {func(r *proxy.Realm) { r.Policy.Rules = []proxy.Rule{{Effect: proxy.Allow}} }, "rule 1 has no name"},
		"rule without force": {func(r *proxy.Realm) { r.Policy.Rules = []proxy.Rule{{Name: "x", Effect: "maybe"}} }, "allow or deny"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := good()
			tt.change(&r)
			err := p.Update([]proxy.Realm{r})
			require.ErrorContains(t, err, tt.text)
			assert.NotContains(t, err.Error(), string(good().Credentials[0].Secret))
			assert.Equal(t, "a", p.Realms()[0].Name, "nothing changed")
		})
	}
	other := good()
	other.Name = "b"
	require.ErrorContains(t, p.Update([]proxy.Realm{good(), other}), "path")
	other.URIPath, other.Name = pathB, "a"
	require.ErrorContains(t, p.Update([]proxy.Realm{good(), other}), "name")
}

func TestCredentials(t *testing.T) {
	c := newCredential(t)
	require.NoError(t, xks.CheckAccessKeyID(c.AccessKeyID))
	require.NoError(t, xks.CheckSecret(c.Secret))
	assert.NotEqual(t, c, newCredential(t))
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %x", c, c, c, c, c), c.LogValue().String()} {
		assert.NotContains(t, text, string(c.Secret))
	}
	asJSON, err := json.Marshal(proxy.Realm{Credentials: []proxy.Credential{c}})
	require.NoError(t, err)
	assert.NotContains(t, string(asJSON), string(c.Secret))

	var file struct {
		XksProxyUriPath                  string
		XksProxyAuthenticationCredential struct{ AccessKeyId, RawSecretAccessKey string }
	}
	require.NoError(t, json.Unmarshal(proxy.ConfigurationFile(pathA, c), &file))
	assert.Equal(t, pathA, file.XksProxyUriPath)
	assert.Equal(t, c.AccessKeyID, file.XksProxyAuthenticationCredential.AccessKeyId)
	assert.Equal(t, string(c.Secret), file.XksProxyAuthenticationCredential.RawSecretAccessKey)

	_, err = proxy.NewCredential(strings.NewReader("too short"))
	require.Error(t, err)
	_, err = proxy.NewCredential(rand.Reader)
	require.NoError(t, err)
}

func TestEvents(t *testing.T) {
	d := deploy(t, tokenKeys(t), nil)
	d.seal(pathA, "key-1", "secret plaintext", "aad")
	e := d.lastEvent()
	assert.Equal(t, "a", e.Realm)
	assert.Equal(t, xks.OpEncrypt, e.Operation)
	assert.Equal(t, "key-1", e.KeyID)
	assert.Equal(t, metadata, e.Metadata)
	assert.Equal(t, http.StatusOK, e.Status)
	assert.Empty(t, e.ErrorName)
	assert.True(t, e.Authenticated)
	assert.Equal(t, d.creds[pathA].AccessKeyID, e.AccessKeyID)
	assert.NotContains(t, fmt.Sprintf("%+v", e), "secret plaintext")
}

func TestWhatCannotBeRecordedIsNotAnswered(t *testing.T) {
	full := errors.New("disk full")
	var second atomic.Int64
	d := deploy(t, tokenKeys(t), func(c *proxy.Config, _ []proxy.Realm) {
		c.Recorder = proxy.Recorders(
			proxy.RecorderFunc(func(context.Context, proxy.Event) error { return full }),
			proxy.RecorderFunc(func(context.Context, proxy.Event) error { second.Add(1); return nil }))
	})
	a := d.call(pathA, xks.OpEncrypt, "key-1", encryptBody("p", "", false))
	d.want(xks.InternalException, a)
	assert.NotContains(t, string(a.body), "ciphertext")
	assert.Zero(t, second.Load())
}
