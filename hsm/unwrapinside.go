package hsm

import (
	"context"
	"crypto"
)

// UnwrapInside puts a symmetric key on the token that came encrypted with
// RSAES-OAEP to one of the token's key pairs, as [Token.UnwrapOAEP], but only
// if the token itself unwraps (C_UnwrapKey): the value never is in this
// process. It is for carrying keys between tokens ([Token.WrapOAEP]).
func (t *Token) UnwrapInside(ctx context.Context, order Template, unwrapping KeyRef, hash crypto.Hash, wrapped []byte) (Object, error) {
	const op = "C_UnwrapKey"
	if err := order.check(op); err != nil {
		return Object{}, err
	}
	if _, known := hashes[hash]; !known || !order.Kind.Symmetric() {
		return Object{}, failf(op, BadInput, "no OAEP of hash %d for a key of kind %s", hash, order.Kind)
	}
	return t.unwrapWith(ctx, order, ckoSecretKey, unwrapping, ckoPrivateKey,
		Mechanism{Type: ckmRSAOAEP, Param: oaepParam(hash)}, wrapped)
}
