package backend

import (
	"context"

	"github.com/strongroom/strongroom/keystore"
)

// Parcel is extractable material on its way from one token to another: readable by the other token alone.
type Parcel struct {
	Key       []byte // the material: wrapped to the key pair, or under the transport key
	Format    string // of Key where a transport key wraps it, in the backend's words
	Transport []byte // the transport key, wrapped to the key pair; nil without one
	Public    []byte // SubjectPublicKeyInfo of a pair's public half; nil for secret keys
}

// Carrier moves extractable material from its token to another one. The value never is in the process: it leaves wrapped to a
// key pair of the receiving token (Unwrapper.CreateWrappingKey), a private key under a transport key that was wrapped so.
type Carrier interface {
	// CarryFormat names the form in which keys of the spec leave this token and come to it, "" where they can't. Two tokens
	// of the same form can exchange keys.
	CarryFormat(spec keystore.Spec) string
	// SendKey wraps the material of h for the token that has the private half of to, a SubjectPublicKeyInfo. Key pairs need a
	// transport key, which is made under the handle transport and stays until it is destroyed; for secret keys none is made.
	SendKey(ctx context.Context, h, transport *Handle, to []byte) (Parcel, error)
	// ReceiveKey puts a parcel on the token under the handle h, which says whether it may be sent on. It came wrapped to pair;
	// the transport key of a key pair stays under the handle transport until it is destroyed. An error says nothing about
	// what is on the token.
	ReceiveKey(ctx context.Context, h Handle, transport, pair *Handle, p Parcel) (Created, error)
}
