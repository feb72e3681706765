package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// maxRequest bounds a request's body; the largest is a policy document.
const maxRequest = 1 << 20

type errorBody struct {
	Error string `json:"error"`
}

// Server holds the routes of the admin socket. Add them before it serves.
type Server struct {
	mux *http.ServeMux
	log *slog.Logger
}

// NewServer makes a server without routes.
func NewServer(log *slog.Logger) *Server { return &Server{mux: http.NewServeMux(), log: log} }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// HTTP makes the http.Server around it. Callers are local and trusted; the header limit is against mistakes.
func (s *Server) HTTP() *http.Server {
	return &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
}

// Request is what a route's function gets: path values and query parameters by name.
type Request struct{ r *http.Request }

// Path gives a value of the route's pattern.
func (r Request) Path(name string) string { return r.r.PathValue(name) }

// Query gives a query parameter, "" where there is none.
func (r Request) Query(name string) string { return r.r.URL.Query().Get(name) }

// Handle adds a route. pattern is as for http.ServeMux; the body is decoded into In (a struct without fields takes no
// body), what fn returns is the answer. An error becomes its line with the status of Status.
func Handle[In, Out any](s *Server, pattern string, fn func(ctx context.Context, r Request, in In) (Out, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := decode(w, r, &in); err != nil {
			s.answer(w, http.StatusBadRequest, errorBody{err.Error()})
			return
		}
		out, err := fn(r.Context(), Request{r}, in)
		if err != nil {
			status := StatusOf(err)
			s.log.InfoContext(r.Context(), "admin request refused", "route", pattern, "status", status, "error", err)
			s.answer(w, status, errorBody{err.Error()})
			return
		}
		s.answer(w, http.StatusOK, out)
	})
}

func decode(w http.ResponseWriter, r *http.Request, in any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(in); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("request body: %w", err)
	}
	return nil
}

func (s *Server) answer(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		s.log.Error("admin answer cannot be encoded", "error", err)
		http.Error(w, `{"error":"the answer cannot be encoded"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(data); err != nil {
		s.log.Debug("admin answer not taken", "error", err)
	}
}

// statusError is an error with an HTTP status.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// NotFound marks err as one of a thing that is not there.
func NotFound(err error) error { return &statusError{http.StatusNotFound, err} }

// Conflict marks err as a refusal in the present state.
func Conflict(err error) error { return &statusError{http.StatusConflict, err} }

// BadRequest marks err as the caller's mistake.
func BadRequest(err error) error { return &statusError{http.StatusBadRequest, err} }

// StatusOf gives the HTTP status of an error: its mark, or 500.
func StatusOf(err error) int {
	var e *statusError
	if errors.As(err, &e) {
		return e.status
	}
	return http.StatusInternalServerError
}
