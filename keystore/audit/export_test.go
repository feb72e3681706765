package audit

import "bytes"

// Segment is what tests may put between the log and the disk.
type Segment = file

// OpenThrough opens a log whose segments are opened by the test.
func OpenThrough(dir string, o Options, opener func(path string, create bool) (Segment, int64, error)) (*File, error) {
	return open(dir, o, opener)
}

// OpenSegment opens a segment as the log does by itself.
func OpenSegment(path string, create bool) (Segment, int64, error) { return openSegment(path, create) }

// Line gives a record's line as it would be the first of a log.
func Line(e *Event) []byte {
	id := [36]byte([]byte("00000000-0000-4000-8000-000000000000"))
	line, _ := appendLink(nil, appendRecord(nil, e, &id), link{})
	return line
}

// Pending tells how many records wait for the disk.
func (f *File) Pending() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.cur.ends)
}

// Encode appends a record without its place in the chain; Chain ends it.
func Encode(dst []byte, e *Event) []byte {
	id := [36]byte([]byte("00000000-0000-4000-8000-000000000000"))
	return appendRecord(dst, e, &id)
}

// Chain ends a record as the first of a log.
func Chain(dst, record []byte) []byte {
	dst, _ = appendLink(dst, record, link{})
	return dst
}

// LastRecord gives the number of a segment's last whole record, and where it ends.
func LastRecord(text []byte) (seq, end int64, err error) {
	last, end, err := lastRecordIn(bytes.NewReader(text), int64(len(text)))
	return last.seq, end, err
}

// VerifyText verifies the text of a segment.
func VerifyText(text []byte) (*Report, error) {
	var v verifier
	err := eachLineIn(bytes.NewReader(text), "segment", true, v.line)
	return v.done(), err
}
