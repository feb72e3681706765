package proxy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/strongroom/strongroom/xks"
)

// run sends the same signed request again and again over sixteen HTTP/1.1 connections a processor.
func run(b *testing.B, d *deployment, url string, client *http.Client) {
	body := encryptBody("0123456789abcdef0123456789abcdef", "encryption-context", false)
	d.url = url
	signed := d.request(xks.OperationPath(pathA, xks.OpEncrypt, "key-1"), body, d.creds[pathA])
	var refused atomic.Int64
	b.SetParallelism(16)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := signed.Clone(b.Context())
			r.Body = io.NopCloser(bytes.NewReader(body))
			resp, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			answer, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != http.StatusOK {
				refused.Add(1)
				b.Logf("%d %s", resp.StatusCode, answer)
			}
			resp.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(refused.Load()), "refused")
}

func benchClient(d *deployment) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: d.ca.Pool()}, MaxIdleConnsPerHost: 64, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}}
}

func BenchmarkEncryptOverTLS(b *testing.B) {
	d := deploy(b, tokenKeys(b), nil)
	d.proxy.Realms()
	client := benchClient(d)
	defer client.CloseIdleConnections()
	run(b, d, d.url, client)
}

// BenchmarkBareTLS is what the same request costs if it is read and answered with as many bytes, and nothing else.
func BenchmarkBareTLS(b *testing.B) {
	d := deploy(b, tokenKeys(b), nil)
	sealed := d.seal(pathA, "key-1", "0123456789abcdef0123456789abcdef", "encryption-context")
	answer := sealed.Encode()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{d.ca.Issue("localhost")}}
	server.StartTLS()
	defer server.Close()
	client := benchClient(d)
	defer client.CloseIdleConnections()
	run(b, d, "https://localhost"+server.URL[len("https://127.0.0.1"):], client)
}
