package pkcs11_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

// BenchmarkRaw is the C call alone, on a key on the token and on its session
// copy, for comparison with BenchmarkSeal in the same run.
func BenchmarkRaw(b *testing.B) {
	module, slot, key := rawKey(b)
	s, err := module.OpenSession(slot, true)
	require.NoError(b, err)
	copied, err := s.CopyObject(key, []hsm.Attribute{{Type: 0x01, Value: []byte{0}}})
	require.NoError(b, err)
	for name, h := range map[string]hsm.Handle{"token object": key, "session copy": copied} {
		b.Run(name, func(b *testing.B) { rawSeal(b, s, h) })
	}
}

func rawSeal(b *testing.B, s hsm.Session, key hsm.Handle) {
	m := &hsm.Mechanism{Type: 0x1087, IV: make([]byte, 12), AAD: make([]byte, 64)}
	in, out := make([]byte, 32), make([]byte, 48)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Encrypt(m, key, in, out); err != nil {
			b.Fatal(err)
		}
	}
}

// rawKey makes a key and finds it again below the token layer.
func rawKey(b *testing.B) (hsm.Module, uint, hsm.Handle) {
	tokens := hsmtest.SoftHSM(b, "raw")
	token := tokens.Open("raw")
	ref := hsmtest.AES(b, token, "raw")
	module, err := pkcs11.Load(tokens.Module, "")
	require.NoError(b, err)
	s, err := module.OpenSession(token.Info().Slot, true)
	require.NoError(b, err)
	found, err := s.Find([]hsm.Attribute{{Type: 0x102, Value: ref.ID}}, 2)
	require.NoError(b, err)
	require.Len(b, found, 1)
	require.NoError(b, s.Close())
	return module, token.Info().Slot, found[0]
}
