package hsm

import "time"

// patience is a call's deadline. It is counted in slices, so that a process that stands still, as in a virtual machine
// that is paused, loses one of them and not all: what its call still needs after that it gets.
type patience struct {
	timer  *time.Timer
	slice  time.Duration
	slices int // left
}

func newPatience(d time.Duration) *patience {
	slice := max(d/ticksLimit, time.Millisecond)
	return &patience{timer: time.NewTimer(slice), slice: slice, slices: ticksLimit}
}

// waited says how waiting for a call ended.
type waited uint8

const (
	callOver    waited = iota
	callOverran        // the deadline went by
	callerLeft
)

// await waits for the end of a call, until the deadline or until leave is closed. A call that is over counts as that,
// however late this process sees it. After callerLeft it may be used once more, with what is left of the deadline.
func (p *patience) await(leave, over <-chan struct{}) waited {
	for {
		var how waited
		select {
		case <-over:
		case <-leave:
			how = callerLeft
		case <-p.timer.C:
			if p.slices--; p.slices > 0 {
				p.timer.Reset(p.slice)
				continue
			}
			how = callOverran
		}
		select {
		case <-over:
			how = callOver
		default:
		}
		if how != callerLeft {
			p.timer.Stop()
		}
		return how
	}
}
