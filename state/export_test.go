package state

import (
	"io"
	"syscall"
)

// Inherit gives what a process that is being started has of a lock for a moment, until it becomes its own program.
func Inherit(lock io.Closer) (fd int, err error) { return syscall.Dup(int(lock.(*dirLock).file.Fd())) }

// Cache opens the directory's cache to tests, with strings as values; a value takes its length in bytes.
type Cache struct{ c cache[string] }

// NewCache makes a cache of so many bytes.
func NewCache(limit int64) *Cache {
	var c Cache
	c.c.init(limit, func(s *string) int64 { return int64(len(*s)) })
	return &c
}

// Get tells also whether the value is held.
func (c *Cache) Get(name string) (string, bool) {
	v := c.c.get(ref{region: "r", name: name})
	if v == nil {
		return "", false
	}
	return *v, true
}

// Put and the others are those of the cache.
func (c *Cache) Put(name, v string)             { c.c.put(ref{region: "r", name: name}, &v) }
func (c *Cache) Drop(name string)               { c.c.drop(ref{region: "r", name: name}) }
func (c *Cache) Generation(name string) uint64  { return c.c.generation(ref{region: "r", name: name}) }
func (c *Cache) Fill(name, v string, at uint64) { c.c.fill(ref{region: "r", name: name}, &v, at) }
func (c *Cache) Size() (bytes int64, count int) { return c.c.bytes, c.c.count }
func (c *Cache) Buckets() int                   { return len(c.c.table.Load().buckets) }
func (c *Cache) Longest() (longest int) {
	t := c.c.table.Load()
	for i := range t.buckets {
		n := 0
		for e := t.buckets[i].Load(); e != nil; e = e.next.Load() {
			n++
		}
		longest = max(longest, n)
	}
	return longest
}
