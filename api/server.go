package api

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gorilla/mux"
	"golang.org/x/sync/semaphore"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/keystore"
)

// Server answers the AWS KMS API. It is safe for concurrent use.
type Server struct {
	Config
	verifier   *sigv4.Verifier
	throttle   *throttle // nil: requests are not counted
	identities *identities
	others     *mux.Router // everything that is not POST /
	// bodies bounds the memory of all bodies together that are larger than firstRead: whoever sends them is not known yet.
	bodies   *semaphore.Weighted
	refusals *refusalLog
}

// maxBodies is how many bytes of large bodies may be in memory at a time.
const maxBodies = 256 << 20

// New makes a Server. What Config requires has to be there.
func New(c Config) *Server {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	if c.Usage == nil {
		c.Usage = noUsage{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.ChangeTimeout <= 0 {
		c.ChangeTimeout = time.Minute
	}
	s := &Server{Config: c, identities: newIdentities(c.Credentials), throttle: newThrottle(c.Rates, c.Now()),
		bodies: semaphore.NewWeighted(maxBodies), refusals: newRefusalLog(c.Now())}
	s.verifier = &sigv4.Verifier{Service: "kms", Regions: c.Regions, Keys: s.identities, Now: c.Now}
	s.others = mux.NewRouter().SkipClean(true)
	s.others.Path("/").Methods(http.MethodPost).Handler(s)
	s.others.NotFoundHandler = s.refuse(&refusal{noSuchPath, "There is nothing at this path."})
	s.others.MethodNotAllowedHandler = s.refuse(&refusal{noSuchMethod, "Operations are called with POST."})
	return s
}

// CredentialsChanged drops everything that was derived from credentials. It is to be called after a principal or an
// access key was changed, disabled or removed; requests that begin after it returned see the change.
func (s *Server) CredentialsChanged() { s.identities.forget() }

// refuse makes a handler that always answers err.
func (s *Server) refuse(err error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.begin(w, r)
		defer c.end()
		var own *refusal
		if errors.As(err, &own) && own.exception.Status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
		c.drain()
		c.fail(err)
	})
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/" {
		s.others.ServeHTTP(w, r)
		return
	}
	c := s.begin(w, r)
	defer c.end()
	if err := c.authenticate(); err != nil {
		c.refused(err)
		return
	}
	var answer response
	err := c.throttled()
	if err == nil {
		answer, err = c.perform()
	}
	if err = c.record(answer, err); err != nil {
		c.fail(err)
		return
	}
	c.succeed(answer)
}

// refused answers a request whose sender is not known. Such requests are counted and logged but not recorded: who has no
// credential must not be able to fill the audit log, nor any other.
func (c *call) refused(err error) {
	c.drain()
	c.fail(err)
	level, unlogged := slog.LevelDebug, int64(0)
	if s := (*sigv4.Error)(nil); errors.As(err, &s) && s.Kind != sigv4.Missing {
		level = slog.LevelInfo // somebody tried to sign
		var ok bool
		if unlogged, ok = c.s.refusals.take(c.s.Now()); !ok {
			return
		}
	}
	attrs := []slog.Attr{slog.String("exception", c.exception), slog.String("source", c.r.RemoteAddr),
		slog.String("request_id", c.id), slog.Any("error", err)}
	if unlogged > 0 {
		attrs = append(attrs, slog.Int64("unlogged_before", unlogged))
	}
	c.s.Logger.LogAttrs(c.r.Context(), level, "request refused", attrs...)
}

// authenticate finds the operation and the caller: cheap refusals first, nothing of the body before the header is in
// order, nothing parsed before the signature is good.
func (c *call) authenticate() error {
	s := c.s
	// Two targets would be two operations under one signature.
	if names := c.r.Header["X-Amz-Target"]; len(names) == 1 {
		c.row = targets[names[0]]
	}
	if c.row == nil {
		return &refusal{unknownOperation, ""}
	}
	scope, err := s.verifier.Parse(c.r)
	if err != nil {
		return err
	}
	if err := c.readBody(); err != nil {
		return err
	}
	ctx := c.r.Context()
	if err := s.verifier.Verify(ctx, c.r, c.body, scope); err != nil {
		return err
	}
	id, err := s.identities.identity(ctx, scope.AccessKeyID)
	if err != nil {
		return err
	}
	if c.r.Header.Get(sigv4.HeaderSecurityToken) != "" {
		return errInactive // access keys here are long-term ones, which have no token: AWS refuses one that was made up
	}
	c.caller = &keystore.Caller{
		Account: s.Account, Region: scope.Region, Principal: id.arn, PrincipalID: id.id, AccessKeyID: scope.AccessKeyID,
		Root: id.root, Policies: id.policies, RequestID: c.id, SourceIP: sourceIP(c.r.RemoteAddr),
		UserAgent: userAgent(c.r), Secure: c.r.TLS != nil, Time: s.Clock.Now(),
	}
	return nil
}

// perform does the operation, if its record can be written afterwards.
func (c *call) perform() (_ response, err error) {
	if err := c.s.Audit.Healthy(); err != nil {
		return nil, &unrecorded{err}
	}
	if c.row.handle == nil {
		return nil, keystore.Faultf(keystore.KindUnsupportedOperation, "The operation %s is not supported.", c.row.name)
	}
	ctx := c.r.Context()
	if !c.row.readOnly {
		// A change is not left half done because its client went away.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), c.s.ChangeTimeout)
		defer cancel()
	}
	defer func() {
		if p := recover(); p != nil {
			c.panicked(p)
			err = &refusal{internalFailure, ""}
		}
	}()
	return c.row.handle(ctx, c)
}

// unrecorded says that a call cannot be recorded, and so was not done or is not answered.
type unrecorded struct{ cause error }

// Error implements error.
func (u *unrecorded) Error() string { return "audit log: " + u.cause.Error() }

// Unwrap gives the cause.
func (u *unrecorded) Unwrap() error { return u.cause }
