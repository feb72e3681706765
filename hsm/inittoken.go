package hsm

import "context"

// InitToken makes a token in the module's first blank slot and sets its user
// PIN, and returns its description. A token that has this label already is an
// error of class BadInput. Nothing that exists is overwritten. Other tokens of
// the module are not disturbed.
func (l *Library) InitToken(ctx context.Context, label string, soPIN, pin Secret) (TokenEntry, error) {
	const op, maxTokenLabel = "C_InitToken", 32
	if label == "" || len(label) > maxTokenLabel {
		return TokenEntry{}, failf(op, BadInput, "token label of %d bytes; 1 to %d are possible", len(label), maxTokenLabel)
	}
	if err := l.lock(ctx); err != nil {
		return TokenEntry{}, err
	}
	defer l.unlock()
	if !l.ready.Load() {
		if err := l.initialize(ctx, DefaultCallTimeout); err != nil {
			return TokenEntry{}, err
		}
	}
	tokens, err := l.tokens(ctx, DefaultCallTimeout)
	if err != nil {
		return TokenEntry{}, err
	}
	slot, found := uint(0), false
	for _, t := range tokens {
		blank := t.info.Flags&ckfTokenInitialized == 0
		if !blank && t.info.Label == label {
			return TokenEntry{}, failf(op, BadInput, "token %q exists", label)
		}
		if blank && !found {
			slot, found = t.slot, true
		}
	}
	if !found {
		return TokenEntry{}, failf(op, Full, "the module has no blank slot")
	}
	return bounded(ctx, l, DefaultCallTimeout, op, func() (TokenEntry, error) {
		return l.initToken(slot, label, soPIN, pin)
	})
}

func (l *Library) initToken(slot uint, label string, soPIN, pin Secret) (TokenEntry, error) {
	if err := l.mod.InitToken(slot, soPIN, label); err != nil {
		return TokenEntry{}, err
	}
	if err := l.setUserPIN(slot, soPIN, pin); err != nil {
		return TokenEntry{}, err
	}
	info, err := l.mod.TokenInfo(slot)
	return TokenEntry{Slot: slot, TokenInfo: info, Initialized: true, UserPINSet: true}, err
}

// InitPIN sets the user PIN of a token that has none yet: of a blank PKCS#11
// database such as NSS makes, or of one that a security officer prepared. A
// token that has a user PIN is refused: this is no way to reset one.
func (l *Library) InitPIN(ctx context.Context, slot uint, soPIN, pin Secret) error {
	const op = "C_InitPIN"
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if !l.ready.Load() {
		if err := l.initialize(ctx, DefaultCallTimeout); err != nil {
			return err
		}
	}
	_, err := bounded(ctx, l, DefaultCallTimeout, op, func() (struct{}, error) {
		info, err := l.mod.TokenInfo(slot)
		if err != nil {
			return struct{}{}, err
		}
		if info.Flags&ckfUserPINInitialized != 0 {
			return struct{}{}, failf(op, Refused, "token %q has a user PIN", info.Label)
		}
		return struct{}{}, l.setUserPIN(slot, soPIN, pin)
	})
	return err
}

func (l *Library) setUserPIN(slot uint, soPIN, pin Secret) error {
	s, err := l.mod.OpenSession(slot, true)
	if err != nil {
		return err
	}
	if err = s.Login(SecurityOfficer, soPIN); err == nil {
		err = s.InitPIN(pin)
	}
	// Closing the last session logs the security officer out.
	if closing := s.Close(); err == nil {
		err = closing
	}
	return err
}
