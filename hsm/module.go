package hsm

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Module is one PKCS#11 library in this process. Package hsm/pkcs11 implements
// it on real libraries. Its methods block for as long as the library does;
// [Library] and [Pool] put deadlines and order around them. Errors that the
// library itself returned are, or wrap, a [CKR].
type Module interface {
	// Path names the library, as it was configured.
	Path() string
	// Initialize calls C_Initialize; a library that already is initialised
	// is an error of value CKR_CRYPTOKI_ALREADY_INITIALIZED.
	Initialize() error
	// Finalize calls C_Finalize. No other call may be under way: real
	// libraries crash then.
	Finalize() error
	// Slots lists the slots; with tokenPresent only those that hold a token.
	Slots(tokenPresent bool) ([]uint, error)
	// TokenInfo describes the token in a slot.
	TokenInfo(slot uint) (TokenInfo, error)
	// Mechanisms lists what the token claims to know. Claims are no proof.
	Mechanisms(slot uint) ([]uint, error)
	// MaxKeySize is the largest key that the token claims for a mechanism, in
	// the mechanism's own unit.
	MaxKeySize(slot, mechanism uint) (uint, error)
	// OpenSession opens a session, for reading and writing or for reading.
	OpenSession(slot uint, readWrite bool) (Session, error)
	// CloseAllSessions ends every session of this process with a token,
	// and with them its login.
	CloseAllSessions(slot uint) error
	// InitToken makes an empty token in a slot.
	InitToken(slot uint, soPIN Secret, label string) error
}

// Session is one PKCS#11 session. It has one user at a time. Every method is
// one-shot: no operation is left active between calls.
type Session interface {
	// Close ends the session.
	Close() error
	// Login authenticates the whole process to the token.
	Login(user UserType, pin Secret) error
	// Logout ends the login of the whole process.
	Logout() error
	// LoggedIn reports whether the session is alive and its user logged in.
	LoggedIn() (bool, error)
	// InitPIN sets the user PIN; the security officer must be logged in.
	InitPIN(pin Secret) error
	// SetPIN changes the PIN of the user who is logged in.
	SetPIN(old, new Secret) error
	// Find returns up to limit handles of objects that match all attributes.
	Find(template []Attribute, limit int) ([]Handle, error)
	// Attributes reads attributes. One that the object has not, or keeps to
	// itself, is left out of the answer and is no error.
	Attributes(h Handle, types ...uint) ([]Attribute, error)
	// SetAttributes changes attributes of an object.
	SetAttributes(h Handle, attrs []Attribute) error
	// GenerateKey makes a secret key.
	GenerateKey(m Mechanism, template []Attribute) (Handle, error)
	// GenerateKeyPair makes a key pair.
	GenerateKeyPair(m Mechanism, public, private []Attribute) (pub, priv Handle, err error)
	// CreateObject makes an object of the given attributes.
	CreateObject(template []Attribute) (Handle, error)
	// CopyObject copies an object with changed attributes.
	CopyObject(h Handle, changes []Attribute) (Handle, error)
	// DestroyObject removes an object.
	DestroyObject(h Handle) error
	// Encrypt encrypts in into out, which must be long enough, and returns
	// the number of bytes written. m.IV is written to where the token makes
	// the IV itself.
	Encrypt(m *Mechanism, key Handle, in, out []byte) (int, error)
	// Decrypt is the reverse of Encrypt.
	Decrypt(m *Mechanism, key Handle, in, out []byte) (int, error)
	// Sign signs or authenticates in into out.
	Sign(m *Mechanism, key Handle, in, out []byte) (int, error)
	// Verify checks a signature on in.
	Verify(m *Mechanism, key Handle, in, signature []byte) error
	// Wrap encrypts one key under another.
	Wrap(m *Mechanism, wrapping, key Handle, out []byte) (int, error)
	// Unwrap makes a key object of a wrapped key.
	Unwrap(m *Mechanism, unwrapping Handle, wrapped []byte, template []Attribute) (Handle, error)
	// Derive makes a key object from another key.
	Derive(m *Mechanism, base Handle, template []Attribute) (Handle, error)
	// Encapsulate makes a shared secret for the holder of a key pair
	// (C_EncapsulateKey of PKCS#11 3.2): a key object of the template, and the
	// ciphertext in out, which must be long enough. A module without the
	// function is CKR_FUNCTION_NOT_SUPPORTED.
	Encapsulate(m *Mechanism, public Handle, template []Attribute, out []byte) (n int, secret Handle, err error)
	// Decapsulate makes the same key object of the ciphertext
	// (C_DecapsulateKey).
	Decapsulate(m *Mechanism, private Handle, ciphertext []byte, template []Attribute) (Handle, error)
	// Random fills p from the token's generator.
	Random(p []byte) error
}

