package api_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api"
	"github.com/strongroom/strongroom/api/sigv4"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
	"github.com/strongroom/strongroom/keystore/crypt"
	"github.com/strongroom/strongroom/keystore/custom"
	"github.com/strongroom/strongroom/keystore/grants"
	"github.com/strongroom/strongroom/keystore/lifecycle"
)

// The services are what the front door asks for.
var (
	_ api.Crypt    = (*crypt.Service)(nil)
	_ api.Keys     = (*lifecycle.Service)(nil)
	_ api.Stores   = (*custom.Service)(nil)
	_ api.Grants   = (*grants.Service)(nil)
	_ api.AuditLog = (*audit.File)(nil)
)

// sdkOperations gives the operations of the SDK, and which have no output members.
func sdkOperations() map[string]bool {
	client := reflect.TypeFor[*kms.Client]()
	all := map[string]bool{}
	for m := range client.Methods() {
		if m.Name == "Options" {
			continue
		}
		output := m.Type.Out(0).Elem()
		all[m.Name] = output.NumField() == 2 // ResultMetadata and a marker
	}
	return all
}

func TestOperationsAreTheSDKs(t *testing.T) {
	sdk := sdkOperations()
	var names []keystore.Action
	for _, row := range api.Rows() {
		names = append(names, row.Name)
		empty, known := sdk[string(row.Name)]
		assert.True(t, known, row.Name)
		// The store operations have an output shape without members (api-errors.md, section 1).
		assert.Equal(t, empty && !strings.HasSuffix(string(row.Name), "CustomKeyStore"), row.NoOutput, row.Name)
		assert.Positive(t, row.Limit, row.Name)
	}
	assert.Len(t, names, len(sdk))
	assert.Equal(t, keystore.Actions(), names)
}

// What changes something has to be on disk before it is answered; CloudTrail calls all else read-only.
func TestWhatIsReadOnly(t *testing.T) {
	changing := []string{"Cancel", "Connect", "Create", "Delete", "Disable", "Disconnect", "Enable", "Import", "Put", "Replicate",
		"Retire", "Revoke", "Rotate", "Schedule", "Tag", "Untag", "Update"}
	for _, row := range api.Rows() {
		changes := slices.ContainsFunc(changing, func(verb string) bool { return strings.HasPrefix(string(row.Name), verb) })
		assert.Equal(t, !changes, row.ReadOnly, row.Name)
	}
}

// Every operation of the API has a handler.
func TestServedOperations(t *testing.T) {
	for _, row := range api.Rows() {
		assert.True(t, row.Served, row.Name)
	}
}

// kinds reads the kinds from their declaration.
func kinds(t *testing.T) []keystore.Kind {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../keystore/fault.go", nil, 0)
	require.NoError(t, err)
	var all []keystore.Kind
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Kind") {
			return true
		}
		text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		require.NoError(t, err)
		all = append(all, keystore.Kind(text))
		return true
	})
	return all
}

func TestEveryKindHasAnException(t *testing.T) {
	table := api.Exceptions()
	all := kinds(t)
	assert.Len(t, all, len(table))
	for _, kind := range all {
		e, ok := table[kind]
		require.True(t, ok, kind)
		assert.Equal(t, string(kind)+"Exception", e.Name)
	}
}

