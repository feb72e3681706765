// Package bench measures the hot paths of a throw-away appliance against what they rest on: the token's own calls, and a
// bare net/http answer to the same requests of the same client in the same process.
package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/hsm"
)

// Options of a run.
type Options struct {
	Endpoint    string // of the appliance's KMS API
	Region      string
	AccessKeyID string
	Secret      string
	Token       *hsm.Token // behind the Region's default store
	Duration    time.Duration
	Concurrency int // calls at a time
}

// Result is one row.
type Result struct {
	Name      string  `json:"name"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_us"`
	P99       float64 `json:"p99_us"`
	P999      float64 `json:"p99_9_us"`
	Calls     int     `json:"calls"`
	OfBare    float64 `json:"of_bare,omitempty"`  // rate as a part of the bare answer's
	OfToken   float64 `json:"of_token,omitempty"` // rate as a part of the token's own
}

// Report is a whole run.
type Report struct {
	Concurrency int      `json:"concurrency"`
	Seconds     float64  `json:"seconds_each"`
	Results     []Result `json:"results"`
}

// plaintext is what is encrypted: the size of a data key.
const plaintext = 32

// Run measures everything, one after the other.
func Run(ctx context.Context, o Options) (*Report, error) {
	r := &Report{Concurrency: o.Concurrency, Seconds: o.Duration.Seconds()}
	token, err := o.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	r.Results = append(r.Results, token)
	bare, stop, err := bareServer()
	if err != nil {
		return nil, err
	}
	defer stop()
	c := newClient(o)
	defer c.http.CloseIdleConnections()
	calls, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	encrypt := calls[0]
	answer, err := c.measure(ctx, "bare net/http answer", bare, encrypt)
	if err != nil {
		return nil, err
	}
	r.Results = append(r.Results, answer)
	for _, call := range calls {
		res, err := c.measure(ctx, call.op, o.Endpoint, call)
		if err != nil {
			return nil, err
		}
		res.OfBare = res.PerSecond / answer.PerSecond
		if call.op != "CreateKey" {
			res.OfToken = res.PerSecond / token.PerSecond
		}
		r.Results = append(r.Results, res)
	}
	return r, nil
}

