package xks

import (
	"errors"
	"net/http"
	"strings"
)

// ErrorName is an errorName of the protocol. KMS decides by it alone.
type ErrorName string

// The error names ("Errors" of each API). The zero value is none.
const (
	ValidationException           ErrorName = "ValidationException"
	InvalidStateException         ErrorName = "InvalidStateException"
	InvalidCiphertextException    ErrorName = "InvalidCiphertextException"
	InvalidKeyUsageException      ErrorName = "InvalidKeyUsageException"
	AuthenticationFailedException ErrorName = "AuthenticationFailedException"
	AccessDeniedException         ErrorName = "AccessDeniedException"
	KeyNotFoundException          ErrorName = "KeyNotFoundException"
	InvalidURIPathException       ErrorName = "InvalidUriPathException"
	ThrottlingException           ErrorName = "ThrottlingException"
	UnsupportedOperationException ErrorName = "UnsupportedOperationException"
	DependencyTimeoutException    ErrorName = "DependencyTimeoutException"
	InternalException             ErrorName = "InternalException"
)

type errorRow struct {
	name      ErrorName
	status    int
	retryable bool
	ops       []Operation
}

var (
	everyOp    = Operations()
	withKey    = []Operation{OpMetadata, OpEncrypt, OpDecrypt}
	withSecret = []Operation{OpEncrypt, OpDecrypt}
)

// errorTable is the table of errors: name, HTTP status, whether KMS's metrics count it as retryable, and the
// operations that may answer it. ValidationException is listed for GetHealthStatus as well, although the
// specification's table leaves it out: it offers no other name for a malformed health request.
var errorTable = []errorRow{
	{ValidationException, http.StatusBadRequest, false, everyOp},
	{InvalidStateException, http.StatusBadRequest, false, everyOp},
	{InvalidCiphertextException, http.StatusBadRequest, false, []Operation{OpDecrypt}},
	{InvalidKeyUsageException, http.StatusBadRequest, false, withSecret},
	{AuthenticationFailedException, http.StatusUnauthorized, false, everyOp},
	{AccessDeniedException, http.StatusForbidden, false, withKey},
	{KeyNotFoundException, http.StatusNotFound, false, withKey},
	{InvalidURIPathException, http.StatusNotFound, false, everyOp},
	{ThrottlingException, http.StatusTooManyRequests, true, everyOp},
	{UnsupportedOperationException, http.StatusNotImplemented, false, everyOp},
	{DependencyTimeoutException, http.StatusServiceUnavailable, true, everyOp},
	{InternalException, http.StatusInternalServerError, true, everyOp},
}

// ErrorNames lists every error name of the protocol.
func ErrorNames() []ErrorName {
	names := make([]ErrorName, len(errorTable))
	for i, row := range errorTable {
		names[i] = row.name
	}
	return names
}

func (n ErrorName) row() *errorRow {
	for i := range errorTable {
		if errorTable[i].name == n {
			return &errorTable[i]
		}
	}
	return nil
}

// Known reports whether the protocol has this name.
func (n ErrorName) Known() bool { return n.row() != nil }

// Status is the HTTP status that goes with the name; 500 for an unknown one.
func (n ErrorName) Status() int {
	if row := n.row(); row != nil {
		return row.status
	}
	return http.StatusInternalServerError
}

// Retryable says whether the KMS metrics count the error as retryable (developer guide, XksProxyErrors).
func (n ErrorName) Retryable() bool {
	row := n.row()
	return row != nil && row.retryable
}

// AllowedFor reports whether the operation may answer this error.
func (n ErrorName) AllowedFor(op Operation) bool {
	row := n.row()
	if row == nil {
		return false
	}
	for _, allowed := range row.ops {
		if allowed == op {
			return true
		}
	}
	return false
}

// Error is an error of the protocol. Message goes over the wire and into the calling account's logs: no secrets, no
// addresses, nothing that a caller wrote. Cause stays here.
type Error struct {
	Name    ErrorName
	Message string
	Cause   error
}

// NewError makes an Error of a name and a fixed message.
func NewError(name ErrorName, message string) *Error { return &Error{Name: name, Message: message} }

// WrapError makes an Error that carries its cause for the log.
func WrapError(name ErrorName, message string, cause error) *Error {
	return &Error{Name: name, Message: message, Cause: cause}
}

// Error is for logs.
func (e *Error) Error() string {
	text := string(e.Name)
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// NameOf gives the name of the first Error in err's chain; InternalException where there is none, "" for nil.
func NameOf(err error) ErrorName {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Name
	}
	return InternalException
}

// CleanMessage makes a text fit for errorMessage: printable ASCII, fewer than 512 characters.
func CleanMessage(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, text)
	if len(clean) > MaxErrorMessage {
		clean = clean[:MaxErrorMessage]
	}
	return clean
}
