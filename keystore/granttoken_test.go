package keystore_test

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func TestGrantTokenNamesItsGrant(t *testing.T) {
	for _, multiRegion := range []bool{false, true} {
		key, err := keystore.NewKeyID(rand.Reader, multiRegion)
		require.NoError(t, err)
		grant, err := keystore.NewGrantID(rand.Reader)
		require.NoError(t, err)
		require.Len(t, grant, 64)

		first, err := keystore.NewGrantToken(rand.Reader, key, grant)
		require.NoError(t, err)
		second, err := keystore.NewGrantToken(rand.Reader, key, grant)
		require.NoError(t, err)
		assert.NotEqual(t, first, second, "each token is its own")
		for _, token := range []string{first, second} {
			gotKey, gotGrant, err := keystore.ParseGrantToken(token)
			require.NoError(t, err)
			assert.Equal(t, key, gotKey)
			assert.Equal(t, grant, gotGrant)
		}
	}
}

func TestGrantTokenRefusesWhatItDidNotMake(t *testing.T) {
	for _, token := range []string{"", "A", "!!!!", "AAAA", "AQ==", "//////////////////////////////////////////////////////////"} {
		_, _, err := keystore.ParseGrantToken(token)
		assert.Equal(t, keystore.KindInvalidGrantToken, keystore.KindOf(err), "%q", token)
	}
}

func FuzzParseGrantToken(f *testing.F) {
	token, err := keystore.NewGrantToken(bytes.NewReader(make([]byte, 8)), "1234abcd-12ab-34cd-56ef-1234567890ab",
		"0123456789012345678901234567890123456789012345678901234567890123")
	require.NoError(f, err)
	f.Add(token)
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		key, grant, err := keystore.ParseGrantToken(token)
		if err != nil {
			assert.Equal(t, keystore.KindInvalidGrantToken, keystore.KindOf(err))
			return
		}
		assert.True(t, key.Valid())
		assert.Len(t, grant, 64)
	})
}
