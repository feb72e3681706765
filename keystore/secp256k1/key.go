package secp256k1

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"slices"
)

// order is the number of points, in bytes.
var order = [32]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
	0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41}

// pointSize is the length of an uncompressed point: 4, x, y (SEC 1, section 2.3.3).
const pointSize = 65

// What stands before the variable parts in DER. All lengths are fixed.
var (
	// SubjectPublicKeyInfo (RFC 5480 section 2) up to the point.
	publicPrefix = []byte{0x30, 0x56, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
		0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a, 0x03, 0x42, 0x00}
	// PrivateKeyInfo (RFC 5208) around ECPrivateKey (RFC 5915) up to the private key, and from there to the point.
	privatePrefix = []byte{0x30, 0x81, 0x84, 0x02, 0x01, 0x00, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
		0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20}
	privateMiddle = []byte{0xa1, 0x44, 0x03, 0x42, 0x00}
)

// PublicKey is a point of the curve other than infinity.
type PublicKey struct {
	q     point
	bytes [pointSize]byte
}

// ErrPublicKey says that bytes are no public key of this curve.
var ErrPublicKey = errors.New("no public key of secp256k1")

// ParsePublicKey reads a SubjectPublicKeyInfo in DER with an uncompressed point.
func ParsePublicKey(der []byte) (*PublicKey, error) {
	raw, ok := bytes.CutPrefix(der, publicPrefix)
	if !ok || len(raw) != pointSize || raw[0] != 4 {
		return nil, ErrPublicKey
	}
	x, inX := elementOf(raw[1:33])
	y, inY := elementOf(raw[33:])
	if !inX || !inY || !onCurve(&x, &y) {
		return nil, ErrPublicKey
	}
	k := &PublicKey{q: point{x, y, one}}
	copy(k.bytes[:], raw)
	return k, nil
}

// DER is the SubjectPublicKeyInfo.
func (k *PublicKey) DER() []byte { return slices.Concat(publicPrefix, k.bytes[:]) }

// Verify verifies an ECDSA signature of a digest (SEC 1, section 4.1.4); signature is an ECDSA-Sig-Value in DER (RFC 3279
// section 2.2.3). Of a digest that is longer than 32 bytes the first 32 count.
func (k *PublicKey) Verify(digest, signature []byte) bool {
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &rs); err != nil || len(rest) > 0 {
		return false
	}
	// The parser overlooks what stands behind s in the sequence; crypto/ecdsa does not for the other curves.
	if strict, err := asn1.Marshal(rs); err != nil || !bytes.Equal(strict, signature) {
		return false
	}
	n := new(big.Int).SetBytes(order[:])
	if rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.Cmp(n) >= 0 || rs.S.Cmp(n) >= 0 {
		return false
	}
	w := new(big.Int).ModInverse(rs.S, n)
	u := new(big.Int).SetBytes(digest[:min(len(digest), 32)])
	v := new(big.Int).Mul(rs.R, w)
	sum := sumOf(scalar(u.Mul(u, w).Mod(u, n)), scalar(v.Mod(v, n)), &k.q)
	x, _, ok := sum.affine()
	if !ok {
		return false
	}
	var b [32]byte
	x.put(b[:])
	got := new(big.Int).SetBytes(b[:])
	return got.Mod(got, n).Cmp(rs.R) == 0
}

func scalar(n *big.Int) *element {
	var b [32]byte
	w := wordsOf(n.FillBytes(b[:]))
	return &w
}

// PrivateKey is a key pair. It prints as what it is, without its value.
type PrivateKey struct {
	secret element
	public PublicKey
}

// String keeps the key out of logs.
func (*PrivateKey) String() string { return "secp256k1 private key" }

// GoString keeps the key out of logs.
func (*PrivateKey) GoString() string { return "secp256k1 private key" }

// GenerateKey makes a key pair: the private key is uniform between 1 and the order less one.
func GenerateKey(random io.Reader) (*PrivateKey, error) {
	var b [32]byte
	defer clear(b[:])
	for {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return nil, err
		}
		k := &PrivateKey{secret: wordsOf(b[:])}
		if k.secret.isZero() || !below(k.secret, wordsOf(order[:])) {
			continue // less than once in 2^127
		}
		q := timesGenerator(&k.secret)
		x, y, _ := q.affine()
		k.public.q = point{x, y, one}
		k.public.bytes[0] = 4
		x.put(k.public.bytes[1:33])
		y.put(k.public.bytes[33:])
		return k, nil
	}
}

// Public is the public half.
func (k *PrivateKey) Public() *PublicKey { return &k.public }

// PKCS8 is the PrivateKeyInfo in DER, with the public key, as OpenSSL and Go write those of other curves. The bytes are the
// caller's, who wipes them.
func (k *PrivateKey) PKCS8() []byte {
	out := make([]byte, 0, len(privatePrefix)+32+len(privateMiddle)+pointSize)
	out = append(out, privatePrefix...)
	out = out[:len(out)+32]
	k.secret.put(out[len(privatePrefix):])
	out = append(out, privateMiddle...)
	return append(out, k.public.bytes[:]...)
}

// Wipe forgets the private key.
func (k *PrivateKey) Wipe() { k.secret = element{} }
