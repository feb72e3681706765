package keystore

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// grantTokenVersion begins every grant token, so that another format can follow.
const grantTokenVersion = 1

// grantIDBytes is the length of a grant id before it is written as 64 hex digits.
const grantIDBytes = 32

// NewGrantID makes a random grant id: 64 lower-case hex digits, as AWS's are.
func NewGrantID(random io.Reader) (string, error) {
	var b [grantIDBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("new grant id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// NewGrantToken makes a token for a grant. Tokens are not secret (API reference, CreateGrant.GrantToken): a token names its
// grant and nothing else, so it needs no row of its own, and each one of a grant is as good as any other.
func NewGrantToken(random io.Reader, key KeyID, grantID string) (string, error) {
	id, err := hex.DecodeString(grantID)
	if err != nil || len(id) != grantIDBytes {
		return "", fmt.Errorf("grant token: grant id %q is not 64 hex digits", grantID)
	}
	b := make([]byte, 0, 1+8+grantIDBytes+len(key))
	b = append(b, grantTokenVersion)
	var nonce [8]byte
	if _, err := io.ReadFull(random, nonce[:]); err != nil {
		return "", fmt.Errorf("grant token: %w", err)
	}
	b = append(b, nonce[:]...)
	b = append(b, id...)
	b = append(b, key...)
	return base64.StdEncoding.EncodeToString(b), nil
}

// ParseGrantToken gives the key and the grant that a token names; KindInvalidGrantToken for anything else.
func ParseGrantToken(token string) (KeyID, string, error) {
	const head = 1 + 8 + grantIDBytes
	b, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(b) <= head || b[0] != grantTokenVersion {
		return "", "", &Fault{Kind: KindInvalidGrantToken, Cause: err}
	}
	id := KeyID(b[head:])
	if !id.Valid() || string(id) != strings.ToLower(string(id)) {
		return "", "", &Fault{Kind: KindInvalidGrantToken}
	}
	return id, hex.EncodeToString(b[9:head]), nil
}
