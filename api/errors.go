package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/keystore"
)

// Exception is an error as the wire has it.
type Exception struct {
	Name   string // __type
	Status int
	Silent bool // AWS sends no message with it
}

func client(name string) Exception { return Exception{Name: name, Status: http.StatusBadRequest} }

// silent is for exceptions that AWS answers without a message (api-errors.md, section 1: recorded).
func silent(name string) Exception {
	return Exception{Name: name, Status: http.StatusBadRequest, Silent: true}
}

func fault(name string, status int) Exception { return Exception{Name: name, Status: status} }

// exceptions is the table from kinds to the wire. On the wire the service answers 400 for every fault of the client,
// whatever the model's annotations say (api-errors.md, section 2).
var exceptions = map[keystore.Kind]Exception{
	keystore.KindInternal:                      fault("KMSInternalException", http.StatusInternalServerError),
	keystore.KindDependencyTimeout:             fault("DependencyTimeoutException", http.StatusServiceUnavailable),
	keystore.KindKeyUnavailable:                fault("KeyUnavailableException", http.StatusInternalServerError),
	keystore.KindInvalidCiphertext:             silent("InvalidCiphertextException"),
	keystore.KindInvalidMac:                    silent("KMSInvalidMacException"),
	keystore.KindInvalidSignature:              silent("KMSInvalidSignatureException"),
	keystore.KindNotAuthorized:                 silent("NotAuthorizedException"),
	keystore.KindAccessDenied:                  client("AccessDeniedException"),
	keystore.KindAlreadyExists:                 client("AlreadyExistsException"),
	keystore.KindCloudHsmClusterInUse:          client("CloudHsmClusterInUseException"),
	keystore.KindCloudHsmClusterInvalidConfig:  client("CloudHsmClusterInvalidConfigurationException"),
	keystore.KindCloudHsmClusterNotActive:      client("CloudHsmClusterNotActiveException"),
	keystore.KindCloudHsmClusterNotFound:       client("CloudHsmClusterNotFoundException"),
	keystore.KindCloudHsmClusterNotRelated:     client("CloudHsmClusterNotRelatedException"),
	keystore.KindConflict:                      client("ConflictException"),
	keystore.KindCustomKeyStoreHasCMKs:         client("CustomKeyStoreHasCMKsException"),
	keystore.KindCustomKeyStoreInvalidState:    client("CustomKeyStoreInvalidStateException"),
	keystore.KindCustomKeyStoreNameInUse:       client("CustomKeyStoreNameInUseException"),
	keystore.KindCustomKeyStoreNotFound:        client("CustomKeyStoreNotFoundException"),
	keystore.KindDisabled:                      client("DisabledException"),
	keystore.KindDryRunOperation:               client("DryRunOperationException"),
	keystore.KindExpiredImportToken:            client("ExpiredImportTokenException"),
	keystore.KindIncorrectKey:                  client("IncorrectKeyException"),
	keystore.KindIncorrectKeyMaterial:          client("IncorrectKeyMaterialException"),
	keystore.KindIncorrectTrustAnchor:          client("IncorrectTrustAnchorException"),
	keystore.KindInvalidAliasName:              client("InvalidAliasNameException"),
	keystore.KindInvalidArn:                    client("InvalidArnException"),
	keystore.KindInvalidGrantID:                client("InvalidGrantIdException"),
	keystore.KindInvalidGrantToken:             client("InvalidGrantTokenException"),
	keystore.KindInvalidImportToken:            client("InvalidImportTokenException"),
	keystore.KindInvalidKeyUsage:               client("InvalidKeyUsageException"),
	keystore.KindInvalidMarker:                 client("InvalidMarkerException"),
	keystore.KindInvalidState:                  client("KMSInvalidStateException"),
	keystore.KindLimitExceeded:                 client("LimitExceededException"),
	keystore.KindMalformedPolicyDocument:       client("MalformedPolicyDocumentException"),
	keystore.KindNotFound:                      client("NotFoundException"),
	keystore.KindTag:                           client("TagException"),
	keystore.KindThrottling:                    client("ThrottlingException"),
	keystore.KindUnsupportedOperation:          client("UnsupportedOperationException"),
	keystore.KindValidation:                    client("ValidationException"),
	keystore.KindXksKeyAlreadyInUse:            client("XksKeyAlreadyInUseException"),
	keystore.KindXksKeyInvalidConfiguration:    client("XksKeyInvalidConfigurationException"),
	keystore.KindXksKeyNotFound:                client("XksKeyNotFoundException"),
	keystore.KindXksProxyIncorrectAuth:         client("XksProxyIncorrectAuthenticationCredentialException"),
	keystore.KindXksProxyInvalidConfiguration:  client("XksProxyInvalidConfigurationException"),
	keystore.KindXksProxyInvalidResponse:       client("XksProxyInvalidResponseException"),
	keystore.KindXksProxyURIEndpointInUse:      client("XksProxyUriEndpointInUseException"),
	keystore.KindXksProxyURIInUse:              client("XksProxyUriInUseException"),
	keystore.KindXksProxyURIUnreachable:        client("XksProxyUriUnreachableException"),
	keystore.KindXksProxyVpcServiceInUse:       client("XksProxyVpcEndpointServiceInUseException"),
	keystore.KindXksProxyVpcServiceInvalidConf: client("XksProxyVpcEndpointServiceInvalidConfigurationException"),
	keystore.KindXksProxyVpcServiceNotFound:    client("XksProxyVpcEndpointServiceNotFoundException"),
}

