package hsmstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
)

// BenchmarkSeal compares a call through the key store with the same call on the token alone.
func BenchmarkSeal(b *testing.B) {
	store, token := openDefault(b)
	h := handle(b)
	_, err := store.CreateKey(b.Context(), h)
	require.NoError(b, err)
	plain, aad, dst := make([]byte, 32), make([]byte, 48), make([]byte, 0, 128)
	b.Run("token", func(b *testing.B) {
		b.ReportAllocs()
		ref := hsm.KeyRef{ID: h.ID[:], Label: h.Label}
		for b.Loop() {
			if _, err := token.Seal(b.Context(), ref, aad, plain, dst[:0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := store.Seal(b.Context(), &h, aad, plain, dst[:0]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
