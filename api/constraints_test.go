package api_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

// fact is a row of constraints.tsv: what the service's model says of a member of a request.
type fact struct {
	operation, member, kind string
	required, sensitive     bool
	bounded                 bool
	least, most             int
	pattern                 string
	enum                    []string // from the SDK
}

// facts reads constraints.tsv, in the model's order, and adds enumerations from the SDK.
func facts(t *testing.T) map[string][]*fact {
	t.Helper()
	f, err := os.Open("../testdata/vectors/api/constraints.tsv")
	require.NoError(t, err)
	defer f.Close()
	all := map[string][]*fact{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		row := strings.Split(lines.Text(), "\t")
		require.Len(t, row, 8)
		x := &fact{operation: row[0], member: row[1], kind: row[2], required: row[3] != "", bounded: row[5] != "", pattern: row[6],
			sensitive: row[7] != "" || row[2] == "blob"}
		if x.bounded {
			x.least, err = strconv.Atoi(row[4])
			require.NoError(t, err)
			x.most, err = strconv.Atoi(row[5])
			require.NoError(t, err)
		}
		// Grantees and retiring principals may be services by now.
		x.required = x.required && x.member != "GranteePrincipal" && x.member != "RetiringPrincipal"
		x.enum = enumOf(t, x)
		all[x.operation] = append(all[x.operation], x)
	}
	return all
}

// enumOf finds the SDK's values of a member, nil where it is no enumeration.
func enumOf(t *testing.T, x *fact) []string {
	t.Helper()
	method, ok := reflect.TypeFor[*kms.Client]().MethodByName(x.operation)
	require.True(t, ok, x.operation)
	at := method.Type.In(2).Elem()
	for _, step := range strings.Split(strings.ReplaceAll(x.member, "[]", ".[]"), ".") {
		if at.Kind() == reflect.Pointer {
			at = at.Elem()
		}
		if step == "[]" {
			at = at.Elem()
			continue
		}
		field, ok := at.FieldByName(step)
		require.True(t, ok, "%s %s", x.operation, x.member)
		at = field.Type
	}
	values := reflect.Zero(at).MethodByName("Values")
	if !values.IsValid() {
		return nil
	}
	var all []string
	list := values.Call(nil)[0]
	for i := range list.Len() {
		all = append(all, list.Index(i).String())
	}
	return all
}

// Values that fit the patterns of the model, as short as they can be.
var samples = map[string]string{
	`[0-9]{12}`: account,
	`^(/[a-zA-Z0-9\/_-]+/kms/xks/v\d{1,2})$|^(/kms/xks/v\d{1,2})$`: "/a/kms/xks/v1",
	`^([a-z]+-){2,3}\d+$`: region,
	`^(com|eu)\.amazonaws\.vpce\.([a-z]+-){2,3}\d+\.vpce-svc-[0-9a-z]+$`: "com.amazonaws.vpce.us-east-1.vpce-svc-0",
	`^https://[a-zA-Z0-9.-]+$`:   "https://a.test",
	`cluster-[2-7a-zA-Z]{11,16}`: clusterID,
	`^[A-Z2-7]+$`:                strings.Repeat("A", 20),
}

var unicodeEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

func (x *fact) fits(v string) bool {
	return x.pattern == "" || regexp.MustCompile(`\A(?:`+unicodeEscape.ReplaceAllString(x.pattern, `\x{$1}`)+`)\z`).MatchString(v)
}

// good is a value that the model allows.
func (x *fact) good() any {
	switch sample, known := samples[x.pattern]; {
	case x.enum != nil:
		return x.enum[0]
	case known:
		return sample
	}
	switch x.kind {
	case "string":
		return strings.Repeat("a", max(1, x.least))
	case "blob":
		return make([]byte, max(1, x.least))
	case "integer":
		return x.least
	case "list":
		return []any{}
	case "map", "structure":
		return map[string]any{}
	case "boolean":
		return false
	default:
		return 1_800_000_000
	}
}

// blank are members that may be empty in spite of the model.
var blank = []string{"KeyMaterialDescription", "UpdateCustomKeyStore.XksProxyVpcEndpointServiceName"}

