package hsm

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
)

// ImportSecret puts a symmetric key's value on the token (C_CreateObject). The
// value must have the length of the kind. What the token made of it is read
// back as by [Token.Generate].
func (t *Token) ImportSecret(ctx context.Context, order Template, value []byte) (Object, error) {
	const op = "C_CreateObject"
	if err := order.check(op); err != nil {
		return Object{}, err
	}
	if !order.Kind.Symmetric() || len(value)*8 != order.Kind.Bits() {
		return Object{}, failf(op, BadInput, "%d bytes are no key of kind %s", len(value), order.Kind)
	}
	var made Object
	err := t.makeAgain(ctx, op, order.KeyRef, func(ctx context.Context, s *lease) error {
		h, err := t.core.create(ctx, s, func(all bool) []Attribute {
			return append(append(keyAttrs(order, ckoSecretKey, all, ^Usage(0)), hiddenAttrs(order)...), bytesAttr(ckaValue, value))
		})
		if err != nil {
			return err
		}
		made, err = t.core.confirm(ctx, s, op, order, ckoSecretKey, h)
		return err
	})
	return made, err
}

// ImportPrivate puts a private key and its public half on the token. The key is
// a PKCS#8 PrivateKeyInfo (RFC 5208) of the kind that is ordered; whether the
// two halves fit is checked before.
func (t *Token) ImportPrivate(ctx context.Context, order Template, pkcs8 []byte) (Pair, error) {
	const op = "C_CreateObject"
	if err := order.check(op); err != nil {
		return Pair{}, err
	}
	key, err := parsePrivate(pkcs8)
	if err != nil {
		return Pair{}, err
	}
	defer key.wipe()
	if key.kind != order.Kind {
		return Pair{}, failf(op, BadInput, "the key is of kind %s, not %s", key.kind, order.Kind)
	}
	var made Pair
	err = t.makeAgain(ctx, op, order.KeyRef, func(ctx context.Context, s *lease) error {
		var h pairHandles
		var err error
		if h.priv, err = t.core.create(ctx, s, func(all bool) []Attribute {
			return append(append(keyAttrs(order, ckoPrivateKey, all, privateUses), hiddenAttrs(order)...), key.private...)
		}); err != nil {
			return err
		}
		if h.pub, err = t.core.create(ctx, s, func(all bool) []Attribute {
			return append(append(keyAttrs(order, ckoPublicKey, all, publicUses), boolAttr(ckaPrivate, false)), key.public...)
		}); err != nil {
			return joinRemoval(err, do(ctx, t.core, s, "C_DestroyObject", func(raw Session) error { return raw.DestroyObject(h.priv) }))
		}
		made, err = t.core.confirmPair(ctx, s, op, order, h)
		return err
	})
	return made, err
}

func (c *core) create(ctx context.Context, s *lease, template func(all bool) []Attribute) (Handle, error) {
	// Copies: a call that is given up may still read them when their owner has
	// wiped his, and would make a key of zeros.
	full, short := cloneValues(template(true)), cloneValues(template(false))
	wipe := func() { clearValues(full); clearValues(short) }
	h, err := call(ctx, c, s, "C_CreateObject", func(raw Session) (Handle, error) {
		defer wipe()
		h, err := raw.CreateObject(full)
		if refusesTemplate(err) {
			h, err = raw.CreateObject(short)
		}
		return h, err
	})
	if !s.hanging() { // the call may not have been made at all
		wipe()
	}
	return h, err
}

func cloneValues(attrs []Attribute) []Attribute {
	out := make([]Attribute, len(attrs))
	for i, a := range attrs {
		out[i] = Attribute{Type: a.Type, Value: bytes.Clone(a.Value)}
	}
	return out
}

func clearValues(attrs []Attribute) {
	for _, a := range attrs {
		clear(a.Value)
	}
}

// privateKey is a private key as PKCS#11 attributes.
type privateKey struct {
	kind            Kind
	private, public []Attribute
}

func (k privateKey) wipe() {
	for _, a := range k.private {
		if a.Type != ckaECParams {
			clear(a.Value)
		}
	}
}

// parsePrivate reads a PKCS#8 key of any kind that is in the table.
func parsePrivate(der []byte) (privateKey, error) {
	const op = "parse private key"
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if k, ok := parseSecp256k1(der); ok {
			return k, nil
		}
		// The parser's own words are not passed on: they may speak of the key.
		return privateKey{}, failf(op, BadInput, "no PKCS#8 private key of a kind that is known")
	}
	var out privateKey
	switch k := key.(type) {
	case *rsa.PrivateKey:
		out, err = rsaAttrs(k)
	case *ecdsa.PrivateKey:
		out, err = ecAttrs(k)
	case ed25519.PrivateKey:
		pub, _ := k.Public().(ed25519.PublicKey) // by its documentation
		out = curveAttrs(Ed25519, k.Seed(), pub)
	}
	if err != nil || out.kind == NoKind {
		return privateKey{}, failf(op, BadInput, "no private key of a kind that is known")
	}
	return out, nil
}

