package api

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
)

// response is what an operation answers.
type response = shape.Response

// handler does an operation for a call whose caller is known.
type handler func(ctx context.Context, c *call) (response, error)

// request is a pointer to a request structure.
type request[R any] interface {
	*R
	shape.Request
}

// handle makes the handler of an operation: decode, check the model's constraints, serve.
func handle[R any, P request[R]](serve func(ctx context.Context, c *call, r P) (response, error)) handler {
	return func(ctx context.Context, c *call) (response, error) {
		r := P(new(R))
		if err := c.members.Decode(c.body, r); err != nil {
			return nil, err
		}
		c.decoded = true
		if err := c.members.Check(); err != nil {
			return nil, err
		}
		if err := c.throttledBy(ctx); err != nil {
			return nil, err
		}
		return serve(ctx, c, r)
	}
}

// call is one request on its way through the pipeline. Its buffers are used again, and hold no secrets then.
type call struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	start time.Time
	id    string
	row   *operation
	// caller is not used again for another request: services may keep it.
	caller  *keystore.Caller
	body    []byte
	held    int64 // of Server.bodies
	members shape.Members
	decoded bool
	secret  []byte // a plaintext in the answer, to wipe

	out       []byte
	params    []byte
	elements  []byte
	resources []audit.Resource
	extra     audit.Object // additionalEventData
	exception string
	sent      bool // the answer has begun
}

var calls = sync.Pool{New: func() any { return new(call) }}

func (s *Server) begin(w http.ResponseWriter, r *http.Request) *call {
	c := calls.Get().(*call)
	c.s, c.w, c.r, c.start = s, w, r, s.Now()
	c.members.XksEndpointPorts = s.XksEndpointPorts
	c.id = s.requestID()
	// The header's name is written as AWS writes it.
	w.Header()["x-amzn-RequestId"] = []string{c.id}
	return c
}

// maxKept is how large a buffer may be that is kept from one request to the next.
const maxKept = 64 << 10

// end counts the request, and gives the call back with its buffers wiped. A panic that comes this far is answered, and
// the call not used again. It is to be deferred.
func (c *call) end() {
	p := recover()
	if p != nil {
		c.panicked(p)
		if !c.sent {
			c.fail(&refusal{internalFailure, ""})
		}
	}
	c.s.Observer.Request(c.operation(), c.exception, c.s.Now().Sub(c.start))
	clear(c.secret)
	c.members.Reset()
	if c.held > 0 { // nearly never: what all calls share has a lock
		c.s.bodies.Release(c.held)
	}
	if p != nil {
		return
	}
	kept := call{members: c.members, body: wiped(c.body), out: wiped(c.out), params: wiped(c.params), elements: wiped(c.elements),
		resources: c.resources[:0]}
	*c = kept
	calls.Put(c)
}

// operation is the operation's name, "" before it is known.
func (c *call) operation() string {
	if c.row == nil {
		return ""
	}
	return string(c.row.name)
}

