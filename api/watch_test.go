package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/assert"

	"github.com/strongroom/strongroom/api"
)

// watch looks at every answer that the tests of this package provoke: an answer of an operation has members that the SDK's
// output has, of its types, and no nulls; an error has a name, and a message or none.
func watch(t testing.TB, h http.Handler) http.Handler {
	w := &watcher{Handler: h, noOutput: map[string]bool{}}
	for _, row := range api.Rows() {
		w.noOutput[string(row.Name)] = row.NoOutput
	}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		assert.Empty(t, w.problems)
	})
	return w
}

type watcher struct {
	http.Handler
	noOutput map[string]bool
	mu       sync.Mutex
	problems []string
}

// kept is an answer on its way to the client.
type kept struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (k *kept) WriteHeader(status int) { k.status = status; k.ResponseWriter.WriteHeader(status) }

func (k *kept) Write(b []byte) (int, error) {
	k.body.Write(b)
	return k.ResponseWriter.Write(b)
}

// ServeHTTP implements http.Handler.
func (w *watcher) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	k := &kept{ResponseWriter: rw}
	w.Handler.ServeHTTP(k, r)
	operation := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if err := w.check(operation, k); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.problems = append(w.problems, fmt.Sprintf("%s: %d %s: %v", operation, k.status, k.body.String(), err))
	}
}

func (w *watcher) check(operation string, k *kept) error {
	if got := k.Header().Get("Content-Type"); got != "application/x-amz-json-1.1" {
		return fmt.Errorf("content type %q", got)
	}
	if got := k.Header().Get("Cache-Control"); !strings.Contains(got, "no-store") {
		return fmt.Errorf("the answer may be kept on the way: %q", got)
	}
	if k.status == http.StatusOK && w.noOutput[operation] {
		if k.body.Len() > 0 {
			return fmt.Errorf("a body where the model has no output")
		}
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(k.body.Bytes()))
	dec.UseNumber()
	var body map[string]any
	if err := dec.Decode(&body); err != nil {
		return err
	}
	if k.status != http.StatusOK {
		return checkError(body)
	}
	method, ok := reflect.TypeFor[*kms.Client]().MethodByName(operation)
	if !ok {
		return fmt.Errorf("the SDK has no such operation")
	}
	return checkValue(operation, body, method.Type.Out(0).Elem())
}

func checkError(body map[string]any) error {
	for name, v := range body {
		text, _ := v.(string)
		if name != "__type" && name != "message" || text == "" {
			return fmt.Errorf("member %s of an error is %v", name, v)
		}
	}
	if body["__type"] == nil {
		return fmt.Errorf("an error without a name")
	}
	return nil
}

// checkValue holds a value of JSON against a type of the SDK.
func checkValue(path string, v any, want reflect.Type) error {
	if want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	kind := "a string"
	ok := false
	switch {
	case want == reflect.TypeFor[time.Time](), want.Kind() == reflect.Int32, want.Kind() == reflect.Int64:
		kind = "a number"
		_, ok = v.(json.Number)
	case want.Kind() == reflect.Bool:
		kind = "a boolean"
		_, ok = v.(bool)
	case want.Kind() == reflect.String, want == reflect.TypeFor[[]byte]():
		_, ok = v.(string)
	case want.Kind() == reflect.Slice:
		kind = "a list"
		var list []any
		list, ok = v.([]any)
		for i, e := range list {
			if err := checkValue(fmt.Sprintf("%s[%d]", path, i), e, want.Elem()); err != nil {
				return err
			}
		}
	default:
		kind = "an object"
		var members map[string]any
		members, ok = v.(map[string]any)
		for name, e := range members {
			of := reflect.TypeFor[string]() // a map's
			if want.Kind() == reflect.Struct {
				field, there := want.FieldByName(name)
				if !there {
					return fmt.Errorf("%s.%s is not in the SDK's output", path, name)
				}
				of = field.Type
			}
			if err := checkValue(path+"."+name, e, of); err != nil {
				return err
			}
		}
	}
	if !ok {
		return fmt.Errorf("%s is %v, not %s", path, v, kind)
	}
	return nil
}

func TestTheWatcherSees(t *testing.T) {
	for name, c := range map[string]struct {
		operation, body string
		status          int
		ok              bool
	}{
		"good":           {"ListKeys", `{"Keys":[{"KeyId":"a","KeyArn":"b"}],"Truncated":false}`, 200, true},
		"a null":         {"ListKeys", `{"Keys":[],"Truncated":false,"NextMarker":null}`, 200, false},
		"a new member":   {"ListKeys", `{"Keys":[{"KeyIdd":"a"}]}`, 200, false},
		"a date in text": {"DescribeKey", `{"KeyMetadata":{"CreationDate":"2026-01-01"}}`, 200, false},
		"a date":         {"DescribeKey", `{"KeyMetadata":{"CreationDate":1.5}}`, 200, true},
		"no output":      {"EnableKey", `{}`, 200, false},
		"an error":       {"EnableKey", `{"__type":"E"}`, 400, true},
		"no message":     {"EnableKey", `{"__type":"E","message":""}`, 400, false},
		"no name":        {"EnableKey", `{"message":"m"}`, 400, false},
	} {
		k := &kept{ResponseWriter: headerOnly{"Content-Type": {"application/x-amz-json-1.1"}, "Cache-Control": {"no-store"}}, status: c.status}
		k.body.WriteString(c.body)
		w := &watcher{noOutput: map[string]bool{"EnableKey": true}}
		assert.Equal(t, c.ok, w.check(c.operation, k) == nil, name)
	}
}

// headerOnly is a ResponseWriter that has a header and nothing else.
type headerOnly http.Header

func (h headerOnly) Header() http.Header       { return http.Header(h) }
func (headerOnly) Write(b []byte) (int, error) { return len(b), nil }
func (headerOnly) WriteHeader(int)             {}
