package xksbench

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/xks"
)

const (
	// grace is how long after its time a call may still be sent; longer where the proxy may take longer.
	grace = time.Second
	// giveUp is how many failures in a row, with no success ever, end a step.
	giveUp    = 200
	maxAnswer = 64 << 10
)

// caller makes calls of one kind.
type caller struct {
	o         Options
	transport *http.Transport
	calls     []call // made in turn
	day       atomic.Pointer[dayKey]
}

// call is a request that is sent again and again, signed anew each time, and the check of its answer.
type call struct {
	op    xks.Operation
	keyID string
	body  []byte
	check func(answer []byte) error
}

// dayKey is the signing key of a day.
type dayKey struct {
	date string
	key  []byte
}

func newCaller(o Options) *caller {
	config := &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12}
	if o.Certificate != nil {
		config.Certificates = []tls.Certificate{*o.Certificate}
	}
	return &caller{o: o, transport: &http.Transport{
		TLSClientConfig: config,
		MaxConnsPerHost: o.Connections, MaxIdleConns: o.Connections, MaxIdleConnsPerHost: o.Connections,
		MaxResponseHeaderBytes: 32 << 10, DisableCompression: true,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1, like KMS
	}}
}

func (c *caller) metadata(op string) xks.RequestMetadata {
	return xks.RequestMetadata{
		PrincipalARN: "arn:aws:iam::123456789012:user/bench", KMSOperation: op, KMSRequestID: "strongroom-xks-bench",
		KMSKeyARN: "arn:aws:kms:" + c.o.Region + ":123456789012:key/11111111-2222-3333-4444-555555555555",
	}
}

// prepare makes the requests. What is to be decrypted is encrypted first.
func (c *caller) prepare(ctx context.Context) error {
	aad := bytes.Repeat([]byte("a"), 64)
	encrypt := &xks.EncryptRequest{
		Metadata: c.metadata("Encrypt"), Plaintext: bytes.Repeat([]byte("p"), c.o.Size), AAD: aad, CDIV: c.o.Operation == DataKey,
	}
	body := encrypt.Encode()
	for _, id := range c.o.KeyIDs {
		sealing := call{xks.OpEncrypt, id, body, func(answer []byte) error {
			_, err := xks.DecodeEncryptResponse(answer, encrypt)
			return err
		}}
		if c.o.Operation != Decrypt {
			c.calls = append(c.calls, sealing)
		}
		if c.o.Operation == Decrypt || c.o.Operation == Both {
			opening, err := c.opening(ctx, &sealing, encrypt)
			if err != nil {
				return fmt.Errorf("encrypt something to decrypt under %s: %w", id, err)
			}
			c.calls = append(c.calls, opening)
		}
	}
	return nil
}

// opening seals something, and makes the call that opens it again.
func (c *caller) opening(ctx context.Context, sealing *call, encrypt *xks.EncryptRequest) (call, error) {
	answer, err := c.exchange(ctx, sealing)
	if err != nil {
		return call{}, err
	}
	sealed, err := xks.DecodeEncryptResponse(answer, encrypt)
	if err != nil {
		return call{}, err
	}
	decrypt := &xks.DecryptRequest{
		Metadata: c.metadata("Decrypt"), Ciphertext: sealed.Ciphertext, CiphertextMetadata: sealed.CiphertextMetadata,
		AAD: encrypt.AAD, IV: sealed.IV, Tag: sealed.Tag,
	}
	return call{xks.OpDecrypt, sealing.keyID, decrypt.Encode(), func(answer []byte) error {
		opened, err := xks.DecodeDecryptResponse(answer, decrypt)
		if err == nil && !bytes.Equal(opened.Plaintext, encrypt.Plaintext) {
			err = errors.New("wrong plaintext")
		}
		return err
	}}, nil
}

// failure is a call that failed, by the name under which it is counted.
type failure struct{ name string }

func (f failure) Error() string { return f.name }

// exchange makes one call and gives the body of an answer with status 200.
func (c *caller) exchange(ctx context.Context, q *call) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.Endpoint+xks.OperationPath(c.o.URIPath, q.op, q.keyID), bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	now := time.Now()
	sigv4.SignRequest(r, q.body, c.o.Credential, c.o.Region, xks.Service, now, sigv4.SignHeaders(), sigv4.WithSigningKey(c.signingKey(now)))
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, failure{nameOf(err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols { // what follows is no body, and no deadline holds
		return nil, failure{fmt.Sprintf("status %d", resp.StatusCode)}
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, failure{nameOf(err)}
	}
	if resp.StatusCode == http.StatusOK {
		return answer, nil
	}
	name := fmt.Sprintf("status %d", resp.StatusCode)
	if e, err := xks.DecodeError(answer); err == nil && e.Name.Known() {
		name = string(e.Name)
	}
	return nil, failure{name}
}

func (c *caller) signingKey(now time.Time) []byte {
	date := now.UTC().Format("20060102")
	d := c.day.Load()
	if d == nil || d.date != date {
		d = &dayKey{date, sigv4.DeriveKey(c.o.Credential.Secret, date, c.o.Region, xks.Service)}
		c.day.Store(d)
	}
	return d.key
}

const noAnswer = "no answer, given up"

// nameOf sorts what can go wrong on the way into few names.
func nameOf(err error) string {
	var network net.Error
	var cert *tls.CertificateVerificationError
	var alert tls.AlertError
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return noAnswer
	case errors.As(err, &cert), errors.As(err, &alert):
		return "TLS: " + err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed without an answer"
	}
	return "no connection"
}

