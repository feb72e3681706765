//go:build tokens

package hsmstore_test

import (
	"testing"

	"github.com/strongroom/strongroom/hsm/hsmtest"
)

func TestEverySpecOnKryoptic(t *testing.T) {
	token := hsmtest.Kryoptic(t, "default").Open("default")
	everySpecAndAlgorithm(t, token, map[string]bool{"ECC_SECG_P256K1": true, "SM2": true})
}
