package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
)

// queuePatience is how long a call may wait for its place in the queue.
const queuePatience = 100 * time.Millisecond

// exchange is one request on its way through the proxy.
type exchange struct {
	p      *Proxy
	realm  *realm
	w      http.ResponseWriter
	r      *http.Request
	body   []byte
	event  Event
	secret bool // the answer holds plaintext
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Whatever becomes of the request, its body does not hold a goroutine for longer: without a deadline the server
	// would wait for the rest of a body that was refused unread. Not every ResponseWriter can; the server's own limits
	// hold then.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(p.cfg.BodyTimeout))
	if p.loadBalancer(w, r) {
		return
	}
	path, op, keyID, ok := xks.ParsePath(r.RequestURI)
	var rm *realm
	if ok {
		rm = p.state.Load().realms[path]
	}
	if rm == nil {
		writeAnswer(w, http.StatusNotFound, errPath.Encode())
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	x := &exchange{p: p, realm: rm, w: w, r: r}
	x.event = Event{Time: p.cfg.Now(), Remote: r.RemoteAddr, Realm: rm.Name, Operation: op, KeyID: keyID}
	answer, err := x.run()
	x.finish(answer, err)
}

var (
	errPath       = xks.NewError(xks.InvalidURIPathException, "the URI path is not valid")
	errBody       = xks.NewError(xks.ValidationException, "the request body could not be read")
	errBodySize   = xks.NewError(xks.UnsupportedOperationException, "the request body is longer than this proxy supports")
	errBlocked    = xks.NewError(xks.InvalidStateException, "the key store is blocked by its operator")
	errNoKey      = xks.NewError(xks.KeyNotFoundException, "the external key was not found")
	errDenied     = xks.NewError(xks.AccessDeniedException, "the authorization policy of the key store denies the request")
	errTimeout    = xks.NewError(xks.DependencyTimeoutException, "the key manager did not answer in time")
	errInternal   = xks.NewError(xks.InternalException, "the proxy failed to process the request")
	errUnrecorded = xks.NewError(xks.InternalException, "the proxy could not record the request")
)

// run takes the exchange from the signature to an answer.
func (x *exchange) run() (answer []byte, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			x.p.cfg.Logger.LogAttrs(x.r.Context(), slog.LevelError, "panic in request", slog.Any("panic", fault), slog.String("stack", string(debug.Stack())))
			err = errInternal
		}
	}()
	if x.p.inFlight.Add(1) > int64(x.p.cfg.MaxInFlight) {
		x.p.inFlight.Add(-1)
		return nil, errBusy
	}
	defer x.p.inFlight.Add(-1)
	if err := x.authenticate(); err != nil {
		return nil, err
	}
	if x.realm.Blocked {
		return nil, errBlocked
	}
	if !x.realm.bucket.take(x.event.Time) {
		return nil, errQuota
	}
	// Not the client's context: a call that is given up half-way costs the token a session, and a client that hangs
	// up has until the deadline to spare.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(x.r.Context()), x.p.cfg.Deadline, errTimeout)
	defer cancel()
	return x.dispatch(ctx)
}

// authenticate checks the signature. The body is read before the key is known, because it is signed, but only after
// all that the headers can tell.
func (x *exchange) authenticate() error {
	scope, err := x.realm.verifier.Parse(x.r)
	x.event.AccessKeyID = scope.AccessKeyID
	if err != nil {
		return authError(err)
	}
	if len(x.r.Header[sigv4.HeaderDate]) == 0 { // other AWS services take a signed Date as well (Appendix A, task 2)
		return authError(&sigv4.Error{Kind: sigv4.BadDate, Text: "the request has no X-Amz-Date"})
	}
	if x.realm.credentials[scope.AccessKeyID] == nil {
		// Before the body, so that strangers with slow bodies hold no places. Access key ids are random: nobody finds
		// one by the time that this takes.
		return authError(&sigv4.Error{Kind: sigv4.UnknownKey, Text: "the realm has no such credential"})
	}
	limit := x.p.cfg.Limits.MaxBody()
	if x.r.ContentLength > int64(limit) {
		x.w.Header().Set("Connection", "close")
		return errBodySize
	}
	if err := x.readBody(limit); err != nil {
		return err
	}
	if err := x.realm.verifier.Verify(x.r.Context(), x.r, x.body, scope); err != nil {
		return authError(err)
	}
	x.event.Authenticated = true
	if cred := x.realm.credentials[scope.AccessKeyID]; cred != nil {
		cred.lastUsed.Store(x.event.Time.UnixNano())
	}
	return nil
}

