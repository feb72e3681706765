package xks

import (
	"crypto/sha256"
	"encoding/binary"
)

// AppendTokenAAD appends the additional data that a key manager authenticates: both parts with their lengths in
// front, so that metadata cannot be passed off as AAD (section "Encrypt", ciphertextMetadata). The lengths are those
// of the decoded bytes; an absent part has length zero. aad must not exceed MaxAAD nor metadata MaxMetadata.
func AppendTokenAAD(b, aad, metadata []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(aad)))
	b = append(b, aad...)
	b = append(b, byte(len(metadata)))
	return append(b, metadata...)
}

// TokenAADSize is the number of bytes that AppendTokenAAD appends.
func TokenAADSize(aad, metadata []byte) int { return 3 + len(aad) + len(metadata) }

// CDIV computes the ciphertext data integrity value (Appendix C): SHA-256 over the decoded parts one after another,
// without lengths. An absent part is empty.
func CDIV(aad, metadata, iv, ciphertext, tag []byte) [CDIVSize]byte {
	buffer := make([]byte, 0, len(aad)+len(metadata)+len(iv)+len(ciphertext)+len(tag))
	for _, part := range [...][]byte{aad, metadata, iv, ciphertext, tag} {
		buffer = append(buffer, part...)
	}
	return sha256.Sum256(buffer)
}
