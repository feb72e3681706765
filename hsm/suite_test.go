package hsm_test

import (
	"testing"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/hsm/hsmtest"
)

func TestSuite(t *testing.T) {
	t.Run("SoftHSM2", func(t *testing.T) {
		cfg := hsmtest.SoftHSM(t, "suite").Config("suite")
		hsmtest.Suite(t, func(t testing.TB) *hsm.Token { return hsmtest.Open(t, cfg) })
	})
	t.Run("SoftHSM2 as a module that is not known", func(t *testing.T) {
		cfg := hsmtest.SoftHSM(t, "suite").Config("suite")
		cfg.Profile = "generic"
		hsmtest.Suite(t, func(t testing.TB) *hsm.Token { return hsmtest.Open(t, cfg) })
	})
	if cfg, found := hsmtest.NSS(t); found {
		t.Run("NSS", func(t *testing.T) {
			hsmtest.Suite(t, func(t testing.TB) *hsm.Token { return hsmtest.Open(t, cfg) })
		})
	}
}
