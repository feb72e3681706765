package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore/audit"
)

// written is a log of n records, four a segment.
func written(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	f := openLog(t, dir, func(o *audit.Options) { o.MaxSize = 1800 })
	for i := range n {
		require.NoError(t, f.Append(t.Context(), event(fmt.Sprint("e", i)), true))
	}
	require.NoError(t, f.Close())
	return dir
}

func TestVerifyTellsOfEveryChange(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		what   string
		seq    int64
	}{
		"a changed record": {func(t *testing.T, dir string) {
			p := files(t, dir)[0]
			require.NoError(t, os.WriteFile(p, bytes.Replace(contents(t, p), []byte(`"e1"`), []byte(`"e7"`), 1), 0o600))
		}, "record 2 was changed, or this one", 3},
		"a removed record": {func(t *testing.T, dir string) {
			p := files(t, dir)[0]
			l := lines(t, p)
			require.NoError(t, os.WriteFile(p, append(bytes.Clone(l[0]), bytes.Join(l[2:], nil)...), 0o600))
		}, "follows record 1", 3},
		"an added record": {func(t *testing.T, dir string) {
			p := files(t, dir)[0]
			l := lines(t, p)
			require.NoError(t, os.WriteFile(p, append(append(bytes.Clone(l[0]), l[0]...), bytes.Join(l[1:], nil)...), 0o600))
		}, "follows record 1", 1},
		"swapped records": {func(t *testing.T, dir string) {
			p := files(t, dir)[0]
			l := lines(t, p)
			l[1], l[0] = l[0], l[1]
			require.NoError(t, os.WriteFile(p, bytes.Join(l, nil), 0o600))
		}, "follows record 2", 1},
		"a removed segment": {func(t *testing.T, dir string) { require.NoError(t, os.Remove(files(t, dir)[1])) }, "follows record", 0},
		"a line that is no record": {func(t *testing.T, dir string) {
			p := files(t, dir)[0]
			require.NoError(t, os.WriteFile(p, append(contents(t, p), "hello\n"...), 0o600))
		}, "not a record", 0},
		"a cut segment": {func(t *testing.T, dir string) {
			p := files(t, dir)[0]
			require.NoError(t, os.Truncate(p, int64(len(contents(t, p))-3)))
		}, "the line has no end", 0},
		"a first record that claims another before it": {func(t *testing.T, dir string) {
			p := files(t, dir)[0]
			require.NoError(t, os.WriteFile(p, bytes.Replace(contents(t, p), []byte(`"prev":"00`), []byte(`"prev":"11`), 1), 0o600))
		}, "the first record names one before it", 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := written(t, 10)
			require.Equal(t, int64(10), whole(t, dir).Records)
			c.change(t, dir)
			r, err := audit.Verify(dir)
			require.NoError(t, err)
			require.NotEmpty(t, r.Breaks)
			assert.False(t, r.OK())
			assert.Contains(t, r.Breaks[0].What, c.what)
			if c.seq != 0 {
				assert.Equal(t, c.seq, r.Breaks[0].Seq)
			}
		})
	}
}

func TestVerifyAllowsArchivedSegments(t *testing.T) {
	dir := written(t, 10)
	require.NoError(t, os.Remove(files(t, dir)[0]))
	r := whole(t, dir)
	assert.Greater(t, r.First, int64(1), "and says where the log begins")
	require.NoError(t, os.Remove(files(t, dir)[0]))
	f := openLog(t, dir)
	require.NoError(t, f.Append(t.Context(), event("more"), true))
	assert.Equal(t, int64(11), whole(t, dir).Last)
}

func TestVerifyOfNothing(t *testing.T) {
	dir := t.TempDir()
	r := whole(t, dir)
	assert.Equal(t, &audit.Report{Breaks: []audit.Break{}}, r)
	tail, err := audit.Tail(dir, 3)
	require.NoError(t, err)
	assert.Empty(t, tail)
	_, err = audit.Verify(dir + "/missing")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestVerifyBesideAWriter(t *testing.T) {
	dir := t.TempDir()
	f := openLog(t, dir, func(o *audit.Options) { o.MaxSize = 20_000 })
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			assert.NoError(t, f.Append(t.Context(), event("Encrypt"), true))
		}
	}()
	for {
		r, err := audit.Verify(dir)
		require.NoError(t, err)
		require.Empty(t, r.Breaks)
		select {
		case <-done:
			assert.Equal(t, int64(300), whole(t, dir).Records)
			return
		default:
		}
	}
}

func TestRecordsFromAndStop(t *testing.T) {
	dir := written(t, 10)
	stop := errors.New("stop")
	var got []int64
	err := audit.Records(dir, 6, func(seq int64, _ []byte) error {
		if got = append(got, seq); seq == 8 {
			return stop
		}
		return nil
	})
	require.ErrorIs(t, err, stop)
	assert.Equal(t, []int64{6, 7, 8}, got)
}

// Whatever lies in a segment, it can be verified, and its last whole record is found: what is kept ends with it, and
// nothing behind it is one.
func FuzzSegment(f *testing.F) {
	dir := written(f, 3)
	good := contents(f, files(f, dir)[0])
	f.Add(good)
	f.Add(append(bytes.Clone(good), make([]byte, 70000)...))
	f.Add(append(bytes.Clone(good), "{}\n\n{\"a\":1}\nx"...))
	f.Add([]byte("{\"strongroom\":{\"seq\":1,\"prev\":\"x\"}}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		seq, end, err := audit.LastRecord(b)
		if err != nil || end < 0 || end > int64(len(b)) {
			t.Fatalf("record %d ends at %d of %d: %v", seq, end, len(b), err)
		}
		r, err := audit.VerifyText(b)
		if err != nil {
			t.Fatal(err)
		}
		switch kept := b[:end]; {
		case end == 0 && (seq != 0 || r.Records != 0):
			t.Fatalf("record %d of %d, and nothing kept", seq, r.Records)
		case end > 0 && (kept[end-1] != '\n' || r.Last != seq):
			t.Fatalf("record %d is the last, not %d", r.Last, seq)
		}
		if r, err = audit.VerifyText(b[end:]); err != nil || r.Records != 0 {
			t.Fatalf("%d records behind the last, %v", r.Records, err)
		}
	})
}
