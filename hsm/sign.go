package hsm

import (
	"context"
	"crypto"
	"encoding/asn1"
	"math/big"
)

// Scheme is a way of signing.
type Scheme uint8

// The schemes.
const (
	NoScheme    Scheme = iota
	SignPKCS1          // RSASSA-PKCS1-v1_5 on a digest
	SignPSS            // RSASSA-PSS on a digest, MGF1 and salt of the same digest
	SignECDSA          // ECDSA on a digest
	SignEd25519        // Ed25519 on the message itself
	// SignEd25519ph is Ed25519ph (RFC 8032 section 5.1) on the message itself,
	// whose SHA-512 the token makes, with an empty context.
	SignEd25519ph
	// SignMLDSA is ML-DSA (FIPS 204 algorithm 2) on the message itself, with an
	// empty context; the token adds randomness.
	SignMLDSA
)

// schemeKeys is the type of keys that sign by a scheme.
var schemeKeys = map[Scheme]uint{SignPKCS1: ckkRSA, SignPSS: ckkRSA, SignECDSA: ckkEC, SignEd25519: ckkECEdwards,
	SignEd25519ph: ckkECEdwards, SignMLDSA: ckkMLDSA}

// Signing says how to sign.
type Signing struct {
	Scheme Scheme
	Hash   crypto.Hash // that made the digest; 0 for the schemes that take a message
}

// hashRow is what PKCS#11 and PKCS#1 call a hash.
type hashRow struct {
	mech   uint   // CKM_SHA…
	mgf    uint   // CKG_MGF1_SHA…
	hmac   uint   // CKM_SHA…_HMAC
	prefix []byte // DigestInfo before the digest (RFC 8017 section 9.2, note 1)
}

func digestInfo(oid byte, size byte) []byte {
	return []byte{0x30, 17 + size, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, oid, 0x05, 0x00, 0x04, size}
}

var hashes = map[crypto.Hash]hashRow{
	crypto.SHA1: {ckmSHA1, ckgMGF1SHA1, 0,
		[]byte{0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14}},
	crypto.SHA224: {ckmSHA224, ckgMGF1SHA224, ckmSHA224HMAC, digestInfo(4, 28)},
	crypto.SHA256: {ckmSHA256, ckgMGF1SHA256, ckmSHA256HMAC, digestInfo(1, 32)},
	crypto.SHA384: {ckmSHA384, ckgMGF1SHA384, ckmSHA384HMAC, digestInfo(2, 48)},
	crypto.SHA512: {ckmSHA512, ckgMGF1SHA512, ckmSHA512HMAC, digestInfo(3, 64)},
}

// maxSignature is the longest signature that a scheme makes: of RSA-4096 or of
// ML-DSA-87.
func (s Scheme) maxSignature() int {
	if s == SignMLDSA {
		return kinds[MLDSA87].lattice.output
	}
	return 512
}

// MaxMessage bounds what Ed25519 and ML-DSA sign and what MACs are made of.
const MaxMessage = 64 << 10

// Sign signs with the private half of a key pair. For PKCS#1, PSS and ECDSA
// data is the digest; Ed25519 and ML-DSA sign data itself. An ECDSA signature is r and s,
// each as long as the curve's order; [ECDSASignatureDER] makes the form of
// X9.62 of it.
func (t *Token) Sign(ctx context.Context, ref KeyRef, how Signing, data []byte) ([]byte, error) {
	const op = "C_Sign"
	if err := t.usable(op); err != nil {
		return nil, err
	}
	mech, param, err := how.mechanism(data)
	if err != nil {
		return nil, err
	}
	// A module that overlooks the parameter would sign by another scheme.
	if can, err := t.CanSign(ctx, how.Scheme); err != nil || !can {
		return nil, cannotSign(err)
	}
	if how.Scheme == SignPKCS1 {
		data = append(append([]byte(nil), hashes[how.Hash].prefix...), data...)
	}
	h := newHotCall(hotSign, mech, schemeKeys[how.Scheme], nil, nil, data, how.Scheme.maxSignature())
	defer h.release()
	h.mech.Param = param
	if err := t.core.hot(ctx, t.core.heavy, ref, ckoPrivateKey, h); err != nil {
		return nil, err
	}
	return append([]byte(nil), h.out[:h.n]...), nil
}

