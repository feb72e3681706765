package pkcs11_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
)

// A module without the function list of PKCS#11 3.2 has no C_EncapsulateKey, and nothing is called.
func TestModuleWithoutEncapsulation(t *testing.T) {
	tokens := hsmtest.SoftHSM(t, "old")
	token := tokens.Open("old")
	module, err := pkcs11.Load(tokens.Module, "")
	require.NoError(t, err)
	s, err := module.OpenSession(token.Info().Slot, true)
	require.NoError(t, err)
	m := &hsm.Mechanism{Type: 0x17}
	_, _, err = s.Encapsulate(m, 1, nil, make([]byte, 768))
	require.Equal(t, hsm.Unsupported, hsm.CKR(hsm.CodeOf(err)).Class())
	_, err = s.Decapsulate(m, 1, make([]byte, 768), nil)
	require.Equal(t, hsm.Unsupported, hsm.CKR(hsm.CodeOf(err)).Class())
	require.NoError(t, s.Close())
}

// The calls of PKCS#11 3.2, in front of a token that has none: what goes in and comes out is what was given, the secret is an
// object of the template, and the module's code is the error. Whether it is cryptography is tested on tokens that have it.
func TestCallsOfEncapsulation(t *testing.T) {
	f := hsmtest.Fault(t, "capsules")
	token := f.Open("capsules")
	module, err := pkcs11.Load(f.Module, "")
	require.NoError(t, err)
	s, err := module.OpenSession(token.Info().Slot, true)
	require.NoError(t, err)
	m, out := &hsm.Mechanism{Type: 0x17}, make([]byte, 800)
	const ckaValue = 0x11
	template := []hsm.Attribute{
		{Type: 0x000, Value: ulong(4)}, {Type: 0x100, Value: ulong(0x10)}, // CKO_SECRET_KEY, CKK_GENERIC_SECRET
		{Type: 0x001, Value: []byte{0}}, {Type: 0x103, Value: []byte{0}}, {Type: 0x162, Value: []byte{1}}, // CKA_TOKEN, SENSITIVE, EXTRACTABLE
		{Type: 0x161, Value: ulong(32)}, {Type: 0x003, Value: []byte("a secret")}, // CKA_VALUE_LEN, LABEL
	}
	_, _, err = s.Encapsulate(m, 1, template, out)
	require.Equal(t, uint(0x54), hsm.CodeOf(err), "CKR_FUNCTION_NOT_SUPPORTED")

	f.Set("clear-capsules")
	f.ResetCalls()
	n, secret, err := s.Encapsulate(m, 1, template, out)
	require.NoError(t, err)
	require.Equal(t, 768, n)
	read := func(h hsm.Handle) ([]byte, string) {
		got, err := s.Attributes(h, ckaValue, 0x003)
		require.NoError(t, err)
		require.Len(t, got, 2)
		return got[0].Value, string(got[1].Value)
	}
	value, label := read(secret)
	require.Equal(t, out[:32], value)
	require.Equal(t, "a secret", label)
	again, err := s.Decapsulate(m, 1, out[:n], template)
	require.NoError(t, err)
	require.NotEqual(t, secret, again)
	opened, _ := read(again)
	require.Equal(t, value, opened)
	require.Equal(t, 1, f.Calls()["C_EncapsulateKey"])
	require.Equal(t, 1, f.Calls()["C_DecapsulateKey"])

	_, _, err = s.Encapsulate(m, 1, template, out[:767])
	require.Equal(t, uint(0x150), hsm.CodeOf(err), "CKR_BUFFER_TOO_SMALL")
	_, err = s.Decapsulate(m, 1, out[:767], template)
	require.Equal(t, uint(0x41), hsm.CodeOf(err), "CKR_ENCRYPTED_DATA_LEN_RANGE")
	_, err = s.Decapsulate(m, 1, nil, template)
	require.Equal(t, uint(0x41), hsm.CodeOf(err))
	_, err = s.Decapsulate(m, 1, out[:n], make([]hsm.Attribute, 33))
	require.ErrorContains(t, err, "33 attributes")
	_, _, err = s.Encapsulate(m, 1, make([]hsm.Attribute, 33), out)
	require.ErrorContains(t, err, "33 attributes")
	f.Set("clear-capsules", "fail C_EncapsulateKey 0x70", "fail C_DecapsulateKey 0xb3")
	_, _, err = s.Encapsulate(m, 1, template, out)
	require.Equal(t, hsm.Unsupported, hsm.CKR(hsm.CodeOf(err)).Class())
	_, err = s.Decapsulate(m, 1, out[:n], template)
	require.Equal(t, hsm.SessionLost, hsm.CKR(hsm.CodeOf(err)).Class())
	f.Set()
	require.NoError(t, s.Close())
}

// ulong is a CK_ULONG.
func ulong(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }
