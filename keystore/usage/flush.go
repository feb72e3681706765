package usage

import (
	"context"
	"errors"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// atOnce is how many uses one transaction writes: other writers wait no longer than that takes.
const atOnce = 500

// Run writes uses at every interval until ctx ends. The last uses are written by Close.
func (r *Recorder) Run(ctx context.Context) error {
	tick := time.NewTicker(r.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.Flush(ctx); err != nil && ctx.Err() == nil {
			// They stay noted, and are written at the next interval.
			r.cfg.Logger.ErrorContext(ctx, "the last uses of keys are not written", "error", err)
		}
	}
}

// closeTimeout bounds how long Close writes.
const closeTimeout = 10 * time.Second

// Close writes what is not written yet. No use is noted meanwhile; it comes before the database is closed.
func (r *Recorder) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return r.Flush(ctx)
}

// Flush writes every use that is not written yet. What could not be written stays noted.
func (r *Recorder) Flush(ctx context.Context) error {
	r.flush.Lock()
	defer r.flush.Unlock()
	var errs []error
	for i := range r.parts {
		fresh := r.parts[i].fresh()
		for len(fresh) > 0 {
			n := min(atOnce, len(fresh))
			if err := r.write(ctx, fresh[:n]); err != nil {
				errs = append(errs, err)
			}
			fresh = fresh[n:]
		}
		r.parts[i].prune(r.cfg.Clock.Now().Add(-idle))
	}
	return errors.Join(errs...)
}

// fresh lists the entries with something to write.
func (p *part) fresh() []*entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var out []*entry
	for _, e := range p.keys {
		e.mu.Lock()
		if e.new {
			out = append(out, e)
		}
		e.mu.Unlock()
	}
	return out
}

// idle is how long a key stays in memory after its last use: what was written is found in the database.
const idle = 24 * time.Hour

// prune forgets keys that were last used before a time and have nothing to write.
func (p *part) prune(before time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for arn, e := range p.keys {
		e.mu.Lock()
		if !e.new && e.last.Time.Before(before) {
			delete(p.keys, arn)
		}
		e.mu.Unlock()
	}
}

// write writes the uses of some keys in one transaction.
func (r *Recorder) write(ctx context.Context, entries []*entry) error {
	uses := make([]keystore.LastUse, len(entries))
	for i, e := range entries {
		e.mu.Lock()
		uses[i], e.new = e.last, false
		e.mu.Unlock()
	}
	err := r.cfg.DB.Update(ctx, func(tx keystore.Tx) error {
		for i := range uses {
			if err := tx.PutLastUse(&uses[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	for _, e := range entries {
		e.mu.Lock()
		e.new = true
		e.mu.Unlock()
	}
	return err
}
