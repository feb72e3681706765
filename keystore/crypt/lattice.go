package crypt

import (
	"crypto"
	"encoding/asn1"
	"fmt"

	"filippo.io/mldsa"

	"github.com/strongroom/strongroom/keystore"
)

// lattice is how the public key of a spec of ML-DSA or ML-KEM looks outside: the algorithm's identifier, which has no
// parameters, and the length of the key (RFC 9881 sections 2 and 4, RFC 9935 sections 3 and 4).
type lattice struct {
	oid  asn1.ObjectIdentifier
	size int
	dsa  mldsa.Parameters // of an ML-DSA spec
}

var lattices = map[keystore.Spec]lattice{
	keystore.MLDSA44:   {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}, 1312, mldsa.MLDSA44()},
	keystore.MLDSA65:   {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}, 1952, mldsa.MLDSA65()},
	keystore.MLDSA87:   {asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}, 2592, mldsa.MLDSA87()},
	keystore.MLKEM512:  {oid: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 1}, size: 800},
	keystore.MLKEM768:  {oid: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}, size: 1184},
	keystore.MLKEM1024: {oid: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 3}, size: 1568},
}

// parse reads a SubjectPublicKeyInfo.
func (l lattice) parse(der []byte) (crypto.PublicKey, error) {
	var info struct {
		Algorithm struct{ OID asn1.ObjectIdentifier }
		Key       asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &info)
	if err != nil {
		return nil, err
	}
	key := info.Key.RightAlign()
	if len(rest) != 0 || !info.Algorithm.OID.Equal(l.oid) || info.Key.BitLength != 8*l.size {
		return nil, fmt.Errorf("a public key of algorithm %v with %d bits", info.Algorithm.OID, info.Key.BitLength)
	}
	if l.dsa.PublicKeySize() == 0 {
		return key, nil
	}
	return mldsa.NewPublicKey(l.dsa, key)
}
