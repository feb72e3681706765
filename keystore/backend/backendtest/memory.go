// Package backendtest has the suite that every backend passes, and a backend in memory for tests of services. Nothing but
// tests may import it.
package backendtest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// Call names a method of Memory for its fault switches.
type Call string

// The calls that can be made to fail.
const (
	Create  Call = "CreateKey"
	Destroy Call = "DestroyKey"
	Find    Call = "Find"
	List    Call = "Objects"
	Seal    Call = "Seal"
	Open    Call = "Open"
	Random  Call = "Random"
	Health  Call = "Health"
)

// Calls lists the calls that can be made to fail.
func Calls() []Call { return []Call{Create, Destroy, Find, List, Seal, Open, Random, Health} }

// Memory is a token in memory: real AES-256-GCM, real random bytes, and switches that make it fail. It is safe for
// concurrent use.
type Memory struct {
	identity keystore.TokenIdentity

	mu      sync.Mutex
	objects []object
	faults  map[Call]*trouble
	counts  map[Call]int
	closed  bool
}

type object struct {
	backend.Object
	aead cipher.AEAD // nil for a foreign object
}

// trouble is how a call fails.
type trouble struct {
	err   error
	left  int  // how often; negative: always
	after bool // once the work is done
}

// NewMemory makes an empty token.
func NewMemory(serial string) *Memory {
	return &Memory{
		identity: keystore.TokenIdentity{Label: "memory-" + serial, Serial: serial, Manufacturer: "Strongroom tests", Model: "Memory"},
		faults:   map[Call]*trouble{}, counts: map[Call]int{},
	}
}

var (
	_ backend.Sealer   = (*Memory)(nil)
	_ backend.Randomer = (*Memory)(nil)
	_ backend.Scanner  = (*Memory)(nil)
	_ backend.Finder   = (*Memory)(nil)
)

// Fail makes a call fail n times (always where n is negative) before it does anything.
func (m *Memory) Fail(c Call, n int, err error) { m.set(c, &trouble{err: err, left: n}) }

// FailAfter makes a call do its work and then fail, n times: its caller can't tell what is on the token.
func (m *Memory) FailAfter(c Call, n int, err error) {
	m.set(c, &trouble{err: err, left: n, after: true})
}

// Down makes every call fail until Mend.
func (m *Memory) Down(err error) {
	for _, c := range Calls() {
		m.Fail(c, -1, err)
	}
}

// Mend ends all faults.
func (m *Memory) Mend() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.faults)
}

func (m *Memory) set(c Call, t *trouble) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[c] = t
}

// Put lays a foreign object on the token.
func (m *Memory) Put(o backend.Object) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects = append(m.objects, object{Object: o})
}

// Remove takes an object off the token, as an administrator would.
func (m *Memory) Remove(id keystore.MaterialID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects = slices.DeleteFunc(m.objects, func(o object) bool { return bytes.Equal(o.ID, id[:]) })
}

// List gives what is on the token, whatever its faults.
func (m *Memory) List() []backend.Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]backend.Object, len(m.objects))
	for i, o := range m.objects {
		list[i] = o.Object
	}
	return list
}

// Count tells how often a call was made.
func (m *Memory) Count(c Call) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[c]
}

// Lost is the error of a token that is gone, as a backend on a real one would answer it.
func Lost() error {
	return backend.Unreachable("", backend.CallManage).Because(errors.New("C_OpenSession: CKR_DEVICE_REMOVED"))
}

// begin starts a call with the lock held; done ends it and gives the error that a fault of the second kind asks for.
func (m *Memory) begin(ctx context.Context, c Call) (done func() error, err error) {
	m.mu.Lock()
	m.counts[c]++
	t := m.faults[c]
	switch {
	case ctx.Err() != nil:
		err = (&keystore.Fault{Kind: keystore.KindDependencyTimeout}).Because(ctx.Err())
	case m.closed:
		err = (&keystore.Fault{Kind: keystore.KindInternal}).Because(errors.New("backend is closed"))
	case t == nil || t.left == 0:
		return func() error { m.mu.Unlock(); return nil }, nil
	case t.after:
		t.left--
		return func() error { m.mu.Unlock(); return t.err }, nil
	default:
		t.left--
		err = t.err
	}
	m.mu.Unlock()
	return nil, err
}

// Identity names the token.
func (m *Memory) Identity() keystore.TokenIdentity { return m.identity }

// Health fails while Health is made to.
func (m *Memory) Health(ctx context.Context) error {
	done, err := m.begin(ctx, Health)
	if err != nil {
		return err
	}
	return done()
}

// Close makes every later call fail.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// CreateKey makes an AES-256 key.
func (m *Memory) CreateKey(ctx context.Context, h backend.Handle) (backend.Created, error) {
	done, err := m.begin(ctx, Create)
	if err != nil {
		return backend.Created{}, err
	}
	var key [32]byte
	made, err := m.makeLocked(&key, h)
	if late := done(); err == nil {
		err = late
	}
	if err != nil {
		return backend.Created{}, err
	}
	return made, nil
}

