package api_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/crypt"
)

func TestRecords(t *testing.T) {
	a := start(t)
	id, arn := a.newKey(t)
	secret := base64.StdEncoding.EncodeToString([]byte("the plaintext"))
	resource := []any{map[string]any{"accountId": account, "type": "AWS::KMS::Key", "ARN": arn}}
	aliasResource := map[string]any{"accountId": account, "type": "AWS::KMS::Alias", "ARN": "arn:aws:kms:us-east-1:111122223333:alias/a"}

	for name, c := range map[string]struct {
		operation, body            string
		readOnly                   bool
		parameters, elements       any
		resources                  any
		exception, messageContains string
	}{
		"a cryptographic call": {"Encrypt", `{"KeyId":"` + id + `","Plaintext":"` + secret + `","EncryptionContext":{"k":"v"}}`, true,
			map[string]any{"keyId": id, "encryptionContext": map[string]any{"k": "v"}}, nil, resource, "", ""},
		"a change without an answer": {"UpdateKeyDescription", `{"KeyId":"` + id + `","Description":"d"}`, false,
			map[string]any{"keyId": id, "description": "d"}, map[string]any{"keyId": arn}, resource, "", ""},
		"an alias": {"CreateAlias", `{"AliasName":"alias/a","TargetKeyId":"` + arn + `"}`, false,
			map[string]any{"aliasName": "alias/a", "targetKeyId": arn}, map[string]any{"keyId": arn}, append([]any{aliasResource}, resource...), "", ""},
		"a failure": {"ScheduleKeyDeletion", `{"KeyId":"` + id + `","PendingWindowInDays":6}`, false,
			map[string]any{"keyId": id, "pendingWindowInDays": 6.0}, nil, resource, "ValidationException", "6"},
		"a request that breaks constraints": {"EnableKey", `{}`, false, nil, nil, nil, "ValidationException", "Value null at 'keyId'"},
		"a request that is no JSON":         {"EnableKey", `{`, false, nil, nil, nil, "SerializationException", ""},
		"a list":                            {"ListKeys", `{}`, true, nil, nil, nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := a.post(t, c.operation, c.body)
			record := a.lastRecord(t, c.operation)
			assert.Equal(t, got.header.Get("X-Amzn-Requestid"), record["requestID"])
			assert.Equal(t, c.readOnly, record["readOnly"])
			assert.Equal(t, c.parameters, record["requestParameters"])
			assert.Equal(t, c.elements, record["responseElements"])
			assert.Equal(t, c.resources, record["resources"])
			assert.Equal(t, "us-east-1", record["awsRegion"])
			assert.Equal(t, "127.0.0.1", record["sourceIPAddress"])
			assert.Equal(t, "Go-http-client/1.1", record["userAgent"])
			assert.Equal(t, "arn:aws:iam::111122223333:root", record["userIdentity"].(map[string]any)["arn"])
			if c.exception == "" {
				assert.Equal(t, 200, got.status, got.body)
				assert.NotContains(t, record, "errorCode")
				return
			}
			assert.Equal(t, c.exception, record["errorCode"])
			if c.messageContains != "" {
				assert.Contains(t, record["errorMessage"], c.messageContains)
			}
		})
	}
	t.Run("parameters beyond CloudTrail's bound", func(t *testing.T) {
		a.post(t, "TagResource", `{"KeyId":"`+id+`","Tags":[`+strings.Repeat(`{"TagKey":"`+strings.Repeat("k", 100)+`","TagValue":""},`, 1000)+`{}]}`)
		parameters := a.lastRecord(t, "TagResource")["requestParameters"].(map[string]any)
		assert.Equal(t, true, parameters["omitted"])
		assert.Equal(t, "requestParameters too large", parameters["reason"])
	})
	t.Run("nothing secret in the files", func(t *testing.T) {
		files, err := filepath.Glob(filepath.Join(a.auditDir, "*"))
		require.NoError(t, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.NotContains(t, string(data), secret)
			assert.NotContains(t, string(data), "the plaintext")
			assert.NotContains(t, string(data), a.root.Secret)
		}
	})
}

// brokenLog is an audit log whose disk is full.
type brokenLog struct {
	audit.Log
	unhealthy, failing atomic.Bool
	durable            atomic.Int32
}

var errDisk = errors.New("no space left on device")

func (b *brokenLog) Healthy() error {
	if b.unhealthy.Load() {
		return errDisk
	}
	return nil
}

func (b *brokenLog) Append(ctx context.Context, e *audit.Event, durable bool) error {
	if b.failing.Load() {
		return errDisk
	}
	if durable {
		b.durable.Add(1)
	}
	return b.Log.Append(ctx, e, durable)
}

