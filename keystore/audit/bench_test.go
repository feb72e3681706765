package audit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore/audit"
)

func encryptEvent() *audit.Event {
	e := event("Encrypt")
	e.RequestParameters = audit.Object{}.String("keyId", "alias/orders").String("encryptionAlgorithm", "SYMMETRIC_DEFAULT").
		Map("encryptionContext", map[string]string{"tenant": "acme"})
	e.Resources = []audit.Resource{{ARN: "arn:aws:kms:us-east-1:000000000000:key/01234567-89ab-4def-8123-456789abcdef",
		Account: "000000000000", Type: "AWS::KMS::Key"}}
	return e
}

// What a record costs its caller, and the flusher, without the disk.
func BenchmarkEncode(b *testing.B) {
	e, buf := encryptEvent(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = audit.Encode(buf[:0], e)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkChain(b *testing.B) {
	record, buf := audit.Encode(nil, encryptEvent()), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = audit.Chain(buf[:0], record)
	}
	b.SetBytes(int64(len(buf)))
}

// What a cryptographic call pays for its record, the flusher's work on the same cores included.
func BenchmarkAppend(b *testing.B) {
	f := openLog(b, b.TempDir())
	e := encryptEvent()
	b.ReportAllocs()
	for b.Loop() {
		for f.Append(b.Context(), e, false) != nil {
			require.NoError(b, f.Sync(b.Context()))
		}
	}
	b.StopTimer()
	require.NoError(b, f.Close())
}

func BenchmarkAppendDurable(b *testing.B) {
	f := openLog(b, b.TempDir())
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f.Append(b.Context(), event("CreateKey"), true); err != nil {
				b.Error(err)
			}
		}
	})
}
