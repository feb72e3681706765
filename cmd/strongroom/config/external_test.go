package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
)

func TestExternalStores(t *testing.T) {
	problems := func(text string) []string {
		t.Helper()
		c, err := config.Parse([]byte(minimal + "external_stores: " + text + "\n"))
		require.NoError(t, err)
		var all []string
		for _, p := range c.Validate() {
			all = append(all, p.Field+": "+p.Message)
		}
		return all
	}
	assert.Empty(t, problems(`{ca_files: [/etc/ca.pem], certificate: /c.pem, key: /k.pem, timeout_ms: 500, connections: 8, health_seconds: 10}`))
	assert.Equal(t, []string{
		"external_stores.timeout_ms: -1 is less than nothing",
		"external_stores.connections: -2 is less than nothing",
		"external_stores.health_seconds: -3 is less than nothing",
		`external_stores.ca_files: "ca.pem" is not an absolute path`,
		"external_stores.key: certificate and key go together; write both or neither",
	}, problems(`{ca_files: [ca.pem], key: /k.pem, timeout_ms: -1, connections: -2, health_seconds: -3}`))

	assert.Empty(t, problems(`{endpoints: [{endpoint: "https://a.example.com", ca_files: [/ca.pem], certificate: /c.pem, key: /k.pem}, {endpoint: "https://b.example.com"}]}`))
	assert.Equal(t, []string{
		"external_stores.endpoints[0].endpoint: URI endpoint must be https:// and a host name, of 10 to 128 characters",
		`external_stores.endpoints[0].ca_files: "ca.pem" is not an absolute path`,
		"external_stores.endpoints[2].endpoint: https://B.example.com is there twice",
		"external_stores.endpoints[2].key: certificate and key go together; write both or neither",
	}, problems(`{endpoints: [{endpoint: "https://a.example.com:8443", ca_files: [ca.pem]}, {endpoint: "https://b.example.com"}, {endpoint: "https://B.example.com", key: /k.pem}]}`))
}
