package hsm

import (
	"fmt"
	"strings"
)

// usageAttrs is the attribute of each usage.
var usageAttrs = [...]struct {
	use  Usage
	attr uint
}{
	{UseEncrypt, ckaEncrypt}, {UseDecrypt, ckaDecrypt}, {UseSign, ckaSign}, {UseVerify, ckaVerify},
	{UseDerive, ckaDerive}, {UseWrap, ckaWrap}, {UseUnwrap, ckaUnwrap},
	{UseEncapsulate, ckaEncapsulate}, {UseDecapsulate, ckaDecapsulate},
}

// optionalUses may be left out of a template where they are false: some modules
// refuse the attribute for some key types.
const optionalUses = UseDerive | UseWrap | UseUnwrap

// newUses are of PKCS#11 3.2 and stand in a template only where they are wanted:
// older modules do not know the attributes.
const newUses = UseEncapsulate | UseDecapsulate

// keyAttrs are the attributes that every key of ours has, whoever makes it. No
// default of a module is trusted. With all false, optional usages that are not
// wanted are left out.
func keyAttrs(t Template, class uint, all bool, uses Usage) []Attribute {
	out := []Attribute{
		ulongAttr(ckaClass, class), ulongAttr(ckaKeyType, kinds[t.Kind].keyType),
		boolAttr(ckaToken, true), bytesAttr(ckaID, t.ID), textAttr(ckaLabel, t.Label),
	}
	for _, u := range usageAttrs {
		if uses&u.use == 0 {
			continue
		}
		want := t.Usage&u.use != 0
		if want || newUses&u.use == 0 && (all || optionalUses&u.use == 0) {
			out = append(out, boolAttr(u.attr, want))
		}
	}
	return out
}

// hiddenAttrs keep a key's value on the token.
func hiddenAttrs(t Template) []Attribute {
	return []Attribute{
		boolAttr(ckaPrivate, true), boolAttr(ckaSensitive, true), boolAttr(ckaExtractable, t.Extractable),
	}
}

// secretTemplate is the template of C_GenerateKey.
func secretTemplate(t Template, all bool) []Attribute {
	out := keyAttrs(t, ckoSecretKey, all, ^Usage(0))
	out = append(out, hiddenAttrs(t)...)
	return append(out, ulongAttr(ckaValueLen, uint(kinds[t.Kind].bits)/8)) //nolint:gosec // small constants
}

// publicTemplate and privateTemplate are the halves of C_GenerateKeyPair.
func publicTemplate(t Template, all bool) []Attribute {
	row := kinds[t.Kind]
	out := append(keyAttrs(t, ckoPublicKey, all, publicUses), boolAttr(ckaPrivate, false))
	if row.keyType == ckkRSA {
		return append(out, ulongAttr(ckaModulusBits, uint(row.bits)), //nolint:gosec // small constants
			bytesAttr(ckaPublicExponent, []byte{1, 0, 1}))
	}
	if row.lattice != nil {
		return append(out, ulongAttr(ckaParameterSet, row.lattice.set))
	}
	return append(out, bytesAttr(ckaECParams, row.params))
}

func privateTemplate(t Template, all bool) []Attribute {
	return append(keyAttrs(t, ckoPrivateKey, all, privateUses), hiddenAttrs(t)...)
}

// check refuses an order that makes no sense on any token.
func (t Template) check(op string) error {
	if err := t.KeyRef.check(op); err != nil {
		return err
	}
	if _, ok := kinds[t.Kind]; !ok {
		return failf(op, BadInput, "no kind of key is numbered %d", uint8(t.Kind))
	}
	if t.Usage == 0 {
		return failf(op, BadInput, "a key without any usage")
	}
	return nil
}

// objectAttrs are read to describe an object.
var objectAttrs = []uint{
	ckaClass, ckaKeyType, ckaID, ckaLabel, ckaCheckValue, ckaPrivate, ckaSensitive, ckaExtractable, ckaLocal,
	ckaEncrypt, ckaDecrypt, ckaSign, ckaVerify, ckaDerive, ckaWrap, ckaUnwrap,
	ckaValueLen, ckaModulusBits, ckaModulus, ckaECParams, ckaParameterSet, ckaEncapsulate, ckaDecapsulate,
}

