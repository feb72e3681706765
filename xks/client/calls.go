package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/strongroom/strongroom/xks"
)

// Health asks GetHealthStatus. Errors of all four calls are *Error.
func (c *Client) Health(ctx context.Context, req *xks.HealthRequest) (answer xks.HealthResponse, err error) {
	err = c.call(ctx, xks.OpHealth, "", &req.Metadata, req.Encode(), func(body []byte) (err error) {
		answer, err = xks.DecodeHealthResponse(body)
		return err
	})
	return answer, err
}

// Metadata asks GetKeyMetadata for an external key.
func (c *Client) Metadata(ctx context.Context, keyID string, req *xks.MetadataRequest) (answer xks.MetadataResponse, err error) {
	err = c.call(ctx, xks.OpMetadata, keyID, &req.Metadata, req.Encode(), func(body []byte) (err error) {
		answer, err = xks.DecodeMetadataResponse(body)
		return err
	})
	return answer, err
}

// Encrypt encrypts under an external key. The answer's lengths, and its integrity value if one was asked for, have
// been checked.
func (c *Client) Encrypt(ctx context.Context, keyID string, req *xks.EncryptRequest) (answer xks.EncryptResponse, err error) {
	err = c.call(ctx, xks.OpEncrypt, keyID, &req.Metadata, req.Encode(), func(body []byte) (err error) {
		answer, err = xks.DecodeEncryptResponse(body, req)
		return err
	})
	return answer, err
}

// Decrypt decrypts with an external key. The plaintext is as long as the ciphertext.
func (c *Client) Decrypt(ctx context.Context, keyID string, req *xks.DecryptRequest) (answer xks.DecryptResponse, err error) {
	err = c.call(ctx, xks.OpDecrypt, keyID, &req.Metadata, req.Encode(), func(body []byte) (err error) {
		answer, err = xks.DecodeDecryptResponse(body, req)
		return err
	})
	return answer, err
}

// call makes a call with what retrying is wise. body may hold plaintext and is wiped.
func (c *Client) call(ctx context.Context, op xks.Operation, keyID string, meta *xks.RequestMetadata, body []byte, decode func([]byte) error) error {
	defer clear(body)
	start := c.cfg.Now()
	failure := c.tryCall(ctx, op, keyID, body, decode)
	if c.cfg.Observer != nil {
		c.cfg.Observer.ProxyCall(op, meta.KMSOperation, c.cfg.Now().Sub(start), failure)
	}
	if failure != nil {
		return failure
	}
	return nil
}

func (c *Client) tryCall(ctx context.Context, op xks.Operation, keyID string, body []byte, decode func([]byte) error) *Error {
	if op != xks.OpHealth {
		err := xks.CheckKeyID(keyID)
		if err == nil {
			err = xks.CheckURILength(c.cfg.Endpoint, c.cfg.URIPath, keyID)
		}
		if err != nil {
			return &Error{Class: BadCall, Operation: op, Err: fmt.Errorf("external key id %q: %w", keyID, err)}
		}
	}
	try, refusal := c.breaker.admit()
	if refusal != nil {
		refusal.Operation = op
		return refusal
	}
	path := xks.OperationPath(c.cfg.URIPath, op, keyID)
	failure := c.exchange(ctx, op, path, body, decode)
	if failure != nil && c.mayRetry(ctx, try, failure) {
		if failure.stale {
			c.transport.CloseIdleConnections() // the others are likely to be gone as well
		} else {
			c.breaker.report(false, failure)
		}
		failure = c.exchange(ctx, op, path, body, decode)
	}
	c.breaker.report(try, failure)
	if failure == nil {
		c.budget.earn()
	}
	return failure
}

// mayRetry: KMS tries once more after a network timeout and after nothing else. A kept connection that the proxy had
// closed meanwhile is no failure of its, and the next attempt has a fresh one.
func (c *Client) mayRetry(ctx context.Context, try bool, failure *Error) bool {
	if ctx.Err() != nil || try {
		return false
	}
	return failure.stale || failure.Class == Timeout && !c.breaker.open() && c.budget.take()
}

// exchange makes one attempt and judges its answer.
func (c *Client) exchange(ctx context.Context, op xks.Operation, path string, body []byte, decode func([]byte) error) *Error {
	answer, status, failure := c.attempt(ctx, op, path, body)
	if failure != nil {
		return failure
	}
	defer clear(answer)
	if status == http.StatusOK {
		if err := decode(answer); err != nil {
			return &Error{Class: Malformed, Operation: op, Status: status, Err: err}
		}
		return nil
	}
	proxy, err := xks.DecodeError(answer)
	switch {
	case err != nil:
		return &Error{Class: Malformed, Operation: op, Status: status, Err: fmt.Errorf("status %d: %w", status, err)}
	case !proxy.Name.Known():
		return &Error{Class: Malformed, Operation: op, Status: status, Proxy: proxy, Err: errUnknownName}
	}
	return &Error{Class: Refused, Operation: op, Status: status, Proxy: proxy}
}

var errUnknownName = errors.New("the protocol has no such error")
