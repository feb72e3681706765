package api_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/crypt"
)

// connections is how many clients call at once.
const connections = 16

// bombard sends the same request over and over, on several connections, and reads the answers. The client is as cheap as
// can be, so that what is measured is the server.
func bombard(b *testing.B, url string, request []byte) {
	b.Helper()
	b.SetParallelism(connections / 2)
	b.ReportAllocs()
	b.ResetTimer()
	var failed atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			failed.Add(1)
			return
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for pb.Next() {
			if _, err := conn.Write(request); err != nil {
				failed.Add(1)
				return
			}
			if !readAnswer(in) {
				failed.Add(1)
				return
			}
		}
	})
	require.Zero(b, failed.Load())
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

// readAnswer reads one answer whose length is given, and tells whether it was 200.
func readAnswer(in *bufio.Reader) bool {
	ok, length := false, 0
	for first := true; ; first = false {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return false
		}
		if first {
			ok = bytes.HasPrefix(line, []byte("HTTP/1.1 200"))
		}
		if value, found := bytes.CutPrefix(line, []byte("Content-Length: ")); found {
			for _, d := range bytes.TrimSpace(value) {
				length = 10*length + int(d-'0')
			}
		}
		if len(line) <= 2 {
			break
		}
	}
	_, err := in.Discard(length)
	return ok && err == nil
}

func raw(b *testing.B, r *http.Request) []byte {
	b.Helper()
	dump, err := httputil.DumpRequestOut(r, true)
	require.NoError(b, err)
	return dump
}

// instant is a token that costs nothing.
type instant struct{ api.Crypt }

var instantBlob = make([]byte, 160)

func (instant) Encrypt(_ context.Context, _ *keystore.Caller, in *crypt.EncryptInput) (*crypt.EncryptOutput, error) {
	return &crypt.EncryptOutput{CiphertextBlob: instantBlob, KeyARN: in.KeyID, EncryptionAlgorithm: "SYMMETRIC_DEFAULT"}, nil
}

// BenchmarkEncrypt compares, in one run: a bare answer of net/http that reads the request; the front door with signature,
// decoding, audit and encoding over a token that costs nothing; and the whole appliance on SoftHSM2.
func BenchmarkEncrypt(b *testing.B) {
	a := start(b)
	id, arn := a.newKey(b)
	request := raw(b, a.request(b, "Encrypt", `{"KeyId":"`+arn+`","Plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}`))
	sample := []byte(a.post(b, "Encrypt", `{"KeyId":"`+id+`","Plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}`).body)

	b.Run("bare", func(b *testing.B) {
		url := listen(b, api.NewHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = w.Write(sample)
		}), slog.New(slog.DiscardHandler)))
		bombard(b, url, request)
	})
	b.Run("front door", func(b *testing.B) {
		fast := start(b, func(c *api.Config) { c.Crypt = instant{c.Crypt} })
		bombard(b, fast.url, raw(b, fast.request(b, "Encrypt", `{"KeyId":"`+arn+`","Plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}`)))
	})
	b.Run("appliance", func(b *testing.B) { bombard(b, a.url, request) })
}
