package state

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// stamp is a time in a column: nanoseconds since 1970 in UTC; NULL is the zero time. It keeps a time exactly.
type stamp struct{ time.Time }

func at(t time.Time) stamp {
	if t.IsZero() {
		return stamp{}
	}
	return stamp{t.Round(0).UTC()}
}

var (
	firstStamp = time.Unix(0, math.MinInt64)
	lastStamp  = time.Unix(0, math.MaxInt64)
)

// Value fails for times that nanoseconds in 64 bits cannot hold (before 1678, after 2261).
func (s stamp) Value() (driver.Value, error) {
	if s.IsZero() {
		return nil, nil
	}
	if s.Before(firstStamp) || s.After(lastStamp) {
		return nil, fmt.Errorf("time %s is out of the range that is kept", s.Format(time.RFC3339))
	}
	return s.UnixNano(), nil
}

// Scan reads what Value made.
func (s *stamp) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*s = stamp{}
	case int64:
		*s = stamp{time.Unix(0, v).UTC()}
	default:
		return fmt.Errorf("a time column holds %T", v)
	}
	return nil
}

// optional is text that is NULL where it is empty, so that rules of uniqueness and foreign keys leave it alone.
type optional string

// Value gives NULL for "".
func (o optional) Value() (driver.Value, error) {
	if o == "" {
		return nil, nil
	}
	return string(o), nil
}

// Scan reads what Value made.
func (o *optional) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*o = ""
	case string:
		*o = optional(v)
	case []byte:
		*o = optional(v)
	default:
		return fmt.Errorf("a text column holds %T", v)
	}
	return nil
}

// document is a JSON column: what is kept of an entity beyond what is asked for by query.
func document(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
