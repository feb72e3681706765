package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/strongroom/strongroom/xks"
)

// Class is the way in which a proxy failed.
type Class int

// The classes of failure.
const (
	Refused     Class = iota + 1 // the proxy answered an error of the protocol: see Error.Proxy
	Unreachable                  // no name, no TCP connection, or one that was cut before an answer began
	TLS                          // no TLS connection: version, certificate, name, chain, alert
	Timeout                      // connected, but no answer in time
	Malformed                    // an answer that does not keep to the protocol
	Canceled                     // the caller gave up; says nothing about the proxy
	BadCall                      // the call cannot be made: no legal key id, or a URI that gets too long
)

var classNames = [...]string{Refused: "refused", Unreachable: "unreachable", TLS: "tls", Timeout: "timeout", Malformed: "malformed", Canceled: "canceled", BadCall: "bad-call"}

// String names the class for logs and metrics.
func (c Class) String() string {
	if c <= 0 || int(c) >= len(classNames) {
		return "unknown"
	}
	return classNames[c]
}

// Classes lists every class, so that a caller's table can be checked for completeness.
func Classes() []Class {
	return []Class{Refused, Unreachable, TLS, Timeout, Malformed, Canceled, BadCall}
}

// Error is a failed call.
type Error struct {
	Class     Class
	Operation xks.Operation
	// Proxy is what the proxy said, with Refused; with Malformed, if the name is none of the protocol's. Its message
	// is the proxy's own: for logs, never for a caller of KMS.
	Proxy  *xks.Error
	Status int // HTTP status, 0 if there was no answer
	// Skipped means that nothing was sent, because the proxy failed in this class again and again just before.
	Skipped bool
	Err     error

	stale bool // a connection that had been idle was gone: says little about the proxy
}

// Error implements error.
func (e *Error) Error() string {
	text := "xks proxy: " + string(e.Operation) + ": " + e.Class.String()
	if e.Skipped {
		text += " (not tried again yet)"
	}
	if e.Proxy != nil {
		text += fmt.Sprintf(": %d %s", e.Status, e.Proxy.Error())
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Name gives the error name that the proxy answered, or "".
func (e *Error) Name() xks.ErrorName {
	if e.Proxy == nil {
		return ""
	}
	return e.Proxy.Name
}

// Retryable says whether the KMS metrics count the failure as retryable (developer guide, XksProxyErrors).
func (e *Error) Retryable() bool {
	switch e.Class {
	case Refused:
		return e.Proxy.Name.Retryable()
	case Unreachable, TLS, Timeout:
		return true
	}
	return false
}

// ClassOf gives the class of the first *Error in err's chain; 0 where there is none.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return 0
}

// stageError marks the stage of setting up a connection that failed.
type stageError struct {
	class Class
	err   error
}

func (e *stageError) Error() string { return e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// classify tells the class of a failed exchange. begun says that an answer had begun.
func classify(ctx context.Context, err error, begun bool) Class {
	var stage *stageError
	var network net.Error
	switch {
	case errors.As(err, &stage):
		return stage.class
	case errors.Is(context.Cause(ctx), errOverdue), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case ctx.Err() != nil:
		return Canceled
	case errors.As(err, &network) && network.Timeout():
		return Timeout
	case isTLS(err):
		return TLS
	case begun, isHTTP(err):
		return Malformed
	}
	return Unreachable
}

// isTLS recognises failures of TLS after the handshake: under TLS 1.3 a server judges the client's certificate only
// then, and its alert comes with the first read.
func isTLS(err error) bool {
	var op *net.OpError
	var record tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	var host x509.HostnameError
	return errors.As(err, &op) && op.Op == "remote error" || errors.As(err, &record) || errors.As(err, &verification) || errors.As(err, &host)
}

// isHTTP recognises an answer that is no HTTP. net/http has no types for most of these errors; what is neither the
// network's, nor an end of file, nor about an idle connection came from its parser.
func isHTTP(err error) bool {
	var op *net.OpError
	var errno syscall.Errno
	if errors.As(err, &op) || errors.As(err, &errno) || isEOF(err) || errors.Is(err, net.ErrClosed) {
		return false
	}
	return !strings.Contains(err.Error(), "idle connection") && !strings.Contains(err.Error(), "CloseIdleConnections")
}
