package api

import (
	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/keystore"
)

// Wire gives the answer to an error.
func Wire(err error, requestID string) (Exception, string) {
	e, message, _ := wire(err, requestID)
	return e, message
}

// Exceptions is the table from kinds to the wire.
func Exceptions() map[keystore.Kind]Exception { return exceptions }

// Signatures is the table from defects of a signature to the wire.
func Signatures() map[sigv4.Kind]Exception { return signatures }

// Row is a row of the operations table.
type Row struct {
	Name               keystore.Action
	Served             bool
	ReadOnly, NoOutput bool
	Limit              int64
}

// Rows is the operations table.
func Rows() []Row {
	var all []Row
	for _, o := range operations {
		all = append(all, Row{o.name, o.handle != nil, o.readOnly, o.noOutput, o.limit})
	}
	return all
}
