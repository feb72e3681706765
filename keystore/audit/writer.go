package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// file is what the writer needs of a segment on disk.
type file interface {
	Write(p []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// openFunc opens a segment for appending; create says that it must not exist yet. It gives the size.
type openFunc func(path string, create bool) (file, int64, error)

func openSegment(path string, create bool) (file, int64, error) {
	flags := os.O_WRONLY | os.O_APPEND
	if create {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// writer chains batches and puts them on disk. It is owned by one goroutine.
type writer struct {
	dir     string
	maxSize int64
	open    openFunc

	f    file   // nil after a failure, until it is opened again
	name string // of the segment; "" where the next record begins one
	size int64  // bytes of it that are known to be good
	last link   // the last record that is on disk

	out     []byte   // the bytes of a batch, made ready
	backlog []*batch // what could not be written yet
}

// tornEnd is what was cut from a segment at open.
type tornEnd struct {
	segment, saved string
	cut            int64
}

// openWriter finds the end of the chain. A segment without a whole record (a crash while it began) is taken as it is.
func openWriter(dir string, maxSize int64, open openFunc) (*writer, *tornEnd, error) {
	w := &writer{dir: dir, maxSize: maxSize, open: open}
	names, err := segments(dir)
	if err != nil {
		return nil, nil, err
	}
	var torn *tornEnd
	for i := len(names) - 1; i >= 0; i-- {
		path := filepath.Join(dir, names[i])
		last, end, err := lastRecord(path)
		if err != nil {
			return nil, nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, nil, fmt.Errorf("audit log: %w", err)
		}
		if info.Size() > end {
			saved, cut, err := saveTorn(path, end)
			if err != nil {
				return nil, nil, err
			}
			torn = &tornEnd{segment: names[i], saved: saved, cut: cut}
		}
		if i == len(names)-1 {
			w.name, w.size = names[i], end
		}
		if end > 0 {
			w.last = last
			break
		}
	}
	if w.name == "" {
		return w, torn, nil
	}
	if w.f, _, err = open(filepath.Join(dir, w.name), false); err != nil {
		return nil, nil, fmt.Errorf("audit log: %w", err)
	}
	return w, torn, nil
}

// write puts a batch on disk, or leaves the segment as long as it was good.
func (w *writer) write(b *batch) error {
	if len(b.ends) == 0 {
		return nil
	}
	if err := w.ready(); err != nil {
		return err
	}
	last, out, start := w.last, w.out[:0], 0
	for _, end := range b.ends {
		out, last = appendLink(out, b.buf[start:end], last)
		start = end
	}
	if cap(out) <= 4<<20 {
		w.out = out
	}
	n, err := w.f.Write(out)
	if err == nil {
		err = w.f.Sync()
	}
	if err != nil {
		// What was written is in doubt, and after a failed sync the kernel may have dropped pages that it calls clean: cut
		// back to what is known to be good, and open the file anew before anything else is written.
		cut := error(nil)
		if n > 0 {
			cut = w.f.Truncate(w.size)
		}
		err = errors.Join(err, cut, w.f.Close())
		w.f = nil
		return err
	}
	w.size += int64(len(out))
	w.last = last
	return nil
}

// ready opens the segment where that is needed, and begins the next one where this one is full.
func (w *writer) ready() error {
	if w.f != nil && w.size < w.maxSize {
		return nil
	}
	if w.f == nil && w.name != "" && w.size < w.maxSize {
		f, size, err := w.open(filepath.Join(w.dir, w.name), false)
		if err != nil {
			return err
		}
		if size > w.size {
			if err := f.Truncate(w.size); err != nil {
				return errors.Join(err, f.Close())
			}
		}
		if size >= w.size {
			w.f = f
			return nil
		}
		// Somebody shortened the file: leave it as it is for Verify to tell, and go on in a new one.
		if err := f.Close(); err != nil {
			return err
		}
	}
	return w.begin()
}

// begin starts the segment of the next record.
func (w *writer) begin() error {
	if w.f != nil {
		err := w.f.Close()
		w.f = nil
		if err != nil {
			return err
		}
	}
	name := segmentName(w.last.seq + 1)
	path := filepath.Join(w.dir, name)
	f, size, err := w.open(path, name != w.name)
	if errors.Is(err, fs.ErrExist) {
		// An earlier try made it and got no further. What has records in it is none of ours to go on with.
		f, size, err = w.open(path, false)
	}
	if err != nil {
		return err
	}
	if size > 0 {
		return errors.Join(fmt.Errorf("segment %s has records already", name), f.Close())
	}
	if err := syncDir(w.dir); err != nil {
		// The file stays for the next try, which takes it as it is.
		w.name, w.size = name, 0
		return errors.Join(err, f.Close())
	}
	w.f, w.name, w.size = f, name, 0
	return nil
}

// recover writes the backlog, as much as it can.
func (w *writer) recover() error {
	for len(w.backlog) > 0 {
		if err := w.write(w.backlog[0]); err != nil {
			return err
		}
		w.backlog = w.backlog[1:]
	}
	// Nothing was waiting: prove that the disk takes writes before calls are let in again.
	return w.ready()
}

func (w *writer) close() error {
	if w.f == nil {
		return nil
	}
	err := w.f.Close()
	w.f = nil
	return err
}
