package hsm

import (
	"context"
	"crypto"
)

// ImportWrapping says how key material was wrapped to one of the token's RSA
// key pairs.
type ImportWrapping struct {
	Hash crypto.Hash // of RSAES-OAEP and of its MGF1; the label is empty
	// AES: RSAES-OAEP carries an AES-256 key, and that key the material by
	// RFC 5649, the layout of CKM_RSA_AES_KEY_WRAP. Otherwise RSAES-OAEP
	// carries the material itself.
	AES bool
}

// ImportWrapped puts key material on the token that came wrapped to one of the
// token's key pairs: a secret key's value, or a PKCS#8 PrivateKeyInfo. It gives
// the secret key, or the private and the public half.
//
// A secret key that RSAES-OAEP carries is unwrapped on the token where the
// token can ([Token.UnwrapOAEP]). Everything else is unwrapped in this process,
// since tokens don't read RFC 5649 inside RSA nor tell the public half of a
// private key, and is wiped when the call returns. BadCiphertext means that it
// does not unwrap, whatever is wrong; BadInput that it unwraps to something
// that is not of the order's kind.
func (t *Token) ImportWrapped(ctx context.Context, order Template, unwrapping KeyRef, how ImportWrapping, wrapped []byte) ([]Object, error) {
	if err := order.check("import wrapped key"); err != nil {
		return nil, err
	}
	if order.Kind.Symmetric() && !how.AES {
		made, err := t.UnwrapOAEP(ctx, order, unwrapping, how.Hash, wrapped)
		return []Object{made}, err
	}
	material, err := t.unwrapHere(ctx, unwrapping, how, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(material)
	if order.Kind.Symmetric() {
		made, err := t.ImportSecret(ctx, order, material)
		return []Object{made}, err
	}
	pair, err := t.ImportPrivate(ctx, order, material)
	return []Object{pair.Private, pair.Public}, err
}

// wrappingKeyLen is the length of the AES key inside of AES wrapping: AWS KMS
// takes AES-256 only.
const wrappingKeyLen = 32

// unwrapHere gives the material. The private RSA operation is the token's.
func (t *Token) unwrapHere(ctx context.Context, unwrapping KeyRef, how ImportWrapping, wrapped []byte) ([]byte, error) {
	if !how.AES {
		return t.DecryptOAEP(ctx, unwrapping, how.Hash, wrapped)
	}
	pub, err := t.rsaPublic(ctx, unwrapping)
	if err != nil {
		return nil, err
	}
	size := pub.Size()
	if len(wrapped) <= size || len(wrapped) > size+maxWrapped {
		return nil, failf("unwrap", BadCiphertext, "%d bytes are no wrapped key", len(wrapped))
	}
	kek, err := t.DecryptOAEP(ctx, unwrapping, how.Hash, wrapped[:size])
	if err != nil {
		return nil, err
	}
	defer clear(kek)
	if len(kek) != wrappingKeyLen {
		return nil, failf("unwrap", BadCiphertext, "the wrapping key has %d bytes", len(kek))
	}
	return UnwrapKWP(kek, wrapped[size:])
}
