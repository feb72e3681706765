package hsmstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/hsm/hsmstore"
	"github.com/strongroom/strongroom/hsm/hsmtest"
	"github.com/strongroom/strongroom/hsm/pkcs11"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/keystore/backend/backendtest"
)

func TestBackendsPassTheSuite(t *testing.T) {
	for name, make := range map[string]func(t testing.TB) backend.Backend{
		"default store": func(t testing.TB) backend.Backend {
			token, err := pkcs11.Open(t.Context(), hsmtest.SoftHSM(t, "x").Config("x"))
			require.NoError(t, err)
			return hsmstore.NewDefault(token)
		},
		"AWS_CLOUDHSM store": func(t testing.TB) backend.Backend {
			token, err := pkcs11.Open(t.Context(), hsmtest.SoftHSM(t, "x").Config("x"))
			require.NoError(t, err)
			return hsmstore.NewCloudHSM(token)
		},
	} {
		t.Run(name, func(t *testing.T) {
			backendtest.Run(t, func(t testing.TB) backend.Backend {
				b := make(t)
				t.Cleanup(func() { _ = b.Close() }) // the suite closes some itself
				return b
			})
		})
	}
}
