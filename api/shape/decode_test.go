package shape_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
)

func TestDecodeEncrypt(t *testing.T) {
	var m shape.Members
	var r shape.EncryptRequest
	body := []byte(` { "KeyId" : "alias/\u00fc\ud83d\ude00\n", "Plaintext":"aGVsbG8=","EncryptionContext":{"a":"1","b":null,"c\"":"ü"},
		"GrantTokens":["t1",null,"t2"], "DryRun":true, "EncryptionAlgorithm":null, "Unknown":{"x":[1,{"y":-1.5e+3}]} } `)
	require.NoError(t, m.Decode(body, &r))
	clear(body)
	assert.Equal(t, shape.EncryptRequest{
		KeyID: "alias/ü😀\n", Plaintext: []byte("hello"), EncryptionContext: map[string]string{"a": "1", `c"`: "ü"},
		GrantTokens: []string{"t1", "t2"}, DryRun: true,
	}, r)
	assert.True(t, m.Has("KeyId"))
	assert.False(t, m.Has("EncryptionAlgorithm"), "null counts as absent")
	assert.Equal(t, "alias/ü😀\n", m.Text("KeyId"))

	plaintext := r.Plaintext
	m.Reset()
	assert.Equal(t, make([]byte, 5), plaintext, "the plaintext is wiped")
}

func TestDecodeTheLastOfTwoCounts(t *testing.T) {
	var m shape.Members
	var r shape.CreateKeyRequest
	require.NoError(t, m.Decode([]byte(`{"Description":"a","Description":"b","Origin":"x","Origin":null,"Tags":[{"TagKey":"k"}],"Tags":null,
		"MultiRegion":true,"MultiRegion":null}`), &r))
	assert.Equal(t, shape.CreateKeyRequest{Description: "b"}, r)
	assert.NoError(t, m.Check())
	assert.Equal(t, `{"description":"b"}`, string(m.AppendParameters(nil)))
}

func TestDecodeOtherTypes(t *testing.T) {
	var m shape.Members
	t.Run("numbers", func(t *testing.T) {
		for body, want := range map[string]int32{`7`: 7, `-0`: 0, `7.0`: 7, `7.9`: 7, `-7.9`: -7, `1e2`: 100, `2147483647`: 2147483647, `-2147483648`: -2147483648} {
			var r shape.ListKeysRequest
			require.NoError(t, m.Decode([]byte(`{"Limit":`+body+`}`), &r), body)
			require.NotNil(t, r.Limit)
			assert.Equal(t, want, *r.Limit, body)
		}
	})
	t.Run("dates", func(t *testing.T) {
		var r shape.ImportKeyMaterialRequest
		require.NoError(t, m.Decode([]byte(`{"ValidTo":1.7953284001234E9}`), &r))
		assert.Equal(t, time.UnixMilli(1795328400123).UTC(), r.ValidTo)
	})
	t.Run("structures", func(t *testing.T) {
		var r shape.CreateCustomKeyStoreRequest
		require.NoError(t, m.Decode([]byte(`{"XksProxyAuthenticationCredential":{"AccessKeyId":"A","More":1},"CustomKeyStoreName":"n"}`), &r))
		assert.True(t, r.XksProxyAuthenticationCredential.Present)
		assert.Equal(t, "A", r.XksProxyAuthenticationCredential.AccessKeyID)
	})
	t.Run("absent structures", func(t *testing.T) {
		var r shape.DecryptRequest
		require.NoError(t, m.Decode([]byte(`{"Recipient":null}`), &r))
		assert.False(t, r.Recipient.Present)
	})
	t.Run("blobs in structures", func(t *testing.T) {
		var r shape.DecryptRequest
		require.NoError(t, m.Decode([]byte(`{"CiphertextBlob":"AQ==","Recipient":{"AttestationDocument":"AgI="},"CiphertextBlob":"AwMD"}`), &r))
		assert.Equal(t, []byte{3, 3, 3}, r.CiphertextBlob)
		assert.Equal(t, []byte{2, 2}, r.Recipient.AttestationDocument)
	})
	t.Run("tags", func(t *testing.T) {
		var r shape.TagResourceRequest
		require.NoError(t, m.Decode([]byte(`{"Tags":[{"TagKey":"k","TagValue":"v"},null,{"TagValue":"","TagKey":"l"}]}`), &r))
		assert.Equal(t, []keystore.Tag{{Key: "k", Value: "v"}, {Key: "l"}}, r.Tags)
	})
	t.Run("escaped names", func(t *testing.T) {
		var r shape.KeyRequest
		require.NoError(t, m.Decode([]byte(`{"Key\u0049d":"x"}`), &r))
		assert.Equal(t, "x", r.KeyID)
	})
	t.Run("names are case-sensitive", func(t *testing.T) {
		var r shape.KeyRequest
		require.NoError(t, m.Decode([]byte(`{"keyId":"x"}`), &r))
		assert.Empty(t, r.KeyID)
	})
}

