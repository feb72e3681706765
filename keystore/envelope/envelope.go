package envelope

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/strongroom/strongroom/keystore"
)

// Layout of a blob, version 1:
//
//	0  2   magic "SR"
//	2  1   version
//	3  1   form of the key id: 0 a UUID, 1 "mrk-"
//	4  16  the key id's digits
//	20 16  material reference
//	36 …   sealed text: IV (12), ciphertext, tag (16)
const (
	magic0, magic1 = 'S', 'R'
	version1       = 1

	formUUID = 0
	formMRK  = 1

	// HeaderSize is the length of what stands before the sealed text.
	HeaderSize = 36
	// MinSealed is the length of the shortest sealed text: IV and tag.
	MinSealed = 12 + 16
	// MinSize is the length of the shortest blob.
	MinSize = HeaderSize + MinSealed
)

// ErrNotBlob says that bytes are no ciphertext blob of this appliance.
var ErrNotBlob = errors.New("not a ciphertext blob")

// Material refers to one material of a key inside blobs. It is made from the KeyMaterialId, not from the CKA_ID, because
// copies of a multi-Region key share the former on tokens where the latter differs.
type Material [16]byte

// MaterialOf gives the reference of a key's material.
func MaterialOf(m *keystore.KeyMaterial) Material {
	var ref Material
	if m.KMSID != "" {
		if len(m.KMSID) >= 2*len(ref) {
			if _, err := hex.Decode(ref[:], []byte(m.KMSID[:2*len(ref)])); err == nil {
				return ref
			}
		}
		h := sha256.Sum256([]byte(m.KMSID))
		copy(ref[:], h[:])
		return ref
	}
	// The same digest as keystore.MaterialID.KMSID, without its text form.
	const prefix = "strongroom KeyMaterialId\x00"
	var b [len(prefix) + 16]byte
	copy(b[:], prefix)
	copy(b[len(prefix):], m.ID[:])
	h := sha256.Sum256(b[:])
	copy(ref[:], h[:])
	return ref
}

// Blob is a ciphertext blob taken apart. Sealed is part of the bytes that were decoded.
type Blob struct {
	KeyID    keystore.KeyID
	Material Material
	Sealed   []byte
}

// AppendHeader appends all of a blob that stands before the sealed text. It fails for a key id that is none.
func AppendHeader(dst []byte, id keystore.KeyID, m Material) ([]byte, error) {
	var raw [17]byte
	if err := rawID(&raw, id); err != nil {
		return dst, err
	}
	dst = append(dst, magic0, magic1, version1)
	dst = append(dst, raw[:]...)
	return append(dst, m[:]...), nil
}

// Encode appends a whole blob to dst.
func Encode(dst []byte, id keystore.KeyID, m Material, sealed []byte) ([]byte, error) {
	if len(sealed) < MinSealed {
		return dst, fmt.Errorf("sealed text of %d bytes: want %d or more", len(sealed), MinSealed)
	}
	dst, err := AppendHeader(slices.Grow(dst, HeaderSize+len(sealed)), id, m)
	if err != nil {
		return dst, err
	}
	return append(dst, sealed...), nil
}

// Decode takes a blob apart, or answers ErrNotBlob; there is no third outcome for any bytes.
func Decode(b []byte) (Blob, error) {
	if len(b) < MinSize || b[0] != magic0 || b[1] != magic1 || b[2] != version1 {
		return Blob{}, ErrNotBlob
	}
	var blob Blob
	digits := b[4:20]
	switch b[3] {
	case formUUID:
		var s [36]byte
		hex.Encode(s[0:8], digits[0:4])
		hex.Encode(s[9:13], digits[4:6])
		hex.Encode(s[14:18], digits[6:8])
		hex.Encode(s[19:23], digits[8:10])
		hex.Encode(s[24:36], digits[10:16])
		s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
		blob.KeyID = keystore.KeyID(s[:])
	case formMRK:
		var s [36]byte
		copy(s[:], "mrk-")
		hex.Encode(s[4:], digits)
		blob.KeyID = keystore.KeyID(s[:])
	default:
		return Blob{}, ErrNotBlob
	}
	blob.Material = Material(b[20:36])
	blob.Sealed = b[HeaderSize:]
	return blob, nil
}

// rawID writes form and digits of a key id.
func rawID(raw *[17]byte, id keystore.KeyID) error {
	if !id.Valid() {
		return fmt.Errorf("key id %q is neither a UUID nor a multi-Region key id", string(id))
	}
	s := string(id)
	if id.MultiRegion() {
		raw[0] = formMRK
		unhex(raw[1:], s[4:])
		return nil
	}
	raw[0] = formUUID
	unhex(raw[1:5], s[0:8])
	unhex(raw[5:7], s[9:13])
	unhex(raw[7:9], s[14:18])
	unhex(raw[9:11], s[19:23])
	unhex(raw[11:17], s[24:36])
	return nil
}

// unhex decodes hex digits that are known to be such.
func unhex(dst []byte, s string) {
	for i := range dst {
		dst[i] = nibble(s[2*i])<<4 | nibble(s[2*i+1])
	}
}

func nibble(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	default:
		return c - 'a' + 10
	}
}

// AAD appends the authenticated data of a blob to dst: key id and material, then the encryption context in a canonical
// form (pairs in the byte order of their keys, every length written before its bytes), so that two different contexts
// never give the same bytes. An empty context equals none.
func AAD(dst []byte, id keystore.KeyID, m Material, context map[string]string) ([]byte, error) {
	var raw [17]byte
	if err := rawID(&raw, id); err != nil {
		return dst, err
	}
	dst = append(dst, "strongroom blob\x00"...)
	dst = append(dst, version1)
	dst = append(dst, raw[:]...)
	dst = append(dst, m[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(context)))
	var few [8]string
	keys := few[:0]
	for k := range context {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := context[k]
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(k)))
		dst = append(dst, k...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(v)))
		dst = append(dst, v...)
	}
	return dst, nil
}
