package hsm

import "context"

// SetPIN changes the PIN of the user on the token itself. Handles that are open
// go on with the new one; other programs that know the old one do not. An old
// PIN that is not the one in use is PINIncorrect and does not reach the token.
func (t *Token) SetPIN(ctx context.Context, old, pin Secret) error {
	const op = "C_SetPIN"
	c := t.core
	return t.once(ctx, op, func(ctx context.Context) error {
		return c.manage(ctx, func(s *lease) error {
			if !c.goodPIN().Equal(old) {
				return failf(op, PINIncorrect, "another PIN is known to be good")
			}
			if pin.Empty() {
				return failf(op, BadInput, "an empty PIN")
			}
			if err := do(ctx, c, s, op, func(raw Session) error { return raw.SetPIN(old, pin) }); err != nil {
				return err
			}
			c.mu.Lock()
			c.pin = pin
			c.mu.Unlock()
			return nil
		})
	})
}

func (c *core) goodPIN() Secret {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pin
}
