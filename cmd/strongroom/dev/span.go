package dev

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseSpan reads a span of time such as 7d, 36h, 90m or 7d12h.
func ParseSpan(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no span of time; write it like 7d, 36h, 90m or 7d12h", s)
	var total time.Duration
	days, rest, found := strings.Cut(s, "d")
	if !found {
		days, rest = "", s
	} else {
		n, err := strconv.ParseUint(days, 10, 17)
		if err != nil || n > uint64(maxLead/(24*time.Hour)) {
			return 0, bad
		}
		total = time.Duration(n) * 24 * time.Hour
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || d > maxLead {
			return 0, bad
		}
		total += d
	}
	if total <= 0 {
		return 0, bad
	}
	return total, nil
}
