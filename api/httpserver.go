package api

import (
	"log/slog"
	"net/http"
	"time"
)

// Bounds on slow and large clients of a listener.
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 30 * time.Second // header and body
	answerTimeout  = 90 * time.Second // from the end of the header to the end of the answer; above ChangeTimeout
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 32 << 10
)

// NewHTTPServer makes an http.Server for a listener of h whose header, body and answer are bounded in time and size, so
// that a slow client costs a connection and nothing else. TLSConfig, BaseContext and the like may be set on it before it
// serves.
func NewHTTPServer(h http.Handler, logger *slog.Logger) *http.Server {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
}
