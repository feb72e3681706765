package lifecycle

import (
	"context"
	"time"
)

// NewWorker makes a worker for tests of its loop; most 0 is idle.
func NewWorker(s *Service, idle, retry, most time.Duration, pass func(context.Context, time.Time) (time.Time, error)) interface {
	Run(context.Context) error
	Wake()
	Pause(context.Context) (resume func(), err error)
} {
	return s.worker("the pass failed", rhythm{idle, retry, most}, nil, pass)
}

// DuePage is how many due keys are read at once.
const DuePage = duePage

// Enter registers a key as being worked on, LeftOpen says that it has something to settle, and TakeTold tells whether the
// Reconciler was told.
func Enter(s *Service, arn string) (leave func()) { return s.busy.enter(arn) }

// LeftOpen is described at Enter.
func LeftOpen(s *Service, arn string) { s.leftOpen(arn) }

// TakeTold is described at Enter.
func TakeTold(s *Service) bool {
	select {
	case <-s.left:
		return true
	default:
		return false
	}
}
