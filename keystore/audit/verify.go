package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Report is what Verify found.
type Report struct {
	Segments int    `json:"segments"`
	Records  int64  `json:"records"`
	First    int64  `json:"first_seq"` // 0 where there is no record
	Last     int64  `json:"last_seq"`
	LastHash string `json:"last_hash"` // SHA-256 of the last record's line, lower-case hex
	// Partial is the length of an unfinished last line: a record that is being written now, or the torn end that the next
	// start repairs.
	Partial int64   `json:"partial_bytes"`
	Breaks  []Break `json:"breaks"`
}

// OK tells whether the chain is whole. Records before First may have been archived; First is 1 where none are missing.
func (r *Report) OK() bool { return len(r.Breaks) == 0 }

// Break is a place where the chain does not hold.
type Break struct {
	Segment string `json:"segment"`
	Line    int    `json:"line"`
	Seq     int64  `json:"seq"` // as the line says; 0 where it is no record
	What    string `json:"what"`
}

// Verify follows the chain through all segments of a directory. It may run beside an appliance that writes. An error
// means that the log could not be read; what is wrong with the log is in the report.
func Verify(dir string) (*Report, error) {
	v := &verifier{report: Report{Breaks: []Break{}}}
	if err := eachLine(dir, v.line); err != nil {
		return nil, err
	}
	return v.done(), nil
}

type verifier struct {
	report  Report
	last    link
	lost    bool // the line before was no record
	segment string
}

func (v *verifier) done() *Report {
	if v.report.Records > 0 {
		v.report.LastHash = fmt.Sprintf("%x", v.last.hash)
	}
	return &v.report
}

func (v *verifier) line(at place, line []byte) error {
	if at.segment != v.segment {
		v.segment = at.segment
		v.report.Segments++
	}
	if !at.whole {
		if at.lastSegment {
			v.report.Partial = int64(len(line))
			return nil
		}
		v.broken(at, 0, "the line has no end")
		v.lost = true
		return nil
	}
	own, prev, err := parseLink(line)
	if err != nil {
		v.broken(at, 0, err.Error())
		v.lost = true
		return nil
	}
	switch first := v.report.First == 0; {
	case first && own.seq == 1 && prev != v.last.hash:
		v.broken(at, own.seq, "the first record names one before it")
	case first:
		v.report.First = own.seq
	case v.lost && own.seq > v.last.seq:
		// The record before could not be read; that was told already.
	case own.seq != v.last.seq+1:
		v.broken(at, own.seq, fmt.Sprintf("follows record %d", v.last.seq))
	case prev != v.last.hash:
		v.broken(at, own.seq, fmt.Sprintf("record %d was changed, or this one", v.last.seq))
	}
	if v.report.First == 0 {
		v.report.First = own.seq
	}
	v.report.Records++
	v.report.Last = own.seq
	v.last, v.lost = own, false
	return nil
}

func (v *verifier) broken(at place, seq int64, what string) {
	v.report.Breaks = append(v.report.Breaks, Break{Segment: at.segment, Line: at.line, Seq: seq, What: what})
}

// Records calls fn with each record from the number first on, in order, as its line without the line's end; it stops at
// fn's first error and answers it. Lines that are no records are passed over: Verify tells of them.
func Records(dir string, first int64, fn func(seq int64, line []byte) error) error {
	return eachLine(dir, func(at place, line []byte) error {
		if !at.whole {
			return nil
		}
		own, _, err := parseLink(line)
		if err != nil || own.seq < first {
			return nil
		}
		return fn(own.seq, line)
	})
}

// Tail gives the last n records, oldest first.
func Tail(dir string, n int) ([]json.RawMessage, error) {
	if n <= 0 {
		return nil, nil
	}
	names, err := segments(dir)
	if err != nil {
		return nil, err
	}
	var out []json.RawMessage
	for i := len(names) - 1; i >= 0 && len(out) < n; i-- {
		var here []json.RawMessage
		err := eachLineOf(dir, names[i], true, func(at place, line []byte) error {
			if _, _, err := parseLink(line); at.whole && err == nil {
				here = append(here, bytes.Clone(line))
				if len(here) > n {
					here = here[1:]
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		out = append(here[max(0, len(here)-(n-len(out))):], out...)
	}
	return out, nil
}

// place is where a line stands.
type place struct {
	segment     string
	line        int
	whole       bool // it has its end
	lastSegment bool
}

// eachLine reads all segments in order.
func eachLine(dir string, fn func(place, []byte) error) error {
	names, err := segments(dir)
	if err != nil {
		return err
	}
	for i, n := range names {
		if err := eachLineOf(dir, n, i == len(names)-1, fn); err != nil {
			return err
		}
	}
	return nil
}

func eachLineOf(dir, name string, last bool, fn func(place, []byte) error) error {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	defer f.Close()
	return eachLineIn(f, name, last, fn)
}

// eachLineIn reads the lines of a segment's text.
func eachLineIn(text io.Reader, name string, last bool, fn func(place, []byte) error) error {
	r := bufio.NewReaderSize(text, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("audit log: %s: %w", name, err)
		}
		body, whole := bytes.CutSuffix(line, []byte("\n"))
		if len(line) > 0 {
			if err := fn(place{segment: name, line: n, whole: whole, lastSegment: last}, body); err != nil {
				return err
			}
		}
		if err != nil {
			return nil
		}
	}
}

// readLine reads to the line's end. Of a line longer than any record it keeps the beginning, which is no record.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = r.ReadSlice('\n')
		if len(long) <= 2*MaxRecord {
			long = append(long, line...)
		} else if err == nil {
			long = append(long, '\n')
		}
	}
	return long, err
}
