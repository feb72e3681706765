package audit_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
)

func decode(t testing.TB, e *audit.Event) map[string]any {
	t.Helper()
	line := audit.Line(e)
	require.Equal(t, byte('\n'), line[len(line)-1])
	require.NotContains(t, string(line[:len(line)-1]), "\n")
	var m map[string]any
	require.NoError(t, json.Unmarshal(line, &m), string(line))
	return m
}

func TestRecordHasCloudTrailsShape(t *testing.T) {
	e := event("Encrypt")
	e.ID = "11111111-2222-4333-8444-555555555555"
	e.RequestParameters = audit.Object{}.String("keyId", "alias/a").Map("encryptionContext", map[string]string{"b": "2", "a": "1"})
	e.Resources = []audit.Resource{{ARN: "arn:aws:kms:us-east-1:000000000000:key/x", Account: "000000000000", Type: "AWS::KMS::Key"}}
	want := `{
	  "eventVersion": "1.11",
	  "userIdentity": {"type": "IAMUser", "principalId": "alice", "arn": "arn:aws:iam::000000000000:user/alice",
	    "accountId": "000000000000", "accessKeyId": "AKIDEXAMPLE", "userName": "alice"},
	  "eventTime": "2026-11-22T12:00:00Z", "eventSource": "kms.amazonaws.com", "eventName": "Encrypt", "awsRegion": "us-east-1",
	  "sourceIPAddress": "192.0.2.1", "userAgent": "aws-cli/2",
	  "requestParameters": {"keyId": "alias/a", "encryptionContext": {"a": "1", "b": "2"}}, "responseElements": null,
	  "requestID": "req-1", "eventID": "11111111-2222-4333-8444-555555555555", "readOnly": true,
	  "resources": [{"accountId": "000000000000", "type": "AWS::KMS::Key", "ARN": "arn:aws:kms:us-east-1:000000000000:key/x"}],
	  "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": "000000000000", "eventCategory": "Management",
	  "strongroom": {"seq": 1, "prev": "0000000000000000000000000000000000000000000000000000000000000000"}
	}`
	assert.JSONEq(t, want, string(audit.Line(e)))
}

func TestRecordOfAFailure(t *testing.T) {
	e := event("Decrypt")
	e.ErrorCode, e.ErrorMessage = "KMSInvalidStateException", "arn is pending deletion."
	m := decode(t, e)
	assert.Equal(t, "KMSInvalidStateException", m["errorCode"])
	assert.True(t, strings.HasSuffix(m["errorMessage"].(string), " is pending deletion."), "the documented alarm looks for this end")
	e.ErrorMessage = ""
	m = decode(t, e)
	assert.NotContains(t, m, "errorMessage")
}

func TestIdentities(t *testing.T) {
	for arn, want := range map[string]map[string]any{
		"arn:aws:iam::000000000000:root":       {"type": "Root", "principalId": "000000000000"},
		"arn:aws:iam::000000000000:user/a/bob": {"type": "IAMUser", "principalId": "a/bob", "userName": "a/bob"},
		"arn:aws:iam::000000000000:role/ops":   {"type": "Role", "principalId": "ops", "userName": "ops"},
	} {
		e := event("ListKeys")
		e.Caller.Principal, e.Caller.AccessKeyID = arn, ""
		want["arn"], want["accountId"] = arn, "000000000000"
		assert.Equal(t, want, decode(t, e)["userIdentity"], arn)
	}
	e := event("ListKeys")
	e.Caller, e.SourceIP = nil, "192.0.2.9"
	m := decode(t, e)
	assert.Equal(t, map[string]any{"type": "Unknown"}, m["userIdentity"])
	assert.Equal(t, "192.0.2.9", m["sourceIPAddress"])
}

func TestServiceEvents(t *testing.T) {
	k := &keystore.Key{ID: "01234567-89ab-4def-8123-456789abcdef", Account: "000000000000", Region: "us-east-1",
		State: keystore.PendingDeletion, DeletionDate: noon}
	m := decode(t, audit.PendingDeletionUse(caller(), k, keystore.ActionDecrypt, noon))
	assert.Equal(t, "AwsServiceEvent", m["eventType"])
	assert.Equal(t, map[string]any{"keyId": k.ARN(), "operation": "Decrypt", "keyState": "PendingDeletion",
		"deletionDate": "Nov 22, 2026, 12:00:00 PM"}, m["serviceEventDetails"])
	assert.Equal(t, "req-1", m["requestID"])

	tomb := &keystore.Tombstone{KeyARN: k.ARN(), Region: "us-east-1"}
	m = decode(t, audit.DeleteKey(tomb, "000000000000", []*keystore.Material{{State: keystore.MaterialDestroyed}}, noon))
	assert.Equal(t, map[string]any{"accountId": "000000000000", "invokedBy": "AWS Internal"}, m["userIdentity"])
	assert.NotContains(t, m, "additionalEventData", "as AWS has it outside custom key stores")
	assert.Contains(t, m, "requestParameters")
	assert.Nil(t, m["requestParameters"])
}