// narrower are members whose rule in the service, told in the same words, is narrower than the model's: what the model
// allows, and the service does not.
var narrower = []string{"CiphertextBlob", "PendingWindowInDays", "Operations"}

// bestOfNarrow is a value of such a member that the service allows.
func (x *fact) bestOfNarrow() any {
	switch x.member {
	case "Operations":
		return []any{"Decrypt"}
	case "PendingWindowInDays":
		return 7
	}
	return x.good()
}

// bad lists values that break the model's rules.
func (x *fact) bad() map[string]any {
	all := map[string]any{}
	mayBeBlank := slices.ContainsFunc(blank, func(b string) bool { return strings.HasSuffix(x.operation+"."+x.member, b) })
	switch {
	case x.enum != nil:
		all["no value of it"] = "NOPE"
	case x.kind == "string" && x.bounded:
		all["too long"] = strings.Repeat("a", x.most+1)
		if x.least > 0 && !mayBeBlank {
			all["too short"] = ""
		}
	case x.kind == "blob" && x.bounded:
		all["too long"], all["too short"] = make([]byte, x.most+1), []byte{}
	case x.kind == "integer" && x.bounded:
		all["too big"], all["too small"] = x.most+1, x.least-1
	}
	if x.pattern != "" {
		all["of another form"] = strings.Repeat("\u4e00", max(1, x.least))
	}
	return all
}

// texts are what AWS says of a value, by api-errors.md, section 5.
func (x *fact) texts(v any, path string) []string {
	shown, n, what := "", 0, "length"
	switch v := v.(type) {
	case string:
		shown, n = v, len([]rune(v))
	case []byte:
		n = len(v)
	case int:
		shown, n, what = strconv.Itoa(v), v, "value"
	}
	head := "Value '" + shown + "' at '" + path + "' failed to satisfy constraint: "
	if x.sensitive {
		head = "Value at '" + path + "' failed to satisfy constraint: "
	}
	var all []string
	if x.bounded && n > x.most {
		all = append(all, fmt.Sprintf("%sMember must have %s less than or equal to %d", head, what, x.most))
	}
	if x.bounded && n < x.least {
		all = append(all, fmt.Sprintf("%sMember must have %s greater than or equal to %d", head, what, x.least))
	}
	if s, ok := v.(string); ok && !x.fits(s) {
		all = append(all, head+"Member must satisfy regular expression pattern: "+x.pattern)
	}
	if s, ok := v.(string); ok && x.enum != nil && !slices.Contains(x.enum, s) {
		all = append(all, head+"Member must satisfy enum value set: ["+strings.Join(x.enum, ", ")+"]")
	}
	return all
}

