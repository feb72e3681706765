package hsm

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"

	"filippo.io/mldsa"
	"github.com/cloudflare/circl/kem/mlkem/mlkem512"
)

// What is tried with key pairs. Every answer is checked outside of the token.

var errWrongAnswer = errors.New("the token's answer is wrong")

func probePublic(raw Session, kind Kind, pub Handle) (PublicKey, error) {
	attrs, err := raw.Attributes(pub, publicAttributes(kind)...)
	if err != nil {
		return PublicKey{}, err
	}
	return publicKey(kind, attrs)
}

// probeSign signs a digest of the curve's or modulus's own liking.
func probeSign(raw Session, how Signing, priv Handle, data []byte) ([]byte, error) {
	mech, param, err := how.mechanism(data)
	if err != nil {
		return nil, err
	}
	if how.Scheme == SignPKCS1 {
		data = append(append([]byte(nil), hashes[how.Hash].prefix...), data...)
	}
	out := make([]byte, how.Scheme.maxSignature())
	n, err := raw.Sign(&Mechanism{Type: mech, Param: param}, priv, data, out)
	return out[:n], err
}

func probeRSASign(_ *core, raw Session, found *Capabilities, kind Kind, pub, priv Handle) error {
	key, err := probeRSA(raw, kind, pub)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(canaryPlain)
	sig, err := probeSign(raw, Signing{SignPKCS1, crypto.SHA256}, priv, digest[:])
	if err != nil {
		return err
	}
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], sig); err != nil {
		return err
	}
	sig, err = probeSign(raw, Signing{SignPSS, crypto.SHA256}, priv, digest[:])
	if err == nil {
		err = rsa.VerifyPSS(key, crypto.SHA256, digest[:], sig, nil)
	}
	if found.PSS = err == nil; err != nil {
		found.Reasons["PSS signature"] = err.Error()
	}
	return nil
}

func probeRSA(raw Session, kind Kind, pub Handle) (*rsa.PublicKey, error) {
	public, err := probePublic(raw, kind, pub)
	if err != nil {
		return nil, err
	}
	key, ok := public.Key.(*rsa.PublicKey)
	if !ok {
		return nil, errWrongAnswer
	}
	return key, nil
}

// probeOAEP tries raw RSA, with which every hash works, and else each hash.
func probeOAEP(_ *core, raw Session, found *Capabilities, kind Kind, pub, priv Handle) error {
	key, err := probeRSA(raw, kind, pub)
	if err != nil {
		return err
	}
	both := []crypto.Hash{crypto.SHA1, crypto.SHA256}
	var last error
	for _, hash := range both {
		sealed, err := rsa.EncryptOAEP(hash.New(), rand.Reader, key, canaryPlain, nil)
		if err != nil {
			return err
		}
		out := make([]byte, key.Size())
		n, err := raw.Decrypt(&Mechanism{Type: ckmRSAX509}, priv, sealed, out)
		if err == nil {
			block := make([]byte, key.Size())
			copy(block[len(block)-n:], out[:n])
			out, err = unpadOAEP(hash, block)
		} else {
			n, err = raw.Decrypt(&Mechanism{Type: ckmRSAOAEP, Param: oaepParam(hash)}, priv, sealed, out)
			out = out[:n]
		}
		if err == nil {
			err = same(out, canaryPlain)
		}
		if found.OAEP[hash] = err == nil; err != nil {
			last = err
		}
	}
	if !found.OAEP[crypto.SHA1] && !found.OAEP[crypto.SHA256] {
		return last
	}
	return nil
}

func probeECDSA(_ *core, raw Session, _ *Capabilities, kind Kind, pub, priv Handle) error {
	public, err := probePublic(raw, kind, pub)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(canaryPlain)
	sig, err := probeSign(raw, Signing{SignECDSA, crypto.SHA256}, priv, digest[:])
	if err != nil {
		return err
	}
	good := false
	if key, ok := public.Key.(*ecdsa.PublicKey); ok {
		if der, err := ECDSASignatureDER(sig); err == nil {
			good = ecdsa.VerifyASN1(key, digest[:], der)
		}
	} else {
		good = VerifySecp256k1(public.Point, digest[:], sig)
	}
	if !good {
		return errWrongAnswer
	}
	return nil
}

