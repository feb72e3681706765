package lifecycle

import (
	"context"
	"time"
)

// NewWorker makes a worker for tests of its loop.
func NewWorker(s *Service, idle, retry time.Duration, pass func(context.Context, time.Time) (time.Time, error)) interface {
	Run(context.Context) error
	Wake()
} {
	return s.worker("the pass failed", rhythm{idle, retry}, nil, pass)
}

// DuePage is how many due keys are read at once.
const DuePage = duePage
