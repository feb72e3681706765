package hsm

import "encoding/asn1"

// latticeRow is what a parameter set of ML-DSA (FIPS 204) or ML-KEM (FIPS 203)
// is to PKCS#11 3.2, and how long its things are.
type latticeRow struct {
	kind   Kind
	set    uint                  // CKA_PARAMETER_SET
	oid    asn1.ObjectIdentifier // of the SubjectPublicKeyInfo: RFC 9881 and RFC 9935, without parameters
	public int                   // bytes of a public key, which is CKA_VALUE
	output int                   // bytes of a signature or of a ciphertext
}

var latticeRows = [...]latticeRow{
	{MLDSA44, ckpMLDSA44, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}, 1312, 2420},
	{MLDSA65, ckpMLDSA65, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}, 1952, 3309},
	{MLDSA87, ckpMLDSA87, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}, 2592, 4627},
	{MLKEM512, ckpMLKEM512, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 1}, 800, 768},
	{MLKEM768, ckpMLKEM768, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}, 1184, 1088},
	{MLKEM1024, ckpMLKEM1024, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 3}, 1568, 1568},
}

// latticeKind tells a kind by key type and parameter set; NoKind for any other
// type of keys.
func latticeKind(keyType, set uint) Kind {
	for _, row := range latticeRows {
		if kinds[row.kind].keyType == keyType && row.set == set {
			return row.kind
		}
	}
	return NoKind
}

// latticePublic makes a PublicKey of a CKA_VALUE. Every string of the right
// length is a key of ML-DSA; of ML-KEM the numbers must be below the modulus
// (FIPS 203 section 7.2).
func latticePublic(kind Kind, value []byte) (PublicKey, error) {
	const op = "read public key"
	row := kinds[kind].lattice
	out := PublicKey{Kind: kind, Raw: append([]byte(nil), value...)}
	if len(value) != row.public || kinds[kind].keyType == ckkMLKEM && !belowModulus(value[:row.public-32]) {
		return out, failf(op, KeyInvalid, "%d bytes are no public key of %s", len(value), kind)
	}
	info := struct {
		Algorithm struct{ OID asn1.ObjectIdentifier }
		Key       asn1.BitString
	}{Key: asn1.BitString{Bytes: out.Raw, BitLength: 8 * len(out.Raw)}}
	info.Algorithm.OID = row.oid
	var err error
	if out.DER, err = asn1.Marshal(info); err != nil {
		return out, fail(op, err)
	}
	return out, nil
}

// belowModulus tells whether all numbers of twelve bits are below ML-KEM's q.
func belowModulus(packed []byte) bool {
	const q = 3329
	for i := 0; i+2 < len(packed); i += 3 {
		a := uint16(packed[i]) | uint16(packed[i+1]&0x0f)<<8
		b := uint16(packed[i+1]>>4) | uint16(packed[i+2])<<4
		if a >= q || b >= q {
			return false
		}
	}
	return true
}
