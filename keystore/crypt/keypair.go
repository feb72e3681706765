package crypt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"math/big"
	"slices"

	"github.com/cloudflare/circl/kem/mlkem/mlkem512"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/secp256k1"
)

// keyPair is a key pair in DER: SubjectPublicKeyInfo and PKCS #8 PrivateKeyInfo.
type keyPair struct{ public, private []byte }

// pairMaker makes a key pair. What it leaves in memory besides the answer is wiped where Go's library lets it be.
type pairMaker func(random io.Reader) (*keyPair, error)

// pairMakers has the KeyPairSpecs that can be made (API reference, GenerateDataKeyPair.KeyPairSpec). There is no SM2 outside of
// AWS's China Regions.
var pairMakers = map[keystore.Spec]pairMaker{
	keystore.RSA2048:      rsaPair(2048),
	keystore.RSA3072:      rsaPair(3072),
	keystore.RSA4096:      rsaPair(4096),
	keystore.ECCP256:      ecPair(elliptic.P256()),
	keystore.ECCP384:      ecPair(elliptic.P384()),
	keystore.ECCP521:      ecPair(elliptic.P521()),
	keystore.ECCSecp256k1: secp256k1Pair,
	keystore.ECCEd25519:   ed25519Pair,
	keystore.MLKEM512:     mlkem512Pair,
	keystore.MLKEM768:     mlkem768Pair,
	keystore.MLKEM1024:    mlkem1024Pair,
}

func rsaPair(bits int) pairMaker {
	return func(random io.Reader) (*keyPair, error) {
		key, err := rsa.GenerateKey(random, bits)
		if err != nil {
			return nil, err
		}
		defer wipe(append(key.Primes, key.D, key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv)...)
		return encodePair(key, key.Public())
	}
}

func ecPair(curve elliptic.Curve) pairMaker {
	return func(random io.Reader) (*keyPair, error) {
		key, err := ecdsa.GenerateKey(curve, random)
		if err != nil {
			return nil, err
		}
		return encodePair(key, key.Public())
	}
}

func ed25519Pair(random io.Reader) (*keyPair, error) {
	public, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, err
	}
	defer clear(private)
	return encodePair(private, public)
}

func secp256k1Pair(random io.Reader) (*keyPair, error) {
	key, err := secp256k1.GenerateKey(random)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	return &keyPair{public: key.Public().DER(), private: key.PKCS8()}, nil
}

func encodePair(private, public any) (*keyPair, error) {
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	return &keyPair{spki, pkcs8}, nil
}

func wipe(numbers ...*big.Int) {
	for _, n := range numbers {
		if n != nil {
			clear(n.Bits())
		}
	}
}

// What stands before the variable parts of ML-KEM keys in DER (RFC 9935): the public key, and the seed form of the private one.
var (
	mlkem512Public   = []byte{0x30, 0x82, 0x03, 0x32, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x01, 0x03, 0x82, 0x03, 0x21, 0x00}
	mlkem768Public   = []byte{0x30, 0x82, 0x04, 0xb2, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x02, 0x03, 0x82, 0x04, 0xa1, 0x00}
	mlkem1024Public  = []byte{0x30, 0x82, 0x06, 0x32, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x03, 0x03, 0x82, 0x06, 0x21, 0x00}
	mlkem512Private  = []byte{0x30, 0x54, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x01, 0x04, 0x42, 0x80, 0x40}
	mlkem768Private  = []byte{0x30, 0x54, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x02, 0x04, 0x42, 0x80, 0x40}
	mlkem1024Private = []byte{0x30, 0x54, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, 0x03, 0x04, 0x42, 0x80, 0x40}
)

// mlkem512Pair makes the one kind that Go's library has not.
func mlkem512Pair(random io.Reader) (*keyPair, error) {
	seed := make([]byte, mlkem512.KeySeedSize)
	defer clear(seed)
	if _, err := io.ReadFull(random, seed); err != nil {
		return nil, err
	}
	key, _ := mlkem512.NewKeyFromSeed(seed)
	public := make([]byte, mlkem512.PublicKeySize)
	key.Pack(public)
	return &keyPair{slices.Concat(mlkem512Public, public), slices.Concat(mlkem512Private, seed)}, nil
}

func mlkem768Pair(io.Reader) (*keyPair, error) {
	key, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, err
	}
	seed := key.Bytes()
	defer clear(seed)
	return &keyPair{slices.Concat(mlkem768Public, key.EncapsulationKey().Bytes()), slices.Concat(mlkem768Private, seed)}, nil
}

func mlkem1024Pair(io.Reader) (*keyPair, error) {
	key, err := mlkem.GenerateKey1024()
	if err != nil {
		return nil, err
	}
	seed := key.Bytes()
	defer clear(seed)
	return &keyPair{slices.Concat(mlkem1024Public, key.EncapsulationKey().Bytes()), slices.Concat(mlkem1024Private, seed)}, nil
}
