package xksstore

import (
	"errors"
	"slices"
	"strings"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/client"
)

// Use is what KMS was doing when it called the proxy, as far as its errors tell it apart.
type Use int

// The uses.
const (
	ForStore Use = iota // CreateCustomKeyStore, UpdateCustomKeyStore
	ForKey              // CreateKey
	ForCrypt            // Encrypt, Decrypt, ReEncrypt, GenerateDataKey and GenerateDataKeyWithoutPlaintext
)

// scenario is a way to fail: AWS's text for it, the kind of error at each use, and the ConnectionErrorCode if a connect
// fails so. Cryptographic operations always raise KMSInvalidState. A store kind of "" means that the specification has
// no row: such an answer to GetHealthStatus makes no sense, so it is the malformed response.
type scenario struct {
	text  string
	store keystore.Kind
	key   keystore.Kind
	conn  keystore.ConnErrorCode
}

// uninterpretable is the text of answers that make no sense.
const uninterpretable = "AWS KMS cannot interpret the response from the external key store proxy. If you see this error repeatedly, report it to your external key store proxy administrator."

// byName has the scenarios "Proxy returns a …Exception" (XKS proxy API specification, error table). CreateKey raises
// UnsupportedOperation where the table names XksKeyInvalidResponseException, which no AWS SDK knows.
var byName = map[xks.ErrorName]scenario{
	xks.ValidationException: {
		uninterpretable,
		keystore.KindXksProxyInvalidResponse, keystore.KindCustomKeyStoreInvalidState, keystore.ConnXksInvalidResponse,
	},
	xks.InvalidStateException: {
		"The external key associated with this KMS key in an external key store is not enabled in the external key manager. Enable the external key in the external key manager and retry the request.",
		"", keystore.KindXksKeyInvalidConfiguration, keystore.ConnXksInvalidResponse,
	},
	xks.InvalidCiphertextException: {
		"The external key store proxy rejected the request because the specified ciphertext or encryption context is corrupted, missing, or otherwise invalid.",
		"", "", keystore.ConnXksInvalidResponse,
	},
	xks.InvalidKeyUsageException: {
		"The external key associated with this KMS key in an external key store does not support the requested operation. Enable the operation on the key in your external key manager, and try the request again.",
		"", keystore.KindXksKeyInvalidConfiguration, keystore.ConnXksInvalidResponse,
	},
	xks.AuthenticationFailedException: {
		"The external key store proxy rejected the request because it could not authenticate AWS KMS. Verify the XKS proxy authentication credentials for your external key store and update if necessary.",
		keystore.KindXksProxyIncorrectAuth, keystore.KindCustomKeyStoreInvalidState, keystore.ConnInvalidCredentials,
	},
	xks.AccessDeniedException: {
		"The external key store proxy denied access to the operation. Verify that the user and the external key are both authorized for this operation, and try the request again.",
		"", keystore.KindInvalidState, keystore.ConnXksAccessDenied,
	},
	xks.KeyNotFoundException: {
		"The external key associated with this KMS key in an external key store was not found in its external key manager. If the external key ID associated with this KMS key is incorrect, create a new KMS key with the correct external key ID.",
		"", keystore.KindXksKeyNotFound, keystore.ConnXksInvalidResponse,
	},
	xks.InvalidURIPathException: {
		"The external key store proxy rejected the request because of an invalid URI path. Verify the URI path for your external key store and update if necessary.",
		keystore.KindXksProxyInvalidConfiguration, keystore.KindCustomKeyStoreInvalidState, keystore.ConnXksInvalidConfig,
	},
	xks.UnsupportedOperationException: {
		"The external key store proxy rejected the request because it does not support the requested operation. If you see this error repeatedly, report it to your external key store proxy administrator.",
		"", keystore.KindUnsupportedOperation, keystore.ConnXksInvalidResponse,
	},
	xks.DependencyTimeoutException: {
		"The external key store proxy did not respond to the request in the time allotted. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator.",
		keystore.KindXksProxyURIUnreachable, keystore.KindCustomKeyStoreInvalidState, keystore.ConnXksTimedOut,
	},
	xks.ThrottlingException: {
		"The external key store proxy rejected the request due to a very high request rate. Reduce the frequency of your calls using KMS keys in this external key store.",
		keystore.KindXksProxyURIUnreachable, keystore.KindCustomKeyStoreInvalidState, keystore.ConnXksNotReachable,
	},
	xks.InternalException: {
		"The external key store proxy rejected the request because it cannot communicate with the external key manager. Verify that the external key store proxy configuration is correct and that the external key manager is available.",
		keystore.KindXksProxyInvalidResponse, keystore.KindCustomKeyStoreInvalidState, keystore.ConnXksInvalidResponse,
	},
}

// byClass has the scenarios without an answer of the protocol. A caller who gave up gets what he would have got had he
// waited.
var byClass = map[client.Class]scenario{
	client.Unreachable: {
		"AWS KMS cannot communicate with the external key store proxy. This might be a transient network issue. If you see this error repeatedly, verify that your external key store proxy is active and is connected to the network, and that its endpoint URI is correct in your external keystore.",
		keystore.KindXksProxyURIUnreachable, keystore.KindCustomKeyStoreInvalidState, keystore.ConnXksNotReachable,
	},
	client.TLS: {
		"AWS KMS cannot establish a TLS connection to the external key store proxy. Verify the TLS configuration, including its certificate.",
		keystore.KindXksProxyURIUnreachable, keystore.KindCustomKeyStoreInvalidState, keystore.ConnXksInvalidTLS,
	},
	client.Timeout:   timedOut,
	client.Canceled:  timedOut,
	client.Malformed: malformed,
	client.BadCall:   {"", keystore.KindInternal, keystore.KindInternal, keystore.ConnInternalError},
}

