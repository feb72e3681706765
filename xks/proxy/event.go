package proxy

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/xks"
)

// Event is one answered request, for audit and metrics. It never holds plaintext, bodies or secrets. Strings that
// came with the request are as the caller wrote them: escape them where they are shown.
type Event struct {
	Time      time.Time
	Duration  time.Duration
	Remote    string // network address of the peer
	Realm     string // "" where the path names none
	Operation xks.Operation
	KeyID     string
	// AccessKeyID is what the signature names; it is proven only if Authenticated.
	AccessKeyID   string
	Authenticated bool
	Metadata      xks.RequestMetadata // zero where the body was not read

	Status    int
	ErrorName xks.ErrorName // "" for success
	Cause     error         // what went wrong, for the operator's log; nil for success
	// Rule is the policy rule that denied the call, or would have if DryRun.
	Rule   string
	DryRun bool
}

// Recorder is told of every request with a realm, before it is answered. If it fails, the request is answered with
// InternalException instead: nothing that cannot be recorded is done. It is called by many goroutines at once.
type Recorder interface {
	RecordXKS(ctx context.Context, e Event) error
}

// RecorderFunc makes a function a Recorder.
type RecorderFunc func(ctx context.Context, e Event) error

// RecordXKS implements Recorder.
func (f RecorderFunc) RecordXKS(ctx context.Context, e Event) error { return f(ctx, e) }

// Recorders tells each of several recorders in turn and stops at the first that fails.
func Recorders(all ...Recorder) Recorder {
	return RecorderFunc(func(ctx context.Context, e Event) error {
		for _, r := range all {
			if err := r.RecordXKS(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
}