// elementTexts is what AWS says of a list of which an element breaks the rules.
func (x *fact) elementTexts(v string, path string) []string {
	var rules []string
	if x.bounded {
		rules = append(rules, fmt.Sprintf("Member must have length less than or equal to %d", x.most),
			fmt.Sprintf("Member must have length greater than or equal to %d", x.least))
	}
	if x.enum != nil {
		rules = append(rules, "Member must satisfy enum value set: ["+strings.Join(x.enum, ", ")+"]")
	}
	return []string{"Value '[" + v + "]' at '" + path + "' failed to satisfy constraint: Member must satisfy constraint: [" + strings.Join(rules, ", ") + "]"}
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// requestWith makes a request in which all is good but one member; fact nil changes nothing.
func requestWith(all []*fact, at *fact, v any) (body map[string]any, texts []string) {
	body = map[string]any{}
	for _, x := range all {
		if x.required && !strings.ContainsAny(x.member, ".[") {
			body[x.member] = x.good()
		}
	}
	if at == nil {
		return body, nil
	}
	outer, inner, nested := strings.Cut(at.member, ".")
	list, ofList := strings.CutSuffix(outer, "[]")
	path := lowerFirst(list)
	switch {
	case !nested && !ofList:
		body[list], texts = v, at.texts(v, path)
	case !nested:
		body[list], texts = []any{v}, at.elementTexts(fmt.Sprint(v), path)
	default:
		structure := map[string]any{}
		for _, x := range all {
			if o, i, ok := strings.Cut(x.member, "."); ok && o == outer && x.required {
				structure[i] = x.good()
			}
		}
		structure[inner] = v
		if ofList {
			body[list], path = []any{structure}, path+".1.member"
		} else {
			body[list] = structure
		}
		texts = at.texts(v, path+"."+lowerFirst(inner))
	}
	return body, texts
}

func (a *appliance) postJSON(t *testing.T, operation string, body map[string]any) answer {
	t.Helper()
	for name, v := range body {
		if b, ok := v.([]byte); ok {
			body[name] = base64.StdEncoding.EncodeToString(b)
		}
	}
	text, err := json.Marshal(body)
	require.NoError(t, err)
	return a.post(t, operation, string(text))
}

func violations(texts []string) string {
	if len(texts) == 1 {
		return "1 validation error detected: " + texts[0]
	}
	return strconv.Itoa(len(texts)) + " validation errors detected: " + strings.Join(texts, "; ")
}

// TestConstraintsOverTheWire breaks every rule of the service's model, one at a time and many at once, over HTTP: each
// operation's row decodes that operation's own request, and says of each member what AWS says.
func TestConstraintsOverTheWire(t *testing.T) {
	a := start(t)
	broken := 0
	for operation, all := range facts(t) {
		t.Run(operation, func(t *testing.T) {
			var missing []string
			for _, x := range all {
				if x.required && !strings.ContainsAny(x.member, ".[") {
					missing = append(missing, "Value null at '"+lowerFirst(x.member)+"' failed to satisfy constraint: Member must not be null")
				}
				for name, v := range x.bad() {
					body, texts := requestWith(all, x, v)
					got := a.postJSON(t, operation, body)
					requireError(t, got, http.StatusBadRequest, "ValidationException", violations(texts))
					broken++
					assert.NotEmpty(t, texts, "%s %s", x.member, name)
				}
				if x.bounded && x.kind == "integer" && !slices.Contains(narrower, x.member) {
					for _, v := range []int{x.least, x.most} {
						body, _ := requestWith(all, x, v)
						assert.NotContains(t, a.postJSON(t, operation, body).body, "at '"+lowerFirst(x.member)+"'", "%s %d", x.member, v)
					}
				}
			}
			if missing != nil {
				requireError(t, a.post(t, operation, `{}`), http.StatusBadRequest, "ValidationException", violations(missing))
			}
			// What is good is no violation; what comes of it is the operation's matter.
			body, _ := requestWith(all, nil, nil)
			for _, x := range all {
				if slices.Contains(narrower, x.member) {
					body[x.member] = x.bestOfNarrow()
				}
			}
			assert.NotContains(t, a.postJSON(t, operation, body).body, "validation error")
		})
	}
	assert.Greater(t, broken, 300)
	for _, action := range keystore.Actions() {
		if action == keystore.ActionEncapsulate || action == keystore.ActionDecapsulate {
			continue // younger than the copy of the model; shape's tests hold them to the SDK
		}
		assert.Contains(t, facts(t), string(action))
	}
}

// TestManyViolationsAtOnce breaks every member of a request: all are named, in the order of the model.
func TestManyViolationsAtOnce(t *testing.T) {
	a := start(t)
	for operation, all := range facts(t) {
		body, texts := map[string]any{}, []string(nil)
		for _, x := range all {
			wrong := x.bad()
			if strings.ContainsAny(x.member, ".[") || len(wrong) == 0 {
				continue
			}
			name := slices.Min(slices.Collect(func(yield func(string) bool) {
				for n := range wrong {
					if !yield(n) {
						return
					}
				}
			}))
			body[x.member] = wrong[name]
			texts = append(texts, x.texts(wrong[name], lowerFirst(x.member))...)
		}
		for _, x := range all {
			if x.required && body[x.member] == nil && !strings.ContainsAny(x.member, ".[") {
				body[x.member] = x.good()
			}
		}
		if len(texts) > 0 {
			t.Run(operation, func(t *testing.T) {
				requireError(t, a.postJSON(t, operation, body), http.StatusBadRequest, "ValidationException", violations(texts))
			})
		}
	}
}