func (c *call) panicked(p any) {
	c.s.Logger.LogAttrs(c.r.Context(), slog.LevelError, "panic", slog.String("operation", c.operation()),
		slog.String("request_id", c.id), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
}

func wiped(b []byte) []byte {
	clear(b)
	if cap(b) > maxKept {
		return nil
	}
	return b[:0]
}

// requestID makes a random UUID. Without randomness there is none, and the answer goes without.
func (s *Server) requestID() string {
	var b [16]byte
	if _, err := io.ReadFull(s.Random, b[:]); err != nil {
		s.Logger.Error("no randomness for a request id", "error", err)
		return ""
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	var text [36]byte
	hex.Encode(text[:8], b[:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:], b[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// sourceIP cuts the port off.
func sourceIP(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}

// userAgent is cut where CloudTrail cuts it.
func userAgent(r *http.Request) string {
	const most = 1024
	agent := r.UserAgent()
	return strings.ToValidUTF8(agent[:min(len(agent), most)], "")
}

// firstRead is how much of a body is read without growing the buffer.
const firstRead = 8 << 10

// readBody reads the whole body, no more of it than the operation's limit.
func (c *call) readBody() error {
	limit := c.row.limit
	if c.r.ContentLength > limit {
		return &refusal{tooLarge, tooLargeText(limit)}
	}
	// Memory grows with what has arrived: a length in a header costs nothing.
	size := min(c.r.ContentLength, firstRead)
	if size < 0 {
		size = firstRead
	}
	c.body = slices.Grow(c.body[:0], int(size)+1)
	for {
		n, err := c.r.Body.Read(c.body[len(c.body):cap(c.body)])
		c.body = c.body[:len(c.body)+n]
		switch {
		case int64(len(c.body)) > limit:
			return &refusal{tooLarge, tooLargeText(limit)}
		case err == io.EOF:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return &refusal{tooSlow, "The request body was not received in time."}
		case err != nil:
			return &refusal{serialization, ""} // the client broke off
		}
		if len(c.body) == cap(c.body) {
			old := c.body
			more := int64(cap(old))
			if !c.s.bodies.TryAcquire(more) {
				return &refusal{overloaded, "Too many large requests are being received. Try again."}
			}
			c.held += more
			c.body = append(make([]byte, 0, 2*cap(old)), old...)
			clear(old)
		}
	}
}

// maxDrain is how much of a body is read and dropped before a request is refused. It is above what any operation takes, so
// that whoever sent too much is told so.
const maxDrain = 4 << 20

// drain reads what is left of the body: many clients look for an answer only when they have sent the whole request, and
// one whose connection is closed under it never sees it. A body beyond maxDrain, or one that does not come in the
// listener's time, has its connection closed; one that was announced by Expect is not asked for.
func (c *call) drain() {
	if c.r.ContentLength <= maxDrain && c.r.Header.Get("Expect") == "" {
		_, _ = io.CopyN(io.Discard, c.r.Body, maxDrain+1)
	}
}

func tooLargeText(limit int64) string {
	return "The request body is larger than " + strconv.FormatInt(limit, 10) + " bytes."
}

// Headers of every answer. Answers may hold plaintexts and secrets, which nobody on the way may keep.
var (
	contentType  = []string{"application/x-amz-json-1.1"}
	cacheControl = []string{"no-cache, no-store, must-revalidate, private"}
)

// succeed answers with a response.
func (c *call) succeed(r response) {
	if !c.row.noOutput {
		c.out = shape.Append(c.out[:0], r)
	}
	c.send(http.StatusOK)
}

// fail answers with an error, and logs what is the appliance's own fault.
func (c *call) fail(err error) {
	e, message, cause := wire(err, c.id)
	c.exception = e.Name
	if u := (*unrecorded)(nil); errors.As(err, &u) {
		c.s.Observer.AuditError()
	}
	c.out = appendError(c.out[:0], e, message)
	if cause {
		level := slog.LevelError
		if c.r.Context().Err() != nil {
			level = slog.LevelDebug // the client went away, and with it the call
		}
		c.s.Logger.LogAttrs(c.r.Context(), level, "request failed", slog.String("operation", c.operation()),
			slog.String("exception", e.Name), slog.String("request_id", c.id), slog.Any("error", err))
	}
	c.send(e.Status)
}

func (c *call) send(status int) {
	h := c.w.Header()
	h["Content-Type"], h["Cache-Control"] = contentType, cacheControl
	h["Content-Length"] = []string{strconv.Itoa(len(c.out))}
	c.sent = true
	c.w.WriteHeader(status)
	if _, err := c.w.Write(c.out); err != nil {
		c.s.Logger.LogAttrs(c.r.Context(), slog.LevelDebug, "answer not sent", slog.String("request_id", c.id), slog.Any("error", err))
	}
}
