package hsm

import (
	"crypto/subtle"
	"math/big"
)

// The curve secp256k1 (SEC 2, section 2.4.1), which Go's library does not have.
// Everything here works on public values only, so time that depends on them
// tells nobody anything.
var (
	k1P  = fromHex("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f")
	k1N  = fromHex("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	k1Gx = fromHex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
	k1Gy = fromHex("483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8")
)

func fromHex(s string) *big.Int {
	n, _ := new(big.Int).SetString(s, 16) // the constants above are sound
	return n
}

// k1Point is a point in affine coordinates; x nil is the point at infinity.
type k1Point struct{ x, y *big.Int }

// OnSecp256k1 reports whether an uncompressed point lies on secp256k1.
func OnSecp256k1(point []byte) bool {
	_, ok := parseK1(point)
	return ok
}

func parseK1(point []byte) (k1Point, bool) {
	if len(point) != 65 || point[0] != 4 {
		return k1Point{}, false
	}
	p := k1Point{new(big.Int).SetBytes(point[1:33]), new(big.Int).SetBytes(point[33:])}
	if p.x.Cmp(k1P) >= 0 || p.y.Cmp(k1P) >= 0 {
		return k1Point{}, false
	}
	left := new(big.Int).Mul(p.y, p.y)
	right := new(big.Int).Mul(p.x, p.x)
	right.Mul(right, p.x).Add(right, big.NewInt(7))
	return p, left.Sub(left, right).Mod(left, k1P).Sign() == 0
}

// VerifySecp256k1 verifies an ECDSA signature, r and s of 32 bytes each, of a
// digest with an uncompressed public point (SEC 1, section 4.1.4).
func VerifySecp256k1(point, digest, rs []byte) bool {
	q, ok := parseK1(point)
	if !ok || len(rs) != 64 {
		return false
	}
	r, s := new(big.Int).SetBytes(rs[:32]), new(big.Int).SetBytes(rs[32:])
	if r.Sign() == 0 || s.Sign() == 0 || r.Cmp(k1N) >= 0 || s.Cmp(k1N) >= 0 {
		return false
	}
	e := new(big.Int).SetBytes(digest[:min(len(digest), 32)])
	w := new(big.Int).ModInverse(s, k1N)
	u1, u2 := e.Mul(e, w), new(big.Int).Mul(r, w)
	sum := k1Mul(k1Point{k1Gx, k1Gy}, u1.Mod(u1, k1N)).add(k1Mul(q, u2.Mod(u2, k1N)))
	if sum.x == nil {
		return false
	}
	var got, want [32]byte
	new(big.Int).Mod(sum.x, k1N).FillBytes(got[:])
	r.FillBytes(want[:])
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

func (a k1Point) add(b k1Point) k1Point {
	switch {
	case a.x == nil:
		return b
	case b.x == nil:
		return a
	}
	var slope *big.Int
	if a.x.Cmp(b.x) == 0 {
		if new(big.Int).Add(a.y, b.y).Cmp(k1P) == 0 || a.y.Sign() == 0 {
			return k1Point{}
		}
		slope = new(big.Int).Mul(a.x, a.x)
		slope.Mul(slope, big.NewInt(3))
		slope.Mul(slope, new(big.Int).ModInverse(new(big.Int).Lsh(a.y, 1), k1P))
	} else {
		dx := new(big.Int).Sub(b.x, a.x)
		slope = new(big.Int).Sub(b.y, a.y)
		slope.Mul(slope, dx.ModInverse(dx.Mod(dx, k1P), k1P))
	}
	slope.Mod(slope, k1P)
	x := new(big.Int).Mul(slope, slope)
	x.Sub(x, a.x).Sub(x, b.x).Mod(x, k1P)
	y := new(big.Int).Sub(a.x, x)
	y.Mul(y, slope).Sub(y, a.y).Mod(y, k1P)
	return k1Point{x, y}
}

func k1Mul(p k1Point, n *big.Int) k1Point {
	var out k1Point
	for i := n.BitLen() - 1; i >= 0; i-- {
		out = out.add(out)
		if n.Bit(i) == 1 {
			out = out.add(p)
		}
	}
	return out
}
