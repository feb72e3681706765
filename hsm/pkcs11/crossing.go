//go:build cgo

package pkcs11

/*
#cgo linux LDFLAGS: -ldl
#cgo noescape sr_gcm
#cgo nocallback sr_gcm
#cgo noescape sr_oneshot
#cgo nocallback sr_oneshot
#cgo noescape sr_wrap
#cgo nocallback sr_wrap
#cgo noescape sr_random
#cgo nocallback sr_random
#cgo noescape sr_create
#cgo nocallback sr_create
#cgo noescape sr_encapsulate
#cgo nocallback sr_encapsulate
#cgo noescape sr_decapsulate
#cgo nocallback sr_decapsulate
#cgo noescape sr_attributes
#cgo nocallback sr_attributes
#include <stdlib.h>
#include "crossing.h"
*/
import "C"

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/strongroom/strongroom/hsm"
)

// functions is a library's function list, for calls in a single crossing. newer
// is its list of PKCS#11 3.2, nil without one.
type functions struct {
	list  *C.struct_sr_functions
	newer *C.struct_sr_functions_3_2
}

// loadFunctions gets the function list of a library by its path; the loader
// gives the same library again if it is loaded already.
func loadFunctions(path string) (functions, error) {
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	var why *C.char
	list := C.sr_load(cpath, &why)
	if list == nil {
		return functions{}, fmt.Errorf("%s: %s", path, C.GoString(why))
	}
	return functions{list, C.sr_load_3_2(cpath)}, nil
}

// ptr is the address of a slice's bytes; modules get an address that is no
// null pointer for empty input too, for some take null for a size query.
func ptr(b []byte) *C.sr_byte {
	if len(b) == 0 {
		return (*C.sr_byte)(unsafe.Pointer(&emptyInput[0]))
	}
	return (*C.sr_byte)(unsafe.Pointer(&b[0]))
}

var emptyInput [1]byte

func (f functions) crypt(init C.int, session, key uint, m *hsm.Mechanism, in, out []byte) (int, error) {
	var r C.struct_sr_result
	if m.Type == ckmAESGCM {
		r = C.sr_gcm(f.list, init, C.sr_ulong(session), C.sr_ulong(key),
			ptr(m.IV), C.sr_ulong(len(m.IV)), ptr(m.AAD), C.sr_ulong(len(m.AAD)),
			ptr(in), C.sr_ulong(len(in)), ptr(out), C.sr_ulong(len(out)))
	} else {
		r = C.sr_oneshot(f.list, init, C.sr_ulong(session), C.sr_ulong(key),
			C.sr_ulong(m.Type), ptr(m.Param), C.sr_ulong(len(m.Param)),
			ptr(in), C.sr_ulong(len(in)), ptr(out), C.sr_ulong(len(out)))
	}
	if r.rv != 0 {
		return 0, hsm.CKR(r.rv)
	}
	if r.len > C.sr_ulong(len(out)) {
		return 0, fmt.Errorf("the module says that it wrote %d bytes into %d", r.len, len(out))
	}
	return int(r.len), nil
}

func (f functions) wrap(session uint, m *hsm.Mechanism, wrapping, key uint, out []byte) (int, error) {
	r := C.sr_wrap(f.list, C.sr_ulong(session), C.sr_ulong(m.Type), ptr(m.Param), C.sr_ulong(len(m.Param)),
		C.sr_ulong(wrapping), C.sr_ulong(key), ptr(out), C.sr_ulong(len(out)))
	if r.rv != 0 {
		return 0, hsm.CKR(r.rv)
	}
	if r.len > C.sr_ulong(len(out)) {
		return 0, fmt.Errorf("the module says that it wrote %d bytes into %d", r.len, len(out))
	}
	return int(r.len), nil
}

func (f functions) random(session uint, p []byte) error {
	if rv := C.sr_random(f.list, C.sr_ulong(session), ptr(p), C.sr_ulong(len(p))); rv != 0 {
		return hsm.CKR(rv)
	}
	return nil
}

// attributeRoom is the room for one attribute: an RSA-4096 modulus has 512
// bytes, a label of ours 200. valueRoom is the same where CKA_VALUE is asked for
// too: an ML-DSA-87 public key has 2592. maxAttributes is SR_MAX_ATTRIBUTES.
const (
	attributeRoom = 1024
	valueRoom     = 4096
	maxAttributes = 32
)

const ckaValue = 0x011

// isNumber reports whether an attribute is a CK_ULONG. NSS calls room for more
// than the number too small.
func isNumber(attribute uint) bool {
	switch attribute {
	case 0x000, 0x080, 0x100, 0x121, 0x161, 0x61d: // CLASS, CERTIFICATE_TYPE, KEY_TYPE, MODULUS_BITS, VALUE_LEN, PARAMETER_SET
		return true
	}
	return false
}

