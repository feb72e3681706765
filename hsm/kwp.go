package hsm

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
)

// UnwrapKWP takes AES key wrap with padding off (RFC 5649), outside of a token:
// for keys that their owner wraps for import (CKM_RSA_AES_KEY_WRAP), of which
// more than the token must know something. BadCiphertext says that it was not
// wrapped under this key; all defects take the same time.
func UnwrapKWP(kek, wrapped []byte) ([]byte, error) {
	const op, semiblock = "unwrap key", 8
	block, err := aes.NewCipher(kek)
	if err != nil {
		return nil, failf(op, BadInput, "a wrapping key of %d bytes", len(kek))
	}
	n := len(wrapped)/semiblock - 1
	if len(wrapped)%semiblock != 0 || n < 1 || len(wrapped) > maxWrapped {
		return nil, failf(op, BadCiphertext, "%d bytes are no wrapped key", len(wrapped))
	}
	// Section 4.2: one semiblock is one AES block, more are RFC 3394's rounds.
	r := append([]byte(nil), wrapped...)
	var b [aes.BlockSize]byte
	if n == 1 {
		block.Decrypt(r, r)
	} else {
		for t := 6 * n; t > 0; t-- {
			i := (t-1)%n + 1
			copy(b[:semiblock], r[:semiblock])
			binary.BigEndian.PutUint64(b[:semiblock], binary.BigEndian.Uint64(b[:semiblock])^uint64(t)) //nolint:gosec // positive
			copy(b[semiblock:], r[i*semiblock:(i+1)*semiblock])
			block.Decrypt(b[:], b[:])
			copy(r[:semiblock], b[:semiblock])
			copy(r[i*semiblock:], b[semiblock:])
		}
	}
	// Section 3: the constant, the length, and padding with zeros.
	size := int(binary.BigEndian.Uint32(r[4:semiblock]))
	good := subtle.ConstantTimeCompare(r[:4], []byte{0xa6, 0x59, 0x59, 0xa6})
	padding := n*semiblock - size
	good &= subtle.ConstantTimeLessOrEq(0, padding) & subtle.ConstantTimeLessOrEq(padding, semiblock-1)
	tail := r[len(r)-(semiblock-1):]
	for i, x := range tail {
		inPadding := subtle.ConstantTimeLessOrEq(len(tail)-i, padding)
		good &= 1 - inPadding&(1-subtle.ConstantTimeByteEq(x, 0))
	}
	if good != 1 {
		clear(r)
		return nil, failf(op, BadCiphertext, "it was not wrapped under this key")
	}
	return r[semiblock : semiblock+size], nil
}
