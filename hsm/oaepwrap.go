package hsm

import (
	"context"
	"crypto"
	"crypto/rsa"
	"math/big"
)

// UnwrapOAEP puts a symmetric key on the token that came encrypted with
// RSAES-OAEP to one of the token's key pairs. Where the token can unwrap it so
// (C_UnwrapKey) and tells how long it is, the key's value is never in this
// process; otherwise it is for the time of the call. BadCiphertext means that it does not decrypt, BadInput
// that it decrypts to something of another length than the kind's.
func (t *Token) UnwrapOAEP(ctx context.Context, order Template, unwrapping KeyRef, hash crypto.Hash, wrapped []byte) (Object, error) {
	const op = "C_UnwrapKey"
	if err := order.check(op); err != nil {
		return Object{}, err
	}
	if !order.Kind.Symmetric() {
		return Object{}, failf(op, BadInput, "%s is a key pair", order.Kind)
	}
	if !t.core.blindUnwrap.Load() {
		made, final, err := t.unwrapSeen(ctx, order, unwrapping, hash, wrapped)
		if final {
			return made, err
		}
	}
	// Whatever the token's answer meant: the way through this process gives
	// an exact one.
	value, err := t.DecryptOAEP(ctx, unwrapping, hash, wrapped)
	if err != nil {
		return Object{}, err
	}
	defer clear(value)
	return t.ImportSecret(ctx, order, value)
}

// unwrapSeen unwraps on the token, where the token tells the length of what it
// unwrapped. SoftHSM2 does not: a key of any length, even of none, would be
// taken for one of the kind.
//
// What is not final has left nothing on the token, and says nothing about the
// bytes.
func (t *Token) unwrapSeen(ctx context.Context, order Template, unwrapping KeyRef, hash crypto.Hash, wrapped []byte) (made Object, final bool, err error) {
	made, err = t.UnwrapInside(ctx, order, unwrapping, hash, wrapped)
	if err != nil {
		// Of a call that was given up the effect may come yet: a second key
		// must not join it.
		class := ClassOf(err)
		return Object{}, class == Timeout || class == Stuck || class == Busy, err
	}
	if made.Bits == order.Kind.Bits() {
		return made, true, nil
	}
	t.core.blindUnwrap.Store(true)
	_, err = t.Destroy(ctx, order.KeyRef)
	return Object{}, err != nil, err
}

// WrapOAEP encrypts an extractable symmetric key to somebody's RSA key, with
// RSAES-OAEP and an empty label: for carrying a key to another token, whose
// public key it is. The value never is in this process. SHA-1 is what most
// tokens can do; as OAEP's hash it is sound.
func (t *Token) WrapOAEP(ctx context.Context, to *rsa.PublicKey, hash crypto.Hash, key KeyRef) ([]byte, error) {
	const op = "C_WrapKey"
	c := t.core
	if _, ok := hashes[hash]; !ok {
		return nil, failf(op, BadInput, "no OAEP of hash %d", hash)
	}
	m := Mechanism{Type: ckmRSAOAEP, Param: oaepParam(hash)}
	var out []byte
	err := t.repeat(ctx, op, func(ctx context.Context) error {
		e, err := c.resolve(ctx, key, ckoSecretKey)
		if err != nil {
			return err
		}
		defer c.release(e)
		return c.manage(ctx, func(s *lease) error {
			if err := e.on(s, op); err != nil {
				return err
			}
			out, err = call(ctx, c, s, op, func(raw Session) ([]byte, error) {
				return wrapTo(raw, to, m, e.object)
			})
			return err
		})
	})
	return out, err
}

// wrapTo wraps under a public key that is a session object for the time of the
// call.
func wrapTo(raw Session, to *rsa.PublicKey, m Mechanism, key Handle) ([]byte, error) {
	pub, err := raw.CreateObject([]Attribute{
		ulongAttr(ckaClass, ckoPublicKey), ulongAttr(ckaKeyType, ckkRSA), boolAttr(ckaToken, false),
		boolAttr(ckaPrivate, false), boolAttr(ckaWrap, true), boolAttr(ckaEncrypt, false), boolAttr(ckaVerify, false),
		bytesAttr(ckaModulus, to.N.Bytes()), bytesAttr(ckaPublicExponent, big.NewInt(int64(to.E)).Bytes()),
	})
	if err != nil {
		return nil, err
	}
	out, err := wrapRaw(raw, m, pub, key)
	if gone := raw.DestroyObject(pub); err == nil {
		err = gone
	}
	return out, err
}
