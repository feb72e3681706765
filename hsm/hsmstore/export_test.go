package hsmstore

import (
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// FaultOf and ConnectErrorOf let tests read the tables.
func FaultOf(t keystore.StoreType, c backend.Call, err error) error { return fault(t, c, err) }

// ConnectErrorOf is the opener's classification.
func ConnectErrorOf(err error) error { return connectError(err) }

// PeerPoint is the parser of the other side's public key.
var PeerPoint = peerPoint
