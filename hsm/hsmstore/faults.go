package hsmstore

import (
	"fmt"

	"github.com/strongroom/strongroom/hsm"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// verdict is what a class of token failure means for a call.
type verdict uint8

const (
	unreachable  verdict = iota // AWS's fault for a key store that does not answer
	slow                        // it may answer a later call: the same, but DependencyTimeout in a default store
	exhausted                   // no session was free
	forged                      // the ciphertext is not authentic
	keyless                     // the token is well and has not the key that it should have
	incapable                   // the token cannot do it
	unwilling                   // the token refuses, is full or is write-protected
	broken                      // the appliance asked for something that cannot be
	disconnected                // the store was disconnected as the call came
)

// classRow says what a class of failure means: for calls, for a connect (ConnectionErrorCode), and in an orphan's reason.
type classRow struct {
	verdict verdict
	conn    keystore.ConnErrorCode
	reason  string
}

// classTable has a row for every hsm.Class. The ConnectionErrorCodes follow custom-key-stores.md section 7: what cannot be
// told apart by its cure is INTERNAL_ERROR.
var classTable = map[hsm.Class]classRow{
	hsm.Internal:          {unreachable, keystore.ConnInternalError, "the token failed"},
	hsm.ModuleMissing:     {unreachable, keystore.ConnClusterNotFound, "the PKCS#11 module cannot be loaded"},
	hsm.TokenMissing:      {unreachable, keystore.ConnClusterNotFound, "the token is not there"},
	hsm.TokenAmbiguous:    {unreachable, keystore.ConnClusterNotFound, "several tokens fit the configuration"},
	hsm.TokenGone:         {unreachable, keystore.ConnInsufficientHSMs, "the token is gone"},
	hsm.TokenDoubtful:     {unreachable, keystore.ConnInsufficientHSMs, "the token cannot be shown to be well"},
	hsm.NotInitialized:    {unreachable, keystore.ConnInsufficientHSMs, "the token is blank"},
	hsm.SessionLost:       {unreachable, keystore.ConnNetworkErrors, "the session with the token was lost"},
	hsm.PINIncorrect:      {unreachable, keystore.ConnInvalidCredentials, "the token refused the PIN"},
	hsm.PINLocked:         {unreachable, keystore.ConnUserLockedOut, "the PIN is locked"},
	hsm.PINNotSet:         {unreachable, keystore.ConnUserNotFound, "the token has no user PIN"},
	hsm.PINExpired:        {unreachable, keystore.ConnInvalidCredentials, "the PIN has expired"},
	hsm.NotLoggedIn:       {unreachable, keystore.ConnInternalError, "the token asks for a login"},
	hsm.LoggedInElsewhere: {unreachable, keystore.ConnUserLoggedIn, "another user is logged in to the token"},
	hsm.Busy:              {exhausted, keystore.ConnNetworkErrors, "no session with the token came free"},
	hsm.Timeout:           {slow, keystore.ConnNetworkErrors, "the token did not answer in time"},
	hsm.Stuck:             {slow, keystore.ConnNetworkErrors, "calls hang in the token"},
	hsm.BadCiphertext:     {forged, keystore.ConnInternalError, "the bytes are not authentic"},
	hsm.KeyMissing:        {keyless, keystore.ConnInternalError, "the key is not on the token"},
	hsm.KeyInvalid:        {keyless, keystore.ConnInternalError, "another object is in the key's place"},
	hsm.Unsupported:       {incapable, keystore.ConnInternalError, "the token cannot do this"},
	hsm.ReadOnly:          {unwilling, keystore.ConnInternalError, "the token is write-protected"},
	hsm.Refused:           {unwilling, keystore.ConnInternalError, "the token refused"},
	hsm.Full:              {unwilling, keystore.ConnInternalError, "the token is full"},
	hsm.BadInput:          {broken, keystore.ConnInternalError, "the request cannot be met"},
	hsm.Closed:            {disconnected, keystore.ConnInternalError, "the store is disconnected"},
}

// calls has one fault per backend.Call. A zero fault is AWS's for an unreachable store.
type calls [4]keystore.Fault

func everywhere(f keystore.Fault) calls { return calls{f, f, f, f} }

var internal = keystore.Fault{Kind: keystore.KindInternal}

// faultTable says what a verdict is called, by store type ("" is a default store) and call. Documented are the kinds, the
// text of an unreachable cluster, and that running out of PKCS #11 sessions is KMSInternal (custom-key-stores.md section 8);
// the other texts are our own.
var faultTable = map[keystore.StoreType]map[verdict]calls{
	"": {
		unreachable: {},
		slow:        everywhere(keystore.Fault{Kind: keystore.KindDependencyTimeout, Text: "The key store did not answer in time. Try again."}),
		exhausted:   everywhere(keystore.Fault{Kind: keystore.KindDependencyTimeout, Text: "The key store is busy. Try again."}),
		forged:      everywhere(keystore.Fault{Kind: keystore.KindInvalidCiphertext}),
		keyless:     {backend.CallUse: {Kind: keystore.KindKeyUnavailable, Text: "The material of the KMS key is not in its key store."}, backend.CallCreate: internal, backend.CallRandom: internal, backend.CallManage: internal},
		incapable: {backend.CallUse: internal, backend.CallCreate: {Kind: keystore.KindUnsupportedOperation,
			Text: "The key store cannot make a key of this kind."}, backend.CallRandom: internal, backend.CallManage: internal},
		unwilling:    everywhere(internal),
		broken:       everywhere(internal),
		disconnected: {}, // the appliance is stopping
	},
	keystore.StoreCloudHSM: {
		unreachable: {},
		slow:        {},
		exhausted: everywhere(keystore.Fault{Kind: keystore.KindInternal,
			Text: "KMS could not open a PKCS #11 session with your CloudHSM cluster. Try again."}),
		forged: everywhere(keystore.Fault{Kind: keystore.KindInvalidCiphertext}),
		keyless: {backend.CallUse: {Kind: keystore.KindInvalidState, Text: "KMS cannot find the key material of the KMS key in your CloudHSM cluster"},
			backend.CallCreate: internal, backend.CallRandom: internal, backend.CallManage: internal},
		incapable: {backend.CallUse: {Kind: keystore.KindInvalidState, Text: "Your CloudHSM cluster cannot do this operation"},
			backend.CallCreate: {Kind: keystore.KindUnsupportedOperation, Text: "Your CloudHSM cluster cannot make a key of this kind"},
			backend.CallRandom: internal, backend.CallManage: internal},
		unwilling: {backend.CallUse: {Kind: keystore.KindInvalidState, Text: "Your CloudHSM cluster refused to use the key material of the KMS key"},
			backend.CallCreate: {Kind: keystore.KindCloudHsmClusterInvalidConfig, Text: "Your CloudHSM cluster refused to make the key material"},
			backend.CallRandom: internal, backend.CallManage: internal},
		broken: everywhere(internal),
		disconnected: {backend.CallUse: {Kind: keystore.KindInvalidState, Text: "The custom key store of the KMS key is not connected."},
			backend.CallCreate: notConnected, backend.CallRandom: notConnected, backend.CallManage: notConnected},
	},
}

var notConnected = keystore.Fault{Kind: keystore.KindCustomKeyStoreInvalidState, Text: "The custom key store is not connected."}

// fault turns a failure of the token into a fault of the domain.
func fault(t keystore.StoreType, c backend.Call, err error) error {
	if err == nil {
		return nil
	}
	row := classTable[hsm.ClassOf(err)]
	if c == backend.CallManage {
		err = &because{reason: row.reason, err: err}
	}
	if c == backend.CallCreate && row.verdict == slow {
		err = fmt.Errorf("%w: %w", backend.ErrUnanswered, err)
	}
	f := faultTable[t][row.verdict][c]
	if f.Kind == "" {
		return backend.Unreachable(t, c).Because(err)
	}
	return f.Because(err)
}

// because puts a reason in an operator's words before a failure of the token; the text has the token's own code too.
type because struct {
	reason string
	err    error
}

func (b *because) Error() string { return b.reason + ": " + b.err.Error() }

func (b *because) Unwrap() error { return b.err }

// connectError says why a token could not be opened.
func connectError(err error) error {
	return &backend.ConnectError{Code: classTable[hsm.ClassOf(err)].conn, Cause: err}
}
