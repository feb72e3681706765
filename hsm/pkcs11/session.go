//go:build cgo

package pkcs11

/*
#include "crossing.h"
*/
import "C"

import (
	p11 "github.com/miekg/pkcs11"

	"github.com/strongroom/strongroom/hsm"
)

// session is hsm.Session on miekg/pkcs11 and the single crossings.
type session struct {
	m *module
	h p11.SessionHandle
}

// States of CK_SESSION_INFO in which the user is logged in.
const (
	cksROUser = 1
	cksRWUser = 3
)

func (s *session) Close() error { return code(s.m.ctx.CloseSession(s.h)) }

func (s *session) Login(user hsm.UserType, pin hsm.Secret) error {
	return code(s.m.ctx.Login(s.h, uint(user), pin.Reveal()))
}

func (s *session) Logout() error { return code(s.m.ctx.Logout(s.h)) }

func (s *session) LoggedIn() (bool, error) {
	info, err := s.m.ctx.GetSessionInfo(s.h)
	if err != nil {
		return false, code(err)
	}
	return info.State == cksROUser || info.State == cksRWUser, nil
}

func (s *session) InitPIN(pin hsm.Secret) error { return code(s.m.ctx.InitPIN(s.h, pin.Reveal())) }

func (s *session) SetPIN(old, pin hsm.Secret) error {
	return code(s.m.ctx.SetPIN(s.h, old.Reveal(), pin.Reveal()))
}

// findStep is how many handles are asked for at a time.
const findStep = 1024

func (s *session) Find(template []hsm.Attribute, limit int) ([]hsm.Handle, error) {
	if err := s.m.ctx.FindObjectsInit(s.h, attributes(template)); err != nil {
		return nil, code(err)
	}
	var out []hsm.Handle
	for len(out) < limit {
		step, _, err := s.m.ctx.FindObjects(s.h, min(findStep, limit-len(out)))
		if err != nil {
			// The session is closed after an error; ending the search is
			// for modules that would keep it beyond that.
			_ = s.m.ctx.FindObjectsFinal(s.h)
			return nil, code(err)
		}
		if len(step) == 0 {
			break
		}
		for _, h := range step {
			out = append(out, hsm.Handle(h))
		}
	}
	return out, code(s.m.ctx.FindObjectsFinal(s.h))
}

func (s *session) Attributes(h hsm.Handle, types ...uint) ([]hsm.Attribute, error) {
	return s.m.fns.attributes(uint(s.h), uint(h), types)
}

func (s *session) SetAttributes(h hsm.Handle, attrs []hsm.Attribute) error {
	return code(s.m.ctx.SetAttributeValue(s.h, p11.ObjectHandle(h), attributes(attrs)))
}

func (s *session) GenerateKey(m hsm.Mechanism, template []hsm.Attribute) (hsm.Handle, error) {
	h, err := s.m.ctx.GenerateKey(s.h, mechanism(&m), attributes(template))
	return hsm.Handle(h), code(err)
}

func (s *session) GenerateKeyPair(m hsm.Mechanism, public, private []hsm.Attribute) (pub, priv hsm.Handle, err error) {
	a, b, err := s.m.ctx.GenerateKeyPair(s.h, mechanism(&m), attributes(public), attributes(private))
	return hsm.Handle(a), hsm.Handle(b), code(err)
}

func (s *session) CreateObject(template []hsm.Attribute) (hsm.Handle, error) {
	h, err := s.m.fns.create(uint(s.h), template)
	return hsm.Handle(h), err
}

func (s *session) CopyObject(h hsm.Handle, changes []hsm.Attribute) (hsm.Handle, error) {
	out, err := s.m.ctx.CopyObject(s.h, p11.ObjectHandle(h), attributes(changes))
	return hsm.Handle(out), code(err)
}

func (s *session) DestroyObject(h hsm.Handle) error {
	return code(s.m.ctx.DestroyObject(s.h, p11.ObjectHandle(h)))
}

func (s *session) Encrypt(m *hsm.Mechanism, key hsm.Handle, in, out []byte) (int, error) {
	return s.m.fns.crypt(C.SR_ENCRYPT_INIT, uint(s.h), uint(key), m, in, out)
}

func (s *session) Decrypt(m *hsm.Mechanism, key hsm.Handle, in, out []byte) (int, error) {
	return s.m.fns.crypt(C.SR_DECRYPT_INIT, uint(s.h), uint(key), m, in, out)
}

func (s *session) Sign(m *hsm.Mechanism, key hsm.Handle, in, out []byte) (int, error) {
	return s.m.fns.crypt(C.SR_SIGN_INIT, uint(s.h), uint(key), m, in, out)
}

func (s *session) Verify(m *hsm.Mechanism, key hsm.Handle, in, signature []byte) error {
	if err := s.m.ctx.VerifyInit(s.h, mechanism(m), p11.ObjectHandle(key)); err != nil {
		return code(err)
	}
	return code(s.m.ctx.Verify(s.h, in, signature))
}

func (s *session) Wrap(m *hsm.Mechanism, wrapping, key hsm.Handle, out []byte) (int, error) {
	return s.m.fns.wrap(uint(s.h), m, uint(wrapping), uint(key), out)
}

func (s *session) Unwrap(m *hsm.Mechanism, unwrapping hsm.Handle, wrapped []byte, template []hsm.Attribute) (hsm.Handle, error) {
	h, err := s.m.ctx.UnwrapKey(s.h, mechanism(m), p11.ObjectHandle(unwrapping), wrapped, attributes(template))
	return hsm.Handle(h), code(err)
}

func (s *session) Derive(m *hsm.Mechanism, base hsm.Handle, template []hsm.Attribute) (hsm.Handle, error) {
	h, err := s.m.ctx.DeriveKey(s.h, mechanism(m), p11.ObjectHandle(base), attributes(template))
	return hsm.Handle(h), code(err)
}

func (s *session) Encapsulate(m *hsm.Mechanism, public hsm.Handle, template []hsm.Attribute, out []byte) (int, hsm.Handle, error) {
	n, h, err := s.m.fns.encapsulate(uint(s.h), m, uint(public), template, out)
	return n, hsm.Handle(h), err
}

func (s *session) Decapsulate(m *hsm.Mechanism, private hsm.Handle, ciphertext []byte, template []hsm.Attribute) (hsm.Handle, error) {
	h, err := s.m.fns.decapsulate(uint(s.h), m, uint(private), ciphertext, template)
	return hsm.Handle(h), err
}

func (s *session) Random(p []byte) error { return s.m.fns.random(uint(s.h), p) }

// attributes and mechanism translate to miekg's types.
func attributes(list []hsm.Attribute) []*p11.Attribute {
	out := make([]*p11.Attribute, len(list))
	for i, a := range list {
		out[i] = &p11.Attribute{Type: a.Type, Value: a.Value}
	}
	return out
}

const ckdNull = 1

func mechanism(m *hsm.Mechanism) []*p11.Mechanism {
	var param any
	switch {
	case m.Peer != nil:
		param = p11.NewECDH1DeriveParams(ckdNull, nil, m.Peer)
	case m.Param != nil:
		param = m.Param
	}
	return []*p11.Mechanism{p11.NewMechanism(m.Type, param)}
}
