//go:build !cgo

package pkcs11

import (
	"errors"

	"github.com/strongroom/strongroom/hsm"
)

var errNoCgo = errors.New("this program was built without cgo and cannot load PKCS#11 modules; build it with CGO_ENABLED=1")

func load(string, string) (hsm.Module, error) {
	return nil, &hsm.Error{Op: "load module", Class: hsm.ModuleMissing, Err: errNoCgo}
}