// signatures is the table from defects of a signature to the wire (api-errors.md, section 4).
var signatures = map[sigv4.Kind]Exception{
	sigv4.Missing:       client("MissingAuthenticationTokenException"),
	sigv4.Incomplete:    client("IncompleteSignatureException"),
	sigv4.TooLarge:      client("IncompleteSignatureException"),
	sigv4.BadDate:       client("IncompleteSignatureException"),
	sigv4.UnknownKey:    client("UnrecognizedClientException"),
	sigv4.Mismatch:      client("InvalidSignatureException"),
	sigv4.Unsigned:      client("InvalidSignatureException"),
	sigv4.Expired:       client("InvalidSignatureException"),
	sigv4.NotYetCurrent: client("InvalidSignatureException"),
	sigv4.WrongRegion:   client("InvalidSignatureException"),
	sigv4.WrongService:  client("InvalidSignatureException"),
	sigv4.BadScope:      client("InvalidSignatureException"),
	sigv4.BodyHash:      client("InvalidSignatureException"),
}

// Exceptions of the front door itself.
var (
	unknownOperation = client("UnknownOperationException")
	serialization    = client("SerializationException")
	tooLarge         = fault("RequestEntityTooLargeException", http.StatusRequestEntityTooLarge)
	tooSlow          = fault("RequestTimeoutException", http.StatusRequestTimeout)
	noSuchPath       = fault("UnknownOperationException", http.StatusNotFound)
	noSuchMethod     = fault("UnknownOperationException", http.StatusMethodNotAllowed)
	internalFailure  = fault("InternalFailure", http.StatusInternalServerError)
	overloaded       = fault("ServiceUnavailable", http.StatusServiceUnavailable)
)

// refusal is an error that the front door makes itself.
type refusal struct {
	exception Exception
	text      string
}

// Error implements error.
func (r *refusal) Error() string { return r.exception.Name + ": " + r.text }

// internalText is shown where an error has no text for callers. The request id leads an operator to the log.
func internalText(requestID string) string {
	return "The request was rejected because an internal error occurred. The request can be retried. Request ID: " + requestID
}

// wire gives an error's exception and the message to send, "" for none. cause tells whether the error is of the
// appliance's own making and belongs into its log.
func wire(err error, requestID string) (e Exception, message string, cause bool) {
	var (
		f         *keystore.Fault
		signature *sigv4.Error
		syntax    *shape.SyntaxError
		own       *refusal
	)
	switch {
	case errors.As(err, &f):
		known := false
		if e, known = exceptions[f.Kind]; known {
			message = f.Text
		} else {
			e = exceptions[keystore.KindInternal]
		}
	case errors.As(err, &syntax):
		return serialization, syntax.Text, false
	case errors.As(err, &signature):
		return signatures[signature.Kind], signature.Text, false
	case errors.As(err, &own):
		e, message = own.exception, own.text
	case errors.Is(err, context.DeadlineExceeded):
		e, message = exceptions[keystore.KindDependencyTimeout], "The system timed out while trying to fulfill the request. You can retry the request."
	default:
		e = exceptions[keystore.KindInternal]
	}
	if e.Status >= http.StatusInternalServerError && message == "" {
		message = internalText(requestID)
	}
	if e.Silent {
		message = ""
	}
	return e, message, e.Status >= http.StatusInternalServerError
}

// appendError appends the body of an error's answer.
func appendError(dst []byte, e Exception, message string) []byte {
	dst = append(dst, `{"__type":"`...)
	dst = append(dst, e.Name...)
	dst = append(dst, '"')
	if message != "" {
		dst = append(dst, `,"message":`...)
		dst = shape.AppendString(dst, message)
	}
	return append(dst, '}')
}
