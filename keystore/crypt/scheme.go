package crypt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // a hash of the table
	"crypto/sha512"

	"filippo.io/mldsa"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/secp256k1"
)

// The values of MessageType.
const (
	messageRaw    = "RAW"
	messageDigest = "DIGEST"
	messageMu     = "EXTERNAL_MU" // ML-DSA only
)

// scheme is what the appliance itself does of a signing algorithm: hashing, and verifying with the public key.
type scheme struct {
	hash crypto.Hash // whose digest is signed
	// only is the one MessageType that the algorithm takes; it then does its own hashing. "" takes RAW, which is hashed here, and
	// DIGEST.
	only string
	// verify tells whether a signature is good. signed is what input gave.
	verify func(key crypto.PublicKey, hash crypto.Hash, signed, signature []byte) bool
}

// schemes has a row for each signing algorithm of the specs that a token of today can hold.
var schemes = map[string]*scheme{
	"RSASSA_PKCS1_V1_5_SHA_256": {hash: crypto.SHA256, verify: verifyPKCS1},
	"RSASSA_PKCS1_V1_5_SHA_384": {hash: crypto.SHA384, verify: verifyPKCS1},
	"RSASSA_PKCS1_V1_5_SHA_512": {hash: crypto.SHA512, verify: verifyPKCS1},
	"RSASSA_PSS_SHA_256":        {hash: crypto.SHA256, verify: verifyPSS},
	"RSASSA_PSS_SHA_384":        {hash: crypto.SHA384, verify: verifyPSS},
	"RSASSA_PSS_SHA_512":        {hash: crypto.SHA512, verify: verifyPSS},
	"ECDSA_SHA_256":             {hash: crypto.SHA256, verify: verifyECDSA},
	"ECDSA_SHA_384":             {hash: crypto.SHA384, verify: verifyECDSA},
	"ECDSA_SHA_512":             {hash: crypto.SHA512, verify: verifyECDSA},
	"ED25519_SHA_512":           {only: messageRaw, verify: verifyEd25519},
	// The digest that the caller sends is hashed once more (FIPS 186-5 section 7.8.1, step 1; API reference, Sign).
	"ED25519_PH_SHA_512": {hash: crypto.SHA512, only: messageDigest, verify: verifyEd25519ph},
	"ML_DSA_SHAKE_256":   {only: messageRaw, verify: verifyMLDSA},
}

// input gives what is signed of a message: a digest, or what the caller sent where the algorithm does its own hashing.
func (s *scheme) input(algorithm string, spec keystore.Spec, messageType string, message []byte) ([]byte, error) {
	switch {
	case messageType == messageMu:
		return nil, externalMu(spec, message)
	case s.only != "" && messageType != s.only:
		return nil, keystore.Faultf(keystore.KindValidation, "Message type %s is incompatible with algorithm %s.", messageType, algorithm)
	case messageType == messageDigest && len(message) != s.hash.Size():
		return nil, keystore.Faultf(keystore.KindValidation, "Digest is invalid length for algorithm %s.", algorithm)
	case s.only != "" || messageType == messageDigest:
		return message, nil
	}
	h := s.hash.New()
	h.Write(message)
	return h.Sum(nil), nil
}

// externalMu is the fault of a message that is ML-DSA's μ, which takes the place of hashing the public key and the message. No
// mechanism of PKCS #11 3.2 signs it, and no library that is used here verifies it.
func externalMu(spec keystore.Spec, message []byte) error {
	const size = 64 // FIPS 204 section 6.2
	info, _ := keystore.LookupSpec(spec)
	switch {
	case info == nil || info.Family != keystore.FamilyMLDSA:
		return keystore.Faultf(keystore.KindValidation, "Message type %s is incompatible with key spec %s.", messageMu, spec)
	case len(message) != size:
		return keystore.Faultf(keystore.KindValidation, "Message of type %s must be %d bytes long.", messageMu, size)
	}
	return keystore.Faultf(keystore.KindUnsupportedOperation, "Message type %s is not supported. Use %s.", messageMu, messageRaw)
}

func verifyPKCS1(key crypto.PublicKey, hash crypto.Hash, digest, signature []byte) bool {
	public, ok := key.(*rsa.PublicKey)
	return ok && rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil
}

func verifyPSS(key crypto.PublicKey, hash crypto.Hash, digest, signature []byte) bool {
	public, ok := key.(*rsa.PublicKey)
	options := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	return ok && rsa.VerifyPSS(public, hash, digest, signature, &options) == nil
}

func verifyECDSA(key crypto.PublicKey, _ crypto.Hash, digest, signature []byte) bool {
	switch public := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, digest, signature)
	case *secp256k1.PublicKey:
		return public.Verify(digest, signature)
	}
	return false
}

func verifyEd25519(key crypto.PublicKey, _ crypto.Hash, message, signature []byte) bool {
	public, ok := key.(ed25519.PublicKey)
	return ok && ed25519.VerifyWithOptions(public, message, signature, &ed25519.Options{}) == nil
}

// verifyEd25519ph verifies Ed25519ph (RFC 8032 section 5.1) with an empty context.
func verifyEd25519ph(key crypto.PublicKey, hash crypto.Hash, message, signature []byte) bool {
	public, ok := key.(ed25519.PublicKey)
	digest := sha512.Sum512(message)
	return ok && ed25519.VerifyWithOptions(public, digest[:], signature, &ed25519.Options{Hash: hash}) == nil
}

// verifyMLDSA verifies ML-DSA (FIPS 204 algorithm 3) with an empty context.
func verifyMLDSA(key crypto.PublicKey, _ crypto.Hash, message, signature []byte) bool {
	public, ok := key.(*mldsa.PublicKey)
	return ok && mldsa.Verify(public, message, signature, nil) == nil
}