func rsaAttrs(k *rsa.PrivateKey) (privateKey, error) {
	if len(k.Primes) != 2 {
		return privateKey{}, nil
	}
	if err := k.Validate(); err != nil {
		return privateKey{}, err
	}
	k.Precompute()
	n, e := k.N.Bytes(), big.NewInt(int64(k.E)).Bytes()
	return privateKey{
		kind: kindOf(ckkRSA, k.N.BitLen(), nil),
		private: []Attribute{
			bytesAttr(ckaModulus, n), bytesAttr(ckaPublicExponent, e), bytesAttr(ckaPrivateExp, k.D.Bytes()),
			bytesAttr(ckaPrime1, k.Primes[0].Bytes()), bytesAttr(ckaPrime2, k.Primes[1].Bytes()),
			bytesAttr(ckaExponent1, k.Precomputed.Dp.Bytes()), bytesAttr(ckaExponent2, k.Precomputed.Dq.Bytes()),
			bytesAttr(ckaCoefficient, k.Precomputed.Qinv.Bytes()),
		},
		public: []Attribute{
			bytesAttr(ckaModulus, append([]byte(nil), n...)), bytesAttr(ckaPublicExponent, append([]byte(nil), e...)),
		},
	}, nil
}

func ecAttrs(k *ecdsa.PrivateKey) (privateKey, error) {
	for kind, curve := range goCurves {
		if k.Curve != curve {
			continue
		}
		d, err := k.Bytes()
		if err != nil {
			return privateKey{}, err
		}
		point, err := k.PublicKey.Bytes()
		if err != nil {
			return privateKey{}, err
		}
		return curveAttrs(kind, d, point), nil
	}
	return privateKey{}, nil
}

// curveAttrs are the attributes of a key on a curve. The point is wrapped in a
// DER octet string (PKCS#11 3.0 section 2.3.3).
func curveAttrs(kind Kind, d, point []byte) privateKey {
	params := kinds[kind].params
	wrapped, _ := asn1.Marshal(point) // bytes always marshal
	return privateKey{
		kind:    kind,
		private: []Attribute{bytesAttr(ckaECParams, params), bytesAttr(ckaValue, d)},
		public:  []Attribute{bytesAttr(ckaECParams, params), bytesAttr(ckaECPoint, wrapped)},
	}
}

// parseSecp256k1 reads a PKCS#8 key on secp256k1 (RFC 5915 inside), which Go's
// library does not know. The public half is made of the private one.
func parseSecp256k1(der []byte) (privateKey, bool) {
	var info struct {
		Version   int
		Algorithm struct{ Algorithm, Curve asn1.ObjectIdentifier }
		Key       []byte
		Rest      asn1.RawValue `asn1:"optional,tag:0"`
	}
	var inner struct {
		Version int
		D       []byte
		Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
		Public  asn1.BitString        `asn1:"optional,explicit,tag:1"`
	}
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) != 0 ||
		!info.Algorithm.Algorithm.Equal(oidECPublicKey) || !info.Algorithm.Curve.Equal(oidSecp256k1) {
		return privateKey{}, false
	}
	if rest, err := asn1.Unmarshal(info.Key, &inner); err != nil || len(rest) != 0 || len(inner.D) != 32 {
		return privateKey{}, false
	}
	d := new(big.Int).SetBytes(inner.D)
	if d.Sign() == 0 || d.Cmp(k1N) >= 0 {
		return privateKey{}, false
	}
	p := k1Mul(k1Point{k1Gx, k1Gy}, d)
	point := make([]byte, 65)
	point[0] = 4
	p.x.FillBytes(point[1:33])
	p.y.FillBytes(point[33:])
	if inner.Public.BitLength != 0 && string(inner.Public.Bytes) != string(point) {
		return privateKey{}, false
	}
	return curveAttrs(ECSecp256k1, inner.D, point), true
}

// ImportPublic puts the public half of a pair on the token, from a
// SubjectPublicKeyInfo as [PublicKey] has it.
func (t *Token) ImportPublic(ctx context.Context, order Template, der []byte) (Object, error) {
	const op = "C_CreateObject"
	if err := order.check(op); err != nil {
		return Object{}, err
	}
	attrs, err := publicAttrs(order.Kind, der)
	if err != nil {
		return Object{}, err
	}
	var made Object
	err = t.repeat(ctx, op, func(ctx context.Context) error {
		return t.core.manage(ctx, func(s *lease) error {
			h, err := t.core.create(ctx, s, func(all bool) []Attribute {
				return append(append(keyAttrs(order, ckoPublicKey, all, publicUses), boolAttr(ckaPrivate, false)), attrs...)
			})
			if err != nil {
				return err
			}
			made, err = t.core.confirm(ctx, s, op, order, ckoPublicKey, h)
			return err
		})
	})
	return made, err
}

func publicAttrs(kind Kind, der []byte) ([]Attribute, error) {
	bad := failf("parse public key", BadInput, "no SubjectPublicKeyInfo of a key of kind %s", kind)
	if kind == ECSecp256k1 {
		var info subjectPublicKeyInfo
		rest, err := asn1.Unmarshal(der, &info)
		if err != nil || len(rest) != 0 || !info.Algorithm.Curve.Equal(oidSecp256k1) || !OnSecp256k1(info.Key.Bytes) {
			return nil, bad
		}
		return curveAttrs(kind, nil, info.Key.Bytes).public, nil
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, bad
	}
	switch k := key.(type) {
	case *rsa.PublicKey:
		if kindOf(ckkRSA, k.N.BitLen(), nil) == kind {
			return []Attribute{bytesAttr(ckaModulus, k.N.Bytes()),
				bytesAttr(ckaPublicExponent, big.NewInt(int64(k.E)).Bytes())}, nil
		}
	case *ecdsa.PublicKey:
		if goCurves[kind] == k.Curve {
			point, err := k.Bytes()
			return curveAttrs(kind, nil, point).public, err
		}
	case ed25519.PublicKey:
		if kind == Ed25519 {
			return curveAttrs(kind, nil, k).public, nil
		}
	}
	return nil, bad
}
