package keystore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// KeyID is a KMS key id: a random UUID, or "mrk-" and 32 hex digits for a multi-Region key.
type KeyID string

// StoreID is a custom key store id ("cks-" and 17 hex digits). The empty id is the default store of a Region.
type StoreID string

// MaterialID identifies one piece of backing material. It is the CKA_ID of its objects on the token.
type MaterialID [16]byte

// String gives lower-case hex, as ledgers and reports show a CKA_ID.
func (m MaterialID) String() string { return hex.EncodeToString(m[:]) }

// IsZero tells whether there is no material.
func (m MaterialID) IsZero() bool { return m == MaterialID{} }

// MarshalText and UnmarshalText make a MaterialID lower-case hex in JSON and YAML.
func (m MaterialID) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads lower- or upper-case hex of exactly 16 bytes.
func (m *MaterialID) UnmarshalText(b []byte) error {
	id, err := ParseMaterialID(string(b))
	if err == nil {
		*m = id
	}
	return err
}

// ParseMaterialID reads the hex form.
func ParseMaterialID(s string) (MaterialID, error) {
	var m MaterialID
	if len(s) != 2*len(m) {
		return m, fmt.Errorf("material id %q: want %d hex digits", s, 2*len(m))
	}
	if _, err := hex.Decode(m[:], []byte(s)); err != nil {
		return m, fmt.Errorf("material id %q: %w", s, err)
	}
	return m, nil
}

// KMSID is the KeyMaterialId of the AWS KMS API (64 lower-case hex digits), derived from the material id so that a
// caller never learns the CKA_ID.
func (m MaterialID) KMSID() string {
	h := sha256.Sum256(append([]byte("strongroom KeyMaterialId\x00"), m[:]...))
	return hex.EncodeToString(h[:])
}

// NewKeyID makes a random key id: a version 4 UUID, or the mrk- form for a multi-Region key.
func NewKeyID(random io.Reader, multiRegion bool) (KeyID, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("new key id: %w", err)
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	if multiRegion {
		return KeyID("mrk-" + h), nil
	}
	return KeyID(h[0:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]), nil
}

// NewStoreID makes a random custom key store id.
func NewStoreID(random io.Reader) (StoreID, error) {
	var b [9]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("new custom key store id: %w", err)
	}
	return StoreID("cks-" + hex.EncodeToString(b[:])[:17]), nil
}

// NewMaterialID makes a random material id.
func NewMaterialID(random io.Reader) (MaterialID, error) {
	var m MaterialID
	if _, err := io.ReadFull(random, m[:]); err != nil {
		return m, fmt.Errorf("new material id: %w", err)
	}
	return m, nil
}

// Valid tells whether id has one of the two forms of a KMS key id. Hex digits may be of either case in a UUID, as AWS
// accepts them; key ids are stored in lower case.
func (id KeyID) Valid() bool {
	s := string(id)
	if strings.HasPrefix(s, "mrk-") {
		return len(s) == 36 && allHex(s[4:])
	}
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		allHex(s[:8]) && allHex(s[9:13]) && allHex(s[14:18]) && allHex(s[19:23]) && allHex(s[24:])
}

// MultiRegion tells whether id is that of a multi-Region key.
func (id KeyID) MultiRegion() bool { return strings.HasPrefix(string(id), "mrk-") }

func allHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// KeyARN is the ARN of a key.
func KeyARN(region, account string, id KeyID) string {
	return "arn:aws:kms:" + region + ":" + account + ":key/" + string(id)
}

// AliasARN is the ARN of an alias; name includes the prefix "alias/".
func AliasARN(region, account, name string) string {
	return "arn:aws:kms:" + region + ":" + account + ":" + name
}

// RootARN is the ARN of the account's root principal.
func RootARN(account string) string { return "arn:aws:iam::" + account + ":root" }
