package secp256k1

import (
	"encoding/binary"
	"math/bits"
)

// element is an element of the field of p = 2^256 - 2^32 - 977, in four words, the least first, always below p.
type element [4]uint64

// fold is 2^256 mod p.
const fold = 1<<32 + 977

var (
	primeBytes = [32]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xfc, 0x2f}
	one = element{1}
)

// elementOf reads 32 bytes, the greatest first; false where they are p or more.
func elementOf(b []byte) (element, bool) {
	e := wordsOf(b)
	return e, below(e, wordsOf(primeBytes[:]))
}

func wordsOf(b []byte) element {
	return element{binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b)}
}

// below tells whether a < b, in the same time for all values.
func below(a, b element) bool {
	var borrow uint64
	for i := range a {
		_, borrow = bits.Sub64(a[i], b[i], borrow)
	}
	return borrow == 1
}

func (e *element) put(b []byte) {
	for i, w := range e {
		binary.BigEndian.PutUint64(b[24-8*i:], w)
	}
}

func (e *element) isZero() bool { return e[0]|e[1]|e[2]|e[3] == 0 }

// choose gives a where take is 1 and b where it is 0.
func choose(take uint64, a, b *element) element {
	mask := -take
	var out element
	for i := range out {
		out[i] = b[i] ^ mask&(a[i]^b[i])
	}
	return out
}

// reduced brings a value of 256 bits and a carry (together below 2p) below p.
func reduced(s element, carry uint64) element {
	var t element
	var over uint64
	t[0], over = bits.Add64(s[0], fold, 0)
	for i := 1; i < 4; i++ {
		t[i], over = bits.Add64(s[i], 0, over)
	}
	return choose(carry|over, &t, &s)
}

func add(a, b *element) element {
	var s element
	var carry uint64
	for i := range s {
		s[i], carry = bits.Add64(a[i], b[i], carry)
	}
	return reduced(s, carry)
}

func sub(a, b *element) element {
	var d, t element
	var borrow, under uint64
	for i := range d {
		d[i], borrow = bits.Sub64(a[i], b[i], borrow)
	}
	t[0], under = bits.Sub64(d[0], fold, 0)
	for i := 1; i < 4; i++ {
		t[i], under = bits.Sub64(d[i], 0, under)
	}
	return choose(borrow, &t, &d)
}

// mul multiplies: the product in eight words, row by row, then its upper half folded down twice.
func mul(a, b *element) element {
	var p [8]uint64
	p[4], p[3], p[2], p[1], p[0] = row(a[0], b, 0, 0, 0, 0)
	p[5], p[4], p[3], p[2], p[1] = row(a[1], b, p[4], p[3], p[2], p[1])
	p[6], p[5], p[4], p[3], p[2] = row(a[2], b, p[5], p[4], p[3], p[2])
	p[7], p[6], p[5], p[4], p[3] = row(a[3], b, p[6], p[5], p[4], p[3])

	upper := element{p[4], p[5], p[6], p[7]}
	var s element
	var over uint64
	over, s[3], s[2], s[1], s[0] = row(fold, &upper, p[3], p[2], p[1], p[0])
	// over is below 2^34: what is left above 2^256 afterwards is at most a carry of one.
	hi, lo := bits.Mul64(over, fold)
	var c uint64
	s[0], c = bits.Add64(s[0], lo, 0)
	s[1], c = bits.Add64(s[1], hi, c)
	s[2], c = bits.Add64(s[2], 0, c)
	s[3], c = bits.Add64(s[3], 0, c)
	return reduced(s, c)
}

// row is x·b plus the words s3 to s0.
func row(x uint64, b *element, s3, s2, s1, s0 uint64) (r4, r3, r2, r1, r0 uint64) {
	h0, l0 := bits.Mul64(x, b[0])
	h1, l1 := bits.Mul64(x, b[1])
	h2, l2 := bits.Mul64(x, b[2])
	h3, l3 := bits.Mul64(x, b[3])
	var c uint64
	l1, c = bits.Add64(l1, h0, 0)
	l2, c = bits.Add64(l2, h1, c)
	l3, c = bits.Add64(l3, h2, c)
	h3 += c
	r0, c = bits.Add64(l0, s0, 0)
	r1, c = bits.Add64(l1, s1, c)
	r2, c = bits.Add64(l2, s2, c)
	r3, c = bits.Add64(l3, s3, c)
	return h3 + c, r3, r2, r1, r0
}

// inverse is a^(p-2): 0 for 0.
func inverse(a *element) element {
	exponent := wordsOf(primeBytes[:])
	exponent[0] -= 2
	out := one
	for i := 255; i >= 0; i-- {
		out = mul(&out, &out)
		if exponent[i/64]>>(i%64)&1 == 1 { // the exponent is no secret
			out = mul(&out, a)
		}
	}
	return out
}
