package hsm_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm"
)

func TestParseURI(t *testing.T) {
	slot := uint(3)
	tests := map[string]struct {
		uri  string
		want hsm.Selector
		fail string
	}{
		"label":         {uri: "pkcs11:token=My%20token", want: hsm.Selector{Label: "My token"}},
		"all":           {uri: "pkcs11:token=a;serial=01;slot-id=3?module-path=/usr/lib/x.so", want: hsm.Selector{Module: "/usr/lib/x.so", Label: "a", Serial: "01", Slot: &slot}},
		"ignored":       {uri: "pkcs11:token=a;object=k;type=private;id=%00%01;manufacturer=m;model=m;x-vendor=1?pin-source=file:/p&x-q=1", want: hsm.Selector{Label: "a"}},
		"empty":         {uri: "pkcs11:", want: hsm.Selector{}},
		"other scheme":  {uri: "file:/x", fail: "must begin"},
		"twice":         {uri: "pkcs11:token=a;token=b", fail: "given twice"},
		"no value":      {uri: "pkcs11:token", fail: "not name=value"},
		"no name":       {uri: "pkcs11:=a", fail: "not name=value"},
		"bad escape":    {uri: "pkcs11:token=%zz", fail: "escape"},
		"bad slot":      {uri: "pkcs11:slot-id=x", fail: "slot-id"},
		"negative slot": {uri: "pkcs11:slot-id=-1", fail: "slot-id"},
		"unknown":       {uri: "pkcs11:tokn=a", fail: "unknown attribute"},
		"pin inside":    {uri: "pkcs11:token=a?pin-value=1234", fail: "pin-value"},
		"zero byte":     {uri: "pkcs11:token=a%00b", fail: "zero byte"},
		"too long":      {uri: "pkcs11:token=" + strings.Repeat("a", 5000), fail: "longer"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := hsm.ParseURI(tc.uri)
			if tc.fail != "" {
				require.ErrorContains(t, err, tc.fail)
				require.NotContains(t, err.Error(), "1234", "no PIN in an error")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("pkcs11:token=My%20token;serial=01;slot-id=3?module-path=/usr/lib/x.so")
	f.Add("pkcs11:")
	f.Add("pkcs11:token=%FF;x-a=b?pin-source=x")
	f.Fuzz(func(t *testing.T, s string) {
		sel, err := hsm.ParseURI(s)
		if err != nil {
			return
		}
		again, err := hsm.ParseURI(sel.URI())
		require.NoError(t, err)
		require.Equal(t, sel, again)
	})
}
