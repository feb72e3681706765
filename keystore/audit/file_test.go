package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore/audit"
)

func TestDurableIsOnDiskWhenItReturns(t *testing.T) {
	dir := t.TempDir()
	f := openLog(t, dir, func(o *audit.Options) { o.FlushEvery = time.Hour })
	for i := range 5 {
		require.NoError(t, f.Append(t.Context(), event("ListKeys"), false))
		require.NoError(t, f.Append(t.Context(), event("CreateKey"), true))
		assert.Equal(t, int64(2*i+2), whole(t, dir).Last, "in order, with what was appended before")
	}
	info, err := os.Stat(files(t, dir)[0])
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestBufferedIsOnDiskSoon(t *testing.T) {
	dir := t.TempDir()
	f := openLog(t, dir)
	for range 3 {
		require.NoError(t, f.Append(t.Context(), event("Encrypt"), false))
	}
	require.Eventually(t, func() bool { return len(names(t, dir)) == 3 }, time.Minute, time.Millisecond)
	require.NoError(t, f.Append(t.Context(), event("Encrypt"), false))
	require.NoError(t, f.Sync(t.Context()))
	assert.Equal(t, int64(4), whole(t, dir).Records)
	require.NoError(t, f.Sync(t.Context()))
}

func TestConcurrentAppendsShareASync(t *testing.T) {
	dir := t.TempDir()
	d := &disk{stall: make(chan struct{}), stalled: make(chan struct{})}
	f, err := audit.OpenThrough(dir, options(), d.openFile)
	require.NoError(t, err)
	defer f.Close()
	first := make(chan error)
	go func() { first <- f.Append(t.Context(), event("first"), true) }()
	<-d.stalled
	var wg sync.WaitGroup
	errs := make([]error, 50)
	for i := range errs {
		wg.Go(func() { errs[i] = f.Append(t.Context(), event("CreateKey"), true) })
	}
	// The disk is let go when all wait behind the first.
	stall := d.stall
	require.Eventually(t, func() bool { return f.Pending() == 50 }, time.Minute, time.Millisecond)
	d.set(func(d *disk) { d.stall = nil })
	close(stall)
	require.NoError(t, <-first)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	assert.Equal(t, 2, d.syncs)
	assert.Equal(t, int64(51), whole(t, dir).Records)
}

func TestOrderOfOneGoroutineIsKept(t *testing.T) {
	dir := t.TempDir()
	f := openLog(t, dir, func(o *audit.Options) { o.FlushEvery, o.MaxSize = time.Millisecond, 40_000 })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				assert.NoError(t, f.Append(t.Context(), event(fmt.Sprintf("%d %03d", g, i)), i%10 == 0))
			}
		})
	}
	wg.Wait()
	require.NoError(t, f.Close())
	assert.Equal(t, int64(800), whole(t, dir).Records)
	assert.Greater(t, len(files(t, dir)), 3, "the log rotates")
	next := map[string]int{}
	for _, n := range names(t, dir) {
		g, i, _ := strings.Cut(n, " ")
		assert.Equal(t, fmt.Sprintf("%03d", next[g]), i)
		next[g]++
	}
}

func TestRestartContinuesTheChain(t *testing.T) {
	dir := t.TempDir()
	for range 4 {
		f := openLog(t, dir, func(o *audit.Options) { o.MaxSize = 900 })
		require.NoError(t, f.Append(t.Context(), event("CreateKey"), true))
		require.NoError(t, f.Append(t.Context(), event("DescribeKey"), false))
		require.NoError(t, f.Close())
		require.NoError(t, f.Close())
		require.ErrorIs(t, f.Append(t.Context(), event("x"), true), audit.ErrClosed)
		require.ErrorIs(t, f.Healthy(), audit.ErrClosed)
	}
	r := whole(t, dir)
	assert.Equal(t, int64(8), r.Records)
	assert.Equal(t, int64(1), r.First)
	assert.Equal(t, int64(8), r.Last)
	assert.Len(t, r.LastHash, 64)
	tail, err := audit.Tail(dir, 3)
	require.NoError(t, err)
	require.Len(t, tail, 3)
	assert.Contains(t, string(tail[2]), `"seq":8`)
	assert.Contains(t, string(tail[0]), `"seq":6`)
	tail, err = audit.Tail(dir, 100)
	require.NoError(t, err)
	assert.Len(t, tail, 8)
}