// authError hides from the caller what of the signature was wrong; the event keeps it.
func authError(err error) error {
	var refused *sigv4.Error
	if errors.As(err, &refused) {
		return xks.WrapError(xks.AuthenticationFailedException, "the request could not be authenticated", err)
	}
	return xks.WrapError(xks.InternalException, errInternal.Message, err)
}

// readBody reads the body within the limits of size and time. The read deadline is lifted once all of it is there.
func (x *exchange) readBody(limit int) error {
	if err := x.readAll(http.MaxBytesReader(x.w, x.r.Body, int64(limit))); err != nil {
		x.w.Header().Set("Connection", "close")
		return err
	}
	_ = http.NewResponseController(x.w).SetReadDeadline(time.Time{})
	return nil
}

func (x *exchange) readAll(reader io.Reader) error {
	size := x.r.ContentLength
	if size < 0 {
		size = 4096
	}
	x.body = make([]byte, 0, size+1)
	for {
		n, err := reader.Read(x.body[len(x.body):cap(x.body)])
		x.body = x.body[:len(x.body)+n]
		var tooLong *http.MaxBytesError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &tooLong):
			return errBodySize
		case err != nil:
			return xks.WrapError(errBody.Name, errBody.Message, err)
		}
		if len(x.body) == cap(x.body) {
			x.body = append(x.body, 0)[:len(x.body)]
		}
	}
}

// finish turns a failure into an error of the protocol, records the request and answers it.
func (x *exchange) finish(answer []byte, err error) {
	defer clear(x.body)
	status := http.StatusOK
	if err != nil {
		e := x.wireError(err)
		status, answer = e.Name.Status(), e.Encode()
		x.event.ErrorName, x.event.Cause = e.Name, err
	}
	x.event.Status, x.event.Duration = status, x.p.cfg.Now().Sub(x.event.Time)
	if err := x.p.cfg.Recorder.RecordXKS(x.r.Context(), x.event); err != nil {
		x.p.cfg.Logger.LogAttrs(x.r.Context(), slog.LevelError, "request cannot be recorded", slog.Any("error", err))
		if x.secret {
			clear(answer)
		}
		status, answer = errUnrecorded.Name.Status(), errUnrecorded.Encode()
	}
	writeAnswer(x.w, status, answer)
	if x.secret {
		clear(answer)
	}
}

// wireError gives the error that the protocol has for err. A name that the operation may not answer becomes
// InternalException.
func (x *exchange) wireError(err error) *xks.Error {
	var e *xks.Error
	if !errors.As(err, &e) {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return errTimeout
		}
		return errInternal
	}
	if !e.Name.AllowedFor(x.event.Operation) {
		return errInternal
	}
	return e
}

func writeAnswer(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if this fails, and the request is recorded
}

var jsonType = []string{"application/json"}

// LoadBalancer answers /ping and /ready alone, for a port of their own.
func (p *Proxy) LoadBalancer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.loadBalancer(w, r) {
			http.NotFound(w, r)
		}
	})
}

func (p *Proxy) loadBalancer(w http.ResponseWriter, r *http.Request) bool {
	var status int
	var text string
	switch r.RequestURI {
	case "/ping":
		status, text = http.StatusOK, "pong\n"
	case "/ready":
		status, text = http.StatusOK, "ready\n"
		if !p.ready() {
			status, text = http.StatusServiceUnavailable, "not ready\n"
		}
	default:
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
	return true
}
