package custom

import (
	"maps"

	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
)

// storeKey names a store in the manager's maps.
type storeKey struct {
	region string
	id     keystore.StoreID
}

// route is where calls for a store go. backend is nil unless conn is CONNECTED.
type route struct {
	conn    keystore.ConnState
	backend backend.Backend
}

// routes is an immutable snapshot: it is swapped whole and never changed once published, so that Resolve needs no lock.
type routes map[storeKey]route

// Resolve gives the backend of a store and its connection; id "" is the default store of the Region. The backend is nil
// unless the connection is CONNECTED. A store that is CONNECTED and whose token has not been found yet since the start has
// a backend that answers every call with AWS's fault for a cluster out of reach. Resolve takes no lock and makes no
// garbage: it stands on the path of every cryptographic call.
func (m *Manager) Resolve(region string, id keystore.StoreID) (backend.Backend, keystore.ConnState) {
	r, ok := (*m.routes.Load())[storeKey{region, id}]
	if !ok {
		return nil, keystore.Disconnected
	}
	return r.backend, r.conn
}

// publishLocked swaps in a snapshot with this route for the store; mu is held. A DISCONNECTED store needs no route.
func (m *Manager) publishLocked(key storeKey, conn keystore.ConnState, b backend.Backend) {
	next := maps.Clone(*m.routes.Load())
	if conn == keystore.Disconnected {
		delete(next, key)
	} else {
		next[key] = route{conn, b}
	}
	m.routes.Store(&next)
}
