package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/keystore"
)

// Buffers are used again from request to request: nobody may ever see another's.
func TestConcurrentCallsKeepApart(t *testing.T) {
	a := start(t)
	id, _ := a.newKey(t)
	c, ctx := a.client(a.root), context.Background()
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			for i := range 40 {
				plain := strings.Repeat(fmt.Sprintf("%d-%d ", n, i), 1+i*n)
				given := map[string]string{"n": fmt.Sprint(n), "i": fmt.Sprint(i)}
				sealed, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: &id, Plaintext: []byte(plain), EncryptionContext: given})
				if !assert.NoError(t, err) {
					return
				}
				opened, err := c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: sealed.CiphertextBlob, EncryptionContext: given})
				if !assert.NoError(t, err) || !assert.Equal(t, plain, string(opened.Plaintext)) {
					return
				}
				_, err = c.Encrypt(ctx, &kms.EncryptInput{KeyId: &id})
				assert.Error(t, err)
			}
		})
	}
	all.Wait()
	records := 0
	for _, record := range a.records(t) {
		if record["eventName"] != "Encrypt" || record["errorCode"] != nil {
			continue
		}
		records++
		given, _ := record["requestParameters"].(map[string]any)["encryptionContext"].(map[string]any)
		assert.Len(t, given, 2)
	}
	assert.Equal(t, 16*40, records, "every call has its record")
}

func TestHTTP2(t *testing.T) {
	a := start(t)
	s := httptest.NewUnstartedServer(a.server)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	a.url = s.URL
	var resp *http.Response
	var err error
	for range 10 { // net/http's server closes a connection whose first frames it has not come to read within two seconds
		if resp, err = s.Client().Do(a.request(t, "ListKeys", `{}`)); err == nil {
			break
		}
	}
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, "HTTP/2.0", resp.Proto)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Regexp(t, uuid, resp.Header.Get("X-Amzn-Requestid"))
}

// sourceOf is a CredentialSource of a function.
type sourceOf func() (*keystore.Principal, []byte, error)

func (f sourceOf) Credential(context.Context, string) (*keystore.Principal, []byte, error) {
	return f()
}

func TestCredentialSources(t *testing.T) {
	var mu sync.Mutex
	var principal *keystore.Principal
	var failure error
	asked := 0
	secret := []byte("a secret that is shared")
	set := func(p *keystore.Principal, err error) {
		mu.Lock()
		defer mu.Unlock()
		principal, failure = p, err
	}
	a := start(t, func(c *api.Config) {
		c.Credentials = sourceOf(func() (*keystore.Principal, []byte, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return principal, secret, failure
		})
	})
	a.root.Secret = string(secret)
	root := &keystore.Principal{ARN: keystore.RootARN(account), Kind: keystore.PrincipalRoot}

	set(nil, errors.New("database is gone"))
	name, message := exceptionOf(t, a.post(t, "ListKeys", `{}`))
	assert.Equal(t, "KMSInternalException", name)
	assert.NotContains(t, message, "database")
	set(nil, fmt.Errorf("access key: %w", keystore.ErrNoRow))
	name, _ = exceptionOf(t, a.post(t, "ListKeys", `{}`))
	assert.Equal(t, "UnrecognizedClientException", name)

	set(root, nil)
	before := asked
	for range 5 {
		assert.Equal(t, http.StatusOK, a.post(t, "ListKeys", `{}`).status)
	}
	assert.Equal(t, 1, asked-before, "answered from memory")
	assert.Equal(t, "a secret that is shared", string(secret), "the source's secret is not changed")

	set(&keystore.Principal{ARN: root.ARN, Kind: keystore.PrincipalRoot, Disabled: true}, nil)
	a.server.CredentialsChanged()
	name, _ = exceptionOf(t, a.post(t, "ListKeys", `{}`))
	assert.Equal(t, "UnrecognizedClientException", name)
	set(root, nil)
	assert.Equal(t, http.StatusOK, a.post(t, "ListKeys", `{}`).status, "a refusal is not remembered")
}

// Signatures are checked against the real clock, however far the appliance's own has been moved.
func TestTheMovedClockDoesNotMoveSignatures(t *testing.T) {
	a := start(t)
	a.clock.advance(40 * 24 * time.Hour)
	assert.Equal(t, http.StatusOK, a.post(t, "ListKeys", `{}`).status)
	r, err := http.NewRequest(http.MethodPost, a.url+"/", strings.NewReader(`{}`))
	require.NoError(t, err)
	r.Header.Set("X-Amz-Target", "TrentService.ListKeys")
	sigv4.SignRequest(r, []byte(`{}`), sigv4.Credential{AccessKeyID: a.root.AccessKeyID, Secret: []byte(a.root.Secret)}, region, "kms", a.clock.Now())
	name, _ := exceptionOf(t, do(t, r))
	assert.Equal(t, "InvalidSignatureException", name)
}
