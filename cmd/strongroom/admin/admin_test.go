package admin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
)

type echo struct {
	Text string `json:"text"`
}

// serve runs a server on a socket in a directory until the test ends.
func serve(t *testing.T, path string) *admin.Client {
	t.Helper()
	s := admin.NewServer(slog.New(slog.DiscardHandler))
	admin.Handle(s, "POST /echo/{name}", func(_ context.Context, r admin.Request, in echo) (echo, error) {
		switch r.Path("name") {
		case "missing":
			return echo{}, admin.NotFound(errors.New("there is no such thing"))
		case "busy":
			return echo{}, fmt.Errorf("wrapped: %w", admin.Conflict(errors.New("not now")))
		case "broken":
			return echo{}, errors.New("out of order")
		}
		return echo{r.Path("name") + " " + r.Query("q") + " " + in.Text}, nil
	})
	l, err := admin.Listen(path)
	require.NoError(t, err)
	server := s.HTTP()
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		assert.ErrorIs(t, <-done, http.ErrServerClosed)
		assert.NoFileExists(t, path)
	})
	c := admin.NewClient(path)
	t.Cleanup(c.Close)
	return c
}

func TestCalls(t *testing.T) {
	ctx := context.Background()
	c := serve(t, filepath.Join(t.TempDir(), "admin.sock"))
	// Larger by a little: the server leaves so little unread that a slow client can always send the whole of it first.
	tooLarge := echo{strings.Repeat("a", 1<<20)}
	var out echo
	require.NoError(t, c.Call(ctx, http.MethodPost, "/echo/user%2Fa?q=b", echo{"c"}, &out))
	assert.Equal(t, "user/a b c", out.Text)
	for _, tc := range []struct {
		path, want string
		in         any
		status     int
	}{
		{"/echo/missing", "there is no such thing", echo{}, http.StatusNotFound},
		{"/echo/busy", "wrapped: not now", echo{}, http.StatusConflict},
		{"/echo/broken", "out of order", echo{}, http.StatusInternalServerError},
		{"/echo/a", `request body: json: unknown field "colour"`, map[string]string{"colour": "red"}, http.StatusBadRequest},
		{"/echo/a", "request body: http: request body too large", tooLarge, http.StatusBadRequest},
		{"/nothing", "the appliance answered 404 Not Found", echo{}, http.StatusNotFound},
	} {
		err := c.Call(ctx, http.MethodPost, tc.path, tc.in, &out)
		var r *admin.Refusal
		require.ErrorAs(t, err, &r, tc.path)
		assert.Equal(t, tc.want, r.Message)
		assert.Equal(t, tc.status, r.Status)
	}
}

func TestSocket(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.sock")
	err := admin.NewClient(path).Call(ctx, http.MethodGet, "/", nil, nil)
	assert.ErrorContains(t, err, "no appliance answers at "+path)

	// A file that is no socket is left alone.
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	_, err = admin.Listen(path)
	assert.ErrorContains(t, err, "is there and is no socket; move it away")
	require.NoError(t, os.Remove(path))

	// What a dead process left is replaced, and nobody else can open it.
	dead, err := admin.Listen(path)
	require.NoError(t, err)
	serve(t, path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_ = dead
}

// A path that does not fit a socket address works all the same.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	require.NoError(t, os.Mkdir(dir, 0o700))
	c := serve(t, filepath.Join(dir, "admin.sock"))
	var out echo
	require.NoError(t, c.Call(context.Background(), http.MethodPost, "/echo/a", echo{"b"}, &out))
}
