package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

type fixed struct{}

func (fixed) Now() time.Time { return noon }

func options() audit.Options {
	return audit.Options{Clock: fixed{}, Account: "000000000000", Region: "us-east-1", RetryEvery: time.Millisecond}
}

func openLog(t testing.TB, dir string, change ...func(*audit.Options)) *audit.File {
	t.Helper()
	o := options()
	for _, c := range change {
		c(&o)
	}
	f, err := audit.Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func caller() *keystore.Caller {
	return &keystore.Caller{Account: "000000000000", Region: "us-east-1", Principal: "arn:aws:iam::000000000000:user/alice",
		AccessKeyID: "AKIDEXAMPLE", RequestID: "req-1", SourceIP: "192.0.2.1", UserAgent: "aws-cli/2"}
}

func event(name string) *audit.Event {
	return &audit.Event{Time: noon, Name: name, Region: "us-east-1", Account: "000000000000", Caller: caller(), ReadOnly: true}
}

// names reads the records of a directory, with the eventName of each.
func names(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	seen := int64(0)
	require.NoError(t, audit.Records(dir, 0, func(seq int64, line []byte) error {
		var r struct{ EventName string }
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		if seq != seen+1 && seen != 0 {
			return fmt.Errorf("record %d follows %d", seq, seen)
		}
		seen = seq
		out = append(out, r.EventName)
		return nil
	}))
	return out
}

// whole demands a chain without a break.
func whole(t testing.TB, dir string) *audit.Report {
	t.Helper()
	r, err := audit.Verify(dir)
	require.NoError(t, err)
	require.Empty(t, r.Breaks)
	require.True(t, r.OK())
	return r
}

// files lists the segments of a directory with their contents, in order.
func files(t testing.TB, dir string) (paths []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "audit-*.jsonl"))
	require.NoError(t, err)
	return paths
}

func contents(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

func lines(t testing.TB, path string) [][]byte {
	t.Helper()
	l := bytes.SplitAfter(contents(t, path), []byte("\n"))
	return l[:len(l)-1]
}

// disk is a real disk that is full, broken or slow when it is told so.
type disk struct {
	mu      sync.Mutex
	write   error // of Write, after part of the bytes
	sync    error
	open    error
	opened  error         // of opening, once the file is there
	opening func()        // what opening waits for; nil is nothing
	stall   chan struct{} // Write waits for it to close
	syncs   int
	stalled chan struct{} // closed when a Write waits
}

var errFull = syscall.ENOSPC

func (d *disk) set(change func(d *disk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

func (d *disk) mend() {
	d.set(func(d *disk) { d.write, d.sync, d.open, d.opened = nil, nil, nil, nil })
}

// between waits until a log that can't be written is between two tries, and keeps it there until release is called: each try
// opens the segment anew.
func (d *disk) between() (release func()) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	d.set(func(d *disk) {
		d.opening = sync.OnceFunc(func() {
			close(begun)
			<-goOn
		})
	})
	<-begun
	return func() { close(goOn) }
}

func (d *disk) openFile(path string, create bool) (audit.Segment, int64, error) {
	d.mu.Lock()
	err, after, opening := d.open, d.opened, d.opening
	d.mu.Unlock()
	if opening != nil {
		opening()
	}
	if err != nil {
		return nil, 0, err
	}
	f, size, err := audit.OpenSegment(path, create)
	if err == nil && after != nil {
		return nil, 0, errors.Join(after, f.Close())
	}
	return &onDisk{f, d}, size, err
}

type onDisk struct {
	audit.Segment
	d *disk
}

func (f *onDisk) Write(p []byte) (int, error) {
	f.d.mu.Lock()
	err, stall, stalled := f.d.write, f.d.stall, f.d.stalled
	f.d.mu.Unlock()
	if stall != nil {
		close(stalled)
		<-stall
	}
	if err != nil {
		n, werr := f.Segment.Write(p[:len(p)/2])
		return n, errors.Join(err, werr)
	}
	return f.Segment.Write(p)
}

func (f *onDisk) Sync() error {
	f.d.mu.Lock()
	err := f.d.sync
	f.d.syncs++
	f.d.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Segment.Sync()
}
