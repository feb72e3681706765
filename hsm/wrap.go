package hsm

import "context"

// Wrapped is a key that left its token under another key.
type Wrapped struct {
	Format WrapFormat
	Blob   []byte
}

// maxWrapped bounds a wrapped key: a PKCS#8 RSA-4096 key has about 2400 bytes.
const maxWrapped = 8 << 10

// Wrap encrypts an extractable key under an AES key of the same token. What the
// format is depends on the module; it stands with the blob, and a token that
// does not know the format refuses to unwrap. Of a pair the private half is
// wrapped.
func (t *Token) Wrap(ctx context.Context, wrapping, key KeyRef, kind Kind) (Wrapped, error) {
	mech, format := t.core.wrapMechanism()
	if format == "" {
		return Wrapped{}, failf("C_WrapKey", Unsupported, "profile %s knows no key wrapping", t.core.profile.Name)
	}
	blob, err := t.wrapWith(ctx, Mechanism{Type: mech}, wrapping, ckoSecretKey, key, classOf(kind))
	return Wrapped{Format: format, Blob: blob}, err
}

func classOf(kind Kind) uint {
	if kind.Symmetric() {
		return ckoSecretKey
	}
	return ckoPrivateKey
}

// wrapMechanism prefers the mechanism whose number has one meaning.
func (c *core) wrapMechanism() (uint, WrapFormat) {
	if c.profile.KeyWrapKWP {
		return ckmAESKeyWrapKWP, WrapRFC5649
	}
	return ckmAESKeyWrapPad, c.profile.WrapFormat
}

// unwrapMechanism is the mechanism by which the token reads a format.
func (c *core) unwrapMechanism(format WrapFormat) (uint, bool) {
	if format == WrapRFC5649 && c.profile.KeyWrapKWP {
		return ckmAESKeyWrapKWP, true
	}
	return ckmAESKeyWrapPad, format != "" && format == c.profile.WrapFormat
}

func (t *Token) wrapWith(ctx context.Context, m Mechanism, wrapping KeyRef, wrapClass uint, key KeyRef, class uint) ([]byte, error) {
	const op = "C_WrapKey"
	c := t.core
	var out []byte
	err := t.repeat(ctx, op, func(ctx context.Context) error {
		kek, err := c.resolve(ctx, wrapping, wrapClass)
		if err != nil {
			return err
		}
		defer c.release(kek)
		e, err := c.resolve(ctx, key, class)
		if err != nil {
			return err
		}
		defer c.release(e)
		return c.manage(ctx, func(s *lease) error {
			if s.gen != e.gen || s.gen != kek.gen {
				return failf(op, SessionLost, "the token was logged in to anew meanwhile")
			}
			out, err = call(ctx, c, s, op, func(raw Session) ([]byte, error) {
				return wrapRaw(raw, m, kek.object, e.object)
			})
			return err
		})
	})
	return out, err
}

func wrapRaw(raw Session, m Mechanism, wrapping, key Handle) ([]byte, error) {
	b := make([]byte, maxWrapped)
	n, err := raw.Wrap(&m, wrapping, key, b)
	return b[:n], err
}

// Unwrap makes a key of what [Token.Wrap] gave, on this token or on another one
// that has the same wrapping key. Of a pair it makes the private half;
// [Token.ImportPublic] makes the other.
func (t *Token) Unwrap(ctx context.Context, order Template, wrapping KeyRef, w Wrapped) (Object, error) {
	const op = "C_UnwrapKey"
	if err := order.check(op); err != nil {
		return Object{}, err
	}
	mech, ok := t.core.unwrapMechanism(w.Format)
	if !ok {
		return Object{}, failf(op, Unsupported, "this token does not read keys wrapped as %q", w.Format)
	}
	return t.unwrapWith(ctx, order, classOf(order.Kind), wrapping, ckoSecretKey, Mechanism{Type: mech}, w.Blob)
}

func (t *Token) unwrapWith(ctx context.Context, order Template, class uint, wrapping KeyRef, wrapClass uint, m Mechanism, blob []byte) (Object, error) {
	const op = "C_UnwrapKey"
	c := t.core
	if len(blob) == 0 || len(blob) > maxWrapped {
		return Object{}, failf(op, BadInput, "a wrapped key of %d bytes", len(blob))
	}
	blob = append([]byte(nil), blob...)
	order.padded = order.Kind == HMAC224
	var made Object
	tried := false
	err := t.repeat(ctx, op, func(ctx context.Context) error {
		kek, err := c.resolve(ctx, wrapping, wrapClass)
		if err != nil {
			return err
		}
		defer c.release(kek)
		return c.manage(ctx, func(s *lease) error {
			if s.gen != kek.gen {
				return failf(op, SessionLost, "the token was logged in to anew meanwhile")
			}
			if tried {
				if _, err := c.destroyFound(ctx, s, order.KeyRef); err != nil {
					return err
				}
			}
			tried = true
			h, err := call(ctx, c, s, op, func(raw Session) (Handle, error) {
				return unwrapRaw(raw, m, kek.object, blob, order, class)
			})
			if err != nil {
				return err
			}
			made, err = c.confirm(ctx, s, op, order, class, h)
			return err
		})
	})
	return made, err
}

// unwrapRaw tries the templates that modules are known to want: without and
// with the value's length, with and without usages that are false. Without the
// length comes first: SoftHSM2 2.6.1 refuses it, and leaves an object without a
// name on the token for each refusal.
func unwrapRaw(raw Session, m Mechanism, kek Handle, blob []byte, order Template, class uint) (Handle, error) {
	var h Handle
	var err error
	for _, all := range []bool{true, false} {
		template := privateTemplate(order, all)
		if class != ckoPrivateKey {
			template = append(keyAttrs(order, class, all, ^Usage(0)), hiddenAttrs(order)...)
		}
		if h, err = raw.Unwrap(&m, kek, blob, template); !refusesTemplate(err) {
			break
		}
		if class == ckoPrivateKey {
			continue
		}
		length := ulongAttr(ckaValueLen, uint(order.Kind.Bits())/8) //nolint:gosec // small constants
		if h, err = raw.Unwrap(&m, kek, blob, append(template, length)); !refusesTemplate(err) {
			break
		}
	}
	return h, err
}
