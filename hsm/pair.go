package hsm

import "context"

// Pair describes the two halves of a key pair.
type Pair struct{ Private, Public Object }

// GeneratePair makes a key pair on the token; both halves have the id and label
// of the order. The usages are shared out: what a public key does to the public
// half, the rest to the private one. Both are read back as by
// [Token.Generate].
func (t *Token) GeneratePair(ctx context.Context, order Template) (Pair, error) {
	const op = "C_GenerateKeyPair"
	if err := order.check(op); err != nil {
		return Pair{}, err
	}
	if order.Kind.Symmetric() {
		return Pair{}, failf(op, BadInput, "%s is no key pair", order.Kind)
	}
	var made Pair
	err := t.makeAgain(ctx, op, order.KeyRef, func(ctx context.Context, s *lease) error {
		var err error
		made, err = t.core.generatePair(ctx, s, order)
		return err
	})
	return made, err
}

// makeAgain runs fn, which makes objects of a key, under management. Before a
// second try it removes what the first may have left behind.
func (t *Token) makeAgain(ctx context.Context, op string, ref KeyRef, fn func(context.Context, *lease) error) error {
	tried := false
	return t.repeat(ctx, op, func(ctx context.Context) error {
		return t.core.manage(ctx, func(s *lease) error {
			if tried {
				if _, err := t.core.destroyFound(ctx, s, ref); err != nil {
					return err
				}
			}
			tried = true
			return fn(ctx, s)
		})
	})
}

type pairHandles struct{ pub, priv Handle }

func (c *core) generatePair(ctx context.Context, s *lease, order Template) (Pair, error) {
	const op = "C_GenerateKeyPair"
	mech := Mechanism{Type: kinds[order.Kind].generate}
	h, err := call(ctx, c, s, op, func(raw Session) (pairHandles, error) {
		var h pairHandles
		var err error
		for _, all := range []bool{true, false} {
			h.pub, h.priv, err = raw.GenerateKeyPair(mech, publicTemplate(order, all), privateTemplate(order, all))
			if !refusesTemplate(err) {
				break
			}
		}
		return h, err
	})
	if err != nil {
		return Pair{}, err
	}
	return c.confirmPair(ctx, s, op, order, h)
}

// confirmPair reads both halves back; if one is wrong both go.
func (c *core) confirmPair(ctx context.Context, s *lease, op string, order Template, h pairHandles) (Pair, error) {
	var made Pair
	var err error
	remove := h.pub
	if made.Private, err = c.confirm(ctx, s, op, order, ckoPrivateKey, h.priv); err == nil {
		remove = h.priv
		if made.Public, err = c.confirm(ctx, s, op, order, ckoPublicKey, h.pub); err == nil {
			return made, nil
		}
	}
	return Pair{}, joinRemoval(err, do(ctx, c, s, "C_DestroyObject", func(raw Session) error {
		return raw.DestroyObject(remove)
	}))
}
