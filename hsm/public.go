package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
)

// PublicKey is the public half of a key pair.
type PublicKey struct {
	Kind Kind
	// Key is a *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey; nil
	// for secp256k1, ML-DSA and ML-KEM, which Go's library does not have or
	// has no public-key encoding for.
	Key crypto.PublicKey
	// Point is the uncompressed point of a Weierstrass curve: 4, x, y.
	Point []byte
	// Raw is the encoding of FIPS 204 or FIPS 203 of a key of ML-DSA or ML-KEM.
	Raw []byte
	// DER is the SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
	DER []byte
}

// PublicKey reads the public half of a key pair and checks that it is one: a
// point lies on its curve, a modulus has its size. It is read once for a login;
// what it gives is shared and must not be changed.
func (t *Token) PublicKey(ctx context.Context, ref KeyRef) (PublicKey, error) {
	const op = "C_GetAttributeValue"
	var out PublicKey
	err := t.repeat(ctx, op, func(ctx context.Context) error {
		e, err := t.core.resolve(ctx, ref, ckoPublicKey)
		if err != nil {
			return err
		}
		defer t.core.release(e)
		if known := e.public.Load(); known != nil {
			out = *known
			return nil
		}
		var attrs []Attribute
		err = t.core.with(ctx, func(s *lease) error {
			if err := e.on(s, op); err != nil {
				return err
			}
			attrs, err = t.core.attributes(ctx, s, e.object, publicAttributes(e.kind)...)
			return err
		})
		if err != nil {
			t.core.dropEntry(e)
			return err
		}
		if out, err = publicKey(e.kind, attrs); err == nil {
			e.public.Store(&out)
		}
		return err
	})
	return out, err
}

// publicAttributes are those that hold the public key of a kind.
func publicAttributes(kind Kind) []uint {
	if kinds[kind].lattice != nil {
		return []uint{ckaValue}
	}
	return []uint{ckaModulus, ckaPublicExponent, ckaECPoint}
}

func publicKey(kind Kind, attrs []Attribute) (PublicKey, error) {
	const op = "read public key"
	value := make(map[uint][]byte)
	for _, a := range attrs {
		value[a.Type] = a.Value
	}
	out := PublicKey{Kind: kind}
	switch kinds[kind].keyType {
	case ckkRSA:
		e := new(big.Int).SetBytes(value[ckaPublicExponent])
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(value[ckaModulus]), E: int(e.Int64())}
		if key.N.BitLen() != kind.Bits() || !e.IsInt64() || e.BitLen() > 31 || key.E < 3 {
			return out, failf(op, KeyInvalid, "no RSA key of %d bits", kind.Bits())
		}
		out.Key = key
	case ckkECEdwards:
		point := ecPoint(value[ckaECPoint], ed25519.PublicKeySize)
		if point == nil {
			return out, failf(op, KeyInvalid, "no Ed25519 point")
		}
		out.Key = ed25519.PublicKey(point)
	case ckkEC:
		out.Point = ecPoint(value[ckaECPoint], 1+2*((kind.Bits()+7)/8))
		if out.Point == nil {
			return out, failf(op, KeyInvalid, "no uncompressed point of %s", kind)
		}
		if kind == ECSecp256k1 {
			return secp256k1Public(out)
		}
		key, err := ecdsa.ParseUncompressedPublicKey(goCurves[kind], out.Point)
		if err != nil {
			return out, &Error{Op: op, Class: KeyInvalid, Err: err}
		}
		out.Key = key
	case ckkMLDSA, ckkMLKEM:
		return latticePublic(kind, value[ckaValue])
	default:
		return out, failf(op, KeyInvalid, "a key of another kind")
	}
	var err error
	if out.DER, err = x509.MarshalPKIXPublicKey(out.Key); err != nil {
		return out, &Error{Op: op, Class: KeyInvalid, Err: err}
	}
	return out, nil
}

var goCurves = map[Kind]elliptic.Curve{ECP256: elliptic.P256(), ECP384: elliptic.P384(), ECP521: elliptic.P521()}

// ecPoint takes a CKA_EC_POINT apart: a DER octet string as the specification
// says, the bare point, or a wrong length byte around it (tpm2-pkcs11 writes
// the length of a P-521 point as 0x85 alone).
func ecPoint(v []byte, size int) []byte {
	var inner []byte
	if rest, err := asn1.Unmarshal(v, &inner); err == nil && len(rest) == 0 && len(inner) == size {
		return inner
	}
	switch {
	case len(v) == size:
		return v
	case len(v) == size+2 && v[0] == 4:
		return v[2:]
	}
	return nil
}

var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
)

type subjectPublicKeyInfo struct {
	Algorithm struct {
		Algorithm asn1.ObjectIdentifier
		Curve     asn1.ObjectIdentifier
	}
	Key asn1.BitString
}

func secp256k1Public(out PublicKey) (PublicKey, error) {
	if !OnSecp256k1(out.Point) {
		return out, failf("read public key", KeyInvalid, "the point is not on secp256k1")
	}
	var info subjectPublicKeyInfo
	info.Algorithm.Algorithm, info.Algorithm.Curve = oidECPublicKey, oidSecp256k1
	info.Key = asn1.BitString{Bytes: bytes.Clone(out.Point), BitLength: 8 * len(out.Point)}
	der, err := asn1.Marshal(info)
	if err != nil {
		return out, fail("encode public key", err)
	}
	out.DER = der
	return out, nil
}
