package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Options of a File. Every zero member has a usable default.
type Options struct {
	// Clock gives the time of the log's own records; nil leaves a torn end unrecorded in the log (it is always logged).
	Clock keystore.Clock
	// Account and Region go into the log's own records.
	Account, Region string
	// MaxSize is the size in bytes at which a new segment begins; 64 MiB.
	MaxSize int64
	// FlushEvery is how long a record may wait in memory; 50 ms. Keep it well below the promised 100 ms.
	FlushEvery time.Duration
	// RetryEvery is how often a log that could not be written tries again; 500 ms.
	RetryEvery time.Duration
	// MaxPending bounds the bytes that wait in memory for a slow disk; 16 MiB. Past it Append fails.
	MaxPending int
	// Random gives event ids their randomness; crypto/rand.
	Random io.Reader
	// Logger is told when the log breaks, heals or was repaired; nil is silence.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.MaxSize <= 0 {
		o.MaxSize = 64 << 20
	}
	if o.FlushEvery <= 0 {
		o.FlushEvery = 50 * time.Millisecond
	}
	if o.RetryEvery <= 0 {
		o.RetryEvery = 500 * time.Millisecond
	}
	if o.MaxPending <= 0 {
		o.MaxPending = 16 << 20
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// MaxRecord bounds one record's bytes.
const MaxRecord = 1 << 20

// What Append answers besides the disk's own errors.
var (
	// ErrClosed: the log is closed.
	ErrClosed = errors.New("audit log is closed")
	// ErrBehind: the disk does not keep up, and as much waits in memory as may.
	ErrBehind = errors.New("audit log is behind: too much waits for the disk")
	// ErrTooLarge: the record is larger than MaxRecord.
	ErrTooLarge = errors.New("audit record is too large")
)

// batch is what goes to the disk together.
type batch struct {
	buf  []byte // records without the chain's members, one behind the other
	ends []int  // where each ends in buf
	done chan struct{}
	err  error // valid when done is closed
}

// File is the Log on disk: a directory of segments with mode 0600 that only grow. One goroutine, which Open starts and
// Close stops, chains, writes and syncs; concurrent durable appends share one sync.
type File struct {
	opts   Options
	writer *writer

	wake chan struct{} // to the flusher: there is something to write
	quit chan struct{}
	gone chan struct{} // closed by the flusher when it ends

	mu     sync.Mutex // guards all below
	cur    *batch
	spare  *batch // buffers for the next batch
	timer  *time.Timer
	broken error // why the disk can't be written; Append fails meanwhile
	closed bool
	ids    idSource
}

// Open opens the log in a directory, which must exist and should be private to the appliance, and continues its chain. A
// record that was cut short by a crash is moved to a side file and the repair recorded.
func Open(dir string, opts Options) (*File, error) {
	return open(dir, opts, openSegment)
}

func open(dir string, opts Options, opener openFunc) (*File, error) {
	opts = opts.withDefaults()
	w, torn, err := openWriter(dir, opts.MaxSize, opener)
	if err != nil {
		return nil, err
	}
	f := &File{
		opts: opts, writer: w,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), gone: make(chan struct{}),
	}
	if err := f.ids.seed(opts.Random); err != nil {
		return nil, errors.Join(err, w.close())
	}
	f.cur, f.spare = &batch{done: make(chan struct{})}, &batch{}
	f.timer = time.AfterFunc(time.Hour, f.poke)
	f.timer.Stop()
	go f.run()
	if torn != nil {
		opts.Logger.Warn("audit log had a torn end, which was moved aside",
			"segment", torn.segment, "bytes", torn.cut, "saved", torn.saved)
		if err := f.recordRepair(torn); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// recordRepair notes in the log itself that its end was torn.
func (f *File) recordRepair(t *tornEnd) error {
	if f.opts.Clock == nil {
		return nil
	}
	return f.Append(context.Background(), &Event{
		Type: ServiceEvent, Time: f.opts.Clock.Now(), Name: "AuditLogRepaired",
		Region: f.opts.Region, Account: f.opts.Account,
		ServiceEventDetails: Object{}.String("segment", t.segment).Int("bytes", t.cut).String("savedAs", t.saved),
	}, true)
}

// poke tells the flusher to look.
func (f *File) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Append is Log.Append. Safe for concurrent use; records of one goroutine keep their order. After an error of a durable
// append the record may still reach the disk when the log heals: what was done is better recorded late than never.
func (f *File) Append(ctx context.Context, e *Event, durable bool) error {
	f.mu.Lock()
	if err := f.refusalLocked(); err != nil {
		f.mu.Unlock()
		return err
	}
	b := f.cur
	start := len(b.buf)
	var id [36]byte
	f.ids.next(&id)
	b.buf = appendRecord(b.buf, e, &id)
	if len(b.buf)-start > MaxRecord {
		b.buf = b.buf[:start]
		f.mu.Unlock()
		return ErrTooLarge
	}
	// One record, one line, also where a caller wrote an object with line ends in it.
	for rec := b.buf[start:]; ; {
		i := bytes.IndexByte(rec, '\n')
		if i < 0 {
			break
		}
		rec[i] = ' '
		rec = rec[i+1:]
	}
	b.ends = append(b.ends, len(b.buf))
	if !durable && len(b.ends) == 1 {
		f.timer.Reset(f.opts.FlushEvery)
	}
	f.mu.Unlock()
	if !durable {
		return nil
	}
	f.poke()
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("audit log: wait for the disk: %w", context.Cause(ctx))
	}
}

// refusalLocked tells why nothing can be appended, nil where it can.
func (f *File) refusalLocked() error {
	switch {
	case f.closed:
		return ErrClosed
	case f.broken != nil:
		return fmt.Errorf("audit log can't be written: %w", f.broken)
	case len(f.cur.buf) > f.opts.MaxPending:
		return ErrBehind
	}
	return nil
}

// Sync returns when everything that was appended before is on disk.
func (f *File) Sync(ctx context.Context) error {
	f.mu.Lock()
	b, err := f.cur, f.broken
	closed := f.closed
	f.mu.Unlock()
	if err != nil {
		return fmt.Errorf("audit log can't be written: %w", err)
	}
	if closed {
		return ErrClosed
	}
	f.poke()
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("audit log: wait for the disk: %w", context.Cause(ctx))
	}
}