var timedOut = scenario{
	"AWS KMS rejected the request because the external key store proxy did not respond in time. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator.",
	keystore.KindXksProxyURIUnreachable, keystore.KindCustomKeyStoreInvalidState, keystore.ConnXksTimedOut,
}

var malformed = scenario{
	uninterpretable,
	keystore.KindXksProxyInvalidResponse, keystore.KindCustomKeyStoreInvalidState, keystore.ConnXksInvalidResponse,
}

// invalidInner: the proxy's decryption succeeded, and what came out is not what KMS put in.
var invalidInner = scenario{
	text: "The ciphertext that the external key store proxy submitted for decryption, or the encryption context, is corrupted, missing, or otherwise invalid.",
	key:  keystore.KindInternal, conn: keystore.ConnInternalError,
}

var disconnected = scenario{
	text: "This KMS key is in a custom key store that is not connected to its external key store proxy. Connect the external key store and try the request again.",
	key:  keystore.KindCustomKeyStoreInvalidState, conn: keystore.ConnInternalError,
}

// unhealthy: GetHealthStatus says that every key manager is UNAVAILABLE (developer guide, troubleshooting).
var unhealthy = scenario{
	"The external key store proxy is in an unhealthy state. If you see this message repeatedly, notify your external key store proxy administrator.",
	keystore.KindXksProxyURIUnreachable, keystore.KindCustomKeyStoreInvalidState, keystore.ConnXksNotReachable,
}

// ErrUnhealthy is the cause of a refusal by a proxy whose key managers are all unavailable.
var ErrUnhealthy = errors.New("every key manager of the proxy is unavailable")

func (s scenario) fault(use Use, cause error) *keystore.Fault {
	kind := keystore.KindInvalidState
	switch use {
	case ForStore:
		kind = s.store
	case ForKey:
		kind = s.key
	case ForCrypt:
		if s.store == keystore.KindInternal { // no call that can be made: our own fault
			kind = keystore.KindInternal
		}
	}
	if kind == "" {
		return malformed.fault(use, cause)
	}
	return &keystore.Fault{Kind: kind, Text: s.text, Cause: cause}
}

// scenarioOf finds the scenario of a failed call.
func scenarioOf(err error) scenario {
	if errors.Is(err, ErrUnhealthy) {
		return unhealthy
	}
	var failed *client.Error
	if !errors.As(err, &failed) {
		return byClass[client.BadCall]
	}
	if failed.Class != client.Refused {
		return byClass[failed.Class]
	}
	if s, ok := byName[failed.Name()]; ok {
		return s
	}
	return malformed
}

// Fault gives what KMS answers its caller when a call of the client failed. err is a *client.Error or ErrUnhealthy;
// anything else is an internal error.
func Fault(err error, use Use) *keystore.Fault { return scenarioOf(err).fault(use, err) }

// ConnectCode gives the ConnectionErrorCode when connecting the store failed with err.
func ConnectCode(err error) keystore.ConnErrorCode { return scenarioOf(err).conn }

// InvalidInner gives what KMS answers when the proxy decrypted, and its plaintext is not one that KMS encrypted.
func InvalidInner(cause error) *keystore.Fault { return invalidInner.fault(ForCrypt, cause) }

// NotConnected gives what KMS answers for a key, or a new key, of a store that is not connected.
func NotConnected(use Use) *keystore.Fault { return disconnected.fault(use, nil) }

// CheckHealth wants at least one key manager that serves.
func CheckHealth(h *xks.HealthResponse) error {
	if h.AllUnavailable() {
		return ErrUnhealthy
	}
	return nil
}

// CheckKey says why an external key cannot back a KMS key; nil if it can (developer guide, "External key requirements").
func CheckKey(m *xks.MetadataResponse) *keystore.Fault {
	refuse := func(text string) *keystore.Fault {
		return &keystore.Fault{Kind: keystore.KindXksKeyInvalidConfiguration, Text: text}
	}
	switch {
	case m.KeySpec != xks.KeySpecAES256:
		return refuse("The key spec of the external key must be AES_256. The key spec of specified external key is " + printable(m.KeySpec) + ".")
	case m.KeyStatus != xks.KeyEnabled:
		return refuse("The status of the external key must be ENABLED. The status of specified external key is " + printable(string(m.KeyStatus)) + ".")
	case !slices.Contains(m.KeyUsage, xks.UsageEncrypt), !slices.Contains(m.KeyUsage, xks.UsageDecrypt):
		return refuse("The key usage of the external key must include ENCRYPT and DECRYPT. The key use of specified external key is " + printable(strings.Join(m.KeyUsage, ", ")) + ".")
	}
	return nil
}

// printable makes what a proxy said fit to be quoted to a caller.
func printable(text string) string {
	const most = 128
	if clean := xks.CleanMessage(text); len(clean) <= most {
		return clean
	} else {
		return clean[:most]
	}
}
