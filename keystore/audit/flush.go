package audit

import (
	"time"
)

// run is the flusher. It alone touches the writer.
func (f *File) run() {
	defer close(f.gone)
	for {
		select {
		case <-f.wake:
			if err := f.flush(); err != nil && !f.heal() {
				return
			}
		case <-f.quit:
			f.finish()
			return
		}
	}
}

// take gives the batch that waits and puts an empty one in its place.
func (f *File) take() *batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takeLocked()
}

func (f *File) takeLocked() *batch {
	b, s := f.cur, f.spare
	f.timer.Stop()
	f.cur = &batch{buf: s.buf[:0], ends: s.ends[:0], done: make(chan struct{})}
	f.spare = &batch{}
	return b
}

// flush writes what waits and tells those who wait for it.
func (f *File) flush() error {
	b := f.take()
	if err := f.writer.write(b); err != nil {
		f.fail(err, b)
		return err
	}
	f.settle(b, nil)
	return nil
}

// settle ends a batch and keeps its buffers for a later one, unless they grew beyond the usual.
func (f *File) settle(b *batch, err error) {
	b.err = err
	close(b.done)
	if cap(b.buf) > 4<<20 {
		return
	}
	f.mu.Lock()
	f.spare = &batch{buf: b.buf, ends: b.ends}
	f.mu.Unlock()
}

// fail refuses further records and fails those who wait. What they appended is kept and written when the log heals.
func (f *File) fail(err error, failed *batch) {
	f.mu.Lock()
	f.broken = err
	waiting := f.takeLocked()
	f.mu.Unlock()
	f.opts.Logger.Error("audit log can't be written; calls are refused until it can", "error", err)
	for _, b := range []*batch{failed, waiting} {
		f.writer.backlog = append(f.writer.backlog, &batch{buf: b.buf, ends: b.ends})
		b.err = err
		close(b.done)
	}
}

// heal tries to write the backlog until it succeeds. It is false when the log was closed before.
func (f *File) heal() bool {
	retry := time.NewTicker(f.opts.RetryEvery)
	defer retry.Stop()
	for {
		select {
		case <-retry.C:
			err := f.writer.recover()
			f.mu.Lock()
			f.broken = err
			f.mu.Unlock()
			if err == nil {
				f.opts.Logger.Info("audit log can be written again")
				return true
			}
		case <-f.quit:
			err := f.writer.recover()
			f.mu.Lock()
			f.broken = err
			f.mu.Unlock()
			return false
		}
	}
}

// finish writes what waits when the log is closed.
func (f *File) finish() {
	b := f.take()
	err := f.writer.write(b)
	f.mu.Lock()
	f.broken = err
	f.mu.Unlock()
	f.settle(b, err)
}
