package shape_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
)

// nothing is a request without members: everything in it is unknown.
type nothing struct{}

func (nothing) Members(*shape.Members) {}

// FuzzDecode holds every request's decoder against encoding/json: what is taken is JSON in UTF-8 and says the same.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{
		`{}`, `[]`, ``, `{"KeyId":"a","Plaintext":"aGVsbG8=","EncryptionContext":{"a":"b"}}`, `{"KeyId":"\ud83d\ude00","Limit":1e2}`,
		`{"Tags":[{"TagKey":"k","TagValue":"v"}],"Recipient":{"AttestationDocument":"AA=="}}`, `{"a":[{"b":[null,true,-0.1E-5]}]}`,
		`{"KeyId":1}`, `{"KeyId":"x"`, "{\"KeyId\":\"\xff\"}", `{"ValidTo":1.5,"GrantTokens":["a",null]}`, `{"KeyId":"\u0000","KeyId":null}`,
	} {
		f.Add([]byte(body), uint(0))
	}
	actions := slices.Sorted(maps.Keys(requests))
	f.Fuzz(func(t *testing.T, body []byte, n uint) {
		var m shape.Members
		var syntax *shape.SyntaxError
		if err := m.Decode(body, nothing{}); err == nil {
			require.True(t, json.Valid(body) && utf8.Valid(body))
		} else {
			require.True(t, errors.As(err, &syntax))
		}
		action := actions[n%uint(len(actions))]
		r := requests[action]()
		if err := m.Decode(body, r); err != nil {
			require.True(t, errors.As(err, &syntax))
			return
		}
		require.True(t, json.Valid(body) && utf8.Valid(body))
		compareText(t, &m, body)
		parameters := m.AppendParameters(nil)
		require.True(t, json.Valid(parameters), "%s", parameters)
		if err := m.Check(); err != nil {
			require.Equal(t, keystore.KindValidation, keystore.KindOf(err))
		}
		m.Reset()
	})
}

func compareText(t *testing.T, m *shape.Members, body []byte) {
	t.Helper()
	var want map[string]any
	require.NoError(t, json.Unmarshal(body, &want))
	for name, value := range want {
		if text, ok := value.(string); ok && m.Text(name) != "" {
			assert.Equal(t, text, m.Text(name))
		}
		if value == nil {
			assert.False(t, m.Has(name))
		}
	}
}

// FuzzString holds the writer against encoding/json.
func FuzzString(f *testing.F) {
	for _, s := range []string{"", "a", `"\`, "\n\r\t\x00\x1f\x7f", "ü😀\u2028", "\xff\xc3("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		require.NoError(t, json.Unmarshal(shape.AppendString(nil, s), &got))
		encoded, err := json.Marshal(s)
		require.NoError(t, err)
		var want string
		require.NoError(t, json.Unmarshal(encoded, &want))
		assert.Equal(t, want, got)
	})
}
