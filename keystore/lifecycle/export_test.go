package lifecycle

import (
	"context"
	"time"
)

// NewWorker makes a worker for tests of its loop; most 0 is idle.
func NewWorker(s *Service, idle, retry, most time.Duration, pass func(context.Context, time.Time) (time.Time, error)) interface {
	Run(context.Context) error
	Wake()
} {
	return s.worker("the pass failed", rhythm{idle, retry, most}, nil, pass)
}

// DuePage is how many due keys are read at once.
const DuePage = duePage
