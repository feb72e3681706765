package hsm

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"   // OAEP's hashes must be linked
	_ "crypto/sha256" // into the program
	"crypto/subtle"
	"math/big"
)

// DecryptRaw applies the private half of an RSA key pair (CKM_RSA_X_509): the
// result is as long as the modulus. Its use is unpadding outside of the token.
// A ciphertext that is no number below the modulus is BadCiphertext.
func (t *Token) DecryptRaw(ctx context.Context, ref KeyRef, ciphertext []byte) ([]byte, error) {
	pub, err := t.rsaPublic(ctx, ref)
	if err != nil {
		return nil, err
	}
	return t.decryptRaw(ctx, ref, pub, ciphertext)
}

func (t *Token) rsaPublic(ctx context.Context, ref KeyRef) (*rsa.PublicKey, error) {
	pub, err := t.PublicKey(ctx, ref)
	if err != nil {
		return nil, err
	}
	key, ok := pub.Key.(*rsa.PublicKey)
	if !ok {
		return nil, failf("C_Decrypt", BadInput, "%s is no RSA key", ref)
	}
	return key, nil
}

func (t *Token) decryptRaw(ctx context.Context, ref KeyRef, pub *rsa.PublicKey, ciphertext []byte) ([]byte, error) {
	const op = "C_Decrypt"
	size := pub.Size()
	if len(ciphertext) != size || new(big.Int).SetBytes(ciphertext).Cmp(pub.N) >= 0 {
		return nil, failf(op, BadCiphertext, "%d bytes are no ciphertext of this key", len(ciphertext))
	}
	h := newHotCall(hotDecrypt, ckmRSAX509, ckkRSA, nil, nil, ciphertext, size)
	defer h.release()
	h.noBlame = true // a number below the modulus cannot be at fault
	if err := t.core.hot(ctx, t.core.heavy, ref, ckoPrivateKey, h); err != nil {
		return nil, err
	}
	out := make([]byte, size) // modules may leave leading zeros out
	copy(out[size-h.n:], h.out[:h.n])
	return out, nil
}

// DecryptOAEP decrypts RSAES-OAEP (RFC 8017 section 7.1) with an empty label and
// MGF1 of the same hash, SHA-1 or SHA-256. The token does the private operation
// and the padding is taken off here, in constant time, for tokens differ in the
// hashes that they know and in what they answer to bad padding; a token
// without raw RSA does all of it. BadCiphertext says nothing about why.
func (t *Token) DecryptOAEP(ctx context.Context, ref KeyRef, hash crypto.Hash, ciphertext []byte) ([]byte, error) {
	const op = "C_Decrypt"
	if hash != crypto.SHA1 && hash != crypto.SHA256 {
		return nil, failf(op, BadInput, "no OAEP of hash %d", hash)
	}
	pub, err := t.rsaPublic(ctx, ref)
	if err != nil {
		return nil, err
	}
	if !t.core.noRawRSA.Load() {
		block, err := t.decryptRaw(ctx, ref, pub, ciphertext)
		if err == nil {
			defer clear(block)
			return unpadOAEP(hash, block)
		}
		if ClassOf(err) != Unsupported {
			return nil, err
		}
		t.core.noRawRSA.Store(true)
	}
	return t.tokenOAEP(ctx, ref, pub, hash, ciphertext)
}

// tokenOAEP leaves the padding to the token. What it answers to bad padding is
// told from its own troubles by decrypting something good right afterwards.
func (t *Token) tokenOAEP(ctx context.Context, ref KeyRef, pub *rsa.PublicKey, hash crypto.Hash, ciphertext []byte) ([]byte, error) {
	const op = "C_Decrypt"
	if len(ciphertext) != pub.Size() {
		return nil, failf(op, BadCiphertext, "%d bytes are no ciphertext of this key", len(ciphertext))
	}
	try := func(in []byte) ([]byte, error) {
		h := newHotCall(hotDecrypt, ckmRSAOAEP, ckkRSA, nil, nil, in, pub.Size())
		defer h.release()
		h.noBlame = true
		h.mech.Param = oaepParam(hash)
		if err := t.core.hot(ctx, t.core.heavy, ref, ckoPrivateKey, h); err != nil {
			return nil, err
		}
		return append([]byte(nil), h.out[:h.n]...), nil
	}
	out, err := try(ciphertext)
	if err == nil || !t.core.blamesBytes(err) {
		return out, err
	}
	known, encrypting := rsa.EncryptOAEP(hash.New(), rand.Reader, pub, canaryPlain, nil)
	if encrypting != nil {
		return nil, err
	}
	again, trying := try(known)
	switch {
	case trying != nil && CodeOf(trying) == CodeOf(err) && t.core.check(ctx) == nil:
		return nil, &Error{Op: op, Class: Unsupported, Code: CodeOf(err), Err: err} // good or bad, it is all the same
	case trying != nil || string(again) != string(canaryPlain):
		return nil, err
	}
	return nil, &Error{Op: op, Class: BadCiphertext, Code: CodeOf(err), Err: err}
}

// oaepParam is CK_RSA_PKCS_OAEP_PARAMS with an empty label.
func oaepParam(hash crypto.Hash) []byte {
	row := hashes[hash]
	return encodeUlong(row.mech, row.mgf, ckzDataSpecified, 0, 0)
}

// unpadOAEP takes the padding off a decrypted block (RFC 8017 section 7.1.2,
// step 3). Whether and where it is wrong does not change the time that it
// takes; only that it is wrong comes out.
func unpadOAEP(hash crypto.Hash, block []byte) ([]byte, error) {
	const op = "C_Decrypt"
	size := hash.Size()
	if len(block) < 2*size+2 {
		return nil, failf(op, BadInput, "the key is too short for this hash")
	}
	seed, db := block[1:1+size], block[1+size:]
	mgf1XOR(seed, hash, db)
	mgf1XOR(db, hash, seed)
	label := hash.New()
	good := subtle.ConstantTimeByteEq(block[0], 0) & subtle.ConstantTimeCompare(db[:size], label.Sum(nil))
	// The message begins after zeros and one 1.
	rest := db[size:]
	looking, start, wrong := 1, 0, 0
	for i, b := range rest {
		zero, one := subtle.ConstantTimeByteEq(b, 0), subtle.ConstantTimeByteEq(b, 1)
		start = subtle.ConstantTimeSelect(looking&one, i+1, start)
		wrong |= looking & (1 - zero) & (1 - one)
		looking = subtle.ConstantTimeSelect(one, 0, looking)
	}
	if good&(1-wrong)&(1-looking) != 1 {
		return nil, failf(op, BadCiphertext, "the padding is wrong")
	}
	return append([]byte(nil), rest[start:]...), nil
}

// mgf1XOR adds the mask MGF1(seed) to out (RFC 8017 appendix B.2.1).
func mgf1XOR(out []byte, hash crypto.Hash, seed []byte) {
	h := hash.New()
	for counter := 0; len(out) > 0; counter++ {
		h.Reset()
		h.Write(seed)
		h.Write([]byte{byte(counter >> 24), byte(counter >> 16), byte(counter >> 8), byte(counter)})
		n := subtle.XORBytes(out, out, h.Sum(nil))
		out = out[n:]
	}
}
