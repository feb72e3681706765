package config

import (
	"maps"
	"math"
	"slices"

	"github.com/strongroom/strongroom/api"
)

// RatesOfAWS is the value of limits.request_rates that means AWS's default request quotas.
const RatesOfAWS = "aws"

// maxRate bounds a request quota: beyond it a request would last less than a nanosecond.
const maxRate = 1e9

// rates checks the request quotas.
func (v *checker) rates() {
	l := v.c.Limits
	if l.RequestRates != "" && l.RequestRates != RatesOfAWS {
		v.fail("limits.request_rates", "%q is neither empty nor %s", l.RequestRates, RatesOfAWS)
	}
	for _, name := range slices.Sorted(maps.Keys(l.RequestRate)) {
		switch rate := l.RequestRate[name]; {
		case !slices.Contains(api.QuotaNames(), name):
			v.fail("limits.request_rate", "there is no request quota %q", name)
		case math.IsNaN(rate) || rate < 0 || rate > maxRate:
			v.fail("limits.request_rate", "%s: %v is no number of requests a second", name, rate)
		}
	}
}
