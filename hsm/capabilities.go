package hsm

import (
	"bytes"
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
	// PKCS#1 v1.5, of Ed25519 the pure scheme.
	Uses map[Kind]Usage
	// Prehash: Ed25519ph works.
	Prehash bool
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

func noCapabilities() Capabilities {
	return Capabilities{Uses: make(map[Kind]Usage), OAEP: make(map[crypto.Hash]bool), Reasons: make(map[string]string)}
}

// add takes over what an attempt found.
func (c *Capabilities) add(found Capabilities) {
	for kind, usage := range found.Uses {
		c.Uses[kind] |= usage
	}
	maps.Copy(c.OAEP, found.OAEP)
	maps.Copy(c.Reasons, found.Reasons)
	c.PSS, c.Prehash = c.PSS || found.PSS, c.Prehash || found.Prehash
	if found.Wrap != "" {
		c.Wrap = found.Wrap
	}
}

func (c Capabilities) clone() Capabilities {
	c.Uses, c.OAEP, c.Reasons = maps.Clone(c.Uses), maps.Clone(c.OAEP), maps.Clone(c.Reasons)
	return c
}

// probe is one thing to try with a kind of keys.
type probe struct {
	what  string
	usage Usage
	run   func(c *core, raw Session, found *Capabilities, kind Kind, pub, priv Handle) error
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
	ckkMLDSA:     {{"signature", UseSign, probeMLDSA}},
	ckkMLKEM:     {{"encapsulation", UseDecapsulate, probeKEM}},
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
	for private, public := range counterparts {
		order.Usage |= usage & private / private * public
	}
	pub, priv, err = raw.GenerateKeyPair(mech, inSession(publicTemplate(order, false)), inSession(privateTemplate(order, false)))
	return pub, priv, err
}

// counterparts are what the public half does to what the private half does.
var counterparts = map[Usage]Usage{UseSign: UseVerify, UseDecrypt: UseEncrypt, UseDecapsulate: UseEncapsulate}

// inSession makes a template's object one of the session.
func inSession(template []Attribute) []Attribute {
	for i, a := range template {
		if a.Type == ckaToken {
			template[i] = boolAttr(ckaToken, false)
		}
	}
	return template
}

func probeGCM(_ *core, raw Session, _ *Capabilities, _ Kind, _, key Handle) error {
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

func probeMAC(_ *core, raw Session, _ *Capabilities, kind Kind, _, key Handle) error {
	out := make([]byte, 64)
	n, err := raw.Sign(&Mechanism{Type: kinds[kind].mac}, key, canaryPlain, out)
	if err == nil && n*8 != kind.Bits() {
		err = fmt.Errorf("a MAC of %d bytes", n)
	}
	return err
}

func probeWrap(c *core, raw Session, found *Capabilities, _ Kind, _, kek Handle) error {
	mech, format := c.wrapMechanism()
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
	again, err := raw.Unwrap(&Mechanism{Type: mech}, kek, blob, inSession(template))
	if err != nil {
		return err
	}
	found.Wrap = format
	return discard(raw, key, again)
}
