package xksstore_test

import (
	"context"
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/backend"
	"github.com/strongroom/strongroom/xks"
	"github.com/strongroom/strongroom/xks/client"
	"github.com/strongroom/strongroom/xks/xksstore"
	"github.com/strongroom/strongroom/xks/xkstest"
)

// provoke makes a scripted proxy over real TLS fail in the way of a scenario, and gives what the client says.
func provoke(t *testing.T, scenario string) error {
	t.Helper()
	p := xkstest.Start(t)
	cfg := client.Config{
		Endpoint: p.Endpoint, URIPath: xkstest.URIPath, Region: xkstest.Region, AllowPort: true, RootCAs: p.Authority.Pool(), Timeout: time.Minute,
		Credential: sigv4.Credential{AccessKeyID: xkstest.AccessKeyID, Secret: []byte(xkstest.Secret)},
	}
	switch scenario {
	case "AWS KMS cannot establish a TCP connection":
		cfg.Endpoint = xkstest.Closed(t)
	case "AWS KMS cannot establish a TLS connection":
		cfg.RootCAs = xkstest.NewAuthority(t).Pool()
	case "AWS KMS encounters a socket timeout":
		p.Set(xkstest.Hang())
		cfg.Timeout = impatient
	case "Proxy returns a malformed response":
		p.Set(xkstest.Reply(200, "<html>"))
	default:
		name := xks.ErrorName(scenario[strings.LastIndexByte(scenario, ' ')+1:])
		require.True(t, name.Known(), scenario)
		p.Set(xkstest.Refuse(name))
	}
	c, err := client.New(cfg)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	meta := xks.RequestMetadata{PrincipalARN: "p", KMSKeyARN: "k", KMSOperation: "Decrypt", KMSRequestID: "r"}
	_, err = c.Decrypt(context.Background(), "key", &xks.DecryptRequest{Metadata: meta, Ciphertext: []byte("c"), IV: make([]byte, 12), Tag: make([]byte, 16)})
	require.Error(t, err)
	return err
}

func use(operation string) xksstore.Use {
	switch operation {
	case "CreateCustomKeyStore", "UpdateCustomKeyStore":
		return xksstore.ForStore
	case "CreateKey":
		return xksstore.ForKey
	}
	return xksstore.ForCrypt
}

// Every row of the specification's table, against real failures of a real connection.
func TestEveryRow(t *testing.T) {
	t.Parallel()
	file, err := os.Open(filepath.Join("..", "..", "testdata", "xks", "kms-errors.csv"))
	require.NoError(t, err)
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 121)
	failures := map[string]error{}
	for _, row := range rows[1:] {
		scenario, operation, exception, message := row[0], row[1], row[2], row[3]
		var fault *keystore.Fault
		switch scenario {
		case "Custom key store is not in CONNECTED state":
			fault = xksstore.NotConnected(use(operation))
		case "Proxy returns an invalid ciphertext":
			fault = xksstore.InvalidInner(errors.New("inner tag"))
		default:
			if failures[scenario] == nil {
				failures[scenario] = provoke(t, scenario)
			}
			fault = xksstore.Fault(failures[scenario], use(operation))
			assert.ErrorIs(t, fault, failures[scenario], "the cause is kept for the log")
		}
		if exception == "XksKeyInvalidResponseException" {
			exception = "UnsupportedOperationException" // no AWS SDK knows the other; the fact sheet names both
		}
		assert.Equal(t, exception, string(fault.Kind)+"Exception", "%s, %s", scenario, operation)
		assert.Equal(t, message, fault.Text, "%s, %s", scenario, operation)
	}
	assert.Len(t, failures, 16)
	unreachable := xksstore.Fault(failures["AWS KMS cannot establish a TCP connection"], xksstore.ForCrypt)
	assert.Equal(t, backend.Unreachable(keystore.StoreXKS, backend.CallUse).Text, unreachable.Text, "one text in both tables")
}

