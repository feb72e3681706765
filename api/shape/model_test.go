package shape_test

import (
	"bufio"
	"context"
	"errors"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
)

// requests has the request of every operation.
var requests = map[keystore.Action]func() shape.Request{
	"CancelKeyDeletion":         func() shape.Request { return new(shape.KeyRequest) },
	"ConnectCustomKeyStore":     func() shape.Request { return new(shape.StoreRequest) },
	"CreateAlias":               func() shape.Request { return new(shape.AliasRequest) },
	"CreateCustomKeyStore":      func() shape.Request { return new(shape.CreateCustomKeyStoreRequest) },
	"CreateGrant":               func() shape.Request { return new(shape.CreateGrantRequest) },
	"CreateKey":                 func() shape.Request { return new(shape.CreateKeyRequest) },
	"Decapsulate":               func() shape.Request { return new(shape.DecapsulateRequest) },
	"Decrypt":                   func() shape.Request { return new(shape.DecryptRequest) },
	"DeleteAlias":               func() shape.Request { return new(shape.DeleteAliasRequest) },
	"DeleteCustomKeyStore":      func() shape.Request { return new(shape.StoreRequest) },
	"DeleteImportedKeyMaterial": func() shape.Request { return new(shape.DeleteImportedKeyMaterialRequest) },
	"DeriveSharedSecret":        func() shape.Request { return new(shape.DeriveSharedSecretRequest) },
	"DescribeCustomKeyStores":   func() shape.Request { return new(shape.DescribeCustomKeyStoresRequest) },
	"DescribeKey":               func() shape.Request { return new(shape.DescribeKeyRequest) },
	"DisableKey":                func() shape.Request { return new(shape.KeyRequest) },
	"DisableKeyRotation":        func() shape.Request { return new(shape.KeyRequest) },
	"DisconnectCustomKeyStore":  func() shape.Request { return new(shape.StoreRequest) },
	"EnableKey":                 func() shape.Request { return new(shape.KeyRequest) },
	"EnableKeyRotation":         func() shape.Request { return new(shape.EnableKeyRotationRequest) },
	"Encapsulate":               func() shape.Request { return new(shape.EncapsulateRequest) },
	"Encrypt":                   func() shape.Request { return new(shape.EncryptRequest) },
	"GenerateDataKey":           func() shape.Request { return new(shape.GenerateDataKeyRequest) },
	"GenerateDataKeyPair":       func() shape.Request { return new(shape.GenerateDataKeyPairRequest) },
	"GenerateDataKeyPairWithoutPlaintext": func() shape.Request {
		return new(shape.GenerateDataKeyPairWithoutPlaintextRequest)
	},
	"GenerateDataKeyWithoutPlaintext": func() shape.Request { return new(shape.GenerateDataKeyWithoutPlaintextRequest) },
	"GenerateMac":                     func() shape.Request { return new(shape.GenerateMacRequest) },
	"GenerateRandom":                  func() shape.Request { return new(shape.GenerateRandomRequest) },
	"GetKeyLastUsage":                 func() shape.Request { return new(shape.KeyRequest) },
	"GetKeyPolicy":                    func() shape.Request { return new(shape.GetKeyPolicyRequest) },
	"GetKeyRotationStatus":            func() shape.Request { return new(shape.KeyRequest) },
	"GetParametersForImport":          func() shape.Request { return new(shape.GetParametersForImportRequest) },
	"GetPublicKey":                    func() shape.Request { return new(shape.DescribeKeyRequest) },
	"ImportKeyMaterial":               func() shape.Request { return new(shape.ImportKeyMaterialRequest) },
	"ListAliases":                     func() shape.Request { return new(shape.ListAliasesRequest) },
	"ListGrants":                      func() shape.Request { return new(shape.ListGrantsRequest) },
	"ListKeyPolicies":                 func() shape.Request { return new(shape.ListOfKeyRequest) },
	"ListKeyRotations":                func() shape.Request { return new(shape.ListKeyRotationsRequest) },
	"ListKeys":                        func() shape.Request { return new(shape.ListKeysRequest) },
	"ListResourceTags":                func() shape.Request { return new(shape.ListOfKeyRequest) },
	"ListRetirableGrants":             func() shape.Request { return new(shape.ListRetirableGrantsRequest) },
	"PutKeyPolicy":                    func() shape.Request { return new(shape.PutKeyPolicyRequest) },
	"ReEncrypt":                       func() shape.Request { return new(shape.ReEncryptRequest) },
	"ReplicateKey":                    func() shape.Request { return new(shape.ReplicateKeyRequest) },
	"RetireGrant":                     func() shape.Request { return new(shape.RetireGrantRequest) },
	"RevokeGrant":                     func() shape.Request { return new(shape.RevokeGrantRequest) },
	"RotateKeyOnDemand":               func() shape.Request { return new(shape.KeyRequest) },
	"ScheduleKeyDeletion":             func() shape.Request { return new(shape.ScheduleKeyDeletionRequest) },
	"Sign":                            func() shape.Request { return new(shape.SignRequest) },
	"TagResource":                     func() shape.Request { return new(shape.TagResourceRequest) },
	"UntagResource":                   func() shape.Request { return new(shape.UntagResourceRequest) },
	"UpdateAlias":                     func() shape.Request { return new(shape.AliasRequest) },
	"UpdateCustomKeyStore":            func() shape.Request { return new(shape.UpdateCustomKeyStoreRequest) },
	"UpdateKeyDescription":            func() shape.Request { return new(shape.UpdateKeyDescriptionRequest) },
	"UpdatePrimaryRegion":             func() shape.Request { return new(shape.UpdatePrimaryRegionRequest) },
	"Verify":                          func() shape.Request { return new(shape.VerifyRequest) },
	"VerifyMac":                       func() shape.Request { return new(shape.VerifyMacRequest) },
}

