package xkstest

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/strongroom/strongroom/xks"
)

func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// Refuse answers an error of the protocol, with its status.
func Refuse(name xks.ErrorName) Fault { return func(x *Exchange) { x.refuse(name) } }

// Reply answers a status and a body, whatever they are.
func Reply(status int, body string) Fault {
	return func(x *Exchange) { x.Write(status, []byte(body)) }
}

// Hang does not answer before the test ends or the client hangs up.
func Hang() Fault {
	return func(x *Exchange) {
		select {
		case <-x.proxy.release:
		case <-x.R.Context().Done():
		}
		abort()
	}
}

// abort ends the connection: a handler that just returns would have an empty answer sent after all.
func abort() { panic(http.ErrAbortHandler) }

// Slow answers honestly, after a while.
func Slow(delay time.Duration) Fault {
	return func(x *Exchange) {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			x.Honest()
			return
		case <-x.proxy.release:
		case <-x.R.Context().Done():
		}
		abort()
	}
}

// Times applies a fault to the first n requests; then the proxy is honest.
func Times(n int, f Fault) Fault {
	return func(x *Exchange) {
		x.proxy.mu.Lock()
		n--
		left := n
		x.proxy.mu.Unlock()
		if left >= 0 {
			f(x)
			return
		}
		x.Honest()
	}
}

// Only applies a fault to one operation.
func Only(op xks.Operation, f Fault) Fault {
	return func(x *Exchange) {
		if x.Op == op {
			f(x)
			return
		}
		x.Honest()
	}
}

// hijack takes the connection over, to write on it what no server would.
func hijack(write func(net.Conn)) Fault {
	return func(x *Exchange) {
		conn, _, err := http.NewResponseController(x.W).Hijack()
		if err != nil {
			panic("xkstest: hijack: " + err.Error())
		}
		write(conn)
		_ = conn.Close() // that is the point
	}
}

// Cut closes the connection before an answer begins.
func Cut() Fault { return hijack(func(net.Conn) {}) }

// HalfAnswer announces more bytes than it sends.
func HalfAnswer() Fault {
	return hijack(func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"plaintext\":")
	})
}

// Garbage sends bytes that are no HTTP.
func Garbage() Fault {
	return hijack(func(c net.Conn) { _, _ = io.WriteString(c, "\x00\x01\x02 this is no HTTP\r\n\r\n") })
}

// Switch takes the connection over for another protocol, unasked. A client that does not leave then fails the test.
func Switch() Fault {
	return func(x *Exchange) {
		hijack(func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				x.proxy.t.Error("the client holds on to a connection that is not for HTTP any more")
			}
		})(x)
	}
}

// Endless sends an answer that does not end.
func Endless() Fault {
	return func(x *Exchange) {
		x.W.Header().Set("Content-Type", "application/json")
		chunk := make([]byte, 4096)
		for i := range chunk {
			chunk[i] = ' '
		}
		for {
			if _, err := x.W.Write(chunk); err != nil {
				return
			}
			select {
			case <-x.proxy.release:
				return
			default:
			}
		}
	}
}

// SpoilEncrypt changes the honest answer of Encrypt.
func SpoilEncrypt(change func(*xks.EncryptResponse)) Fault {
	return Only(xks.OpEncrypt, func(x *Exchange) {
		r, err := x.Encrypt()
		if err != nil {
			x.refuse(xks.NameOf(err))
			return
		}
		change(&r)
		x.Write(http.StatusOK, r.Encode())
	})
}

// SpoilDecrypt changes the honest answer of Decrypt.
func SpoilDecrypt(change func(*xks.DecryptResponse)) Fault {
	return Only(xks.OpDecrypt, func(x *Exchange) {
		r, err := x.Decrypt()
		if err != nil {
			x.refuse(xks.NameOf(err))
			return
		}
		change(&r)
		x.Write(http.StatusOK, r.Encode())
	})
}

// Silent accepts TCP connections and never says a word; with http it answers plain HTTP to everything.
func Silent(t testing.TB, http bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var held []net.Conn
		for {
			conn, err := l.Accept()
			if err != nil {
				for _, c := range held {
					_ = c.Close() // the listener is gone, and so is the test
				}
				return
			}
			if http {
				_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			}
			held = append(held, conn)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close() // ends the loop above
		<-done
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	return "https://localhost:" + port
}