// worker is what one connection has seen.
type worker struct {
	good, late, unsent uint64
	hist               histogram
	errors             map[string]int
}

// tally is what all workers share while a step runs.
type tally struct {
	next     atomic.Int64 // number of the next call
	wins     atomic.Int64
	failures atomic.Int64
}

// hopeless says that nothing ever worked, often enough to stop.
func (t *tally) hopeless() bool { return t.wins.Load() == 0 && t.failures.Load() >= giveUp }

// step makes rate calls a second, each at its time whether those before it were answered or not, as far as there are
// connections. A call that finds all of them busy waits, and its waiting counts: otherwise a proxy that stalls would be
// asked less and look better.
func (c *caller) step(ctx context.Context, rate float64) Step {
	n := int64(rate * c.o.Duration.Seconds())
	workers := make([]worker, min(int64(c.o.Connections), n))
	var t tally
	var wg sync.WaitGroup
	c.warm(ctx, len(workers))
	began := time.Now()
	for i := range workers {
		w := &workers[i]
		w.errors = map[string]int{}
		wg.Go(func() {
			for k := t.next.Add(1) - 1; k < n && ctx.Err() == nil; k = t.next.Add(1) - 1 {
				c.one(ctx, w, &t, k, began.Add(time.Duration(float64(k)/rate*float64(time.Second))))
			}
		})
	}
	wg.Wait()
	took := max(time.Since(began), c.o.Duration)
	return c.sum(rate, took, workers, t.hopeless())
}

// warm opens the connections, as KMS keeps them open. What fails here will fail again where it counts.
func (c *caller) warm(ctx context.Context, connections int) {
	var wg sync.WaitGroup
	for i := range connections {
		wg.Go(func() { _, _ = c.exchange(ctx, &c.calls[i%len(c.calls)]) })
	}
	wg.Wait()
}

// one makes a call at its time.
func (c *caller) one(ctx context.Context, w *worker, t *tally, k int64, due time.Time) {
	if t.hopeless() {
		w.unsent++
		return
	}
	start := due
	if wait := time.Until(due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
			start = time.Now() // a late timer is not the proxy's fault
		case <-ctx.Done():
			return
		}
	} else if -wait > max(grace, c.o.Timeout) {
		w.unsent++
		return
	}
	q := &c.calls[k%int64(len(c.calls))]
	answer, err := c.exchange(ctx, q)
	took := time.Since(start)
	if err == nil {
		if bad := q.check(answer); bad != nil {
			err = failure{"malformed answer: " + bad.Error()}
		}
	}
	switch {
	case err != nil:
		t.failures.Add(1)
		w.errors[err.Error()]++
		return
	case took <= c.o.Patience:
		w.good++
	default:
		w.late++
	}
	t.wins.Add(1)
	w.hist.add(took)
}

// sum puts the workers' figures together and judges them.
func (c *caller) sum(rate float64, took time.Duration, workers []worker, hopeless bool) Step {
	s := Step{Rate: rate, Errors: map[string]int{}, Connections: len(workers)}
	var h histogram
	failed := uint64(0)
	for i := range workers {
		w := &workers[i]
		s.Good, s.Late, s.Unsent = s.Good+w.good, s.Late+w.late, s.Unsent+w.unsent
		h.merge(&w.hist)
		for name, n := range w.errors {
			s.Errors[name] += n
			failed += uint64(n)
		}
	}
	s.Calls = s.Good + s.Late + failed
	s.PerSecond = float64(s.Good) / took.Seconds()
	s.P50, s.P99, s.P999, s.Max = milliseconds(h.quantile(0.5)), milliseconds(h.quantile(0.99)), milliseconds(h.quantile(0.999)), milliseconds(h.max)
	s.Histogram = h.bars()
	all := s.Calls + s.Unsent
	switch share := float64(s.Good) / float64(max(all, 1)); {
	case hopeless:
		s.Reason = fmt.Sprintf("given up: the first %d calls all failed", failed)
	case share < Share:
		s.Reason = fmt.Sprintf("%.2f %% of calls were answered well within %d ms; %.1f %% are asked for", 100*share, c.o.Patience.Milliseconds(), 100*Share)
	default:
		s.Holds = true
	}
	return s
}