func TestNothingIsDoneWithoutARecord(t *testing.T) {
	log := new(brokenLog)
	a := start(t, func(c *api.Config) { log.Log, c.Audit = c.Audit, log })
	id, _ := a.newKey(t)
	assert.EqualValues(t, 1, log.durable.Load(), "a change is on disk before it is answered")
	a.post(t, "DescribeKey", `{"KeyId":"`+id+`"}`)
	a.post(t, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"AAAA"}`)
	assert.EqualValues(t, 1, log.durable.Load(), "all else is not waited for")

	refused := func(operation, body string) {
		t.Helper()
		got := a.post(t, operation, body)
		name, message := exceptionOf(t, got)
		assert.Equal(t, http.StatusInternalServerError, got.status)
		assert.Equal(t, "KMSInternalException", name)
		assert.Equal(t, "The request was rejected because an internal error occurred. The request can be retried. Request ID: "+
			got.header.Get("X-Amzn-Requestid"), message)
	}
	log.unhealthy.Store(true)
	refused("DisableKey", `{"KeyId":"`+id+`"}`)
	log.unhealthy.Store(false)
	assert.Contains(t, a.post(t, "DescribeKey", `{"KeyId":"`+id+`"}`).body, `"KeyState":"Enabled"`, "the change was not made")

	log.failing.Store(true)
	refused("GenerateRandom", `{"NumberOfBytes":8}`)
	refused("DescribeKey", `{"KeyId":"`+id+`"}`)
	log.failing.Store(false)
	assert.Equal(t, 3, a.seen.audit)
	assert.Contains(t, a.logs.String(), "no space left on device")
	assert.Equal(t, http.StatusOK, a.post(t, "DescribeKey", `{"KeyId":"`+id+`"}`).status)
}

// panicking is a service with a defect.
type panicking struct{ api.Crypt }

func (panicking) Encrypt(context.Context, *keystore.Caller, *crypt.EncryptInput) (*crypt.EncryptOutput, error) {
	panic("a defect with the plaintext in it")
}

func TestPanics(t *testing.T) {
	a := start(t, func(c *api.Config) { c.Crypt = panicking{c.Crypt} })
	got := a.post(t, "Encrypt", `{"KeyId":"k","Plaintext":"AAAA"}`)
	id := got.header.Get("X-Amzn-Requestid")
	requireError(t, got, 500, "InternalFailure",
		"The request was rejected because an internal error occurred. The request can be retried. Request ID: "+id)
	assert.Equal(t, "InternalFailure", a.lastRecord(t, "Encrypt")["errorCode"])
	assert.Equal(t, "Encrypt InternalFailure", a.seen.last())
	logs := a.logs.String()
	assert.Contains(t, logs, id)
	assert.Contains(t, logs, "audit_test.go", "the stack")
	assert.Equal(t, http.StatusOK, a.post(t, "ListKeys", `{}`).status, "the appliance goes on")
}

// keeping notes the plaintexts that it was given and gave.
type keeping struct {
	api.Crypt
	in, out *[]byte
}

func (k keeping) Encrypt(ctx context.Context, c *keystore.Caller, in *crypt.EncryptInput) (*crypt.EncryptOutput, error) {
	*k.in = in.Plaintext
	return k.Crypt.Encrypt(ctx, c, in)
}

func (k keeping) Decrypt(ctx context.Context, c *keystore.Caller, in *crypt.DecryptInput) (*crypt.DecryptOutput, error) {
	out, err := k.Crypt.Decrypt(ctx, c, in)
	if err == nil {
		*k.out = out.Plaintext
	}
	return out, err
}

func TestPlaintextIsWiped(t *testing.T) {
	var in, out []byte
	a := start(t, func(c *api.Config) { c.Crypt = keeping{c.Crypt, &in, &out} })
	id, _ := a.newKey(t)
	sealed := a.post(t, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"aGVsbG8="}`)
	blob := strings.Split(sealed.body, `"`)[3]
	opened := a.post(t, "Decrypt", `{"CiphertextBlob":"`+blob+`"}`)
	assert.Contains(t, opened.body, `"Plaintext":"aGVsbG8="`)
	// A call's buffers are wiped before the next request on the same connection is answered.
	a.post(t, "ListKeys", `{}`)
	require.Len(t, in, 5)
	require.Len(t, out, 5)
	assert.NotEqual(t, "hello", string(in))
	assert.Equal(t, make([]byte, 5), out)
}
