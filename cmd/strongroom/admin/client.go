package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
)

// maxAnswer bounds what a client reads: a ledger of a hundred thousand rows fits.
const maxAnswer = 256 << 20

// Client speaks to one appliance.
type Client struct {
	path string
	http *http.Client
}

// NewClient makes a client of the socket at path. It connects at its first call.
func NewClient(path string) *Client {
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, path) },
	}}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Refusal is the appliance's answer that it will not or cannot do what was asked.
type Refusal struct {
	Status  int // HTTP status
	Message string
}

// Error is the appliance's own line.
func (r *Refusal) Error() string { return r.Message }

// Call sends in (nil: no body) and decodes the answer into out (nil: dropped). The error is a *Refusal where the
// appliance answered with one.
func (c *Client) Call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("admin request: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://strongroom"+path, body)
	if err != nil {
		return fmt.Errorf("admin request: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("admin answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		var e errorBody
		if json.Unmarshal(data, &e) != nil || e.Error == "" {
			e.Error = fmt.Sprintf("the appliance answered %s", resp.Status)
		}
		return &Refusal{Status: resp.StatusCode, Message: e.Error}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("admin answer: %w", err)
	}
	return nil
}

// unreachable says what to do when nobody answers at the socket.
func (c *Client) unreachable(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no appliance answers at %s; start it, or name its data directory or socket with --dir, --config or --socket", c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s belongs to another user; run this command as the user that runs the appliance", c.path)
	}
	return fmt.Errorf("admin socket %s: %w", c.path, err)
}
