package hsmtest

import (
	"encoding/hex"
	"testing"
)

// Hex decodes a constant of a test.
func Hex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