// What the table leaves out: errors that GetHealthStatus cannot sensibly give.
func TestGapsAreMalformedResponses(t *testing.T) {
	for _, name := range xks.ErrorNames() {
		err := &client.Error{Class: client.Refused, Proxy: xks.NewError(name, "the proxy's own words")}
		for _, u := range []xksstore.Use{xksstore.ForStore, xksstore.ForKey, xksstore.ForCrypt} {
			fault := xksstore.Fault(err, u)
			assert.NotEmpty(t, fault.Kind)
			assert.NotEmpty(t, fault.Text)
			assert.NotContains(t, fault.Text, "own words")
		}
		if !name.AllowedFor(xks.OpHealth) || name == xks.InvalidStateException || name == xks.UnsupportedOperationException {
			assert.Equal(t, keystore.KindXksProxyInvalidResponse, xksstore.Fault(err, xksstore.ForStore).Kind, name)
		}
	}
	for _, class := range client.Classes() {
		err := &client.Error{Class: class, Proxy: xks.NewError("NeverHeardOf", "")}
		assert.NotEmpty(t, xksstore.Fault(err, xksstore.ForCrypt).Kind, class)
		assert.NotEmpty(t, xksstore.ConnectCode(err), class)
	}
	assert.Equal(t, keystore.KindInternal, xksstore.Fault(errors.New("a bug"), xksstore.ForCrypt).Kind)
	assert.Equal(t, keystore.ConnInternalError, xksstore.ConnectCode(errors.New("a bug")))
}

func TestConnectCodes(t *testing.T) {
	refused := func(name xks.ErrorName) error {
		return &client.Error{Class: client.Refused, Proxy: xks.NewError(name, "")}
	}
	for err, want := range map[error]keystore.ConnErrorCode{
		refused(xks.AuthenticationFailedException): keystore.ConnInvalidCredentials,
		refused(xks.AccessDeniedException):         keystore.ConnXksAccessDenied,
		refused(xks.InvalidURIPathException):       keystore.ConnXksInvalidConfig,
		refused(xks.ValidationException):           keystore.ConnXksInvalidResponse,
		refused(xks.InternalException):             keystore.ConnXksInvalidResponse,
		refused(xks.DependencyTimeoutException):    keystore.ConnXksTimedOut,
		&client.Error{Class: client.TLS}:           keystore.ConnXksInvalidTLS,
		&client.Error{Class: client.Unreachable}:   keystore.ConnXksNotReachable,
		&client.Error{Class: client.Timeout}:       keystore.ConnXksTimedOut,
		&client.Error{Class: client.Malformed}:     keystore.ConnXksInvalidResponse,
		xksstore.ErrUnhealthy:                      keystore.ConnXksNotReachable,
	} {
		assert.Equal(t, want, xksstore.ConnectCode(err), err)
	}
}

func TestHealth(t *testing.T) {
	h := &xks.HealthResponse{Instances: []xks.Instance{{Status: xks.Unavailable}, {Status: xks.Degraded}}}
	require.NoError(t, xksstore.CheckHealth(h))
	h.Instances[1].Status = xks.Unavailable
	err := xksstore.CheckHealth(h)
	require.ErrorIs(t, err, xksstore.ErrUnhealthy)
	assert.Equal(t, keystore.KindXksProxyURIUnreachable, xksstore.Fault(err, xksstore.ForStore).Kind)
	assert.Contains(t, xksstore.Fault(err, xksstore.ForCrypt).Text, "is in an unhealthy state")
}

func TestCheckKey(t *testing.T) {
	good := func() *xks.MetadataResponse {
		return &xks.MetadataResponse{KeySpec: "AES_256", KeyUsage: []string{"DECRYPT", "WRAP", "ENCRYPT"}, KeyStatus: xks.KeyEnabled}
	}
	require.Nil(t, xksstore.CheckKey(good()))
	tests := map[string]struct {
		change func(*xks.MetadataResponse)
		text   string
	}{
		"spec": {func(m *xks.MetadataResponse) { m.KeySpec = "AES_128" },
			"The key spec of the external key must be AES_256. The key spec of specified external key is AES_128."},
		"status": {func(m *xks.MetadataResponse) { m.KeyStatus = xks.KeyDisabled },
			"The status of the external key must be ENABLED. The status of specified external key is DISABLED."},
		"usage": {func(m *xks.MetadataResponse) { m.KeyUsage = []string{"ENCRYPT", "WRAP"} },
			"The key usage of the external key must include ENCRYPT and DECRYPT. The key use of specified external key is ENCRYPT, WRAP."},
		"unprintable": {func(m *xks.MetadataResponse) { m.KeySpec = "x\n" + strings.Repeat("y", 300) }, "x?yyy"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := good()
			tt.change(m)
			fault := xksstore.CheckKey(m)
			require.NotNil(t, fault)
			assert.Equal(t, keystore.KindXksKeyInvalidConfiguration, fault.Kind)
			assert.Contains(t, fault.Text, tt.text)
			assert.Less(t, len(fault.Text), 300)
		})
	}
}