func cannotSign(err error) error {
	if err == nil {
		err = failf("C_Sign", Unsupported, "the token does not make such signatures")
	}
	return err
}

// mechanism is the CKM and its parameters; it refuses data of a wrong length.
func (how Signing) mechanism(data []byte) (mech uint, param []byte, err error) {
	const op = "C_Sign"
	if m, ok := messageSchemes[how.Scheme]; ok {
		if len(data) > MaxMessage {
			return 0, nil, failf(op, BadInput, "a message of %d bytes is too long", len(data))
		}
		return m.Type, m.Param, nil
	}
	row, ok := hashes[how.Hash]
	if !ok {
		return 0, nil, failf(op, BadInput, "no such hash: %d", how.Hash)
	}
	size := how.Hash.Size()
	if len(data) != size {
		return 0, nil, failf(op, BadInput, "a digest of %d bytes is not of %s", len(data), how.Hash)
	}
	switch how.Scheme {
	case SignPKCS1:
		return ckmRSAPKCS, nil, nil
	case SignPSS:
		return ckmRSAPSS, encodeUlong(row.mech, row.mgf, uint(size)), nil //nolint:gosec // a digest's length
	case SignECDSA:
		return ckmECDSA, nil, nil
	}
	return 0, nil, failf(op, BadInput, "no such scheme: %d", how.Scheme)
}

// messageSchemes are the mechanisms of the schemes that hash by themselves.
// CKM_ML_DSA without a parameter is hedged, with an empty context (PKCS#11 3.2).
var messageSchemes = map[Scheme]Mechanism{
	SignEd25519:   {Type: ckmEdDSA},
	SignEd25519ph: {Type: ckmEdDSA, Param: eddsaPrehash()},
	SignMLDSA:     {Type: ckmMLDSA},
}

// eddsaPrehash is a CK_EDDSA_PARAMS (PKCS#11 3.0 section 2.3.14): phFlag, a byte
// that is aligned to the length of an empty context, and its null pointer.
func eddsaPrehash() []byte {
	p := make([]byte, 3*ulongSize)
	p[0] = 1
	return p
}

// ECDSASignatureDER encodes r and s, as tokens give them, as the ECDSA-Sig-Value
// of RFC 3279 section 2.2.3.
func ECDSASignatureDER(rs []byte) ([]byte, error) {
	if len(rs) == 0 || len(rs)%2 != 0 {
		return nil, failf("encode signature", BadInput, "%d bytes are not r and s", len(rs))
	}
	half := len(rs) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(rs[:half]), new(big.Int).SetBytes(rs[half:])})
}

// MAC authenticates data with an HMAC key, in one call.
func (t *Token) MAC(ctx context.Context, ref KeyRef, hash crypto.Hash, data []byte) ([]byte, error) {
	const op = "C_Sign"
	if err := t.usable(op); err != nil {
		return nil, err
	}
	row := hashes[hash]
	if row.hmac == 0 || len(data) > MaxMessage {
		return nil, failf(op, BadInput, "no HMAC of hash %d on %d bytes", hash, len(data))
	}
	h := newHotCall(hotSign, row.hmac, ckkGenericSecret, nil, nil, data, hash.Size())
	defer h.release()
	if err := t.core.hot(ctx, t.core.light, ref, ckoSecretKey, h); err != nil {
		return nil, err
	}
	if h.n != hash.Size() {
		return nil, failf(op, Internal, "a MAC of %d bytes", h.n)
	}
	return append([]byte(nil), h.out[:h.n]...), nil
}