func TestEveryActionHasARequest(t *testing.T) {
	assert.Equal(t, keystore.Actions(), slices.Sorted(maps.Keys(requests)))
}

// TestMembersAreTheSDKs compares members, required members and enumerations with the newest SDK.
func TestMembersAreTheSDKs(t *testing.T) {
	client := reflect.ValueOf(kms.New(kms.Options{Region: "us-east-1", Credentials: aws.AnonymousCredentials{}}))
	for action, request := range requests {
		t.Run(string(action), func(t *testing.T) {
			call := client.MethodByName(string(action))
			input := call.Type().In(1).Elem()
			members := shape.Describe(request())
			assert.ElementsMatch(t, fields(input), names(members))
			assert.ElementsMatch(t, missing(call, input), required(members))
			compareEnums(t, input, members)
		})
	}
}

func fields(input reflect.Type) []string {
	var all []string
	for f := range input.Fields() {
		if f.IsExported() {
			all = append(all, f.Name)
		}
	}
	return all
}

func names(members []shape.Described) []string {
	var all []string
	for _, m := range members {
		all = append(all, m.Name)
	}
	return all
}

func required(members []shape.Described) []string {
	var all []string
	for _, m := range members {
		if m.Required {
			all = append(all, m.Name)
		}
	}
	return all
}

// missing asks the SDK's own validation what an empty request lacks.
func missing(call reflect.Value, input reflect.Type) []string {
	out := call.Call([]reflect.Value{reflect.ValueOf(context.Background()), reflect.New(input)})
	var invalid smithy.InvalidParamsError
	if err, _ := out[1].Interface().(error); !errors.As(err, &invalid) {
		return nil
	}
	var all []string
	for _, e := range invalid.Errs() {
		var param smithy.InvalidParamError
		if errors.As(e, &param) {
			all = append(all, param.Field()[strings.LastIndexByte(param.Field(), '.')+1:])
		}
	}
	return all
}

// compareEnums compares the enumerations of members whose SDK type lists its values.
func compareEnums(t *testing.T, input reflect.Type, members []shape.Described) {
	t.Helper()
	for _, m := range members {
		field, ok := input.FieldByName(m.Name)
		if !ok {
			continue
		}
		kind, rule := field.Type, &m.Rule
		if kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.String && m.Inner != nil {
			kind, rule = kind.Elem(), m.Inner
		}
		list := reflect.Zero(kind).MethodByName("Values")
		if !list.IsValid() {
			assert.Empty(t, rule.Enum, m.Name)
			continue
		}
		values := list.Call(nil)[0]
		var want []string
		for i := range values.Len() {
			want = append(want, values.Index(i).String())
		}
		assert.Equal(t, want, rule.Enum, m.Name)
	}
}

// TestConstraintsAreTheModels compares lengths, patterns and what is sensitive with a copy of the model's facts.
func TestConstraintsAreTheModels(t *testing.T) {
	f, err := os.Open("../../testdata/vectors/api/constraints.tsv")
	require.NoError(t, err)
	defer f.Close()
	rows := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		rows++
		row := strings.Split(lines.Text(), "\t")
		require.Len(t, row, 8)
		compareRow(t, row)
	}
	assert.Equal(t, 252, rows)
}

func compareRow(t *testing.T, row []string) {
	t.Helper()
	at := row[0] + " " + row[1]
	rule, bounded, isRequired := find(t, row)
	// Encryption contexts, booleans and the like have no constraint of their own.
	if row[4] != "" || row[5] != "" {
		assert.True(t, bounded, at)
		assert.Equal(t, row[4:6], []string{strconv.Itoa(rule.Min), strconv.Itoa(rule.Max)}, at)
	} else {
		assert.False(t, bounded, at)
	}
	assert.Equal(t, row[6], rule.Pattern, at)
	assert.Equal(t, row[7] == "sensitive", rule.Sensitive, at)
	// Grantee and retiring principal may be services since May 2026, so that these two are not required any more.
	if row[1] != "GranteePrincipal" && row[1] != "RetiringPrincipal" {
		assert.Equal(t, row[3] == "required", isRequired, at)
	}
}

// find finds the rule of a row: "Name", "List[]", "List[].Name" or "Structure.Name".
func find(t *testing.T, row []string) (rule shape.Rule, bounded, isRequired bool) {
	t.Helper()
	name, nested, isNested := strings.Cut(strings.Replace(row[1], "[].", ".", 1), ".")
	name, isElement := strings.CutSuffix(name, "[]")
	members := shape.Describe(requests[keystore.Action(row[0])]())
	at := slices.IndexFunc(members, func(m shape.Described) bool { return m.Name == name })
	require.GreaterOrEqual(t, at, 0, row[1])
	m := members[at]
	if isNested {
		inner := m.Nested
		if inner == nil {
			inner = shape.TagMembers()
		}
		at := slices.IndexFunc(inner, func(m shape.Described) bool { return m.Name == nested })
		require.GreaterOrEqual(t, at, 0, row[1])
		m = inner[at]
	}
	if isElement {
		return *m.Inner, m.InnerBounded(), false
	}
	return m.Rule, m.Bounded, m.Required
}