// Handle is a CK_OBJECT_HANDLE. It is good for one login only.
type Handle uint

// UserType is a CK_USER_TYPE.
type UserType uint

// The two users that a PKCS#11 token knows.
const (
	SecurityOfficer UserType = 0 // CKU_SO
	User            UserType = 1 // CKU_USER
)

// TokenInfo is CK_TOKEN_INFO with its padding removed.
type TokenInfo struct {
	Label, Serial, Manufacturer, Model string
	Firmware                           string // "major.minor"
	Flags                              uint   // CKF_…
	MaxSessions, MaxRWSessions         uint   // 0 or near 2^64: not said
	MinPIN, MaxPIN                     uint   // lengths
}

// Mechanism is a mechanism number with its parameter, in one of three forms:
// raw bytes without pointers (Param), GCM (IV and AAD), or ECDH1 (Peer).
type Mechanism struct {
	Type  uint
	Param []byte // CKM_…_PSS, CKM_RSA_PKCS_OAEP, CBC: the parameter block as it is
	IV    []byte // CKM_AES_GCM
	AAD   []byte // CKM_AES_GCM
	Peer  []byte // CKM_ECDH1_DERIVE: the other side's public point, with CKD_NULL
}

// Attribute is a CK_ATTRIBUTE: a type and its value in the library's own
// encoding.
type Attribute struct {
	Type  uint
	Value []byte
}

// ulongSize is the size of a CK_ULONG where Go's uint has the same size, as it
// has on every Unix.
const ulongSize = bits.UintSize / 8

// encodeUlong encodes values as adjoining CK_ULONGs: an attribute's value or
// a parameter block without pointers.
func encodeUlong(values ...uint) []byte {
	out := make([]byte, 0, len(values)*ulongSize)
	for _, v := range values {
		if ulongSize == 4 {
			out = binary.NativeEndian.AppendUint32(out, uint32(v)) //nolint:gosec // 32-bit platform
		} else {
			out = binary.NativeEndian.AppendUint64(out, uint64(v))
		}
	}
	return out
}

func ulongAttr(t, v uint) Attribute        { return Attribute{t, encodeUlong(v)} }
func bytesAttr(t uint, v []byte) Attribute { return Attribute{t, v} }
func textAttr(t uint, v string) Attribute  { return Attribute{t, []byte(v)} }

func boolAttr(t uint, v bool) Attribute {
	if v {
		return Attribute{t, []byte{1}}
	}
	return Attribute{t, []byte{0}}
}

// Ulong reads a CK_ULONG attribute.
func (a Attribute) Ulong() (uint, error) {
	if len(a.Value) != ulongSize {
		return 0, fmt.Errorf("attribute %#x has %d bytes, not a CK_ULONG", a.Type, len(a.Value))
	}
	if ulongSize == 4 {
		return uint(binary.NativeEndian.Uint32(a.Value)), nil
	}
	return uint(binary.NativeEndian.Uint64(a.Value)), nil
}

// Bool reads a CK_BBOOL attribute.
func (a Attribute) Bool() bool { return len(a.Value) == 1 && a.Value[0] != 0 }