// describe makes an Object of the attributes that a token gave.
func describe(attrs []Attribute) Object {
	var o Object
	var keyType, set uint
	var params []byte
	isKey := false
	for _, a := range attrs {
		number, _ := a.Ulong()
		switch a.Type {
		case ckaClass:
			o.Class = nameOr(classNames, number, "CKO")
		case ckaKeyType:
			o.KeyType = nameOr(keyTypeNames, number, "CKK")
			keyType, isKey = number, true
		case ckaID:
			o.ID = a.Value
		case ckaLabel:
			o.Label = string(a.Value)
		case ckaCheckValue:
			o.CheckValue = a.Value
		case ckaPrivate:
			o.Private = a.Bool()
		case ckaSensitive:
			o.Sensitive = a.Bool()
		case ckaExtractable:
			o.Extractable = a.Bool()
		case ckaLocal:
			o.Local = a.Bool()
		case ckaValueLen:
			o.Bits = int(number) * 8 //nolint:gosec // a length in bytes
		case ckaModulusBits:
			o.Bits = int(number) //nolint:gosec // a length in bits
		case ckaModulus:
			if o.Bits == 0 {
				o.Bits = len(a.Value) * 8
			}
		case ckaECParams:
			o.Bits, params = curveBits(a.Value), a.Value
		case ckaParameterSet:
			set = number
		default:
			o.Usage |= usageOf(a)
		}
	}
	if isKey {
		if o.Kind = latticeKind(keyType, set); o.Kind == NoKind {
			o.Kind = kindOf(keyType, o.Bits, params)
		}
	}
	return o
}

func usageOf(a Attribute) Usage {
	for _, u := range usageAttrs {
		if u.attr == a.Type && a.Bool() {
			return u.use
		}
	}
	return 0
}

func curveBits(params []byte) int {
	for _, row := range kinds {
		if len(row.params) > 0 && string(row.params) == string(params) {
			return row.bits
		}
	}
	return 0
}

func nameOr(names map[uint]string, n uint, prefix string) string {
	if s, ok := names[n]; ok {
		return s
	}
	return fmt.Sprintf("%s_%#x", prefix, n)
}

// differs says in what an object is not what was ordered; empty is in nothing.
// CKA_LOCAL is not judged: modules do not agree on it.
func (t Template) differs(o Object, class uint) string {
	var bad []string
	note := func(ok bool, what string) {
		if !ok {
			bad = append(bad, what)
		}
	}
	row := kinds[t.Kind]
	note(o.Class == nameOr(classNames, class, "CKO"), "CKA_CLASS")
	note(o.KeyType == nameOr(keyTypeNames, row.keyType, "CKK"), "CKA_KEY_TYPE")
	note(string(o.ID) == string(t.ID), "CKA_ID")
	note(o.Label == t.Label, "CKA_LABEL")
	note(o.Bits == 0 || o.Bits == row.bits || t.padded && o.Bits == (row.bits+63)/64*64, "size")
	note(row.lattice == nil || o.Kind == t.Kind, "CKA_PARAMETER_SET")
	if class == ckoPublicKey {
		note(t.Usage&publicUses&^o.Usage == 0, "usages")
		return strings.Join(bad, ", ")
	}
	note(o.Private, "CKA_PRIVATE")
	note(o.Sensitive, "CKA_SENSITIVE")
	note(o.Extractable == t.Extractable, "CKA_EXTRACTABLE")
	uses := t.Usage
	if class == ckoPrivateKey {
		uses &= privateUses
	}
	note(o.Usage == uses, "usages")
	return strings.Join(bad, ", ")
}

// Usages of the two halves of a pair.
const (
	privateUses = UseDecrypt | UseSign | UseDerive | UseUnwrap | UseDecapsulate
	publicUses  = UseEncrypt | UseVerify | UseWrap | UseEncapsulate
)
