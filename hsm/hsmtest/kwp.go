package hsmtest

import (
	"crypto/aes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// WrapKWP is AES key wrap with padding (RFC 5649), as the owner of a key does it: the witness of what unwraps.
func WrapKWP(t testing.TB, kek, key []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(kek)
	require.NoError(t, err)
	n := (len(key) + 7) / 8
	r := make([]byte, 8+8*n)
	copy(r, []byte{0xa6, 0x59, 0x59, 0xa6})
	binary.BigEndian.PutUint32(r[4:], uint32(len(key))) //nolint:gosec // short
	copy(r[8:], key)
	if n == 1 {
		block.Encrypt(r, r)
		return r
	}
	var b [16]byte
	for j := range 6 {
		for i := 1; i <= n; i++ {
			copy(b[:8], r[:8])
			copy(b[8:], r[8*i:])
			block.Encrypt(b[:], b[:])
			binary.BigEndian.PutUint64(r, binary.BigEndian.Uint64(b[:8])^uint64(n*j+i)) //nolint:gosec // positive
			copy(r[8*i:8*i+8], b[8:])
		}
	}
	return r
}
