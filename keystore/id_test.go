package keystore_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

func TestNewIDs(t *testing.T) {
	for range 100 {
		id, err := keystore.NewKeyID(rand.Reader, false)
		require.NoError(t, err)
		assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, string(id))
		assert.True(t, id.Valid())
		assert.False(t, id.MultiRegion())
		id, err = keystore.NewKeyID(rand.Reader, true)
		require.NoError(t, err)
		assert.Regexp(t, `^mrk-[0-9a-f]{32}$`, string(id))
		assert.True(t, id.Valid())
		assert.True(t, id.MultiRegion())
		store, err := keystore.NewStoreID(rand.Reader)
		require.NoError(t, err)
		assert.Regexp(t, `^cks-[0-9a-f]{17}$`, string(store))
	}
	short := bytes.NewReader([]byte("abc"))
	_, err := keystore.NewKeyID(short, false)
	assert.Error(t, err)
	_, err = keystore.NewStoreID(short)
	assert.Error(t, err)
	_, err = keystore.NewMaterialID(short)
	assert.Error(t, err)
}

func TestKeyIDValid(t *testing.T) {
	for id, want := range map[keystore.KeyID]bool{
		keyID: true, mrkID: true, "1234ABCD-12ab-34cd-56ef-1234567890ab": true, "": false, "mrk-": false, mrkID + "0": false,
		keyID + "0": false, "1234abcd-12ab-34cd-56ef-1234567890a": false, "1234abcd_12ab-34cd-56ef-1234567890ab": false,
		"1234abcd-12ab-34cd-56ef-1234567890ag": false, "MRK-1234abcd12ab34cd56ef1234567890ab": false,
	} {
		assert.Equal(t, want, id.Valid(), string(id))
	}
}

func TestMaterialID(t *testing.T) {
	m, err := keystore.NewMaterialID(rand.Reader)
	require.NoError(t, err)
	assert.False(t, m.IsZero())
	assert.True(t, keystore.MaterialID{}.IsZero())
	assert.Regexp(t, regexp.MustCompile(`^[0-9a-f]{32}$`), m.String())

	again, err := keystore.ParseMaterialID(strings.ToUpper(m.String()))
	require.NoError(t, err)
	assert.Equal(t, m, again)
	for _, bad := range []string{"", "00", m.String() + "00", strings.Repeat("g", 32)} {
		_, err := keystore.ParseMaterialID(bad)
		assert.Error(t, err, bad)
	}

	raw, err := json.Marshal(map[string]keystore.MaterialID{"id": m})
	require.NoError(t, err)
	var back map[string]keystore.MaterialID
	require.NoError(t, json.Unmarshal(raw, &back))
	assert.Equal(t, m, back["id"])
	assert.Error(t, json.Unmarshal([]byte(`{"id":"xx"}`), &back))

	assert.Regexp(t, `^[0-9a-f]{64}$`, m.KMSID())
	assert.NotContains(t, m.KMSID(), m.String(), "a caller does not learn the CKA_ID")
	assert.NotEqual(t, m.KMSID(), keystore.MaterialID{}.KMSID())
}

func TestARNs(t *testing.T) {
	assert.Equal(t, theARN, keystore.KeyARN(theRegion, theAccount, keyID))
	assert.Equal(t, "arn:aws:kms:us-west-2:111122223333:alias/app", keystore.AliasARN(theRegion, theAccount, "alias/app"))
	assert.Equal(t, "arn:aws:iam::111122223333:root", keystore.RootARN(theAccount))
	a := keystore.Alias{Name: "alias/app", Account: theAccount, Region: theRegion}
	assert.Equal(t, "arn:aws:kms:us-west-2:111122223333:alias/app", a.ARN())
}

func TestPageMarkers(t *testing.T) {
	after, err := keystore.Page{}.After("keys")
	require.NoError(t, err)
	assert.Empty(t, after)
	marker := keystore.NextMarker("keys", keyID)
	after, err = keystore.Page{Marker: marker}.After("keys")
	require.NoError(t, err)
	assert.Equal(t, keyID, after)
	for name, bad := range map[string]string{
		"of another list": marker, "not base64": "%%%", "not ours": "bm9uZQ", "without a place": keystore.NextMarker("aliases", ""),
	} {
		_, err = keystore.Page{Marker: bad}.After("aliases")
		assert.Equal(t, keystore.KindInvalidMarker, keystore.KindOf(err), name)
	}
}

// FuzzMarker: a marker is made by NextMarker, or refused as AWS refuses it.
func FuzzMarker(f *testing.F) {
	f.Add(keystore.NextMarker("keys", keyID), "keys")
	f.Add("", "keys")
	f.Add("a2V5cwA", "keys")
	f.Fuzz(func(t *testing.T, marker, list string) {
		after, err := keystore.Page{Marker: marker}.After(list)
		switch {
		case err != nil && keystore.KindOf(err) != keystore.KindInvalidMarker:
			t.Fatal(err)
		case err == nil && (after == "") != (marker == ""):
			t.Fatalf("marker %q gives %q", marker, after)
		}
		if last := marker; last != "" && !strings.Contains(list, "\x00") {
			got, err := keystore.Page{Marker: keystore.NextMarker(list, last)}.After(list)
			if err != nil || got != last {
				t.Fatalf("marker of %q gives %q, %v", last, got, err)
			}
		}
	})
}
