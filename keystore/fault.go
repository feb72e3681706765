package keystore

import (
	"errors"
	"fmt"
)

// Kind names a domain error. Each kind is one AWS exception, without the suffix "Exception"; package api maps kinds to
// the wire in one table. The zero kind is an internal error whose text is never shown to a caller.
type Kind string

// The kinds, in the words of the AWS KMS API reference ("Errors" of each operation) and of AWS's common errors.
const (
	KindInternal                      Kind = "KMSInternal"
	KindAccessDenied                  Kind = "AccessDenied"
	KindAlreadyExists                 Kind = "AlreadyExists"
	KindCloudHsmClusterInUse          Kind = "CloudHsmClusterInUse"
	KindCloudHsmClusterInvalidConfig  Kind = "CloudHsmClusterInvalidConfiguration"
	KindCloudHsmClusterNotActive      Kind = "CloudHsmClusterNotActive"
	KindCloudHsmClusterNotFound       Kind = "CloudHsmClusterNotFound"
	KindCloudHsmClusterNotRelated     Kind = "CloudHsmClusterNotRelated"
	KindConflict                      Kind = "Conflict"
	KindCustomKeyStoreHasCMKs         Kind = "CustomKeyStoreHasCMKs"
	KindCustomKeyStoreInvalidState    Kind = "CustomKeyStoreInvalidState"
	KindCustomKeyStoreNameInUse       Kind = "CustomKeyStoreNameInUse"
	KindCustomKeyStoreNotFound        Kind = "CustomKeyStoreNotFound"
	KindDependencyTimeout             Kind = "DependencyTimeout"
	KindDisabled                      Kind = "Disabled"
	KindDryRunOperation               Kind = "DryRunOperation"
	KindExpiredImportToken            Kind = "ExpiredImportToken"
	KindIncorrectKey                  Kind = "IncorrectKey"
	KindIncorrectKeyMaterial          Kind = "IncorrectKeyMaterial"
	KindIncorrectTrustAnchor          Kind = "IncorrectTrustAnchor"
	KindInvalidAliasName              Kind = "InvalidAliasName"
	KindInvalidArn                    Kind = "InvalidArn"
	KindInvalidCiphertext             Kind = "InvalidCiphertext"
	KindInvalidGrantID                Kind = "InvalidGrantId"
	KindInvalidGrantToken             Kind = "InvalidGrantToken"
	KindInvalidImportToken            Kind = "InvalidImportToken"
	KindInvalidKeyUsage               Kind = "InvalidKeyUsage"
	KindInvalidMarker                 Kind = "InvalidMarker"
	KindInvalidState                  Kind = "KMSInvalidState"
	KindInvalidMac                    Kind = "KMSInvalidMac"
	KindInvalidSignature              Kind = "KMSInvalidSignature"
	KindKeyUnavailable                Kind = "KeyUnavailable"
	KindLimitExceeded                 Kind = "LimitExceeded"
	KindMalformedPolicyDocument       Kind = "MalformedPolicyDocument"
	KindNotAuthorized                 Kind = "NotAuthorized"
	KindNotFound                      Kind = "NotFound"
	KindTag                           Kind = "Tag"
	KindThrottling                    Kind = "Throttling"
	KindUnsupportedOperation          Kind = "UnsupportedOperation"
	KindValidation                    Kind = "Validation"
	KindXksKeyAlreadyInUse            Kind = "XksKeyAlreadyInUse"
	KindXksKeyInvalidConfiguration    Kind = "XksKeyInvalidConfiguration"
	KindXksKeyNotFound                Kind = "XksKeyNotFound"
	KindXksProxyIncorrectAuth         Kind = "XksProxyIncorrectAuthenticationCredential"
	KindXksProxyInvalidConfiguration  Kind = "XksProxyInvalidConfiguration"
	KindXksProxyInvalidResponse       Kind = "XksProxyInvalidResponse"
	KindXksProxyURIEndpointInUse      Kind = "XksProxyUriEndpointInUse"
	KindXksProxyURIInUse              Kind = "XksProxyUriInUse"
	KindXksProxyURIUnreachable        Kind = "XksProxyUriUnreachable"
	KindXksProxyVpcServiceInUse       Kind = "XksProxyVpcEndpointServiceInUse"
	KindXksProxyVpcServiceInvalidConf Kind = "XksProxyVpcEndpointServiceInvalidConfiguration"
	KindXksProxyVpcServiceNotFound    Kind = "XksProxyVpcEndpointServiceNotFound"
)

// Fault is a domain error: a kind, the text that the caller is shown (AWS's own words; some kinds have none), and the
// cause, which is logged and never shown. Compare kinds with KindOf.
type Fault struct {
	Kind  Kind
	Text  string
	Cause error
}

// Faultf makes a Fault whose text is shown to the caller.
func Faultf(kind Kind, format string, args ...any) *Fault {
	if len(args) == 0 {
		return &Fault{Kind: kind, Text: format}
	}
	return &Fault{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Because returns a copy of the fault that carries its cause for the log.
func (f *Fault) Because(cause error) *Fault {
	c := *f
	c.Cause = cause
	return &c
}

// Error is for logs: kind, text and cause.
func (f *Fault) Error() string {
	s := string(f.Kind)
	if f.Text != "" {
		s += ": " + f.Text
	}
	if f.Cause != nil {
		s += ": " + f.Cause.Error()
	}
	return s
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Cause }

// KindOf gives the kind of the first Fault in err's chain; KindInternal where there is none, "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var f *Fault
	if errors.As(err, &f) {
		return f.Kind
	}
	return KindInternal
}

// What the state ports answer; services turn them into Faults with the caller's words.
var (
	// ErrNoRow: there is no such row.
	ErrNoRow = errors.New("no such row")
	// ErrExists: a row with this identity exists.
	ErrExists = errors.New("row exists")
	// ErrStale: the row changed since it was read (revision check).
	ErrStale = errors.New("row changed meanwhile")
)
