package hsm

import "fmt"

// KeyRef names a key on a token: it is found by its CKA_ID and checked by its
// label. An object with the right id and another label is not the key.
type KeyRef struct {
	ID    []byte // CKA_ID; 16 random bytes for keys that Strongroom makes
	Label string // CKA_LABEL
}

// String prints the reference for people and logs.
func (r KeyRef) String() string { return fmt.Sprintf("%q (CKA_ID %x)", r.Label, r.ID) }

// maxID and maxLabel bound what is put on a token. SoftHSM2, NSS and
// openCryptoki were seen to keep 64-byte ids and 200-byte labels.
const (
	maxID    = 64
	maxLabel = 200
)

func (r KeyRef) check(op string) error {
	if len(r.ID) == 0 || len(r.ID) > maxID {
		return failf(op, BadInput, "CKA_ID of %d bytes; 1 to %d are possible", len(r.ID), maxID)
	}
	if r.Label == "" || len(r.Label) > maxLabel {
		return failf(op, BadInput, "label of %d bytes; 1 to %d are possible", len(r.Label), maxLabel)
	}
	return nil
}

// Usage is a set of what a key may be used for.
type Usage uint16

// Usages; each is the attribute of the same name.
const (
	UseEncrypt Usage = 1 << iota
	UseDecrypt
	UseSign
	UseVerify
	UseDerive
	UseWrap
	UseUnwrap
	UseEncapsulate
	UseDecapsulate
)

// Template is an order for a new key.
type Template struct {
	KeyRef
	Kind        Kind
	Usage       Usage
	Extractable bool // may leave the token wrapped; otherwise never

	// padded: the value may have got zeros up to a multiple of eight bytes on
	// its way, as SoftHSM2 2.6.1 adds before it wraps. To an HMAC of 28 bytes
	// they make no difference (RFC 2104 section 2), and no other key has them.
	padded bool
}

// Object describes one object on a token.
type Object struct {
	KeyRef
	Class       string // "CKO_SECRET_KEY"
	KeyType     string // "CKK_AES"; empty for an object that is no key
	Kind        Kind   // of the key; NoKind for a key of a kind that is not in the table
	Bits        int    // of the key, modulus or curve; 0 where the token does not say, and for ML-DSA and ML-KEM
	CheckValue  []byte // CKA_CHECK_VALUE where the token gives one
	Usage       Usage
	Sensitive   bool
	Extractable bool
	Private     bool
	Local       bool // the token says that it made the key itself; not proof
}

// IsKey reports whether the object is a secret, private or public key.
func (o Object) IsKey() bool { return o.KeyType != "" }

// Info describes the token that was opened.
type Info struct {
	ModulePath, Label, Serial, Manufacturer, Model, Firmware string
	Slot                                                     uint   // where it is now; no identity
	Profile                                                  string // the name of its Profile
	ReadOnly                                                 bool
}
