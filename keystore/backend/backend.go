// Package backend says what a key store must be able to do for the services: make and destroy keys, and seal, open or
// draw random bytes with them. The mandatory part is small; everything else is an optional interface that a service asks
// for with a type assertion. It knows nothing of PKCS#11 and of HTTP: hsm/hsmstore and xks/xksstore implement it.
//
// Errors are *keystore.Fault values that the implementation made through its own table, so that a service passes them
// on as they are; their Cause is for the log and for the reason of an orphan, and names the token's own code (CKR_…).
package backend

import (
	"context"
	"errors"

	"github.com/strongroom/strongroom/keystore"
)

// Handle names one piece of key material. It holds all that a backend needs to find the objects again without a
// database: the objects carry ID as CKA_ID and Label as CKA_LABEL, and both must match.
type Handle struct {
	ID    keystore.MaterialID
	Label string // the key's ARN
	Spec  keystore.Spec
	Usage keystore.Usage
	// External is the XksKeyId of a key in an external key store, "" elsewhere.
	External string
	// Extractable asks CreateKey for material that can leave wrapped, for multi-Region keys; elsewhere it is false.
	Extractable bool
	// CheckValue is the key check value that the ledger knows (hex), "" where there is none. DestroyKey refuses an object
	// that the token gives another value for.
	CheckValue string
	// Caller and Action say for whom and in which operation the key is used or made. An external key store tells its proxy;
	// other backends do not look. Nil and "" where the appliance acts for itself.
	Caller *keystore.Caller
	Action keystore.Action
}

// ErrUnanswered is in the chain of an error of CreateKey whose call the token did not answer in time: the call may have its
// effect later, so that not finding the object proves nothing for a while.
var ErrUnanswered = errors.New("the token did not answer and may do it yet")

// Created is what a person needs besides the handle to recognise the objects on the token.
type Created struct {
	Classes    []string // CKO_… names, one an object
	KeyType    string   // CKK_… name
	CheckValue string   // lower-case hex; "" where the token gives none
}

// Backend is the mandatory part. Every method may be called concurrently and honours the context.
type Backend interface {
	// Identity names the token, as it was when the backend was opened.
	Identity() keystore.TokenIdentity
	// CreateKey makes the material that h names. An error says nothing about what is on the token: whoever called settles
	// it through Finder and DestroyKey. Of an external key it checks that the key exists and can be used.
	CreateKey(ctx context.Context, h Handle) (Created, error)
	// DestroyKey destroys every object that h names. found false with a nil error means that the token, which is in no
	// doubt, has no such object. An object with the same id but another label or check value is left alone and is an error.
	// True and nil mean that the objects are gone.
	DestroyKey(ctx context.Context, h Handle) (found bool, err error)
	// Health tells whether a call would reach the token now.
	Health(ctx context.Context) error
	// Close gives up sessions and connections; calls after it fail.
	Close() error
}

// Sealer encrypts with AES-256-GCM on the token, for keys of spec SYMMETRIC_DEFAULT.
type Sealer interface {
	// Seal appends IV (12 bytes), ciphertext and tag (16 bytes) to dst; an external key store appends a form of its own,
	// which is longer. aad, plaintext and dst are not kept.
	Seal(ctx context.Context, h *Handle, aad, plaintext, dst []byte) ([]byte, error)
	// Open appends the plaintext of what Seal appended to dst. What is altered, or sealed under other aad, is a Fault of
	// kind InvalidCiphertext.
	Open(ctx context.Context, h *Handle, aad, sealed, dst []byte) ([]byte, error)
}

// SealedOverhead is how much longer than the plaintext a sealed text is at least: IV and tag.
const SealedOverhead = 12 + 16

// Randomer draws random bytes from the token's generator.
type Randomer interface {
	// Random fills p or fails.
	Random(ctx context.Context, p []byte) error
}

// Object is one object on a token.
type Object struct {
	ID         []byte // CKA_ID
	Label      string // CKA_LABEL
	Class      string // CKO_… name
	KeyType    string // CKK_… name, "" where the class has none
	CheckValue string // lower-case hex, "" where the token gives none
}

// Scanner lists the key objects on a token.
type Scanner interface {
	// Objects calls fn for each secret, private and public key object and for each of the appliance's own, and stops at
	// the first error. It fails rather than give an incomplete list.
	Objects(ctx context.Context, fn func(Object) error) error
}

// Finder looks for the objects of one handle.
type Finder interface {
	// Find gives every object with the CKA_ID of h, whatever its label. An empty result is a statement about the token:
	// where the token is in any doubt (no session, a code that puts the session in question, a module whose empty answer
	// proves nothing) it is an error.
	Find(ctx context.Context, h Handle) ([]Object, error)
}

// Supporter tells what a backend can make. A backend without it makes SYMMETRIC_DEFAULT keys only.
type Supporter interface {
	// Supports tells whether CreateKey can make a key of that spec that does what the usage needs. It may ask the token, and try
	// it out. An error, of a store that does not answer, is as those of CreateKey.
	Supports(ctx context.Context, spec keystore.Spec, usage keystore.Usage) (bool, error)
}

// Supports tells whether b can make a key of that spec for that usage.
func Supports(ctx context.Context, b Backend, spec keystore.Spec, usage keystore.Usage) (bool, error) {
	if s, ok := b.(Supporter); ok {
		return s.Supports(ctx, spec, usage)
	}
	_, sealer := b.(Sealer)
	return sealer && spec == keystore.SymmetricDefault && usage == keystore.UsageEncryptDecrypt, nil
}

// Resolver finds the backend behind a store.
type Resolver interface {
	// Resolve gives the backend of a custom key store, or the default store of the Region for the id "", with the
	// connection state. The backend is nil unless the state is Connected; the default store is always Connected, and its
	// backend is nil only while its token has never been opened. It must not block and must not touch the database.
	Resolve(region string, id keystore.StoreID) (Backend, keystore.ConnState)
}