// Healthy tells whether records can be written; it is nil again as soon as the log healed.
func (f *File) Healthy() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refusalLocked()
}

// Close writes what waits, stops the flusher and closes the file. Its error tells that records are lost.
func (f *File) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		<-f.gone
		return nil
	}
	f.closed = true
	f.timer.Stop()
	f.mu.Unlock()
	close(f.quit)
	<-f.gone
	f.mu.Lock()
	err := f.broken
	f.mu.Unlock()
	return errors.Join(err, f.writer.close())
}

// idSource makes event ids: version 4 UUIDs from a random start, counted up, so that no randomness is drawn per record.
type idSource struct {
	base [16]byte
	n    uint64
}

func (s *idSource) seed(r io.Reader) error {
	if _, err := io.ReadFull(r, s.base[:]); err != nil {
		return fmt.Errorf("audit log: event ids: %w", err)
	}
	for _, c := range s.base[8:] {
		s.n = s.n<<8 | uint64(c)
	}
	return nil
}

func (s *idSource) next(dst *[36]byte) {
	s.n++
	b := s.base
	for i := range 8 {
		b[15-i] = byte(s.n >> (8 * i))
	}
	// The counter's top bits give way to the UUID's variant; six bytes count below them.
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	hex.Encode(dst[0:8], b[0:4])
	hex.Encode(dst[9:13], b[4:6])
	hex.Encode(dst[14:18], b[6:8])
	hex.Encode(dst[19:23], b[8:10])
	hex.Encode(dst[24:36], b[10:16])
	dst[8], dst[13], dst[18], dst[23] = '-', '-', '-', '-'
}
