//go:build cgo

package pkcs11

/*
#include <stdlib.h>
#include "crossing.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	p11 "github.com/miekg/pkcs11"

	"github.com/strongroom/strongroom/hsm"
)

const ckmAESGCM = 0x1087

// module is a loaded library: hsm.Module on miekg/pkcs11.
type module struct {
	path string
	ctx  *p11.Ctx
	fns  functions
	args unsafe.Pointer // C_Initialize's reserved pointer: C memory that is never freed
}

// load loads a library. It does not initialise it.
func load(path, initArgs string) (hsm.Module, error) {
	fns, err := loadFunctions(path)
	if err != nil {
		return nil, &hsm.Error{Op: "load module", Class: hsm.ModuleMissing, Err: err}
	}
	ctx := p11.New(path)
	if ctx == nil {
		return nil, &hsm.Error{Op: "load module", Class: hsm.ModuleMissing, Err: fmt.Errorf("%s: cannot be loaded", path)}
	}
	m := &module{path: path, ctx: ctx, fns: fns}
	if initArgs != "" {
		m.args = unsafe.Pointer(C.CString(initArgs))
	}
	return m, nil
}

// code turns miekg's errors into ours.
func code(err error) error {
	var e p11.Error
	if errors.As(err, &e) {
		return hsm.CKR(e)
	}
	return err
}

func (m *module) Path() string { return m.path }

func (m *module) Initialize() error {
	if m.args != nil {
		return code(m.ctx.Initialize(p11.InitializeWithReserved(m.args)))
	}
	return code(m.ctx.Initialize())
}

func (m *module) Finalize() error { return code(m.ctx.Finalize()) }

func (m *module) Slots(tokenPresent bool) ([]uint, error) {
	slots, err := m.ctx.GetSlotList(tokenPresent)
	return slots, code(err)
}

func (m *module) TokenInfo(slot uint) (hsm.TokenInfo, error) {
	i, err := m.ctx.GetTokenInfo(slot)
	if err != nil {
		return hsm.TokenInfo{}, code(err)
	}
	return hsm.TokenInfo{
		Label: trim(i.Label), Serial: trim(i.SerialNumber),
		Manufacturer: trim(i.ManufacturerID), Model: trim(i.Model),
		Firmware: fmt.Sprintf("%d.%d", i.FirmwareVersion.Major, i.FirmwareVersion.Minor),
		Flags:    i.Flags, MaxSessions: i.MaxSessionCount, MaxRWSessions: i.MaxRwSessionCount,
		MinPIN: i.MinPinLen, MaxPIN: i.MaxPinLen,
	}, nil
}

// trim removes padding: blanks by the specification, zero bytes by some modules.
func trim(s string) string { return strings.TrimRight(s, " \x00") }

func (m *module) Mechanisms(slot uint) ([]uint, error) {
	list, err := m.ctx.GetMechanismList(slot)
	if err != nil {
		return nil, code(err)
	}
	out := make([]uint, len(list))
	for i, mech := range list {
		out[i] = mech.Mechanism
	}
	return out, nil
}

func (m *module) MaxKeySize(slot, mechanism uint) (uint, error) {
	info, err := m.ctx.GetMechanismInfo(slot, []*p11.Mechanism{p11.NewMechanism(mechanism, nil)})
	return info.MaxKeySize, code(err)
}

func (m *module) OpenSession(slot uint, readWrite bool) (hsm.Session, error) {
	flags := uint(p11.CKF_SERIAL_SESSION)
	if readWrite {
		flags |= p11.CKF_RW_SESSION
	}
	h, err := m.ctx.OpenSession(slot, flags)
	if err != nil {
		return nil, code(err)
	}
	return &session{m: m, h: h}, nil
}

func (m *module) CloseAllSessions(slot uint) error { return code(m.ctx.CloseAllSessions(slot)) }

func (m *module) InitToken(slot uint, soPIN hsm.Secret, label string) error {
	return code(m.ctx.InitToken(slot, soPIN.Reveal(), label))
}
