package envelope_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/envelope"
)

const (
	uuid = keystore.KeyID("01234567-89ab-4def-8123-456789abcdef")
	mrk  = keystore.KeyID("mrk-0123456789abcdef0123456789abcdef")
)

var (
	material = envelope.Material{1, 2, 3}
	sealed   = bytes.Repeat([]byte{7}, envelope.MinSealed+5)
)

func TestBlobIsAsDocumented(t *testing.T) {
	for id, want := range map[keystore.KeyID]string{
		uuid: "5352" + "01" + "00" + "0123456789ab4def8123456789abcdef",
		mrk:  "5352" + "01" + "01" + "0123456789abcdef0123456789abcdef",
	} {
		blob, err := envelope.Encode([]byte("before"), id, material, sealed)
		require.NoError(t, err)
		assert.Equal(t, "before", string(blob[:6]))
		assert.Equal(t, want+"01020300000000000000000000000000"+hex.EncodeToString(sealed), hex.EncodeToString(blob[6:]))
		got, err := envelope.Decode(blob[6:])
		require.NoError(t, err)
		assert.Equal(t, envelope.Blob{KeyID: id, Material: material, Sealed: sealed}, got)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, id := range []keystore.KeyID{"", "x", uuid[:35], uuid + "0", "alias/x", "mrk-", "mrk-0123456789abcdef0123456789abcdeg"} {
		_, err := envelope.Encode(nil, id, material, sealed)
		require.Error(t, err, id)
		_, err = envelope.AAD(nil, id, material, nil)
		require.Error(t, err, id)
	}
	_, err := envelope.Encode(nil, uuid, material, sealed[:envelope.MinSealed-1])
	require.Error(t, err)
}

func TestDecodeRefusesWhatIsNoBlob(t *testing.T) {
	good, err := envelope.Encode(nil, uuid, material, sealed)
	require.NoError(t, err)
	for n := range envelope.MinSize {
		_, err := envelope.Decode(good[:n])
		require.ErrorIs(t, err, envelope.ErrNotBlob, "%d bytes", n)
	}
	for i := range 4 {
		for _, bit := range []byte{2, 4, 0x80} {
			bad := bytes.Clone(good)
			bad[i] ^= bit
			_, err := envelope.Decode(bad)
			require.ErrorIs(t, err, envelope.ErrNotBlob, "byte %d", i)
		}
	}
}

// Two different things to bind never give the same bytes.
func TestAADTellsContextsApart(t *testing.T) {
	seen := map[string]string{}
	add := func(name string, id keystore.KeyID, m envelope.Material, c map[string]string) {
		aad, err := envelope.AAD(nil, id, m, c)
		require.NoError(t, err)
		if other, ok := seen[string(aad)]; ok {
			t.Errorf("%s and %s give the same bytes", name, other)
		}
		seen[string(aad)] = name
	}
	add("none", uuid, material, nil)
	add("another key", mrk, material, nil)
	add("another material", uuid, envelope.Material{9}, nil)
	add("a=b", uuid, material, map[string]string{"a": "b"})
	add("ab=", uuid, material, map[string]string{"ab": ""})
	add("=ab", uuid, material, map[string]string{"": "ab"})
	add("b=a", uuid, material, map[string]string{"b": "a"})
	add("A=b", uuid, material, map[string]string{"A": "b"})
	add("a=b c=d", uuid, material, map[string]string{"a": "b", "c": "d"})
	add("a=bcd", uuid, material, map[string]string{"a": "bcd"})
	add("a=d c=b", uuid, material, map[string]string{"a": "d", "c": "b"})
	add("a=b\\0", uuid, material, map[string]string{"a": "b\x00"})
	empty, err := envelope.AAD(nil, uuid, material, map[string]string{})
	require.NoError(t, err)
	assert.Contains(t, seen, string(empty), "an empty context equals none")
}

func TestAADDoesNotDependOnOrder(t *testing.T) {
	context := map[string]string{}
	for _, k := range strings.Fields("a b c d e f g h i j k l m n") {
		context[k] = k + k
	}
	first, err := envelope.AAD(nil, uuid, material, context)
	require.NoError(t, err)
	for range 50 {
		again, err := envelope.AAD(nil, uuid, material, maps.Clone(context))
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
}

func TestMaterialFollowsTheKeyMaterialID(t *testing.T) {
	id, err := keystore.NewMaterialID(rand.Reader)
	require.NoError(t, err)
	own := keystore.KeyMaterial{ID: id}
	ref := envelope.MaterialOf(&own)
	assert.Equal(t, own.KeyMaterialID()[:32], hex.EncodeToString(ref[:]))
	assert.NotEqual(t, id[:], ref[:], "a blob does not tell the CKA_ID")
	other, err := keystore.NewMaterialID(rand.Reader)
	require.NoError(t, err)
	replica := keystore.KeyMaterial{ID: other, KMSID: own.KeyMaterialID()}
	assert.Equal(t, ref, envelope.MaterialOf(&replica))
	odd := keystore.KeyMaterial{ID: other, KMSID: "not hex"}
	assert.NotEqual(t, envelope.Material{}, envelope.MaterialOf(&odd))
}

// Any bytes are a blob or not, and what is a blob is so in one way only.
func FuzzDecode(f *testing.F) {
	for _, id := range []keystore.KeyID{uuid, mrk} {
		blob, err := envelope.Encode(nil, id, material, sealed)
		require.NoError(f, err)
		f.Add(blob)
	}
	f.Add([]byte("SR"))
	f.Fuzz(func(t *testing.T, b []byte) {
		blob, err := envelope.Decode(b)
		if err != nil {
			if !errors.Is(err, envelope.ErrNotBlob) {
				t.Fatalf("another error: %v", err)
			}
			return
		}
		if !blob.KeyID.Valid() {
			t.Fatalf("key id %q", blob.KeyID)
		}
		again, err := envelope.Encode(nil, blob.KeyID, blob.Material, blob.Sealed)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x becomes %x, %v", b, again, err)
		}
	})
}

// What is encoded decodes to itself, and nothing else is encoded.
func FuzzEncode(f *testing.F) {
	f.Add(string(uuid), material[:], sealed)
	f.Add(string(mrk), material[:], sealed)
	f.Add("MRK-", []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, id string, m, text []byte) {
		var ref envelope.Material
		copy(ref[:], m)
		blob, err := envelope.Encode(nil, keystore.KeyID(id), ref, text)
		if err != nil {
			if keystore.KeyID(id).Valid() && len(text) >= envelope.MinSealed {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		got, err := envelope.Decode(blob)
		if err != nil || string(got.KeyID) != strings.ToLower(id) || got.Material != ref || !bytes.Equal(got.Sealed, text) {
			t.Fatalf("%q %x becomes %+v, %v", id, text, got, err)
		}
	})
}

func BenchmarkBlob(b *testing.B) {
	context := map[string]string{"tenant": "acme", "purpose": "orders"}
	m := keystore.KeyMaterial{ID: keystore.MaterialID{1}}
	aad, blob := make([]byte, 0, 512), make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		ref := envelope.MaterialOf(&m)
		aad, _ = envelope.AAD(aad[:0], uuid, ref, context)
		blob, _ = envelope.Encode(blob[:0], uuid, ref, sealed)
		if _, err := envelope.Decode(blob); err != nil {
			b.Fatal(err)
		}
	}
}
