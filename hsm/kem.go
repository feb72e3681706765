package hsm

import "context"

// SharedSecretSize is the length of ML-KEM's shared secrets (FIPS 203 section 8).
const SharedSecretSize = 32

// Capsule is a shared secret and the ciphertext that carries it.
type Capsule struct {
	Secret     []byte
	Ciphertext []byte
}

// String keeps the secret out of logs.
func (c Capsule) String() string { return "shared secret" }

// GoString does so too.
func (c Capsule) GoString() string { return c.String() }

// Encapsulate makes a shared secret for the holder of an ML-KEM key pair
// (CKM_ML_KEM). The secret leaves the token, for that is what the operation is
// for, by way of a session object that is destroyed.
func (t *Token) Encapsulate(ctx context.Context, ref KeyRef) (Capsule, error) {
	return t.kem(ctx, "C_EncapsulateKey", ref, ckoPublicKey, 0, func(raw Session, e *entry) (Capsule, error) {
		return encapsulate(raw, e.object, kinds[e.kind].lattice.output)
	})
}

// Decapsulate finds the shared secret of a ciphertext. One of another length
// than the kind's is BadCiphertext; any other gives a secret, if it was not made
// for this key one that nobody knows (implicit rejection, FIPS 203 section 6.3).
func (t *Token) Decapsulate(ctx context.Context, ref KeyRef, ciphertext []byte) ([]byte, error) {
	ciphertext = append([]byte(nil), ciphertext...) // a call that hangs may still read it
	out, err := t.kem(ctx, "C_DecapsulateKey", ref, ckoPrivateKey, len(ciphertext), func(raw Session, e *entry) (Capsule, error) {
		secret, err := decapsulate(raw, e.object, ciphertext)
		return Capsule{Secret: secret}, err
	})
	return out.Secret, err
}

// kem runs fn with one half of an ML-KEM pair, on a session for management, for
// fn makes an object. ciphertext is the length of one that is given; 0 without.
func (t *Token) kem(ctx context.Context, op string, ref KeyRef, class uint, ciphertext int, fn func(Session, *entry) (Capsule, error)) (Capsule, error) {
	c := t.core
	var out Capsule
	err := t.repeat(ctx, op, func(ctx context.Context) error {
		e, err := c.resolve(ctx, ref, class)
		if err != nil {
			return err
		}
		defer c.release(e)
		if kinds[e.kind].keyType != ckkMLKEM {
			return failf(op, BadInput, "a key of kind %s carries no secrets", e.kind)
		}
		if ciphertext != kinds[e.kind].lattice.output && class == ckoPrivateKey {
			return failf(op, BadCiphertext, "%d bytes are no ciphertext of this key", ciphertext)
		}
		err = c.manage(ctx, func(s *lease) error {
			if err := e.on(s, op); err != nil {
				return err
			}
			out, err = call(ctx, c, s, op, func(raw Session) (Capsule, error) { return fn(raw, e) })
			return err
		})
		switch CKR(CodeOf(err)) {
		case ckrKeyHandleInvalid, ckrObjectHandleInvalid:
			c.dropEntry(e)
		}
		return err
	})
	if err != nil {
		return Capsule{}, err
	}
	return out, nil
}

func encapsulate(raw Session, public Handle, size int) (Capsule, error) {
	ciphertext := make([]byte, size)
	secret, err := sharedSecret(raw, SharedSecretSize, func(template []Attribute) (Handle, error) {
		n, h, err := raw.Encapsulate(&Mechanism{Type: ckmMLKEM}, public, template, ciphertext)
		if err == nil && n != size {
			err = failf("C_EncapsulateKey", Internal, "a ciphertext of %d bytes", n)
			if gone := raw.DestroyObject(h); gone != nil {
				err = gone
			}
		}
		return h, err
	})
	return Capsule{Secret: secret, Ciphertext: ciphertext}, err
}

func decapsulate(raw Session, private Handle, ciphertext []byte) ([]byte, error) {
	return sharedSecret(raw, SharedSecretSize, func(template []Attribute) (Handle, error) {
		return raw.Decapsulate(&Mechanism{Type: ckmMLKEM}, private, ciphertext, template)
	})
}
