package hsm

import (
	"bytes"
	"context"
	"encoding/asn1"
	"math/big"
)

// VerifiesItself reports whether signatures by keys of the token are to be verified on it ([Config].VerifyOnToken).
func (t *Token) VerifiesItself() bool { return t.core.cfg.VerifyOnToken }

// Verify verifies a signature on the token, with the public half of a key pair. Data and signature have the forms that
// [Token.Sign] takes and gives. False means that the token looked at the signature and refused it
// (CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE); any other failure is an error.
func (t *Token) Verify(ctx context.Context, ref KeyRef, how Signing, data, signature []byte) (bool, error) {
	const op = "C_Verify"
	mech, param, err := how.mechanism(data)
	if err != nil {
		return false, err
	}
	// A module that overlooks the parameter would take a signature of another scheme.
	if can, err := t.CanSign(ctx, how.Scheme); err != nil || !can {
		return false, cannotSign(err)
	}
	if len(signature) == 0 || len(signature) > how.Scheme.maxSignature() {
		return false, nil
	}
	// A call that hangs may still read these when their owner uses the memory for something else.
	signature = append([]byte(nil), signature...)
	if how.Scheme == SignPKCS1 {
		data = append(append([]byte(nil), hashes[how.Hash].prefix...), data...)
	} else {
		data = append([]byte(nil), data...)
	}
	m, good := Mechanism{Type: mech, Param: param}, false
	err = t.repeat(ctx, op, func(ctx context.Context) error {
		e, err := t.core.resolve(ctx, ref, ckoPublicKey)
		if err != nil {
			return err
		}
		defer t.core.release(e)
		if e.kind != NoKind && kinds[e.kind].keyType != schemeKeys[how.Scheme] {
			return failf(op, BadInput, "a key of kind %s cannot do this", e.kind)
		}
		err = t.core.with(ctx, func(s *lease) error {
			if err := e.on(s, op); err != nil {
				return err
			}
			good, err = call(ctx, t.core, s, op, func(raw Session) (bool, error) {
				return verdict(raw.Verify(&m, e.object, data, signature))
			})
			return err
		})
		switch CKR(CodeOf(err)) {
		case ckrKeyHandleInvalid, ckrObjectHandleInvalid:
			t.core.dropEntry(e)
		}
		return err
	})
	return good && err == nil, err
}

// verdict tells a refused signature from a call that failed. A refusal is an answer: the session is as good as before.
func verdict(err error) (bool, error) {
	switch CKR(CodeOf(err)) {
	case ckrSignatureInvalid, ckrSignatureLenRange:
		return false, nil
	}
	return err == nil, err
}

// ECDSASignatureRaw is the reverse of [ECDSASignatureDER] for a curve whose order has size bytes; false for what is no
// ECDSA-Sig-Value of two numbers of that length.
func ECDSASignatureRaw(der []byte, size int) ([]byte, bool) {
	var sig struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &sig)
	if err != nil || len(rest) != 0 || sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.BitLen() > 8*size || sig.S.BitLen() > 8*size {
		return nil, false
	}
	out := make([]byte, 2*size)
	sig.R.FillBytes(out[:size])
	sig.S.FillBytes(out[size:])
	// The parser overlooks what stands behind s in the sequence.
	strict, err := ECDSASignatureDER(out)
	return out, err == nil && bytes.Equal(strict, der)
}