// attributes reads many attributes in one crossing and leaves out those that
// the object has not, does not show, or that do not fit.
func (f functions) attributes(session, object uint, types []uint) ([]hsm.Attribute, error) {
	if len(types) == 0 {
		return nil, nil
	}
	if len(types) > maxAttributes {
		return nil, fmt.Errorf("%d attributes asked for at once", len(types))
	}
	room := attributeRoom
	if slices.Contains(types, ckaValue) {
		room = valueRoom
	}
	var ctypes, lens [maxAttributes]C.sr_ulong
	for i, t := range types {
		ctypes[i], lens[i] = C.sr_ulong(t), C.sr_ulong(room)
		if isNumber(t) {
			lens[i] = C.sizeof_sr_ulong
		}
	}
	values := make([]byte, len(types)*room)
	rv := C.sr_attributes(f.list, C.sr_ulong(session), C.sr_ulong(object),
		&ctypes[0], &lens[0], C.sr_ulong(len(types)), ptr(values), C.sr_ulong(room))
	if rv != 0 {
		return nil, hsm.CKR(rv)
	}
	out := make([]hsm.Attribute, 0, len(types))
	for i, t := range types {
		if n := lens[i]; n <= C.sr_ulong(room) {
			at := i * room
			value := append([]byte(nil), values[at:at+int(n)]...)
			out = append(out, hsm.Attribute{Type: t, Value: value})
		}
	}
	clear(values)
	return out, nil
}

// values is a template in the form that the crossings take.
type values struct {
	types, lens [maxAttributes]C.sr_ulong
	n           C.sr_ulong
	bytes       []byte
}

// flatten lays a template's values one after the other, in memory that is to be
// wiped afterwards, for they may be a key's.
func flatten(attrs []hsm.Attribute) (v values, err error) {
	if len(attrs) > maxAttributes {
		return v, fmt.Errorf("%d attributes given at once", len(attrs))
	}
	size := 0
	for i, a := range attrs {
		v.types[i], v.lens[i] = C.sr_ulong(a.Type), C.sr_ulong(len(a.Value))
		size += len(a.Value)
	}
	v.n, v.bytes = C.sr_ulong(len(attrs)), make([]byte, 0, size)
	for _, a := range attrs {
		v.bytes = append(v.bytes, a.Value...)
	}
	return v, nil
}

// create makes an object.
func (f functions) create(session uint, attrs []hsm.Attribute) (uint, error) {
	v, err := flatten(attrs)
	if err != nil {
		return 0, err
	}
	r := C.sr_create(f.list, C.sr_ulong(session), &v.types[0], &v.lens[0], v.n, ptr(v.bytes))
	clear(v.bytes)
	if r.rv != 0 {
		return 0, hsm.CKR(r.rv)
	}
	return uint(r.len), nil
}

// ckrFunctionNotSupported is what a function is worth that the module has not.
const ckrFunctionNotSupported = hsm.CKR(0x54)

// encapsulate makes a secret and its ciphertext.
func (f functions) encapsulate(session uint, m *hsm.Mechanism, key uint, attrs []hsm.Attribute, out []byte) (int, uint, error) {
	if f.newer == nil || f.newer.fn[C.SR_ENCAPSULATE_KEY] == nil {
		return 0, 0, ckrFunctionNotSupported
	}
	v, err := flatten(attrs)
	if err != nil {
		return 0, 0, err
	}
	r := C.sr_encapsulate(f.newer, C.sr_ulong(session), C.sr_ulong(m.Type), C.sr_ulong(key),
		&v.types[0], &v.lens[0], v.n, ptr(v.bytes), ptr(out), C.sr_ulong(len(out)))
	if r.rv != 0 {
		return 0, 0, hsm.CKR(r.rv)
	}
	if r.len > C.sr_ulong(len(out)) {
		return 0, uint(r.key), fmt.Errorf("the module says that it wrote %d bytes into %d", r.len, len(out))
	}
	return int(r.len), uint(r.key), nil
}

// decapsulate makes the secret of a ciphertext.
func (f functions) decapsulate(session uint, m *hsm.Mechanism, key uint, ciphertext []byte, attrs []hsm.Attribute) (uint, error) {
	if f.newer == nil || f.newer.fn[C.SR_DECAPSULATE_KEY] == nil {
		return 0, ckrFunctionNotSupported
	}
	v, err := flatten(attrs)
	if err != nil {
		return 0, err
	}
	r := C.sr_decapsulate(f.newer, C.sr_ulong(session), C.sr_ulong(m.Type), C.sr_ulong(key),
		&v.types[0], &v.lens[0], v.n, ptr(v.bytes), ptr(ciphertext), C.sr_ulong(len(ciphertext)))
	if r.rv != 0 {
		return 0, hsm.CKR(r.rv)
	}
	return uint(r.key), nil
}
