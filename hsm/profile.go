package hsm

import "strings"

// IVMaker says who makes the IV of AES-GCM.
type IVMaker uint8

// Who makes the IV.
const (
	// IVOurs: 12 bytes from crypto/rand, given to the token.
	IVOurs IVMaker = iota
	// IVToken: the token makes it and writes it back (AWS CloudHSM).
	IVToken
)

// Profile is what is different about a vendor's module. The zero value of each
// field is what the standard says. Each row rests on trials of the module, or
// on the vendor's documents where it says so.
type Profile struct {
	Name string
	// Manufacturer and Library are how the profile is detected: prefixes of
	// the token's manufacturer, and a part of the module's file name.
	Manufacturer string
	Library      string

	// IV says who makes the IV of AES-GCM.
	IV IVMaker
	// SessionCopies: working on a session copy of a token key is faster
	// than on the key itself; at most this many copies are kept. 0 is none.
	SessionCopies int
	// LightAtOnce is how many short calls (AES, HMAC) the module does best
	// at a time; HeavyAtOnce the same for signing, RSA and curves. 0 is the
	// number of processors.
	LightAtOnce, HeavyAtOnce int
	// MaxSessions is the default bound of sessions.
	MaxSessions int
	// SerialManagement: generate, create, unwrap, find, destroy, open, close
	// and set-attribute must not run beside each other.
	SerialManagement bool
	// KeepAfterBadTag: a session is as good as new after a decryption that
	// failed for a bad tag. Otherwise it is closed.
	KeepAfterBadTag bool
	// TearsObjects: a process that is killed while it makes a token object can
	// leave one without CKA_ID, label and value on the token.
	TearsObjects bool
	// ReinitOnly: a lost token is found again only after C_Finalize and
	// C_Initialize; otherwise new sessions and a login are tried first.
	ReinitOnly bool
	// WrapFormat is what CKM_AES_KEY_WRAP_PAD really writes.
	WrapFormat WrapFormat
	// KeyWrapKWP: the module has CKM_AES_KEY_WRAP_KWP (RFC 5649).
	KeyWrapKWP bool
	// WrapsEdwards: Ed25519 keys leave the token wrapped, and come to it.
	WrapsEdwards bool
	// LocalUnset: keys that the token made say CKA_LOCAL false.
	LocalUnset bool
	// Note says where the row comes from.
	Note string
}

// WrapFormat tags a wrapped key with the format it is in, because one
// mechanism number has two meanings among vendors.
type WrapFormat string

// Formats of wrapped keys.
const (
	WrapRFC5649 WrapFormat = "rfc5649"       // AES key wrap with padding
	WrapPKCS7   WrapFormat = "rfc3394-pkcs7" // RFC 3394 over PKCS#7 padding (NSS)
)

// profiles is the table of known modules, most specific first. The last row is
// the fallback and must be "generic".
var profiles = []Profile{
	{
		Name: "softhsm2", Manufacturer: "SoftHSM project", Library: "softhsm",
		SessionCopies: 4096, LightAtOnce: 2, HeavyAtOnce: 0, MaxSessions: 16,
		SerialManagement: true, KeepAfterBadTag: true, TearsObjects: true, ReinitOnly: false,
		WrapFormat: WrapRFC5649,
		Note:       "SoftHSM2 2.6.1 of Debian 12, tried",
	},
	{
		Name: "nss", Manufacturer: "Mozilla Foundation", Library: "softokn",
		MaxSessions: 16, SerialManagement: true,
		WrapFormat: WrapPKCS7, KeyWrapKWP: true, LocalUnset: true,
		Note: "NSS 3.87 of Debian 12, tried; and 3.125, which has ML-KEM-768 and ML-KEM-1024",
	},
	{
		Name: "kryoptic", Manufacturer: "Kryoptic", Library: "kryoptic",
		SessionCopies: 4096, MaxSessions: 16, SerialManagement: true, KeyWrapKWP: true, WrapsEdwards: true,
		Note: "Kryoptic 1.5.4 with OpenSSL 3.5.5, tried; it has ML-DSA, ML-KEM and Ed25519ph, and no secp256k1",
	},
	{
		Name: "opencryptoki", Manufacturer: "IBM", Library: "opencryptoki",
		MaxSessions: 16, SerialManagement: true, ReinitOnly: true,
		Note: "openCryptoki 3.8.1 software token, tried; it has no AES-GCM",
	},
	{
		Name: "p11-kit", Library: "p11-kit-client",
		MaxSessions: 8, SerialManagement: true, ReinitOnly: true,
		Note: "p11-kit 0.24.1 remoting, tried; it does not carry AES-GCM",
	},
	{
		Name: "tpm2", Library: "tpm2_pkcs11",
		LightAtOnce: 1, HeavyAtOnce: 1, MaxSessions: 4, SerialManagement: true, ReinitOnly: true,
		Note: "tpm2-pkcs11 1.9 on swtpm, tried; C_GenerateKey and AES-GCM are missing",
	},
	{
		Name: "cloudhsm", Manufacturer: "Marvell", Library: "cloudhsm",
		IV: IVToken, MaxSessions: 64,
		Note: "AWS CloudHSM client SDK, by its documentation and by the text of its users; not tried",
	},
	{
		Name: "generic", MaxSessions: 16, SerialManagement: true,
		Note: "a module that is not known: only what every module should stand",
	},
}

// Profiles returns a copy of the table, the fallback last.
func Profiles() []Profile { return append([]Profile(nil), profiles...) }

// LookupProfile returns the row of a name.
func LookupProfile(name string) (Profile, bool) {
	for _, p := range profiles {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}

// DetectProfile finds the row for a module's file name and a token's
// manufacturer. A remoting library counts before the manufacturer, because
// what it drops is dropped for every token behind it.
func DetectProfile(modulePath, manufacturer string) Profile {
	base := strings.ToLower(modulePath[strings.LastIndexByte(modulePath, '/')+1:])
	for _, p := range profiles {
		if p.Library != "" && strings.Contains(base, p.Library) {
			return p
		}
	}
	for _, p := range profiles {
		if p.Manufacturer != "" && strings.HasPrefix(manufacturer, p.Manufacturer) {
			return p
		}
	}
	return profiles[len(profiles)-1]
}
