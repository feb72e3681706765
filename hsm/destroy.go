package hsm

import (
	"context"
	"errors"
)

// Destroy removes every object of a key: the secret key, or both halves of a
// pair. It reports how many it found. No error means that the token was shown
// to be well and to have none of them any more; found is 0 if there were none.
// An object with the same id and another label is left alone.
func (t *Token) Destroy(ctx context.Context, ref KeyRef) (found int, err error) {
	const op = "C_DestroyObject"
	if err := ref.check(op); err != nil {
		return 0, err
	}
	if ref.Label == CanaryLabel {
		return 0, failf(op, Refused, "the canary key is the token's own")
	}
	c := t.core
	most := 0
	err = t.repeat(ctx, op, func(ctx context.Context) error {
		var gen uint64
		err := c.manage(ctx, func(s *lease) error {
			gen = s.gen
			n, err := c.destroyFound(ctx, s, ref)
			most = max(most, n)
			return err
		})
		if err != nil {
			return err
		}
		return c.provenWell(ctx, gen)
	})
	return most, err
}

// destroyFound removes the objects of a key and looks again. The session is
// lent for management.
func (c *core) destroyFound(ctx context.Context, s *lease, ref KeyRef) (int, error) {
	for _, e := range c.cache.take(ref.ID) {
		c.reapOn(ctx, s, e)
	}
	template := []Attribute{boolAttr(ckaToken, true), bytesAttr(ckaID, ref.ID), textAttr(ckaLabel, ref.Label)}
	look := func() ([]Handle, error) {
		return call(ctx, c, s, "C_FindObjects", func(raw Session) ([]Handle, error) {
			return raw.Find(template, findAtOnce)
		})
	}
	handles, err := look()
	if err != nil || len(handles) == 0 {
		return 0, err
	}
	var errs []error
	for _, h := range handles {
		err := do(ctx, c, s, "C_DestroyObject", func(raw Session) error { return raw.DestroyObject(h) })
		// With two processes SoftHSM2 may list one object twice: the second
		// handle is invalid once the first is destroyed.
		if err != nil && CodeOf(err) != uint(ckrObjectHandleInvalid) {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return len(handles), errors.Join(errs...)
	}
	left, err := look()
	if err != nil {
		return len(handles), err
	}
	if len(left) > 0 {
		return len(handles), failf("C_DestroyObject", Refused, "%d objects are still there", len(left))
	}
	return len(handles), nil
}
