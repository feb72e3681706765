package hsm

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"maps"
)

// Capabilities is what a token was seen to do. Mechanism lists are no proof, so
// each was tried, with keys that live in a session only.
type Capabilities struct {
	// Uses has, for each kind that the token can make, the usages that
	// worked. Encrypt and Decrypt of AES is AES-GCM; Wrap and Unwrap of AES
	// is Wrap's format; Decrypt of RSA is OAEP in some way; Sign of RSA is
	// PKCS#1 v1.5.
	Uses map[Kind]Usage
	// PSS: RSASSA-PSS on a digest works.
	PSS bool
	// OAEP has the hashes with which [Token.DecryptOAEP] works.
	OAEP map[crypto.Hash]bool
	// Wrap is the format of wrapped keys; empty if it cannot wrap.
	Wrap WrapFormat
	// Reasons says of what does not work what the token answered.
	Reasons map[string]string
}

// Can reports whether keys of a kind can be made for all of the usages.
func (c Capabilities) Can(kind Kind, usage Usage) bool {
	have, ok := c.Uses[kind]
	if !ok {
		return false
	}
	if kind.Symmetric() && kind != AES256 || !kind.Symmetric() {
		usage &= privateUses // verifying and encrypting happens outside
	}
	return usage&^have == 0
}

// Capabilities tries what the token can do. It is done once for each make of
// token in a process; it takes about as long as the token needs for an RSA key
// of 2048 bits. Larger RSA keys are taken for possible if the token says so.
func (t *Token) Capabilities(ctx context.Context) (Capabilities, error) {
	const op = "probe token"
	if err := t.usable(op); err != nil {
		return Capabilities{}, err
	}
	c := t.core
	info := t.Info()
	id := fmt.Sprintf("%s\x00%s\x00%s\x00%s", info.Manufacturer, info.Model, info.Firmware, info.Profile)
	c.lib.mu.Lock()
	known, ok := c.lib.capabilities[id]
	c.lib.mu.Unlock()
	if ok {
		return known.clone(), nil
	}
	p := &prober{c: c, out: Capabilities{
		Uses: make(map[Kind]Usage), OAEP: make(map[crypto.Hash]bool), Reasons: make(map[string]string),
	}}
	for kind := AES256; kind <= Ed25519; kind++ {
		if err := p.kind(ctx, t, kind); err != nil {
			return Capabilities{}, err
		}
	}
	c.lib.mu.Lock()
	c.lib.capabilities[id] = p.out.clone()
	c.lib.mu.Unlock()
	return p.out, nil
}

func (c Capabilities) clone() Capabilities {
	c.Uses, c.OAEP, c.Reasons = maps.Clone(c.Uses), maps.Clone(c.OAEP), maps.Clone(c.Reasons)
	return c
}

// prober collects what was seen.
type prober struct {
	c   *core
	out Capabilities
}

// try runs one attempt. A token that says no, in whatever way, cannot do it; a
// token that is not well fails the whole.
func (p *prober) try(ctx context.Context, t *Token, what string, fn func(Session) error) (bool, error) {
	err := p.attempt(ctx, t, fn)
	if err == nil {
		return true, nil
	}
	switch ClassOf(err) {
	case Busy, Timeout, Stuck, Closed:
		return false, err
	}
	if bad := t.Health(ctx); bad != nil {
		return false, bad
	}
	p.out.Reasons[what] = err.Error()
	return false, nil
}

func (p *prober) attempt(ctx context.Context, t *Token, fn func(Session) error) error {
	if err := p.c.ensure(ctx); err != nil {
		return err
	}
	return p.c.manage(ctx, func(s *lease) error { return do(ctx, p.c, s, "probe token", fn) })
}

func (p *prober) kind(ctx context.Context, t *Token, kind Kind) error {
	if kind == RSA3072 || kind == RSA4096 {
		return p.largerRSA(ctx, t, kind)
	}
	for _, use := range probes[kinds[kind].keyType] {
		ok, err := p.try(ctx, t, kind.String()+" "+use.what, func(raw Session) error {
			pub, priv, err := probeKey(raw, kind, use.usage)
			if err == nil {
				err = use.run(p, raw, kind, pub, priv)
			}
			return err
		})
		if err != nil {
			return err
		}
		if ok {
			p.out.Uses[kind] |= use.usage
		}
	}
	return nil
}

