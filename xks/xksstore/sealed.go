package xksstore

import (
	"crypto/sha256"
	"errors"

	"github.com/strongroom/strongroom/xks"
)

// Layout of what a Backend seals, version 1. The ciphertext is as long as what the inner material sealed.
//
//	0      1   version
//	1      1   length of the ciphertextMetadata, 0 to 20
//	2      1   length of the initializationVector, 12 or 16
//	3      …   ciphertextMetadata, initializationVector, authenticationTag (16), ciphertext
const (
	sealedVersion1 = 1
	sealedHead     = 3
)

// maxOverhead is how much longer than the inner ciphertext the sealed form is at most.
const maxOverhead = sealedHead + xks.MaxMetadata + xks.LongIVSize + xks.TagSize

var errNotSealed = errors.New("not sealed by an external key store")

// appendSealed appends a proxy's checked answer to dst.
func appendSealed(dst []byte, r *xks.EncryptResponse) []byte {
	dst = append(dst, sealedVersion1, byte(len(r.CiphertextMetadata)), byte(len(r.IV)))
	dst = append(dst, r.CiphertextMetadata...)
	dst = append(dst, r.IV...)
	dst = append(dst, r.Tag...)
	return append(dst, r.Ciphertext...)
}

// parseSealed takes apart what appendSealed wrote; what it gives are pieces of sealed. The request's other members are
// the caller's to fill in.
func parseSealed(sealed []byte) (r xks.DecryptRequest, err error) {
	if len(sealed) < sealedHead || sealed[0] != sealedVersion1 {
		return r, errNotSealed
	}
	metadata, iv, rest := int(sealed[1]), int(sealed[2]), sealed[sealedHead:]
	if metadata > xks.MaxMetadata || iv != xks.IVSize && iv != xks.LongIVSize || len(rest) <= metadata+iv+xks.TagSize {
		return r, errNotSealed
	}
	r.CiphertextMetadata, rest = rest[:metadata:metadata], rest[metadata:]
	r.IV, rest = rest[:iv:iv], rest[iv:]
	r.Tag, r.Ciphertext = rest[:xks.TagSize:xks.TagSize], rest[xks.TagSize:]
	return r, nil
}

// Forms of the authenticated data that a proxy gets: all of it, or its digest where a proxy need not take as much.
const (
	aadWhole  = 1
	aadDigest = 2
)

// outerAAD is the additionalAuthenticatedData for the proxy. Every proxy must take 8192 bytes; an encryption context may be
// longer.
func outerAAD(aad []byte) []byte {
	if len(aad) < xks.MinAADSupport {
		return append(append(make([]byte, 0, 1+len(aad)), aadWhole), aad...)
	}
	digest := sha256.Sum256(aad)
	return append([]byte{aadDigest}, digest[:]...)
}
