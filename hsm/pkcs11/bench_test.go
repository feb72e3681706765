package pkcs11_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm/hsmtest"
)

func BenchmarkSeal(b *testing.B) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(b, "bench").Open("bench")
	key := hsmtest.AES(b, token, "bench")
	aad, plaintext := make([]byte, 64), make([]byte, 32)
	b.Run("serial", func(b *testing.B) {
		dst := make([]byte, 0, 128)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := token.Seal(ctx, key, aad, plaintext, dst); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(8)
		b.RunParallel(func(pb *testing.PB) {
			dst := make([]byte, 0, 128)
			for pb.Next() {
				if _, err := token.Seal(ctx, key, aad, plaintext, dst); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func BenchmarkOpen(b *testing.B) {
	ctx := context.Background()
	token := hsmtest.SoftHSM(b, "bench").Open("bench")
	key := hsmtest.AES(b, token, "bench")
	aad := make([]byte, 64)
	sealed, err := token.Seal(ctx, key, aad, make([]byte, 32), nil)
	require.NoError(b, err)
	dst := make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Open(ctx, key, aad, sealed, dst); err != nil {
			b.Fatal(err)
		}
	}
}
