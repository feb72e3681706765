package secp256k1

// point is a point of y² = x³ + 7 in projective coordinates; z = 0 is the point at infinity.
type point struct{ x, y, z element }

var (
	infinity  = point{y: one}
	generator = point{
		x: element{0x59f2815b16f81798, 0x029bfcdb2dce28d9, 0x55a06295ce870b07, 0x79be667ef9dcbbac},
		y: element{0x9c47d08ffb10d4b8, 0xfd17b448a6855419, 0x5da4fbfc0e1108a8, 0x483ada7726a3c465},
		z: one,
	}
	seven = element{7}
	b3    = element{21}
)

// plus adds any two points. The formulas are complete: Renes, Costello and Batina, "Complete addition formulas for prime
// order elliptic curves" (2016), for curves with a = 0.
func (p *point) plus(q *point) point {
	xx, yy, zz := mul(&p.x, &q.x), mul(&p.y, &q.y), mul(&p.z, &q.z)
	cross := func(a, b, c, d, ac, bd *element) element { // a·d + b·c, of the products a·c and b·d
		left, right := add(a, b), add(c, d)
		out := mul(&left, &right)
		both := add(ac, bd)
		return sub(&out, &both)
	}
	xy := cross(&p.x, &p.y, &q.x, &q.y, &xx, &yy)
	yz := cross(&p.y, &p.z, &q.y, &q.z, &yy, &zz)
	xz := cross(&p.x, &p.z, &q.x, &q.z, &xx, &zz)
	xx3 := add(&xx, &xx)
	xx3 = add(&xx3, &xx)
	zzb := mul(&b3, &zz)
	xzb := mul(&b3, &xz)
	up, down := add(&yy, &zzb), sub(&yy, &zzb)

	a, b := mul(&xy, &down), mul(&yz, &xzb)
	c, d := mul(&down, &up), mul(&xzb, &xx3)
	e, f := mul(&yz, &up), mul(&xx3, &xy)
	return point{x: sub(&a, &b), y: add(&c, &d), z: add(&e, &f)}
}

// twice doubles any point, by the formulas of the same paper.
func (p *point) twice() point {
	yy, yz, zz, xy := mul(&p.y, &p.y), mul(&p.y, &p.z), mul(&p.z, &p.z), mul(&p.x, &p.y)
	yy8 := add(&yy, &yy)
	yy8 = add(&yy8, &yy8)
	yy8 = add(&yy8, &yy8)
	zzb := mul(&b3, &zz)
	zzb3 := add(&zzb, &zzb)
	zzb3 = add(&zzb3, &zzb)
	up, down := add(&yy, &zzb), sub(&yy, &zzb3)

	x := mul(&down, &xy)
	a, b := mul(&zzb, &yy8), mul(&down, &up)
	return point{x: add(&x, &x), y: add(&a, &b), z: mul(&yz, &yy8)}
}

func selectPoint(take uint64, a, b *point) point {
	return point{choose(take, &a.x, &b.x), choose(take, &a.y, &b.y), choose(take, &a.z, &b.z)}
}

// affine gives x and y; false for the point at infinity.
func (p *point) affine() (x, y element, ok bool) {
	if p.z.isZero() {
		return x, y, false
	}
	inv := inverse(&p.z)
	return mul(&p.x, &inv), mul(&p.y, &inv), true
}

func onCurve(x, y *element) bool {
	left := mul(y, y)
	right := mul(x, x)
	right = mul(&right, x)
	right = add(&right, &seven)
	return left == right
}

// timesGenerator is k·G for a secret k: an addition at every bit, taken or not.
func timesGenerator(k *element) point {
	out := infinity
	for i := 255; i >= 0; i-- {
		out = out.twice()
		sum := out.plus(&generator)
		out = selectPoint(k[i/64]>>(i%64)&1, &sum, &out)
	}
	return out
}

// sumOf is u·G + v·Q for public values.
func sumOf(u, v *element, q *point) point {
	both := generator.plus(q)
	out := infinity
	for i := 255; i >= 0; i-- {
		out = out.twice()
		switch u[i/64]>>(i%64)&1 | v[i/64]>>(i%64)&1<<1 {
		case 1:
			out = out.plus(&generator)
		case 2:
			out = out.plus(q)
		case 3:
			out = out.plus(&both)
		}
	}
	return out
}
