package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
)

// link is a place in the chain: the number of a record and the SHA-256 of its line, without the line's end. The zero link
// stands before the first record.
type link struct {
	seq  int64
	hash [sha256.Size]byte
}

// appendLink ends a record with the chain's members and the line's end, and gives the link that the record is. body is
// the record from its brace on, without the closing one.
func appendLink(dst, body []byte, prev link) ([]byte, link) {
	start := len(dst)
	dst = append(dst, body...)
	dst = append(dst, `,"strongroom":{"seq":`...)
	dst = strconv.AppendInt(dst, prev.seq+1, 10)
	dst = append(dst, `,"prev":"`...)
	dst = hex.AppendEncode(dst, prev.hash[:])
	dst = append(dst, `"}}`...)
	next := link{seq: prev.seq + 1, hash: sha256.Sum256(dst[start:])}
	return append(dst, '\n'), next
}

var errNoRecord = errors.New("not a record")

// parseLink reads what a line, without its end, says of its place in the chain: its own link and the hash that it gives
// for the record before it.
func parseLink(line []byte) (own link, prev [sha256.Size]byte, err error) {
	var r struct {
		Chain *struct {
			Seq  int64  `json:"seq"`
			Prev string `json:"prev"`
		} `json:"strongroom"`
	}
	if err := json.Unmarshal(line, &r); err != nil || r.Chain == nil || r.Chain.Seq <= 0 || len(r.Chain.Prev) != 2*len(prev) {
		return link{}, prev, errNoRecord
	}
	if _, err := hex.Decode(prev[:], []byte(r.Chain.Prev)); err != nil {
		return link{}, prev, errNoRecord
	}
	return link{seq: r.Chain.Seq, hash: sha256.Sum256(line)}, prev, nil
}
