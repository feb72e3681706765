package hsm

import (
	"context"
	"errors"
)

// findAtOnce bounds how many handles one search returns; a token with more
// objects of one id is broken.
const findAtOnce = 64

// Generate makes a secret key on the token. What the token made is read back;
// a key that is not what was ordered is destroyed and reported as KeyInvalid.
func (t *Token) Generate(ctx context.Context, order Template) (Object, error) {
	const op = "C_GenerateKey"
	if err := order.check(op); err != nil {
		return Object{}, err
	}
	if !order.Kind.Symmetric() {
		return Object{}, failf(op, BadInput, "%s is a key pair", order.Kind)
	}
	var made Object
	err := t.makeAgain(ctx, op, order.KeyRef, func(ctx context.Context, s *lease) error {
		var err error
		made, err = t.core.generate(ctx, s, order)
		return err
	})
	return made, err
}

func (c *core) generate(ctx context.Context, s *lease, order Template) (Object, error) {
	const op = "C_GenerateKey"
	mech := Mechanism{Type: kinds[order.Kind].generate}
	h, err := call(ctx, c, s, op, func(raw Session) (Handle, error) {
		h, err := raw.GenerateKey(mech, secretTemplate(order, true))
		if refusesTemplate(err) {
			h, err = raw.GenerateKey(mech, secretTemplate(order, false))
		}
		return h, err
	})
	if err != nil {
		return Object{}, err
	}
	return c.confirm(ctx, s, op, order, ckoSecretKey, h)
}

// refusesTemplate reports whether a module dislikes an attribute's presence.
func refusesTemplate(err error) bool {
	var code CKR
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case ckrAttributeTypeInvalid, ckrAttributeValueInvalid, ckrAttributeReadOnly, ckrTemplateInconsistent:
		return true
	}
	return false
}

// confirm reads back what the token made. On a mismatch it asks the token once
// to put it right (openCryptoki ignores parts of some templates), and destroys
// the key if that does not do.
func (c *core) confirm(ctx context.Context, s *lease, op string, order Template, class uint, h Handle) (Object, error) {
	o, err := c.read(ctx, s, h)
	bad := ""
	if err == nil {
		if bad = order.differs(o, class); bad == "" {
			return o, nil
		}
		if class != ckoPublicKey {
			o, bad = c.correct(ctx, s, order, class, h, bad)
			if bad == "" {
				return o, nil
			}
		}
		err = failf(op, KeyInvalid, "the token made another key than was ordered: %s", bad)
	}
	// A session that failed may not be used again, so the removal gets a
	// chance on it only while it is good.
	return Object{}, joinRemoval(err, do(ctx, c, s, "C_DestroyObject", func(raw Session) error { return raw.DestroyObject(h) }))
}

// joinRemoval adds that the removal of a wrong object failed, if it did.
func joinRemoval(err, removal error) error {
	if removal == nil {
		return err
	}
	return errors.Join(err, removal)
}

func (c *core) correct(ctx context.Context, s *lease, order Template, class uint, h Handle, bad string) (Object, string) {
	changes := []Attribute{boolAttr(ckaSensitive, true), boolAttr(ckaExtractable, order.Extractable)}
	if do(ctx, c, s, "C_SetAttributeValue", func(raw Session) error { return raw.SetAttributes(h, changes) }) != nil {
		return Object{}, bad
	}
	o, err := c.read(ctx, s, h)
	if err != nil {
		return Object{}, bad
	}
	return o, order.differs(o, class)
}

func (c *core) read(ctx context.Context, s *lease, h Handle) (Object, error) {
	attrs, err := c.attributes(ctx, s, h, objectAttrs...)
	if err != nil {
		return Object{}, err
	}
	return describe(attrs), nil
}

// attributes reads attributes of an object.
func (c *core) attributes(ctx context.Context, s *lease, h Handle, types ...uint) ([]Attribute, error) {
	return askAgain(func() ([]Attribute, error) {
		return call(ctx, c, s, "C_GetAttributeValue", func(raw Session) ([]Attribute, error) {
			return raw.Attributes(h, types...)
		})
	})
}

// askAgain reads attributes a second time where the answer may mean that the
// object goes at this moment: while another session destroys it SoftHSM2 2.6.1
// answers CKR_GENERAL_ERROR or CKR_ATTRIBUTE_VALUE_INVALID, which look like a
// fault of the token, and then that there is no such object.
func askAgain(ask func() ([]Attribute, error)) ([]Attribute, error) {
	attrs, err := ask()
	switch CKR(CodeOf(err)) {
	case ckrGeneralError, ckrAttributeValueInvalid:
		return ask()
	}
	return attrs, err
}

// went reports whether reading an object failed because it is no more; the
// session is sound then.
func (s *lease) went(err error) bool {
	if CodeOf(err) != uint(ckrObjectHandleInvalid) {
		return false
	}
	s.dirty = false
	return true
}

// located is an object that a search found.
type located struct {
	handle Handle
	Object
}

// search finds every object on the token that fits the template; session copies
// of keys are no such objects. The session is lent for management.
func (c *core) search(ctx context.Context, s *lease, template []Attribute, limit int) ([]located, error) {
	template = append([]Attribute{boolAttr(ckaToken, true)}, template...)
	handles, err := call(ctx, c, s, "C_FindObjects", func(raw Session) ([]Handle, error) {
		return raw.Find(template, limit)
	})
	if err != nil {
		return nil, err
	}
	out := make([]located, 0, len(handles))
	for _, h := range handles {
		o, err := c.read(ctx, s, h)
		if s.went(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, located{h, o})
	}
	return out, nil
}

// Find returns the objects of a key: one for a secret key, two for a pair. None
// found is an answer only if the token was shown to be well right afterwards;
// otherwise the error says what is wrong with it.
func (t *Token) Find(ctx context.Context, ref KeyRef) ([]Object, error) {
	if err := ref.check("C_FindObjects"); err != nil {
		return nil, err
	}
	return t.find(ctx, []Attribute{bytesAttr(ckaID, ref.ID), textAttr(ckaLabel, ref.Label)})
}

// FindLabel returns the objects of a label, whatever their ids. None found is
// answered as by [Token.Find].
func (t *Token) FindLabel(ctx context.Context, label string) ([]Object, error) {
	return t.find(ctx, []Attribute{textAttr(ckaLabel, label)})
}

func (t *Token) find(ctx context.Context, template []Attribute) ([]Object, error) {
	var out []Object
	err := t.repeat(ctx, "C_FindObjects", func(ctx context.Context) error {
		out = nil
		var gen uint64
		err := t.core.manage(ctx, func(s *lease) error {
			gen = s.gen
			found, err := t.core.search(ctx, s, template, findAtOnce)
			for _, f := range found {
				out = append(out, f.Object)
			}
			return err
		})
		if err == nil && len(out) == 0 {
			err = t.core.provenWell(ctx, gen)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// provenWell turns a failed check into an error that no one takes for "not
// found". gen is the login in which nothing was found: that the token is well in
// a later one says nothing about what it showed then.
func (c *core) provenWell(ctx context.Context, gen uint64) error {
	err := c.check(ctx)
	if err == nil && c.live.Load() != gen {
		err = failf("check token", SessionLost, "the token was logged in to anew meanwhile")
	}
	if err == nil {
		return nil
	}
	return &Error{Op: "check token", Class: TokenDoubtful, Code: CodeOf(err), Err: err}
}
