package pkcs11_test

import (
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