func TestObject(t *testing.T) {
	inner := audit.Object{}.Int("n", -3)
	o := audit.Object{}.String("s", "a\"b\\c\nd\x00\u2028é\xff").Bool("b", true).Null("z").
		Strings("list", []string{"x", "y"}).Strings("none", nil).Object("o", inner).Object("no", audit.Object{}).
		Object("empty", audit.Object{}.Empty()).Time("t", noon)
	var m map[string]any
	require.NoError(t, json.Unmarshal(o.JSON(), &m), string(o.JSON()))
	assert.Equal(t, map[string]any{"s": "a\"b\\c\nd\x00\u2028é\ufffd", "b": true, "z": nil, "list": []any{"x", "y"}, "none": []any{},
		"o": map[string]any{"n": float64(-3)}, "no": nil, "empty": map[string]any{}, "t": "Nov 22, 2026, 12:00:00 PM"}, m)
	assert.Equal(t, "null", string(audit.Object{}.JSON()))
	assert.True(t, audit.Object{}.IsZero())

	raw, err := audit.RawObject([]byte("{\n \"a\" : [1,\n2] }"))
	require.NoError(t, err)
	assert.Equal(t, `{"a":[1,2]}`, string(raw.JSON()))
	assert.Equal(t, `{"a":[1,2],"b":"c"}`, string(raw.String("b", "c").JSON()))
	raw, err = audit.RawObject([]byte("{}"))
	require.NoError(t, err)
	assert.Equal(t, `{"b":"c"}`, string(raw.String("b", "c").JSON()))
	none, err := audit.RawObject([]byte("null"))
	require.NoError(t, err)
	assert.True(t, none.IsZero())
	for _, bad := range []string{"", "[]", "1", `{"a":}`, `{"a":1}{`} {
		_, err := audit.RawObject([]byte(bad))
		require.Error(t, err, bad)
	}
	of, err := audit.ObjectOf(struct {
		A int `json:"a"`
	}{3})
	require.NoError(t, err)
	assert.Equal(t, `{"a":3}`, string(of.JSON()))
	_, err = audit.ObjectOf(3)
	require.Error(t, err)
}

// Whatever a caller sends, a record is one line of JSON that gives it back.
func FuzzRecord(f *testing.F) {
	f.Add("Encrypt", "aws-cli", "key", "value", "message")
	f.Add("\x00", "\"", "\\", "\n", "\xff\xfe\u2028")
	f.Fuzz(func(t *testing.T, name, agent, key, value, message string) {
		e := event(name)
		e.Caller.UserAgent, e.ErrorCode, e.ErrorMessage = agent, "X", message
		e.RequestParameters = audit.Object{}.Map("encryptionContext", map[string]string{key: value})
		line := audit.Line(e)
		if strings.Count(string(line), "\n") != 1 {
			t.Fatalf("more than a line: %q", line)
		}
		var r struct {
			EventName, UserAgent, ErrorMessage string
			RequestParameters                  struct{ EncryptionContext map[string]string }
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		for _, s := range []struct{ in, out string }{{name, r.EventName}, {agent, r.UserAgent}, {message, r.ErrorMessage}} {
			if utf8.ValidString(s.in) && s.in != s.out {
				t.Fatalf("%q became %q", s.in, s.out)
			}
		}
		if utf8.ValidString(key) && utf8.ValidString(value) && r.RequestParameters.EncryptionContext[key] != value {
			t.Fatalf("%q=%q became %v", key, value, r.RequestParameters.EncryptionContext)
		}
	})
}

func TestTimesAreInUTC(t *testing.T) {
	e := event("ListKeys")
	e.Time = noon.In(time.FixedZone("far", 9*3600))
	assert.Equal(t, "2026-11-22T12:00:00Z", decode(t, e)["eventTime"])
}
