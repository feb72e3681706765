package xkstest

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Reserve keeps a port of 127.0.0.1 without listening there, until release is called: connections are refused, and nobody
// else can be given the port meanwhile. Port 0 means any. Connections of a listener that was there may linger.
func Reserve(port int) (reserved int, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, nil, os.NewSyscallError("socket", err)
	}
	release = func() { _ = syscall.Close(fd) } // nothing was ever written to it
	if err := bind(fd, port); err != nil {
		release()
		return 0, nil, fmt.Errorf("reserve port %d: %w", port, err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		release()
		return 0, nil, os.NewSyscallError("getsockname", err)
	}
	return at.(*syscall.SockaddrInet4).Port, release, nil // the family is that of the socket
}

// bind takes the port although connections of an earlier listener linger there, and then lets nobody do the same.
func bind(fd, port int) error {
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 0))
}

// reserve is Reserve until the test ends.
func reserve(t testing.TB, port int) int {
	t.Helper()
	reserved, release, err := Reserve(port)
	for range 60_000 { // a listener that was closed stays where a process is just being forked, until its program runs
		if err == nil {
			break
		}
		time.Sleep(time.Millisecond)
		reserved, release, err = Reserve(port)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return reserved
}

// Closed is an address of the loop-back interface where nothing listens, nor will before the test ends.
func Closed(t testing.TB) string {
	t.Helper()
	return "https://localhost:" + strconv.Itoa(reserve(t, 0))
}

// Stop ends the proxy: nothing listens at its endpoint any more, nor will before the test ends, and open connections are
// cut.
func (p *Proxy) Stop() {
	p.t.Helper()
	_ = p.server.Close() // what it closes is the client's to notice
	reserve(p.t, p.listener.Addr().(*net.TCPAddr).Port)
}
