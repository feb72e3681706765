package hsm

import (
	"context"
	"log/slog"
	"time"
)

// tornWait is how long an object without a name must stay as it is before it is taken for torn: another program that makes
// a key on the same token just now names it within a millisecond.
const tornWait = 200 * time.Millisecond

// clearTorn removes what a process left behind that was killed while a key was being made, on modules that write a token
// object piece by piece (Profile.TearsObjects): an object without CKA_ID and label, which the module itself does not take for
// a token object. It has no key in it yet. It must run before this process has session objects of its own.
func (c *core) clearTorn(ctx context.Context, keeper *lease) error {
	if !c.profile.TearsObjects || c.info.Load().ReadOnly {
		return nil
	}
	torn, err := c.findTorn(ctx, keeper)
	if err != nil || len(torn) == 0 {
		return err
	}
	select {
	case <-time.After(tornWait):
	case <-ctx.Done():
		return &Error{Op: "C_FindObjects", Class: Timeout, Err: context.Cause(ctx)}
	}
	still, err := c.findTorn(ctx, keeper)
	if err != nil {
		return err
	}
	for h := range still {
		if !torn[h] {
			continue
		}
		_, err := c.inspect(ctx, keeper, "C_DestroyObject", func(raw Session) (any, error) { return nil, raw.DestroyObject(h) })
		if err != nil && CodeOf(err) != uint(ckrObjectHandleInvalid) {
			return err
		}
		c.log(ctx, slog.LevelInfo, "removed an object without a name, which a process left behind that was killed while it made a key")
	}
	return nil
}

// findTorn lists the objects without a name: of those that the module does not call token objects, because it says that
// they are none or because they do not even have that attribute yet.
func (c *core) findTorn(ctx context.Context, keeper *lease) (map[Handle]bool, error) {
	const most = 1 << 20
	find := func(template ...Attribute) ([]Handle, error) {
		return inspectAs(ctx, c, keeper, "C_FindObjects", func(raw Session) ([]Handle, error) { return raw.Find(template, most) })
	}
	all, err := find()
	if err != nil {
		return nil, err
	}
	whole, err := find(boolAttr(ckaToken, true))
	if err != nil {
		return nil, err
	}
	known := make(map[Handle]bool, len(whole))
	for _, h := range whole {
		known[h] = true
	}
	torn := map[Handle]bool{}
	for _, h := range all {
		if known[h] {
			continue
		}
		named, err := c.named(ctx, keeper, h)
		if err != nil {
			return nil, err
		}
		if !named {
			torn[h] = true
		}
	}
	return torn, nil
}

// named tells whether an object has a CKA_ID or a label, or is no more. SoftHSM2 shows nothing of an object that has no class yet.
func (c *core) named(ctx context.Context, keeper *lease, h Handle) (bool, error) {
	attrs, err := askAgain(func() ([]Attribute, error) {
		return inspectAs(ctx, c, keeper, "C_GetAttributeValue", func(raw Session) ([]Attribute, error) {
			return raw.Attributes(h, ckaID, ckaLabel)
		})
	})
	switch CKR(CodeOf(err)) {
	case ckrAttributeValueInvalid:
		return false, nil
	case ckrObjectHandleInvalid: // it went meanwhile
		keeper.dirty = false
		return true, nil
	}
	for _, a := range attrs {
		if len(a.Value) > 0 {
			return true, nil
		}
	}
	return false, err
}
