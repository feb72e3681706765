package pkcs11_test

import (
	"context"
	"crypto"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
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

// BenchmarkSign is RSA-2048 and P-256 through the token layer, and the C call
// alone on the same key.
func BenchmarkSign(b *testing.B) {
	ctx := context.Background()
	tokens := hsmtest.SoftHSM(b, "bench")
	token := tokens.Open("bench")
	module, err := pkcs11.Load(tokens.Module, "")
	require.NoError(b, err)
	s, err := module.OpenSession(token.Info().Slot, true)
	require.NoError(b, err)
	digest := make([]byte, 32)
	for kind, way := range map[hsm.Kind]struct {
		how  hsm.Signing
		mech uint
		data []byte
	}{
		hsm.RSA2048: {hsm.Signing{Scheme: hsm.SignPKCS1, Hash: crypto.SHA256}, 0x0001, make([]byte, 51)},
		hsm.ECP256:  {hsm.Signing{Scheme: hsm.SignECDSA, Hash: crypto.SHA256}, 0x1041, digest},
	} {
		ref := hsmtest.Ref("bench")
		_, err := token.GeneratePair(ctx, hsm.Template{KeyRef: ref, Kind: kind, Usage: hsm.UseSign | hsm.UseVerify})
		require.NoError(b, err)
		found, err := s.Find([]hsm.Attribute{{Type: 0x102, Value: ref.ID}, {Type: 0x108, Value: []byte{1}}}, 2)
		require.NoError(b, err)
		require.Len(b, found, 1)
		b.Run(kind.String()+"/raw", func(b *testing.B) {
			out := make([]byte, 512)
			for b.Loop() {
				if _, err := s.Sign(&hsm.Mechanism{Type: way.mech}, found[0], way.data, out); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(kind.String()+"/token", func(b *testing.B) {
			for b.Loop() {
				if _, err := token.Sign(ctx, ref, way.how, digest); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(kind.String()+"/token, parallel", func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := token.Sign(ctx, ref, way.how, digest); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
