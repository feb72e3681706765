package main

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/cmd/strongroom/appliance"
)

// startGrace is how long what is being started may go on after the program was told to end: long for a busy machine, and less
// than the service manager waits.
const startGrace = 30 * time.Second

// unhurried gives a context for a start: it ends a while after ctx does. So a start is not cut off between two steps, of which
// a token may have done the first; one that hangs is. done is to be called when the start is over.
func unhurried(ctx context.Context) (starting context.Context, done func()) {
	starting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	over := make(chan struct{})
	go func() {
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		grace := time.NewTimer(startGrace)
		defer grace.Stop()
		select {
		case <-over:
		case <-grace.C:
			cancel(context.Cause(ctx))
		}
	}()
	return starting, func() { close(over); cancel(nil) }
}

// serveUntil serves until ctx ends. A program that is told to end before it is ready has nothing to complain of.
func serveUntil(ctx context.Context, a *appliance.Appliance, ready func() error) error {
	if ctx.Err() != nil {
		return nil
	}
	begun := false
	err := a.Serve(ctx, func() error { begun = true; return ready() })
	if !begun && ctx.Err() != nil {
		return nil
	}
	return err
}
