package hsm_test

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	p11 "github.com/miekg/pkcs11"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
)

// TestCodeNames: every code that miekg/pkcs11 names has the same name here.
func TestCodeNames(t *testing.T) {
	name := regexp.MustCompile(`^pkcs11: 0x[0-9A-F]+: (CKR_\w+)$`)
	n := 0
	for code := uint(1); code < 0x300; code++ {
		m := name.FindStringSubmatch(p11.Error(code).Error())
		if m == nil {
			continue
		}
		n++
		assert.Equal(t, m[1], hsm.CKR(code).Error())
	}
	require.Greater(t, n, 80, "miekg's table was read")
	assert.Equal(t, "CKR_ACTION_PROHIBITED", hsm.CKR(0x1b).Error())
	assert.Equal(t, "CKR_CURVE_NOT_SUPPORTED", hsm.CKR(0x140).Error())
	assert.Equal(t, "CKR_0xce534352", hsm.CKR(0xce534352).Error())
}

func TestCodeClasses(t *testing.T) {
	tests := map[uint]hsm.Class{
		0x05: hsm.Internal, 0x30: hsm.TokenGone, 0x32: hsm.TokenGone, 0x60: hsm.SessionLost, 0x82: hsm.SessionLost,
		0xa0: hsm.PINIncorrect, 0xa3: hsm.PINExpired, 0xa4: hsm.PINLocked, 0x102: hsm.PINNotSet,
		0xb1: hsm.Busy, 0xb3: hsm.SessionLost, 0xe2: hsm.ReadOnly, 0x101: hsm.NotLoggedIn,
		0x104: hsm.LoggedInElsewhere, 0x70: hsm.Unsupported, 0x1b: hsm.Refused, 0xce534352: hsm.Internal,
	}
	for code, class := range tests {
		assert.Equal(t, class, hsm.CKR(code).Class(), hsm.CKR(code).Error())
	}
}

func TestErrorSaysWhatAndWhy(t *testing.T) {
	err := fmt.Errorf("seal: %w", &hsm.Error{Op: "C_Encrypt", Class: hsm.TokenGone, Code: 0x30, Err: hsm.CKR(0x30)})
	assert.Equal(t, "seal: C_Encrypt: token gone (CKR_DEVICE_ERROR)", err.Error())
	assert.ErrorIs(t, err, hsm.TokenGone)
	assert.NotErrorIs(t, err, hsm.Internal)
	assert.Equal(t, hsm.TokenGone, hsm.ClassOf(err))
	assert.Equal(t, uint(0x30), hsm.CodeOf(err))
	var code hsm.CKR
	require.ErrorAs(t, err, &code)

	other := errors.New("no cause")
	assert.Equal(t, hsm.Internal, hsm.ClassOf(other))
	assert.Zero(t, hsm.CodeOf(other))
	plain := &hsm.Error{Op: "wait", Class: hsm.Busy, Err: other}
	assert.Equal(t, "wait: no session free in time: no cause", plain.Error())
}

func TestEveryClassHasAText(t *testing.T) {
	seen := make(map[string]hsm.Class)
	for c := hsm.Internal; c <= hsm.Closed; c++ {
		text := c.String()
		require.NotEmpty(t, text)
		require.NotContains(t, text, "Class(")
		require.NotContains(t, seen, text)
		seen[text] = c
	}
	assert.Equal(t, "Class(200)", hsm.Class(200).String())
}

func TestProfiles(t *testing.T) {
	all := hsm.Profiles()
	require.Equal(t, "generic", all[len(all)-1].Name)
	names := make(map[string]bool)
	for _, p := range all {
		assert.False(t, names[p.Name], "%s twice", p.Name)
		names[p.Name] = true
		assert.NotEmpty(t, p.Note, p.Name)
		assert.GreaterOrEqual(t, p.MaxSessions, 2, p.Name)
		got, ok := hsm.LookupProfile(p.Name)
		assert.True(t, ok)
		assert.Equal(t, p, got)
	}
	for _, name := range []string{"softhsm2", "nss", "opencryptoki", "p11-kit", "tpm2", "cloudhsm", "generic"} {
		assert.True(t, names[name], name)
	}
	_, ok := hsm.LookupProfile("none")
	assert.False(t, ok)
}

func TestDetectProfile(t *testing.T) {
	tests := []struct{ path, manufacturer, want string }{
		{"/usr/lib/softhsm/libsofthsm2.so", "SoftHSM project", "softhsm2"},
		{"/tmp/p11fault.so", "SoftHSM project", "softhsm2"},
		{"/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so", "SoftHSM project", "p11-kit"},
		{"/usr/lib/x86_64-linux-gnu/libsoftokn3.so", "Mozilla Foundation", "nss"},
		{"/usr/lib/x86_64-linux-gnu/pkcs11/libopencryptoki.so", "IBM", "opencryptoki"},
		{"/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1", "Infineon", "tpm2"},
		{"/opt/cloudhsm/lib/libcloudhsm_pkcs11.so", "Marvell Semiconductors, Inc.", "cloudhsm"},
		{"/opt/vendor/lib.so", "Some Vendor", "generic"},
	}
	for _, tc := range tests {
		assert.Equal(t, tc.want, hsm.DetectProfile(tc.path, tc.manufacturer).Name, tc.path)
	}
}

func TestKinds(t *testing.T) {
	for k := hsm.AES256; k <= hsm.Ed25519; k++ {
		assert.NotContains(t, k.String(), "Kind(")
		assert.Positive(t, k.Bits())
	}
	assert.Equal(t, "AES_256", hsm.AES256.String())
	assert.Equal(t, "Kind(0)", hsm.NoKind.String())
	assert.True(t, hsm.HMAC512.Symmetric())
	assert.False(t, hsm.RSA2048.Symmetric())
}
