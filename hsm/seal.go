package hsm

import (
	"context"
	"crypto/rand"
)

// Sizes of sealed bytes: IV, ciphertext as long as the plaintext, tag.
const (
	IVSize       = 12
	TagSize      = 16
	SealOverhead = IVSize + TagSize
	// MaxPlaintext bounds what is sealed in one call, and MaxAAD what is
	// bound to it. Everything that KMS seals is far below.
	MaxPlaintext = 64 << 10
	MaxAAD       = 64 << 10
)

// Seal encrypts plaintext under an AES-256 key with AES-GCM and binds aad to
// it. It appends IV, ciphertext and tag to dst. The IV is random, so one key
// must not seal more than 2^32 times (NIST SP 800-38D section 8.3).
func (t *Token) Seal(ctx context.Context, ref KeyRef, aad, plaintext, dst []byte) ([]byte, error) {
	const op = "C_Encrypt"
	if err := t.usable(op); err != nil {
		return nil, err
	}
	if len(plaintext) > MaxPlaintext || len(aad) > MaxAAD {
		return nil, failf(op, BadInput, "%d bytes with %d bytes of additional data are too many", len(plaintext), len(aad))
	}
	var iv [IVSize]byte
	if t.core.profile.IV == IVOurs {
		if _, err := rand.Read(iv[:]); err != nil {
			return nil, fail("make IV", err)
		}
	}
	h := newHotCall(hotEncrypt, ckmAESGCM, ckkAES, iv[:], aad, plaintext, len(plaintext)+TagSize)
	defer h.release()
	if err := t.core.hot(ctx, t.core.light, ref, ckoSecretKey, h); err != nil {
		return nil, err
	}
	if h.n != len(plaintext)+TagSize {
		return nil, failf(op, Internal, "%d bytes came of %d", h.n, len(plaintext))
	}
	if t.core.profile.IV == IVToken && isZero(h.mech.IV) {
		return nil, failf(op, Internal, "the token gave no IV")
	}
	return append(append(dst, h.mech.IV...), h.out[:h.n]...), nil
}

// Open reverses [Token.Seal] and appends the plaintext to dst. The class
// BadCiphertext means that the bytes are not authentic: the same key was shown
// to work right after the failure. Any other class says nothing about them.
func (t *Token) Open(ctx context.Context, ref KeyRef, aad, sealed, dst []byte) ([]byte, error) {
	const op = "C_Decrypt"
	if err := t.usable(op); err != nil {
		return nil, err
	}
	if len(sealed) < SealOverhead {
		return nil, failf(op, BadCiphertext, "%d bytes are too few", len(sealed))
	}
	if len(sealed) > MaxPlaintext+SealOverhead || len(aad) > MaxAAD {
		return nil, failf(op, BadInput, "%d bytes with %d bytes of additional data are too many", len(sealed), len(aad))
	}
	// Some modules write the tag's room too before they cut it off.
	h := newHotCall(hotDecrypt, ckmAESGCM, ckkAES, sealed[:IVSize], aad, sealed[IVSize:], len(sealed)-IVSize)
	defer h.release()
	if err := t.core.hot(ctx, t.core.light, ref, ckoSecretKey, h); err != nil {
		return nil, err
	}
	if h.n != len(sealed)-SealOverhead {
		return nil, failf(op, Internal, "%d bytes came of %d", h.n, len(sealed))
	}
	return append(dst, h.out[:h.n]...), nil
}

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// hot makes a call in a lane, and once more if that may help.
func (c *core) hot(ctx context.Context, l *lanes, ref KeyRef, class uint, h *hotCall) error {
	blamed := false
	for again := false; ; again = true {
		if err := c.ensure(ctx); err != nil {
			return err
		}
		gen := c.live.Load()
		err := c.hotOnce(ctx, l, ref, class, h)
		if err == nil || h.gone {
			return err
		}
		if h.op == hotDecrypt && !h.noBlame && c.blamesBytes(err) && c.keyWorks(ctx, ref, class) {
			if blamed {
				return &Error{Op: "C_Decrypt", Class: BadCiphertext, Code: CodeOf(err), Err: err}
			}
			// A fault of the token that has passed already looks the same:
			// only bytes that fail again, on a key that works, are bad.
			blamed = true
			continue
		}
		if again || !c.mayHelp(ctx, gen, err) {
			return err
		}
	}
}

func (c *core) hotOnce(ctx context.Context, l *lanes, ref KeyRef, class uint, h *hotCall) error {
	e, err := c.resolve(ctx, ref, class)
	if err != nil {
		return err
	}
	defer c.release(e)
	// SoftHSM2 answers CKR_GENERAL_ERROR to some wrong types of keys.
	if e.kind != NoKind && kinds[e.kind].keyType != h.keyType {
		return failf(hotNames[h.op], BadInput, "a key of kind %s cannot do this", e.kind)
	}
	h.entry = e
	err = l.run(ctx, h)
	switch CKR(CodeOf(err)) {
	case ckrKeyHandleInvalid, ckrObjectHandleInvalid:
		c.dropEntry(e)
	}
	return err
}

// blamesBytes reports whether a failed decryption may be the ciphertext's
// fault. SoftHSM2 gives CKR_GENERAL_ERROR for a bad tag, as it does for a dead
// token, and other modules other codes; so every code counts but those that
// plainly name the session, the key's handle, the token or the mechanism.
func (c *core) blamesBytes(err error) bool {
	switch ClassOf(err) {
	case Internal, BadInput:
		return CodeOf(err) != 0
	}
	return false
}

// keyWorks shows that a key seals and opens at this moment.
func (c *core) keyWorks(ctx context.Context, ref KeyRef, class uint) bool {
	var iv [IVSize]byte
	if _, err := rand.Read(iv[:]); err != nil {
		return false
	}
	seal := newHotCall(hotEncrypt, ckmAESGCM, ckkAES, iv[:], nil, canaryPlain, len(canaryPlain)+TagSize)
	defer seal.release()
	if err := c.hotOnce(ctx, c.light, ref, class, seal); err != nil {
		// A key that may only decrypt cannot prove itself; the canary must.
		return ClassOf(err) == Refused && c.check(ctx) == nil
	}
	open := newHotCall(hotDecrypt, ckmAESGCM, ckkAES, seal.mech.IV, nil, seal.out[:seal.n], seal.n)
	defer open.release()
	return c.hotOnce(ctx, c.light, ref, class, open) == nil && string(open.out[:open.n]) == string(canaryPlain)
}
