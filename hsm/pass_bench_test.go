package hsm_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

// BenchmarkFirstUse opens a token of many keys and uses each of them once: with
// a pass over all objects before, and with a search for each.
func BenchmarkFirstUse(b *testing.B) {
	const n = 1000
	f := hsmtest.SoftHSM(b, "a")
	maker := f.Open("a")
	keys := make([]hsm.KeyRef, n)
	for i := range keys {
		keys[i] = hsmtest.AES(b, maker, fmt.Sprintf("key-%d", i))
	}
	require.NoError(b, maker.Close())
	for _, primed := range []bool{true, false} {
		b.Run(fmt.Sprintf("primed=%t", primed), func(b *testing.B) {
			for b.Loop() {
				token, err := pkcs11.Open(b.Context(), f.Config("a"))
				require.NoError(b, err)
				if primed {
					<-token.Prime()
				}
				for _, k := range keys {
					_, err := token.Seal(b.Context(), k, nil, []byte("p"), nil)
					require.NoError(b, err)
				}
				require.NoError(b, token.Close())
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}
