package xksstore_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/xksstore"
)

func TestSealedForm(t *testing.T) {
	for _, r := range []xks.EncryptResponse{
		{Ciphertext: []byte("c"), IV: make([]byte, 12), Tag: make([]byte, 16)},
		{Ciphertext: bytes.Repeat([]byte("c"), 4124), IV: bytes.Repeat([]byte("i"), 16), Tag: bytes.Repeat([]byte("t"), 16), CiphertextMetadata: bytes.Repeat([]byte("m"), 20)},
	} {
		sealed := xksstore.AppendSealed([]byte("prefix"), &r)[len("prefix"):]
		assert.LessOrEqual(t, len(sealed), len(r.Ciphertext)+xksstore.MaxOverhead)
		back, err := xksstore.ParseSealed(sealed)
		require.NoError(t, err)
		assert.Equal(t, r.Ciphertext, back.Ciphertext)
		assert.Equal(t, r.IV, back.IV)
		assert.Equal(t, r.Tag, back.Tag)
		assert.True(t, bytes.Equal(r.CiphertextMetadata, back.CiphertextMetadata))
	}
}

func TestOuterAAD(t *testing.T) {
	short, long := []byte("context"), bytes.Repeat([]byte("c"), 20_000)
	assert.Equal(t, "\x01context", string(xksstore.OuterAAD(short)))
	assert.Len(t, xksstore.OuterAAD(long), 33)
	assert.NotEqual(t, xksstore.OuterAAD(long), xksstore.OuterAAD(long[1:]))
	for n := 8180; n < 8200; n++ {
		assert.LessOrEqual(t, len(xksstore.OuterAAD(long[:n])), xks.MinAADSupport)
	}
	digest := xksstore.OuterAAD(long)
	assert.NotEqual(t, digest, xksstore.OuterAAD(digest[1:]), "no context is taken for the digest of another")
}

// Whatever the bytes, they are refused or taken apart in the one way that gives them back.
func FuzzParseSealed(f *testing.F) {
	f.Add(xksstore.AppendSealed(nil, &xks.EncryptResponse{Ciphertext: []byte("c"), IV: make([]byte, 12), Tag: make([]byte, 16), CiphertextMetadata: []byte{1, 2}}))
	f.Add([]byte{1, 20, 16})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		r, err := xksstore.ParseSealed(sealed)
		if err != nil {
			return
		}
		again := xksstore.AppendSealed(nil, &xks.EncryptResponse{Ciphertext: r.Ciphertext, IV: r.IV, Tag: r.Tag, CiphertextMetadata: r.CiphertextMetadata})
		if !bytes.Equal(again, sealed) || len(r.Ciphertext) == 0 {
			t.Fatalf("%x became %x", sealed, again)
		}
	})
}
