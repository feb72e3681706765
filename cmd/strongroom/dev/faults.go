package dev

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/xks"
)

// Faults make the XKS proxy of a dev appliance misbehave, one realm or all of them, so that people can see how their own
// programs take it. They stand in front of the proxy's listener; `strongroom serve` has no such thing.
type Faults struct {
	mu    sync.RWMutex
	names map[string]string // realm to the fault as it was asked for; no entry is none
	set   map[string]fault
}

// fault answers in place of the proxy, or passes the request on.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

// maxSlow bounds what a client can be made to wait.
const maxSlow = time.Minute

// NewFaults makes faults that are off, for these realms.
func NewFaults(realms ...string) *Faults {
	f := &Faults{names: map[string]string{}, set: map[string]fault{}}
	for _, r := range realms {
		f.names[r] = faultOff
	}
	return f
}

const faultOff = "off"

// Set makes a realm, or all of them if it is "", misbehave: slow=300ms answers late, failing=NAME answers with an error of
// the protocol (failing alone: InternalException), malformed answers what is no JSON, gone hangs up without an answer,
// off is the proxy itself.
func (f *Faults) Set(realm, spec string) error {
	fn, err := parseFault(spec)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.names[realm]; !known && realm != "" {
		return fmt.Errorf("there is no realm %q", realm)
	}
	for name := range f.names {
		if realm == "" || realm == name {
			f.names[name], f.set[name] = spec, fn
		}
	}
	return nil
}

// Faults tells the present fault of every realm.
func (f *Faults) Faults() map[string]string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return maps.Clone(f.names)
}

// Wrap puts the faults in front of the proxy.
func (f *Faults) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fn := f.of(r); fn != nil {
			fn(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// of gives the fault of the realm that a request is for; nil for none.
func (f *Faults) of(r *http.Request) fault {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for realm, fn := range f.set {
		if strings.HasPrefix(r.URL.Path, "/"+realm+xks.BasePath+"/") {
			return fn
		}
	}
	return nil
}

func parseFault(spec string) (fault, error) {
	kind, value, given := strings.Cut(spec, "=")
	switch {
	case kind == "slow" && given:
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 || d > maxSlow {
			return nil, fmt.Errorf("%q is no delay; write it like slow=300ms, up to %s", spec, maxSlow)
		}
		return slow(d), nil
	case kind == "failing":
		name := xks.InternalException
		if given {
			name = xks.ErrorName(value)
		}
		if !name.Known() {
			return nil, fmt.Errorf("%q is no error of the protocol; write it like failing=%s", value, xks.ThrottlingException)
		}
		return failing(name), nil
	case spec == "malformed":
		return malformed, nil
	case spec == "gone":
		return gone, nil
	case spec == faultOff:
		return nil, nil
	}
	return nil, fmt.Errorf("%q is no fault; write slow=300ms, failing, failing=NAME, malformed, gone or off", spec)
}

// slow passes a request on after a while, unless the client has given up by then.
func slow(d time.Duration) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
			gone(w, r, next)
		}
	}
}

func failing(name xks.ErrorName) fault {
	answer := xks.NewError(name, "strongroom dev xks-fault").Encode()
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(name.Status())
		_, _ = w.Write(answer) // a client that is gone has what it wanted
	}
}

func malformed(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"malformed`))
}

// gone ends the connection, over HTTP/2 the stream, before an answer begins.
func gone(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
