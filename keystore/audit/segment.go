package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Segments are the log's files, named by the number of their first record: audit-00000000000000000001.jsonl.
const (
	segmentPrefix = "audit-"
	segmentSuffix = ".jsonl"
	tornSuffix    = ".torn"
)

func segmentName(first int64) string {
	return fmt.Sprintf("%s%020d%s", segmentPrefix, first, segmentSuffix)
}

// segments lists the segments of a directory in order.
func segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	var names []string
	for _, e := range entries {
		n := e.Name()
		digits := strings.TrimSuffix(strings.TrimPrefix(n, segmentPrefix), segmentSuffix)
		if len(n) != len(segmentPrefix)+20+len(segmentSuffix) || len(digits) != 20 {
			continue
		}
		if _, err := strconv.ParseInt(digits, 10, 64); err == nil && e.Type().IsRegular() {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

// lastRecord finds the last well-formed record of a segment: its link, and the offset behind it. Where there is none, the
// offset is 0 and the link is zero.
func lastRecord(path string) (last link, end int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return last, 0, fmt.Errorf("audit log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return last, 0, fmt.Errorf("audit log: %w", err)
	}
	return lastRecordIn(f, info.Size())
}

// lastRecordIn is lastRecord of size bytes that are read backwards from their end.
func lastRecordIn(f io.ReaderAt, size int64) (last link, end int64, err error) {
	var tail []byte // what is between offset start and offset end
	start, end := size, size
	grow := func() error {
		n := min(start, 64<<10)
		b := make([]byte, n, int(n)+len(tail))
		if _, err := f.ReadAt(b, start-n); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("audit log: %w", err)
		}
		start -= n
		tail = append(b, tail...)
		return nil
	}
	for end > 0 {
		// The line that ends at offset end, its own line end included.
		i := -1
		for {
			if end-start > 1 {
				i = bytes.LastIndexByte(tail[:end-start-1], '\n')
			}
			if i >= 0 || start == 0 {
				break
			}
			if err := grow(); err != nil {
				return last, 0, err
			}
		}
		line := tail[i+1 : end-start]
		if body, whole := bytes.CutSuffix(line, []byte("\n")); whole {
			if own, _, err := parseLink(body); err == nil {
				return own, end, nil
			}
		}
		end = start + int64(i) + 1
		tail = tail[:i+1]
	}
	return link{}, 0, nil
}

// saveTorn keeps what is behind offset end of a segment in a file beside it, and cuts the segment there.
func saveTorn(path string, end int64) (saved string, cut int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", 0, fmt.Errorf("audit log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0, fmt.Errorf("audit log: %w", err)
	}
	cut = info.Size() - end
	side, err := createSide(path + tornSuffix)
	if err != nil {
		return "", 0, err
	}
	_, err = io.Copy(side, io.NewSectionReader(f, end, cut))
	err = errors.Join(err, side.Sync(), side.Close())
	if err == nil {
		err = errors.Join(syncDir(filepath.Dir(path)), f.Truncate(end), f.Sync())
	}
	if err != nil {
		return "", 0, fmt.Errorf("audit log: repair the torn end of %s: %w", filepath.Base(path), err)
	}
	return filepath.Base(side.Name()), cut, nil
}

// createSide creates a new file of that name, or of the name with the first number that is free.
func createSide(path string) (*os.File, error) {
	name := path
	for i := 2; ; i++ {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil || !errors.Is(err, fs.ErrExist) || i > 1000 {
			if err != nil {
				return nil, fmt.Errorf("audit log: %w", err)
			}
			return f, nil
		}
		name = path + "." + strconv.Itoa(i)
	}
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
