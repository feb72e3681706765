package api

import (
	"time"

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

// QuotaOf is the request quota of an operation with a key, or a key pair, of that spec.
func QuotaOf(a keystore.Action, spec string) string {
	switch q := quotaFor(a); {
	case q.fixed != "":
		return q.fixed
	case q.pair != "":
		return quotaOfPair(spec)
	default:
		return quotaOfSpec(keystore.Spec(spec))
	}
}

// Throttle opens a throttle with one quota.
type Throttle struct{ t *throttle }

// NewThrottle makes one; nil in it where the rate is none.
func NewThrottle(perSecond float64, now time.Time) Throttle {
	return Throttle{newThrottle(map[string]map[string]float64{"r": {"q": perSecond}}, now)}
}

// Off tells that there is nothing to hold requests to.
func (t Throttle) Off() bool { return t.t == nil }

// Take counts a request.
func (t Throttle) Take(region, quota string, now time.Time) error {
	return t.t.take(region, quota, now)
}

// NewStoreThrottle makes one with the quota of custom key stores in Region r.
func NewStoreThrottle(perSecond float64, now time.Time) Throttle {
	return Throttle{newThrottle(map[string]map[string]float64{"r": {QuotaCustomKeyStore: perSecond}}, now)}
}

// TakeStore counts a request against the quota of a custom key store.
func (t Throttle) TakeStore(region string, id keystore.StoreID, now time.Time) error {
	return t.t.takeStore(region, id, now)
}
