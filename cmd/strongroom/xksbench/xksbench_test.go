package xksbench_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/cmd/strongroom/xksbench"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/xkstest"
)

// against makes options for a scripted proxy: fifty calls in half a second.
func against(p *xkstest.Proxy) xksbench.Options {
	return xksbench.Options{
		Endpoint: p.Endpoint, URIPath: xkstest.URIPath, Region: xkstest.Region, KeyIDs: []string{"key"}, RootCAs: p.Authority.Pool(),
		Credential: sigv4.Credential{AccessKeyID: xkstest.AccessKeyID, Secret: []byte(xkstest.Secret)},
		Operation:  xksbench.Encrypt, Size: 32, Rates: []float64{100}, Duration: 500 * time.Millisecond, Connections: 16,
		Patience: time.Minute, Timeout: time.Minute, // a busy machine is not what is tested
	}
}

func run(t *testing.T, o xksbench.Options) *xksbench.Report {
	t.Helper()
	r, err := xksbench.Run(context.Background(), o, nil)
	require.NoError(t, err)
	return r
}

// Every operation makes as many calls as were asked for, and all of them are accounted for.
func TestEveryCallIsAccountedFor(t *testing.T) {
	for op, wants := range map[string][]xks.Operation{
		xksbench.Encrypt: {xks.OpEncrypt}, xksbench.DataKey: {xks.OpEncrypt}, xksbench.Decrypt: {xks.OpDecrypt},
		xksbench.Both: {xks.OpEncrypt, xks.OpDecrypt},
	} {
		t.Run(op, func(t *testing.T) {
			p := xkstest.Start(t)
			o := against(p)
			o.Operation = op
			s := run(t, o).Steps[0]
			assert.EqualValues(t, 50, s.Calls+s.Unsent)
			assert.Empty(t, s.Errors)
			bars := uint64(0)
			for _, b := range s.Histogram {
				bars += b.Calls
			}
			assert.Equal(t, s.Good+s.Late, bars)
			for _, want := range wants {
				assert.GreaterOrEqual(t, p.Calls(want), 50/len(wants))
			}
		})
	}
}

// Keys are used in turn, each for what it sealed itself.
func TestKeysAreUsedInTurn(t *testing.T) {
	p := xkstest.Start(t)
	o := against(p)
	o.KeyIDs, o.Operation = []string{"one", "two", "three"}, xksbench.Both
	s := run(t, o).Steps[0]
	assert.EqualValues(t, 50, s.Calls)
	assert.Empty(t, s.Errors)
	used := map[string]int{}
	for _, r := range p.Requests() {
		used[r.KeyID]++
	}
	for _, id := range o.KeyIDs {
		assert.GreaterOrEqual(t, used[id], 16, id)
	}
}

// What a proxy does wrong is counted by what it is, and the rate is not held.
func TestBadProxiesDoNotHold(t *testing.T) {
	for name, tt := range map[string]struct {
		fault xkstest.Fault
		want  string
	}{
		"throttles":   {xkstest.Refuse(xks.ThrottlingException), "ThrottlingException"},
		"own error":   {xkstest.Reply(503, "<html>"), "status 503"},
		"switches":    {xkstest.Switch(), "status 101"},
		"no JSON":     {xkstest.Reply(200, "{"), "malformed answer: "},
		"hangs up":    {xkstest.Cut(), "connection closed without an answer"},
		"lies":        {xkstest.SpoilEncrypt(func(r *xks.EncryptResponse) { r.Tag = r.Tag[:8] }), "malformed answer: "},
		"wrong hash":  {xkstest.SpoilEncrypt(func(r *xks.EncryptResponse) { r.Ciphertext[0] ^= 1 }), "malformed answer: "},
		"never comes": {xkstest.Hang(), "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			p := xkstest.Start(t)
			p.Set(tt.fault)
			o := against(p)
			o.Operation = xksbench.DataKey
			if name == "never comes" {
				o.Timeout = 200 * time.Millisecond
			}
			r := run(t, o)
			s := r.Steps[0]
			assert.False(t, s.Holds)
			assert.False(t, r.OK())
			assert.Equal(t, "no", r.Quota)
			assert.Zero(t, s.Good)
			found := false
			for e, n := range s.Errors {
				assert.Positive(t, n)
				found = found || strings.HasPrefix(e, tt.want)
			}
			assert.True(t, found, "%v", s.Errors)
		})
	}
}

