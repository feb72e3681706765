package principals_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/principals"
)

func TestNewKeysKeepTheirSecret(t *testing.T) {
	k := principals.NewKey{AccessKeyID: "AKIA", Secret: "hunter2"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		assert.Equal(t, "AKIA:[redacted]", fmt.Sprintf(verb, k), verb)
		assert.NotContains(t, fmt.Sprintf(verb, &k), "hunter2", verb)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("made", "key", k, "in", struct{ Key principals.NewKey }{k})
	assert.NotContains(t, log.String(), "hunter2")
	text, err := json.Marshal(k)
	require.NoError(t, err)
	assert.JSONEq(t, `"AKIA:[redacted]"`, string(text))
}