// load runs call on every worker for the duration and puts the figures together.
func load(ctx context.Context, name string, workers int, d time.Duration, call func() error) (Result, error) {
	var (
		mu   sync.Mutex
		all  []time.Duration
		errs []error
		wg   sync.WaitGroup
	)
	// What is slow once, as the first handle of a key, is not measured.
	for range 3 {
		if err := call(); err != nil {
			return Result{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	began := time.Now()
	for range workers {
		wg.Go(func() {
			var took []time.Duration
			var err error
			for err == nil && ctx.Err() == nil && (len(took) == 0 || time.Since(began) < d) { // one call at least
				at := time.Now()
				err = call()
				took = append(took, time.Since(at))
			}
			mu.Lock()
			all, errs = append(all, took...), append(errs, err)
			mu.Unlock()
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return Result{}, fmt.Errorf("%s: %w", name, err)
	}
	slices.Sort(all)
	at := func(p float64) float64 { return float64(all[int(p*float64(len(all)-1))].Nanoseconds()) / 1e3 }
	return Result{Name: name, PerSecond: float64(len(all)) / elapsed.Seconds(), P50: at(.5), P99: at(.99), P999: at(.999), Calls: len(all)}, nil
}

// token measures the token by itself.
func (o *Options) token(ctx context.Context) (Result, error) {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return Result{}, err
	}
	ref := hsm.KeyRef{ID: id, Label: "strongroom:bench"}
	if _, err := o.Token.Generate(ctx, hsm.Template{KeyRef: ref, Kind: hsm.AES256, Usage: hsm.UseEncrypt | hsm.UseDecrypt}); err != nil {
		return Result{}, err
	}
	plain := make([]byte, plaintext)
	res, err := load(ctx, "token: AES-256-GCM of 32 bytes", o.Concurrency, o.Duration, func() error {
		_, err := o.Token.Seal(ctx, ref, nil, plain, make([]byte, 0, 64))
		return err
	})
	_, gone := o.Token.Destroy(ctx, ref)
	return res, errors.Join(err, gone)
}

// bareServer answers every POST with an answer of Encrypt's size, and does nothing else.
func bareServer() (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	answer := []byte(`{"CiphertextBlob":"` + strings.Repeat("A", 128) + `","EncryptionAlgorithm":"SYMMETRIC_DEFAULT","KeyId":"` + strings.Repeat("a", 75) + `"}`)
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = w.Write(answer)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	return "http://" + l.Addr().String(), func() { _ = s.Close(); <-done }, nil
}

// client sends the same signed bytes again and again: what it costs itself is the same for every server.
type client struct {
	o    Options
	http *http.Client
}

func newClient(o Options) *client {
	return &client{o: o, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.Concurrency, DisableCompression: true}}}
}

// signedCall is a request that is sent many times.
type signedCall struct {
	op     string
	body   []byte
	header http.Header
}

// sign signs a request for the appliance. The signature stays good for five minutes.
func (c *client) sign(op string, in any) (signedCall, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return signedCall{}, err
	}
	r, err := http.NewRequest(http.MethodPost, c.o.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return signedCall{}, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService."+op)
	sigv4.SignRequest(r, body, sigv4.Credential{AccessKeyID: c.o.AccessKeyID, Secret: []byte(c.o.Secret)}, c.o.Region, "kms", time.Now())
	return signedCall{op, body, r.Header}, nil
}

// send sends a call to a server and reads its answer.
func (c *client) send(ctx context.Context, url string, call signedCall) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/", bytes.NewReader(call.body))
	if err != nil {
		return nil, err
	}
	r.Header = call.header
	if url != c.o.Endpoint {
		// The signed host does not matter there.
		r.Host = strings.TrimPrefix(c.o.Endpoint, "http://")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return text, err
}

// call signs and sends one request, and reads members of its answer.
func (c *client) call(ctx context.Context, op string, in, out any) error {
	signed, err := c.sign(op, in)
	if err != nil {
		return err
	}
	text, err := c.send(ctx, c.o.Endpoint, signed)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return json.Unmarshal(text, out)
}

type object map[string]any

// prepare makes a key and a ciphertext, and signs what is measured.
func (c *client) prepare(ctx context.Context) ([]signedCall, error) {
	var made struct{ KeyMetadata struct{ KeyID string } }
	if err := c.call(ctx, "CreateKey", object{}, &made); err != nil {
		return nil, err
	}
	key := made.KeyMetadata.KeyID
	var sealed struct{ CiphertextBlob string }
	encrypt := object{"KeyId": key, "Plaintext": base64.StdEncoding.EncodeToString(make([]byte, plaintext))}
	if err := c.call(ctx, "Encrypt", encrypt, &sealed); err != nil {
		return nil, err
	}
	var calls []signedCall
	for _, m := range []struct {
		op string
		in object
	}{
		{"Encrypt", encrypt},
		{"Decrypt", object{"CiphertextBlob": sealed.CiphertextBlob}},
		{"GenerateDataKey", object{"KeyId": key, "KeySpec": "AES_256"}},
		{"DescribeKey", object{"KeyId": key}},
		{"CreateKey", object{}},
	} {
		signed, err := c.sign(m.op, m.in)
		if err != nil {
			return nil, err
		}
		calls = append(calls, signed)
	}
	return calls, nil
}

func (c *client) measure(ctx context.Context, name, url string, call signedCall) (Result, error) {
	return load(ctx, name, c.o.Concurrency, c.o.Duration, func() error {
		_, err := c.send(ctx, url, call)
		return err
	})
}
