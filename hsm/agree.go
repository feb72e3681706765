package hsm

import (
	"context"
	"crypto/ecdh"
)

var agreeCurves = map[Kind]ecdh.Curve{ECP256: ecdh.P256(), ECP384: ecdh.P384(), ECP521: ecdh.P521()}

// Agree makes the shared secret of ECDH (CKM_ECDH1_DERIVE, CKD_NULL: the x
// coordinate, as long as the curve's field) with the other side's uncompressed
// point. A point that is not on the key's curve is BadInput and never reaches
// the token: tokens were seen not to check. The secret leaves the token, for
// that is what the operation is for, by way of a session object.
func (t *Token) Agree(ctx context.Context, ref KeyRef, peer []byte) ([]byte, error) {
	const op = "C_DeriveKey"
	peer = append([]byte(nil), peer...) // a call that is given up may still read it
	var secret []byte
	err := t.repeat(ctx, op, func(ctx context.Context) error {
		c := t.core
		e, err := c.resolve(ctx, ref, ckoPrivateKey)
		if err != nil {
			return err
		}
		defer c.release(e)
		if err := checkPeer(e.kind, peer); err != nil {
			return err
		}
		size := (e.kind.Bits() + 7) / 8
		return c.manage(ctx, func(s *lease) error {
			if err := e.on(s, op); err != nil {
				return err
			}
			secret, err = call(ctx, c, s, op, func(raw Session) ([]byte, error) {
				return deriveSecret(raw, e.object, peer, size)
			})
			return err
		})
	})
	return secret, err
}

func checkPeer(kind Kind, peer []byte) error {
	if kind == ECSecp256k1 {
		if !OnSecp256k1(peer) {
			return failf("C_DeriveKey", BadInput, "the point is not on secp256k1")
		}
		return nil
	}
	curve, ok := agreeCurves[kind]
	if !ok {
		return failf("C_DeriveKey", BadInput, "a key of kind %s agrees on nothing", kind)
	}
	if _, err := curve.NewPublicKey(peer); err != nil {
		return &Error{Op: "C_DeriveKey", Class: BadInput, Err: err}
	}
	return nil
}

// deriveSecret derives into a session object, reads it, and destroys it.
func deriveSecret(raw Session, key Handle, peer []byte, size int) ([]byte, error) {
	m := &Mechanism{Type: ckmECDH1, Peer: peer}
	return sharedSecret(raw, size, func(template []Attribute) (Handle, error) { return raw.Derive(m, key, template) })
}

// sharedSecret takes a secret of size bytes out of the session object that fn
// makes of the template, and destroys the object. Some modules want the length
// in the template and some refuse it.
func sharedSecret(raw Session, size int, fn func(template []Attribute) (Handle, error)) ([]byte, error) {
	const op = "read shared secret"
	template := []Attribute{
		ulongAttr(ckaClass, ckoSecretKey), ulongAttr(ckaKeyType, ckkGenericSecret), boolAttr(ckaToken, false),
		boolAttr(ckaPrivate, true), boolAttr(ckaSensitive, false), boolAttr(ckaExtractable, true),
	}
	h, err := fn(append(template, ulongAttr(ckaValueLen, uint(size)))) //nolint:gosec // at most 66
	if refusesTemplate(err) {
		h, err = fn(template)
	}
	if err != nil {
		return nil, err
	}
	attrs, err := raw.Attributes(h, ckaValue)
	if gone := raw.DestroyObject(h); err == nil {
		err = gone
	}
	if err != nil {
		return nil, err
	}
	if len(attrs) != 1 || len(attrs[0].Value) == 0 || len(attrs[0].Value) > size {
		return nil, failf(op, Internal, "the token does not show the secret")
	}
	secret := make([]byte, size) // modules may leave leading zeros out
	copy(secret[size-len(attrs[0].Value):], attrs[0].Value)
	clear(attrs[0].Value)
	return secret, nil
}
