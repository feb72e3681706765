package tokenkeys

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/xks"
)

// The ciphertextMetadata of this package: the format of the authenticated data, and which material of the external key
// sealed. There is one format and one material so far; the bytes are there so that a second can be told apart.
const (
	formatFramed  = 1 // xks.AppendTokenAAD over the raw AAD
	firstMaterial = 0
)

// SampleProxy describes ciphertexts of AWS's sample proxy: it authenticates the SHA-256 hash of the AAD under the
// length of the AAD itself, and gives every ciphertext the same configured metadata.
type SampleProxy struct {
	Metadata []byte // its ciphertext_metadata_b64, decoded; usually empty
}

// Metadata implements proxy.Keys.
func (k *Keys) Metadata(ctx context.Context, id string) (xks.MetadataResponse, error) {
	e, s, err := k.resolve(ctx, id)
	if err != nil {
		return xks.MetadataResponse{}, err
	}
	answer := xks.MetadataResponse{KeySpec: e.spec, KeyStatus: xks.KeyEnabled, KeyUsage: e.usage(s).names()}
	if !s.Enabled {
		answer.KeyStatus = xks.KeyDisabled
	}
	return answer, nil
}

// usage is what both the settings and the object's attributes allow.
func (e *entry) usage(s Settings) Usage {
	u := s.Usage
	if e.object.Usage&hsm.UseEncrypt == 0 {
		u &^= UseEncrypt
	}
	if e.object.Usage&hsm.UseDecrypt == 0 {
		u &^= UseDecrypt
	}
	return u
}

// usable gives the object for a use of it, or says why not.
func (k *Keys) usable(ctx context.Context, id string, use Usage, refusal error) (*entry, error) {
	e, s, err := k.resolve(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !s.Enabled:
		return nil, errDisabled
	case e.spec != xks.KeySpecAES256:
		return nil, errKeySpec
	case len(e.object.ID) == 0 || e.object.Label == "":
		return nil, errNoIdentity
	case e.usage(s)&use == 0:
		return nil, refusal
	}
	return e, nil
}

// Encrypt implements proxy.Keys.
func (k *Keys) Encrypt(ctx context.Context, id string, plaintext, aad []byte) (xks.Sealed, error) {
	e, err := k.usable(ctx, id, UseEncrypt, errNoEncrypt)
	if err != nil {
		return xks.Sealed{}, err
	}
	return k.seal(ctx, id, e, plaintext, aad)
}

func (k *Keys) seal(ctx context.Context, id string, e *entry, plaintext, aad []byte) (xks.Sealed, error) {
	metadata := []byte{formatFramed, firstMaterial}
	framed := xks.AppendTokenAAD(make([]byte, 0, xks.TokenAADSize(aad, metadata)), aad, metadata)
	out := make([]byte, 0, len(plaintext)+hsm.SealOverhead)
	sealed, err := k.cfg.Token.Seal(ctx, e.object.KeyRef, framed, plaintext, out)
	if err != nil {
		return xks.Sealed{}, k.failed(ctx, id, e, err)
	}
	end := len(sealed) - hsm.TagSize
	return xks.Sealed{IV: sealed[:hsm.IVSize], Ciphertext: sealed[hsm.IVSize:end], Tag: sealed[end:], Metadata: metadata}, nil
}

// Decrypt implements proxy.Keys.
func (k *Keys) Decrypt(ctx context.Context, id string, s xks.Sealed, aad []byte) ([]byte, error) {
	e, err := k.usable(ctx, id, UseDecrypt, errNoDecrypt)
	if err != nil {
		return nil, err
	}
	framed, ok := k.framing(s.Metadata, aad)
	if !ok || len(s.IV) != hsm.IVSize || len(s.Tag) != hsm.TagSize {
		return nil, xks.NewError(xks.InvalidCiphertextException, "the ciphertext was not made by this proxy")
	}
	return k.open(ctx, id, e, s, framed)
}