// largerRSA takes the token's word for the size and what RSA-2048 showed for
// the rest.
func (p *prober) largerRSA(ctx context.Context, t *Token, kind Kind) error {
	ok, err := p.try(ctx, t, kind.String()+" size", func(Session) error {
		most, err := p.c.lib.mod.MaxKeySize(p.c.slot(), ckmRSAPairGen)
		if err == nil && most < uint(kind.Bits()) { //nolint:gosec // small constants
			err = fmt.Errorf("the token says that it makes RSA keys of at most %d bits", most)
		}
		return err
	})
	if uses, made := p.out.Uses[RSA2048]; ok && made {
		p.out.Uses[kind] = uses
	}
	return err
}

// probe is one thing to try with a kind of keys.
type probe struct {
	what  string
	usage Usage
	run   func(p *prober, raw Session, kind Kind, pub, priv Handle) error
}

// probes has what to try with each type of keys.
var probes = map[uint][]probe{
	ckkAES: {
		{"AES-GCM", UseEncrypt | UseDecrypt, probeGCM},
		{"key wrapping", UseWrap | UseUnwrap, probeWrap},
	},
	ckkGenericSecret: {{"HMAC", UseSign, probeMAC}},
	ckkRSA: {
		{"PKCS#1 v1.5 signature", UseSign, probeRSASign},
		{"OAEP", UseDecrypt, probeOAEP},
	},
	ckkEC: {
		{"ECDSA", UseSign, probeECDSA},
		{"ECDH", UseDerive, probeAgree},
	},
	ckkECEdwards: {{"EdDSA", UseSign, probeEdDSA}},
}

// probeKey makes a key that ends with the session.
func probeKey(raw Session, kind Kind, usage Usage) (pub, priv Handle, err error) {
	order := Template{KeyRef: KeyRef{ID: []byte("strongroom:probe"), Label: "strongroom:probe"}, Kind: kind,
		Usage: usage, Extractable: usage&UseWrap != 0}
	mech := Mechanism{Type: kinds[kind].generate}
	if kind.Symmetric() {
		order.Usage |= usage & UseSign * (UseVerify / UseSign)
		priv, err = raw.GenerateKey(mech, inSession(secretTemplate(order, false)))
		return 0, priv, err
	}
	order.Usage |= UseVerify | UseEncrypt
	pub, priv, err = raw.GenerateKeyPair(mech, inSession(publicTemplate(order, false)), inSession(privateTemplate(order, false)))
	return pub, priv, err
}

// inSession makes a template's object one of the session.
func inSession(template []Attribute) []Attribute {
	for i, a := range template {
		if a.Type == ckaToken {
			template[i] = boolAttr(ckaToken, false)
		}
	}
	return template
}

func probeGCM(_ *prober, raw Session, _ Kind, _, key Handle) error {
	m := &Mechanism{Type: ckmAESGCM, IV: []byte("probe of GCM"), AAD: []byte("aad")}
	sealed, opened := make([]byte, len(canaryPlain)+TagSize), make([]byte, len(canaryPlain)+TagSize)
	n, err := raw.Encrypt(m, key, canaryPlain, sealed)
	if err != nil {
		return err
	}
	if n != len(sealed) {
		return fmt.Errorf("%d bytes sealed are %d", len(canaryPlain), n)
	}
	if n, err = raw.Decrypt(m, key, sealed, opened); err != nil {
		return err
	}
	return same(opened[:n], canaryPlain)
}

func same(got, want []byte) error {
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the token gave %d other bytes than it should", len(got))
	}
	return nil
}

func probeMAC(_ *prober, raw Session, kind Kind, _, key Handle) error {
	out := make([]byte, 64)
	n, err := raw.Sign(&Mechanism{Type: kinds[kind].mac}, key, canaryPlain, out)
	if err == nil && n*8 != kind.Bits() {
		err = fmt.Errorf("a MAC of %d bytes", n)
	}
	return err
}

func probeWrap(p *prober, raw Session, _ Kind, _, kek Handle) error {
	mech, format := p.c.wrapMechanism()
	if format == "" {
		return ckrMechanismInvalid
	}
	_, key, err := probeKey(raw, AES256, UseWrap|UseUnwrap)
	if err != nil {
		return err
	}
	blob, err := wrapRaw(raw, Mechanism{Type: mech}, kek, key)
	if err != nil {
		return err
	}
	order := Template{KeyRef: KeyRef{ID: []byte{1}, Label: "strongroom:probe"}, Kind: AES256, Usage: UseWrap | UseUnwrap}
	template := append(keyAttrs(order, ckoSecretKey, false, ^Usage(0)), hiddenAttrs(order)...)
	if _, err = raw.Unwrap(&Mechanism{Type: mech}, kek, blob, inSession(template)); err == nil {
		p.out.Wrap = format
	}
	return err
}
