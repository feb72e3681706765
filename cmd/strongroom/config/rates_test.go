package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/cmd/strongroom/config"
)

func TestRequestRates(t *testing.T) {
	for name, c := range map[string]struct{ limits, problem string }{
		"none":             {`{}`, ""},
		"AWS's":            {`{request_rates: aws}`, ""},
		"own":              {`{request_rate: {CreateKey: 0.5, CryptographicRSA: 20, GenerateDataKeyPair/RSA_2048: 3, DescribeKey: 0}}`, ""},
		"AWS's, but":       {`{request_rates: aws, request_rate: {CryptographicSymmetric: 500}}`, ""},
		"other defaults":   {`{request_rates: azure}`, `"azure" is neither empty nor aws`},
		"of no operation":  {`{request_rate: {Fly: 1}}`, `there is no request quota "Fly"`},
		"of no own quota":  {`{request_rate: {Encrypt: 1}}`, `there is no request quota "Encrypt"`},
		"less than none":   {`{request_rate: {CreateKey: -1}}`, "CreateKey: -1 is no number of requests a second"},
		"more than any":    {`{request_rate: {CreateKey: 1e12}}`, "is no number of requests a second"},
		"not a number":     {`{request_rate: {CreateKey: .nan}}`, "CreateKey: NaN is no number of requests a second"},
		"not even numeric": {`{request_rate: {CreateKey: fast}}`, "want a number here, found text"},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := config.Parse([]byte(minimal + "limits: " + c.limits + "\n"))
			if err != nil {
				require.NotEmpty(t, c.problem, "%v", err)
				assert.Contains(t, err.Error(), c.problem)
				return
			}
			var found []string
			for _, p := range parsed.Validate() {
				if strings.Contains(p.String(), "limits.") {
					found = append(found, p.String())
				}
			}
			if c.problem == "" {
				assert.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			assert.Contains(t, found[0], c.problem)
		})
	}
}