func probeEdDSA(_ *core, raw Session, found *Capabilities, kind Kind, pub, priv Handle) error {
	public, err := probePublic(raw, kind, pub)
	if err != nil {
		return err
	}
	sig, err := probeSign(raw, Signing{Scheme: SignEd25519}, priv, canaryPlain)
	if err != nil {
		return err
	}
	key, ok := public.Key.(ed25519.PublicKey)
	if !ok || !ed25519.Verify(key, canaryPlain, sig) {
		return errWrongAnswer
	}
	// A module that does not know the parameter may overlook it and sign by the
	// pure scheme.
	sig, err = probeSign(raw, Signing{Scheme: SignEd25519ph}, priv, canaryPlain)
	if err == nil {
		digest := sha512.Sum512(canaryPlain)
		err = ed25519.VerifyWithOptions(key, digest[:], sig, &ed25519.Options{Hash: crypto.SHA512})
	}
	if found.Prehash = err == nil; err != nil {
		found.Reasons["Ed25519ph signature"] = err.Error()
	}
	return nil
}

func probeMLDSA(_ *core, raw Session, _ *Capabilities, kind Kind, pub, priv Handle) error {
	public, err := probePublic(raw, kind, pub)
	if err != nil {
		return err
	}
	sig, err := probeSign(raw, Signing{Scheme: SignMLDSA}, priv, canaryPlain)
	if err != nil {
		return err
	}
	sets := map[Kind]mldsa.Parameters{MLDSA44: mldsa.MLDSA44(), MLDSA65: mldsa.MLDSA65(), MLDSA87: mldsa.MLDSA87()}
	key, err := mldsa.NewPublicKey(sets[kind], public.Raw)
	if err != nil {
		return err
	}
	return mldsa.Verify(key, canaryPlain, sig, nil)
}

// probeKEM lets the token open what it sealed itself, and what was sealed
// outside of it.
func probeKEM(_ *core, raw Session, _ *Capabilities, kind Kind, pub, priv Handle) error {
	public, err := probePublic(raw, kind, pub)
	if err != nil {
		return err
	}
	made, err := encapsulate(raw, pub, kinds[kind].lattice.output)
	if err != nil {
		return err
	}
	outside, err := encapsulateOutside(kind, public.Raw)
	if err != nil {
		return err
	}
	for _, c := range []Capsule{made, outside} {
		secret, err := decapsulate(raw, priv, c.Ciphertext)
		if err != nil {
			return err
		}
		if err := same(secret, c.Secret); err != nil {
			return err
		}
	}
	return nil
}

// encapsulateOutside makes a secret for the holder of an ML-KEM key.
func encapsulateOutside(kind Kind, public []byte) (c Capsule, err error) {
	switch kind {
	case MLKEM512:
		scheme := mlkem512.Scheme()
		key, err := scheme.UnmarshalBinaryPublicKey(public)
		if err != nil {
			return c, err
		}
		c.Ciphertext, c.Secret, err = scheme.Encapsulate(key)
		return c, err
	case MLKEM768:
		key, err := mlkem.NewEncapsulationKey768(public)
		if err != nil {
			return c, err
		}
		c.Secret, c.Ciphertext = key.Encapsulate()
	case MLKEM1024:
		key, err := mlkem.NewEncapsulationKey1024(public)
		if err != nil {
			return c, err
		}
		c.Secret, c.Ciphertext = key.Encapsulate()
	}
	return c, nil
}

// probeAgree agrees with a key of Go's own, or for secp256k1 with itself.
func probeAgree(_ *core, raw Session, _ *Capabilities, kind Kind, pub, priv Handle) error {
	public, err := probePublic(raw, kind, pub)
	if err != nil {
		return err
	}
	size := (kind.Bits() + 7) / 8
	curve, ok := agreeCurves[kind]
	if !ok {
		_, err = deriveSecret(raw, priv, public.Point, size)
		return err
	}
	mine, err := curve.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	theirs, err := curve.NewPublicKey(public.Point)
	if err != nil {
		return err
	}
	return agreeSame(raw, priv, mine, theirs, size)
}

func agreeSame(raw Session, priv Handle, mine *ecdh.PrivateKey, theirs *ecdh.PublicKey, size int) error {
	want, err := mine.ECDH(theirs)
	if err != nil {
		return err
	}
	got, err := deriveSecret(raw, priv, mine.PublicKey().Bytes(), size)
	if err != nil {
		return err
	}
	return same(got, want)
}
