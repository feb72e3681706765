package admin_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
)

func TestSecretsAreInJSONAlone(t *testing.T) {
	const secret = "hunter2"
	for _, v := range []any{
		admin.AccessKey{AccessKeyID: "AKIA", Secret: secret}, admin.NewRealmCredential{AccessKeyID: "AKIA", Secret: secret},
		admin.RealmSecret{AccessKeyID: "AKIA", Secret: secret},
		admin.Principal{ARN: "arn", AccessKeys: []admin.AccessKey{{AccessKeyID: "AKIA", Secret: secret}}},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			shown := fmt.Sprintf(verb, v)
			assert.Contains(t, shown, "AKIA:[redacted]", verb)
			assert.NotContains(t, shown, secret, verb)
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("it", "value", v)
		assert.NotContains(t, log.String(), secret)
		text, err := json.Marshal(v)
		require.NoError(t, err)
		assert.Contains(t, string(text), secret, "the socket carries it")
	}
}
