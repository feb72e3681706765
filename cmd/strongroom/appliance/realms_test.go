package appliance_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/xkstest"
)

// An external key that a KMS key rests on is not deleted, whichever realm of its token the command names.
func TestKeysInUseAreKeptInEveryRealm(t *testing.T) {
	h := newHouse(t, patient, func(c *config.Config) {
		twin := c.XKS.Realms[0]
		twin.Name, twin.PathPrefix = "twin", strings.TrimSuffix(xkstest.URIPath, xks.BasePath)
		c.XKS.Realms = append(c.XKS.Realms, twin)
	})
	c := admin.NewClient(h.socket)
	defer c.Close()
	call := func(method, path string, in any) error {
		return c.Call(context.Background(), method, admin.PathRealms+path, in, new(admin.ExternalKey))
	}
	for _, id := range []string{"used", "unused"} {
		require.NoError(t, call(http.MethodPost, "/dev/keys", admin.NewExternalKey{ID: id, Usage: "both"}))
		require.NoError(t, call(http.MethodPost, "/dev/keys/"+id+"/disable", admin.Empty{}))
	}
	p, _ := h.proxy()
	store := h.create(t, p)
	h.connect(t, store)
	key, err := h.createKey(t.Context(), store, "used")
	require.NoError(t, err)

	for _, realm := range []string{"twin", "dev"} {
		assert.ErrorContains(t, call(http.MethodDelete, "/"+realm+"/keys/used", nil), *key.Arn, realm)
	}
	require.NoError(t, call(http.MethodDelete, "/dev/keys/unused", nil))
	require.NoError(t, call(http.MethodDelete, "/dev/keys/used?force=true", nil))
}