// However a crash cut the last write, the log opens, keeps what was whole, and says what it cut.
func TestTornEndIsRepaired(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(b []byte) []byte
		kept   int
	}{
		"half a record":    {func(b []byte) []byte { return b[:len(b)-20] }, 2},
		"no line end":      {func(b []byte) []byte { return b[:len(b)-1] }, 2},
		"zeros":            {func(b []byte) []byte { return append(b, make([]byte, 5000)...) }, 3},
		"a line of zeros":  {func(b []byte) []byte { return append(append(b, make([]byte, 70000)...), '\n') }, 3},
		"something else":   {func(b []byte) []byte { return append(b, "{}\n{\"a\":1}\nx"...) }, 3},
		"nothing is whole": {func(b []byte) []byte { return b[:100] }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := openLog(t, dir)
			for i := range 3 {
				require.NoError(t, f.Append(t.Context(), event(fmt.Sprint("e", i)), true))
			}
			require.NoError(t, f.Close())
			path := files(t, dir)[0]
			damaged := c.damage(bytes.Clone(contents(t, path)))
			require.NoError(t, os.WriteFile(path, damaged, 0o600))
			before, err := audit.Verify(dir)
			require.NoError(t, err)
			assert.True(t, before.Partial > 0 || len(before.Breaks) > 0)

			f = openLog(t, dir)
			require.NoError(t, f.Append(t.Context(), event("after"), true))
			require.NoError(t, f.Close())
			got := names(t, dir)
			require.Len(t, got, c.kept+2)
			assert.Equal(t, []string{"AuditLogRepaired", "after"}, got[c.kept:])
			whole(t, dir)
			saved := contents(t, path+".torn")
			kept := len(damaged) - len(saved)
			assert.Equal(t, damaged[kept:], saved, "what was cut is kept aside")
			assert.Equal(t, damaged[:kept], contents(t, path)[:kept])
			info, err := os.Stat(path + ".torn")
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode())
		})
	}
}

func TestCrashWhileASegmentBegan(t *testing.T) {
	dir := t.TempDir()
	f := openLog(t, dir)
	require.NoError(t, f.Append(t.Context(), event("one"), true))
	require.NoError(t, f.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "audit-00000000000000000002.jsonl"), nil, 0o600))
	f = openLog(t, dir)
	require.NoError(t, f.Append(t.Context(), event("two"), true))
	require.NoError(t, f.Close())
	assert.Equal(t, []string{"one", "two"}, names(t, dir))
	assert.Equal(t, int64(2), whole(t, dir).Last)
	assert.Len(t, files(t, dir), 2)
}

// While the disk is in trouble every record is refused; afterwards the log goes on by itself, with a whole chain.
func TestDiskInTrouble(t *testing.T) {
	for name, trouble := range map[string]func(d *disk){
		"full":            func(d *disk) { d.write = errFull },
		"sync fails":      func(d *disk) { d.sync = errFull },
		"does not open":   func(d *disk) { d.write, d.open = errFull, errFull },
		"opens and fails": func(d *disk) { d.write, d.opened = errFull, errFull },
	} {
		for _, size := range []int64{0, 600} {
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				dir := t.TempDir()
				d := &disk{}
				o := options()
				o.MaxSize = size
				f, err := audit.OpenThrough(dir, o, d.openFile)
				require.NoError(t, err)
				require.NoError(t, f.Append(t.Context(), event("good"), true))
				d.set(trouble)
				require.ErrorIs(t, f.Append(t.Context(), event("late"), true), errFull)
				require.ErrorIs(t, f.Append(t.Context(), event("refused"), true), errFull)
				require.ErrorIs(t, f.Append(t.Context(), event("refused"), false), errFull)
				require.ErrorIs(t, f.Healthy(), errFull)
				require.ErrorIs(t, f.Sync(t.Context()), errFull)
				// A try writes before it fails, and takes back what it wrote.
				release := d.between()
				r, err := audit.Verify(dir)
				release()
				require.NoError(t, err)
				assert.Equal(t, int64(1), r.Records)
				d.mend()
				require.Eventually(t, func() bool { return f.Healthy() == nil }, time.Minute, time.Millisecond)
				require.NoError(t, f.Append(t.Context(), event("again"), true))
				require.NoError(t, f.Close())
				assert.Equal(t, []string{"good", "late", "again"}, names(t, dir))
				whole(t, dir)
			})
		}
	}
}