func TestSlowProxyIsLate(t *testing.T) {
	p := xkstest.Start(t)
	p.Set(xkstest.Slow(50 * time.Millisecond))
	o := against(p)
	o.Rates, o.Patience = []float64{20}, 10*time.Millisecond
	s := run(t, o).Steps[0]
	assert.EqualValues(t, 10, s.Late)
	assert.Zero(t, s.Good)
	assert.False(t, s.Holds)
}

// A proxy that fails everything is left alone soon.
func TestGivesUp(t *testing.T) {
	p := xkstest.Start(t)
	p.Set(xkstest.Refuse(xks.InternalException))
	o := against(p)
	o.Rates, o.Duration = []float64{2000}, 5*time.Second
	s := run(t, o).Steps[0]
	assert.Contains(t, s.Reason, "given up")
	assert.Less(t, p.Calls(xks.OpEncrypt), 1000)
	assert.EqualValues(t, 10000, s.Calls+s.Unsent)
}

// A ramp ends with the first rate that is not held.
func TestRamp(t *testing.T) {
	p := xkstest.Start(t)
	o := against(p)
	o.Rates, o.Duration = []float64{20, 30, 40, 50}, 200*time.Millisecond
	calls := 0
	spoilt := 0
	r, err := xksbench.Run(context.Background(), o, func(s xksbench.Step) {
		calls++
		if s.Rate == 30 {
			p.Set(xkstest.Refuse(xks.ThrottlingException))
			spoilt = calls
		}
	})
	require.NoError(t, err)
	assert.Equal(t, 2, spoilt)
	require.Len(t, r.Steps, 3)
	assert.InDelta(t, 30, r.Highest, 0)
	assert.False(t, r.OK())
	assert.Equal(t, "no", r.Quota)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	assert.Contains(t, string(text), `"holds_1800_per_second":"no"`)
}

func TestVerdictOnKMSsQuota(t *testing.T) {
	r := xksbench.Report{Steps: []xksbench.Step{{Rate: 1800, Holds: true}, {Rate: 3000}}}
	assert.True(t, r.OK(), "3000 is more than KMS sends")
	r.Steps = r.Steps[1:]
	assert.False(t, r.OK(), "3000 is what was asked for")
}

func TestOptionsAreBounded(t *testing.T) {
	p := xkstest.Start(t)
	for name, change := range map[string]func(*xksbench.Options){
		"rate":        func(o *xksbench.Options) { o.Rates = []float64{xksbench.MaxRate + 1} },
		"no rate":     func(o *xksbench.Options) { o.Rates = nil },
		"steps":       func(o *xksbench.Options) { o.Rates = make([]float64, xksbench.MaxSteps+1) },
		"time":        func(o *xksbench.Options) { o.Duration = xksbench.MaxDuration + 1 },
		"calls":       func(o *xksbench.Options) { o.Rates, o.Duration = []float64{20000, 20000}, 10*time.Minute },
		"connections": func(o *xksbench.Options) { o.Connections = xksbench.MaxConnections + 1 },
		"size":        func(o *xksbench.Options) { o.Size = 5000 },
		"operation":   func(o *xksbench.Options) { o.Operation = "delete" },
		"key":         func(o *xksbench.Options) { o.KeyIDs = []string{"a", "a/b"} },
		"no key":      func(o *xksbench.Options) { o.KeyIDs = nil },
		"keys":        func(o *xksbench.Options) { o.KeyIDs = make([]string, xksbench.MaxKeys+1) },
		"endpoint":    func(o *xksbench.Options) { o.Endpoint = "http://localhost" },
	} {
		o := against(p)
		change(&o)
		_, err := xksbench.Run(context.Background(), o, nil)
		require.Error(t, err, name)
	}
	assert.Zero(t, p.Calls(xks.OpEncrypt))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := xksbench.Run(ended, against(p), nil)
	require.ErrorIs(t, err, context.Canceled)
}