// The texts for wrong types were measured on AWS's JSON 1.1 front ends by others; for what is no JSON they send none.
func TestDecodeRefuses(t *testing.T) {
	deep := strings.Repeat("[", 31) + strings.Repeat("]", 31)
	for name, c := range map[string]struct{ body, text string }{
		"nothing":               {``, ""},
		"white space":           {"\n", ""},
		"null":                  {`null`, ""},
		"a string":              {`"x"`, ""},
		"a number":              {`1`, ""},
		"a list":                {`[]`, "Start of list found where not expected"},
		"cut short":             {`{"KeyId":"x"`, ""},
		"cut in a string":       {`{"KeyId":"x`, ""},
		"cut in an escape":      {`{"KeyId":"x\`, ""},
		"trailing garbage":      {`{} x`, ""},
		"two objects":           {`{"KeyId":"x"} {}`, ""},
		"a NUL behind":          {"{}\x00", ""},
		"trailing comma":        {`{"KeyId":"x",}`, ""},
		"missing colon":         {`{"KeyId" "x"}`, ""},
		"unquoted name":         {`{KeyId:"x"}`, ""},
		"single quotes":         {`{'KeyId':'x'}`, ""},
		"a control character":   {"{\"KeyId\":\"a\nb\"}", ""},
		"no UTF-8":              {"{\"KeyId\":\"\xff\"}", ""},
		"no UTF-8, unknown":     {"{\"Other\":\"\xc3\"}", ""},
		"byte order mark":       {"\xef\xbb\xbf{}", ""},
		"half a surrogate pair": {`{"KeyId":"\ud83d"}`, ""},
		"low surrogate first":   {`{"KeyId":"\ude00\ud83d"}`, ""},
		"bad escape":            {`{"KeyId":"\x"}`, ""},
		"bad hex":               {`{"KeyId":"\u00zz"}`, ""},
		"bad escape, unknown":   {`{"Other":"\x"}`, ""},
		"bad number, unknown":   {`{"Other":01}`, ""},
		"bad word, unknown":     {`{"Other":nul}`, ""},
		"number as string":      {`{"KeyId":1}`, "NUMBER_VALUE can not be converted to a String"},
		"negative as string":    {`{"KeyId":-1}`, "NUMBER_VALUE can not be converted to a String"},
		"true as string":        {`{"KeyId":true}`, "TRUE_VALUE can not be converted to a String"},
		"list as string":        {`{"KeyId":["x"]}`, "Start of list found where not expected"},
		"object as string":      {`{"KeyId":{"a":1}}`, "Start of structure or map found where not expected."},
		"string as integer":     {`{"NumberOfBytes":"1"}`, "STRING_VALUE can not be converted to an Integer"},
		"false as integer":      {`{"NumberOfBytes":false}`, "FALSE_VALUE can not be converted to an Integer"},
		"too big an integer":    {`{"NumberOfBytes":2147483648}`, "NUMBER_VALUE can not be converted to an Integer"},
		"an endless integer":    {`{"NumberOfBytes":1e999}`, "NUMBER_VALUE can not be converted to an Integer"},
		"string as boolean":     {`{"DryRun":"true"}`, "STRING_VALUE can not be converted to a Boolean"},
		"number as boolean":     {`{"DryRun":1}`, "NUMBER_VALUE can not be converted to a Boolean"},
		"string as date":        {`{"ValidTo":"2026-11-22"}`, "STRING_VALUE can not be converted to milliseconds since epoch"},
		"a date beyond dates":   {`{"ValidTo":1e300}`, "NUMBER_VALUE can not be converted to milliseconds since epoch"},
		"string as list":        {`{"GrantTokens":"x"}`, "Expected list or null"},
		"object as list":        {`{"GrantTokens":{}}`, "Start of structure or map found where not expected."},
		"number in a list":      {`{"GrantTokens":[1]}`, "NUMBER_VALUE can not be converted to a String"},
		"list in a list":        {`{"GrantTokens":[["a"]]}`, "Start of list found where not expected"},
		"string as map":         {`{"EncryptionContext":"x"}`, "Expected map or null"},
		"list as map":           {`{"EncryptionContext":[]}`, "Start of list found where not expected"},
		"number in a map":       {`{"EncryptionContext":{"a":1}}`, "NUMBER_VALUE can not be converted to a String"},
		"string as structure":   {`{"Recipient":"x"}`, "Expected null"},
		"string as tag":         {`{"Tags":["x"]}`, "Expected null"},
		"list as structure":     {`{"Recipient":[]}`, "Start of list found where not expected"},
		"number as blob":        {`{"Plaintext":1}`, "NUMBER_VALUE can not be converted to a Blob"},
		"base64 of a length":    {`{"Plaintext":"abcde"}`, "STRING_VALUE can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
		"base64 without pad":    {`{"Plaintext":"aGVsbG8"}`, "STRING_VALUE can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 7"},
		"base64 of the web":     {`{"Plaintext":"-_-_"}`, "STRING_VALUE can not be converted to a Blob: Invalid Base64 character"},
		"base64 with leftovers": {`{"Plaintext":"aGVsbG9="}`, "STRING_VALUE can not be converted to a Blob: Invalid Base64 character"},
		"base64 with a break":   {`{"Plaintext":"aGVs\nbG8=aGV"}`, "STRING_VALUE can not be converted to a Blob: Invalid Base64 character"},
		"too deep":              {`{"Other":[` + deep + `]}`, "Nesting of the request body is too deep."},
		"too deep by far":       {`{"Other":` + strings.Repeat("[", 100_000), "Nesting of the request body is too deep."},
		"too many elements":     {`{"GrantTokens":[` + strings.Repeat(`"",`, 4096) + `""]}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var m shape.Members
			err := m.Decode([]byte(c.body), new(everything))
			var syntax *shape.SyntaxError
			require.ErrorAs(t, err, &syntax)
			assert.Equal(t, c.text, syntax.Text)
		})
	}
	t.Run("just not too deep", func(t *testing.T) {
		var m shape.Members
		assert.NoError(t, m.Decode([]byte(`{"Other":`+deep+`}`), new(everything)))
	})
}

// everything is a request with a member of each type.
type everything struct {
	encrypt  shape.EncryptRequest
	dataKey  shape.GenerateDataKeyRequest
	material shape.ImportKeyMaterialRequest
	tags     shape.TagResourceRequest
}

func (e *everything) Members(m *shape.Members) {
	e.encrypt.Members(m)
	e.dataKey.Members(m)
	e.material.Members(m)
	e.tags.Members(m)
}

func TestNoSecretInSyntaxErrors(t *testing.T) {
	var m shape.Members
	err := m.Decode([]byte(`{"Plaintext":"c2VjcmV0!!!"}`), new(shape.EncryptRequest))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "c2VjcmV0")
}
