package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Clock is the real time, moved forward. The distance is kept in a file, so that an appliance that continues goes on at
// the time where it stopped.
type Clock struct {
	path string
	mu   sync.RWMutex
	lead time.Duration // guarded by mu; never negative, never smaller than before
}

// OpenClock reads the distance from the file at path; a file that is not there means none.
func OpenClock(path string) (*Clock, error) {
	c := &Clock{path: path}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("clock: %w", err)
	}
	c.lead, err = time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil || c.lead < 0 {
		return nil, fmt.Errorf("clock: %s does not hold a duration; delete it to go back to the real time", path)
	}
	return c, nil
}

// Now implements keystore.Clock.
func (c *Clock) Now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return time.Now().Add(c.lead)
}

// maxLead keeps dates within what SQL, JSON and AWS's clients can show.
const maxLead = 200 * 365 * 24 * time.Hour

// Advance moves the clock forward. The new distance is on disk before anyone sees the new time.
func (c *Clock) Advance(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d <= 0 || c.lead+d > maxLead {
		return fmt.Errorf("the clock moves forward, and by at most %d years in all", maxLead/(365*24*time.Hour))
	}
	if err := writeFile(c.path, []byte((c.lead+d).String()+"\n")); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	c.lead += d
	return nil
}

// writeFile replaces a file of mode 0600 whole: after a crash there is the old one or the new one.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