// Every exception of the service's model can be answered, as the SDK knows it, with the status of api-errors.md section 2.
func TestEveryModelledExceptionHasAKind(t *testing.T) {
	byName := map[string]api.Exception{}
	for _, e := range api.Exceptions() {
		byName[e.Name] = e
	}
	modelled := []smithy.APIError{
		new(types.AlreadyExistsException), new(types.CloudHsmClusterInUseException), new(types.CloudHsmClusterInvalidConfigurationException),
		new(types.CloudHsmClusterNotActiveException), new(types.CloudHsmClusterNotFoundException), new(types.CloudHsmClusterNotRelatedException),
		new(types.ConflictException), new(types.CustomKeyStoreHasCMKsException), new(types.CustomKeyStoreInvalidStateException),
		new(types.CustomKeyStoreNameInUseException), new(types.CustomKeyStoreNotFoundException), new(types.DependencyTimeoutException),
		new(types.DisabledException), new(types.DryRunOperationException), new(types.ExpiredImportTokenException), new(types.IncorrectKeyException),
		new(types.IncorrectKeyMaterialException), new(types.IncorrectTrustAnchorException), new(types.InvalidAliasNameException),
		new(types.InvalidArnException), new(types.InvalidCiphertextException), new(types.InvalidGrantIdException),
		new(types.InvalidGrantTokenException), new(types.InvalidImportTokenException), new(types.InvalidKeyUsageException),
		new(types.InvalidMarkerException), new(types.KeyUnavailableException), new(types.KMSInternalException),
		new(types.KMSInvalidMacException), new(types.KMSInvalidSignatureException), new(types.KMSInvalidStateException),
		new(types.LimitExceededException), new(types.MalformedPolicyDocumentException), new(types.NotFoundException), new(types.TagException),
		new(types.UnsupportedOperationException), new(types.XksKeyAlreadyInUseException), new(types.XksKeyInvalidConfigurationException),
		new(types.XksKeyNotFoundException), new(types.XksProxyIncorrectAuthenticationCredentialException),
		new(types.XksProxyInvalidConfigurationException), new(types.XksProxyInvalidResponseException),
		new(types.XksProxyUriEndpointInUseException), new(types.XksProxyUriInUseException), new(types.XksProxyUriUnreachableException),
		new(types.XksProxyVpcEndpointServiceInUseException), new(types.XksProxyVpcEndpointServiceInvalidConfigurationException),
		new(types.XksProxyVpcEndpointServiceNotFoundException),
	}
	assert.Len(t, modelled, 48)
	for _, m := range modelled {
		name := reflect.TypeOf(m).Elem().Name()
		e, ok := byName[name]
		require.True(t, ok, name)
		if m.ErrorFault() == smithy.FaultServer {
			assert.GreaterOrEqual(t, e.Status, 500, name)
		} else {
			assert.Equal(t, 400, e.Status, name)
		}
	}
}

func TestEveryDefectOfASignatureHasAnException(t *testing.T) {
	table := api.Signatures()
	for _, kind := range sigv4.Kinds() {
		e, ok := table[kind]
		require.True(t, ok, kind.String())
		assert.Equal(t, http.StatusBadRequest, e.Status)
	}
	assert.Len(t, table, len(sigv4.Kinds()))
}

func TestWire(t *testing.T) {
	const internal = "The request was rejected because an internal error occurred. The request can be retried. Request ID: r1"
	for name, c := range map[string]struct {
		err       error
		exception string
		status    int
		message   string
	}{
		"fault":                {keystore.Faultf(keystore.KindNotFound, "gone"), "NotFoundException", 400, "gone"},
		"wrapped fault":        {fmt.Errorf("find: %w", keystore.Faultf(keystore.KindDisabled, "k is disabled.")), "DisabledException", 400, "k is disabled."},
		"a cause is not shown": {keystore.Faultf(keystore.KindInvalidState, "shown").Because(errors.New("hidden")), "KMSInvalidStateException", 400, "shown"},
		"silent":               {keystore.Faultf(keystore.KindInvalidCiphertext, "why"), "InvalidCiphertextException", 400, ""},
		"no text":              {&keystore.Fault{Kind: keystore.KindUnsupportedOperation}, "UnsupportedOperationException", 400, ""},
		"no kind":              {errors.New("disk I/O error at /var/lib"), "KMSInternalException", 500, internal},
		"internal with text":   {keystore.Faultf(keystore.KindInternal, "No PKCS #11 session."), "KMSInternalException", 500, "No PKCS #11 session."},
		"internal without":     {(&keystore.Fault{Kind: keystore.KindInternal}).Because(errors.New("hidden")), "KMSInternalException", 500, internal},
		"zero kind":            {&keystore.Fault{Text: "hidden"}, "KMSInternalException", 500, internal},
		"unknown kind":         {&keystore.Fault{Kind: "Surprise", Text: "hidden"}, "KMSInternalException", 500, internal},
		"deadline":             {fmt.Errorf("x: %w", context.DeadlineExceeded), "DependencyTimeoutException", 503, "The system timed out while trying to fulfill the request. You can retry the request."},
		"signature":            {&sigv4.Error{Kind: sigv4.Expired, Text: "Signature expired"}, "InvalidSignatureException", 400, "Signature expired"},
	} {
		t.Run(name, func(t *testing.T) {
			e, message := api.Wire(c.err, "r1")
			assert.Equal(t, c.exception, e.Name)
			assert.Equal(t, c.status, e.Status)
			assert.Equal(t, c.message, message)
		})
	}
}