func (m *Memory) makeLocked(key *[32]byte, h backend.Handle) (backend.Created, error) {
	if _, err := rand.Read(key[:]); err != nil {
		return backend.Created{}, err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return backend.Created{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return backend.Created{}, err
	}
	var zero [16]byte
	block.Encrypt(zero[:], zero[:])
	o := backend.Object{ID: bytes.Clone(h.ID[:]), Label: h.Label, Class: "CKO_SECRET_KEY", KeyType: "CKK_AES",
		CheckValue: hex.EncodeToString(zero[:3])}
	m.objects = append(m.objects, object{Object: o, aead: aead})
	return backend.Created{Classes: []string{o.Class}, KeyType: o.KeyType, CheckValue: o.CheckValue}, nil
}

// DestroyKey destroys what the handle names and nothing else.
func (m *Memory) DestroyKey(ctx context.Context, h backend.Handle) (bool, error) {
	done, err := m.begin(ctx, Destroy)
	if err != nil {
		return false, err
	}
	found := false
	for _, o := range m.objects {
		if !bytes.Equal(o.ID, h.ID[:]) {
			continue
		}
		found = true
		if o.Label != h.Label || (h.CheckValue != "" && o.CheckValue != h.CheckValue) {
			err = (&keystore.Fault{Kind: keystore.KindInternal}).Because(fmt.Errorf("another object has the CKA_ID %s", h.ID))
		}
	}
	if err == nil {
		m.objects = slices.DeleteFunc(m.objects, func(o object) bool { return bytes.Equal(o.ID, h.ID[:]) })
	}
	return found, errors.Join(err, done())
}

// Find gives every object with the handle's id.
func (m *Memory) Find(ctx context.Context, h backend.Handle) ([]backend.Object, error) {
	done, err := m.begin(ctx, Find)
	if err != nil {
		return nil, err
	}
	var list []backend.Object
	for _, o := range m.objects {
		if bytes.Equal(o.ID, h.ID[:]) {
			list = append(list, o.Object)
		}
	}
	return list, done()
}

// Objects lists everything.
func (m *Memory) Objects(ctx context.Context, fn func(backend.Object) error) error {
	done, err := m.begin(ctx, List)
	if err != nil {
		return err
	}
	var list []backend.Object
	for _, o := range m.objects {
		list = append(list, o.Object)
	}
	if err := done(); err != nil {
		return err
	}
	for _, o := range list {
		if err := fn(o); err != nil {
			return err
		}
	}
	return nil
}

// aeadLocked finds the key of a handle.
func (m *Memory) aeadLocked(h *backend.Handle) (cipher.AEAD, error) {
	for _, o := range m.objects {
		if bytes.Equal(o.ID, h.ID[:]) && o.Label == h.Label && o.aead != nil {
			return o.aead, nil
		}
	}
	return nil, (&keystore.Fault{Kind: keystore.KindKeyUnavailable}).Because(errors.New("no such object on the token"))
}

// Seal encrypts with AES-256-GCM.
func (m *Memory) Seal(ctx context.Context, h *backend.Handle, aad, plaintext, dst []byte) ([]byte, error) {
	done, err := m.begin(ctx, Seal)
	if err != nil {
		return nil, err
	}
	aead, err := m.aeadLocked(h)
	if late := done(); err == nil {
		err = late
	}
	if err != nil {
		return nil, err
	}
	var iv [12]byte
	if _, err := rand.Read(iv[:]); err != nil {
		return nil, err
	}
	return aead.Seal(append(dst, iv[:]...), iv[:], plaintext, aad), nil
}

// Open decrypts what Seal made.
func (m *Memory) Open(ctx context.Context, h *backend.Handle, aad, sealed, dst []byte) ([]byte, error) {
	done, err := m.begin(ctx, Open)
	if err != nil {
		return nil, err
	}
	aead, err := m.aeadLocked(h)
	if late := done(); err == nil {
		err = late
	}
	if err != nil {
		return nil, err
	}
	if len(sealed) < backend.SealedOverhead {
		return nil, &keystore.Fault{Kind: keystore.KindInvalidCiphertext}
	}
	out, err := aead.Open(dst, sealed[:12], sealed[12:], aad)
	if err != nil {
		return nil, &keystore.Fault{Kind: keystore.KindInvalidCiphertext, Cause: err}
	}
	return out, nil
}

// Random fills p.
func (m *Memory) Random(ctx context.Context, p []byte) error {
	done, err := m.begin(ctx, Random)
	if err != nil {
		return err
	}
	_, err = rand.Read(p)
	return errors.Join(err, done())
}