func TestCloseWhileTheDiskIsInTrouble(t *testing.T) {
	d := &disk{}
	o := options()
	o.RetryEvery, o.FlushEvery = time.Hour, time.Hour
	f, err := audit.OpenThrough(t.TempDir(), o, d.openFile)
	require.NoError(t, err)
	d.set(func(d *disk) { d.write = errFull })
	require.ErrorIs(t, f.Append(t.Context(), event("lost"), true), errFull)
	require.ErrorIs(t, f.Close(), errFull, "it says that records are lost")

	d.mend()
	f, err = audit.OpenThrough(t.TempDir(), o, d.openFile)
	require.NoError(t, err)
	require.NoError(t, f.Append(t.Context(), event("lost"), false))
	d.set(func(d *disk) { d.sync = errFull })
	require.ErrorIs(t, f.Close(), errFull)
}

func TestSlowDisk(t *testing.T) {
	d := &disk{stall: make(chan struct{}), stalled: make(chan struct{})}
	o := options()
	o.MaxPending = 4000
	f, err := audit.OpenThrough(t.TempDir(), o, d.openFile)
	require.NoError(t, err)
	require.NoError(t, f.Append(t.Context(), event("first"), false))
	<-d.stalled
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, f.Append(ctx, event("second"), true), context.Canceled, "nobody waits longer than they want")
	n := 0
	for err == nil {
		err = f.Append(t.Context(), event("more"), false)
		n++
	}
	require.ErrorIs(t, err, audit.ErrBehind)
	assert.Less(t, n, 100, "memory is bounded")
	stall := d.stall
	d.set(func(d *disk) { d.stall = nil })
	close(stall)
	require.NoError(t, f.Sync(t.Context()))
	require.NoError(t, f.Healthy())
	require.NoError(t, f.Close())
}

func TestRecordsHaveALimit(t *testing.T) {
	dir := t.TempDir()
	f := openLog(t, dir)
	big := event("x")
	big.RequestParameters = audit.Object{}.String("policy", strings.Repeat("x", audit.MaxRecord))
	require.ErrorIs(t, f.Append(t.Context(), big, false), audit.ErrTooLarge)
	big.RequestParameters = audit.Object{}.String("policy", strings.Repeat("x", audit.MaxRecord/2))
	require.NoError(t, f.Append(t.Context(), big, true))
	require.NoError(t, f.Append(t.Context(), event("small"), true))
	require.NoError(t, f.Close())
	f = openLog(t, dir)
	require.NoError(t, f.Append(t.Context(), event("small"), true))
	require.NoError(t, f.Close())
	assert.Equal(t, int64(3), whole(t, dir).Records)
}

func TestARecordIsOneLine(t *testing.T) {
	dir := t.TempDir()
	f := openLog(t, dir)
	e := event("Encrypt")
	e.RequestParameters = audit.WrittenObject([]byte("{\n\"a\":\n1\n}"))
	require.NoError(t, f.Append(t.Context(), e, true))
	require.NoError(t, f.Append(t.Context(), event("Decrypt"), true))
	assert.Equal(t, []string{"Encrypt", "Decrypt"}, names(t, dir))
	whole(t, dir)
}

func TestEventIDsDiffer(t *testing.T) {
	dir := t.TempDir()
	seen := map[string]bool{}
	for range 2 {
		f := openLog(t, dir)
		for range 300 {
			require.NoError(t, f.Append(t.Context(), event("Encrypt"), false))
		}
		require.NoError(t, f.Close())
	}
	require.NoError(t, audit.Records(dir, 0, func(_ int64, line []byte) error {
		_, rest, _ := strings.Cut(string(line), `"eventID":"`)
		id := rest[:36]
		assert.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
		assert.False(t, seen[id])
		seen[id] = true
		return nil
	}))
	assert.Len(t, seen, 600)
}

func TestOpenRefusesWhatIsNoDirectory(t *testing.T) {
	_, err := audit.Open(filepath.Join(t.TempDir(), "missing"), options())
	require.ErrorIs(t, err, os.ErrNotExist)
}