func (k *Keys) open(ctx context.Context, id string, e *entry, s xks.Sealed, framed []byte) ([]byte, error) {
	sealed := make([]byte, 0, len(s.IV)+len(s.Ciphertext)+len(s.Tag))
	sealed = append(append(append(sealed, s.IV...), s.Ciphertext...), s.Tag...)
	plaintext, err := k.cfg.Token.Open(ctx, e.object.KeyRef, framed, sealed, make([]byte, 0, len(s.Ciphertext)))
	if err != nil {
		return nil, k.failed(ctx, id, e, err)
	}
	return plaintext, nil
}

// framing gives the data that the token authenticated when it made a ciphertext with this metadata.
func (k *Keys) framing(metadata, aad []byte) ([]byte, bool) {
	if len(metadata) == 2 && metadata[0] == formatFramed && metadata[1] == firstMaterial {
		return xks.AppendTokenAAD(make([]byte, 0, xks.TokenAADSize(aad, metadata)), aad, metadata), true
	}
	if sample := k.cfg.SampleProxy; sample != nil && slices.Equal(metadata, sample.Metadata) {
		return sampleAAD(aad, metadata), true
	}
	return nil, false
}

// sampleAAD is the framing of AWS's sample proxy: the length is that of the AAD, the bytes are its hash. Absent AAD
// adds no hash.
func sampleAAD(aad, metadata []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(aad)))
	if len(aad) > 0 {
		hash := sha256.Sum256(aad)
		b = append(b, hash[:]...)
	}
	b = append(b, byte(len(metadata)))
	return append(b, metadata...)
}

// failed translates a token's error, and forgets an object that is not there any more.
func (k *Keys) failed(ctx context.Context, id string, e *entry, err error) error {
	if class := hsm.ClassOf(err); class == hsm.KeyMissing || class == hsm.KeyInvalid {
		k.forget(id, e)
	}
	return fault(ctx, err)
}

// probeLabel is the label of the test key. It is not a legal external key id.
const probeLabel = "strongroom:xks-probe"

// Probe implements proxy.Prober: it seals and opens with the test key, the way a request does. A token that takes no
// key of ours is judged by its own check.
func (k *Keys) Probe(ctx context.Context) error {
	ref, err := k.testKey(ctx)
	switch hsm.ClassOf(err) {
	case hsm.ReadOnly, hsm.Unsupported, hsm.Refused, hsm.Full:
		return k.cfg.Token.Health(ctx)
	}
	if err != nil {
		return err
	}
	e := &entry{object: hsm.Object{KeyRef: ref}}
	sealed, err := k.seal(ctx, "", e, []byte(probeLabel), nil)
	if err == nil {
		framed, _ := k.framing(sealed.Metadata, nil)
		_, err = k.open(ctx, "", e, sealed, framed)
	}
	switch xks.NameOf(err) {
	case xks.KeyNotFoundException, xks.InvalidStateException: // somebody removed it: find or make another next time
		k.mu.Lock()
		k.probe = nil
		k.mu.Unlock()
	}
	return err
}

// testKey finds the test key, or makes it.
func (k *Keys) testKey(ctx context.Context) (hsm.KeyRef, error) {
	k.mu.RLock()
	ref := k.probe
	k.mu.RUnlock()
	if ref != nil {
		return *ref, nil
	}
	k.admin.Lock()
	defer k.admin.Unlock()
	found, err := k.cfg.Token.FindLabel(ctx, probeLabel)
	if err != nil {
		return hsm.KeyRef{}, err
	}
	for _, o := range found {
		if keySpec(o) == xks.KeySpecAES256 {
			return k.keepTestKey(o.KeyRef), nil
		}
	}
	order, err := k.order(probeLabel)
	if err != nil {
		return hsm.KeyRef{}, err
	}
	made, err := k.cfg.Token.Generate(ctx, order)
	if err != nil {
		return hsm.KeyRef{}, err
	}
	return k.keepTestKey(made.KeyRef), nil
}

func (k *Keys) keepTestKey(ref hsm.KeyRef) hsm.KeyRef {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.probe = &ref
	return ref
}
