package keystore_test

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

// specRows reads a table of the specification as maps from column to value.
func specRows(t testing.TB, name string) []map[string]string {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "testdata", "spec", name))
	require.NoError(t, err)
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	rows := make([]map[string]string, 0, len(lines)-1)
	for _, line := range lines[1:] {
		row := make(map[string]string, len(line))
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		rows = append(rows, row)
	}
	return rows
}

var originWord = regexp.MustCompile(`origin is (AWS_KMS|EXTERNAL|AWS_CLOUDHSM) which`)

// template turns a message of the specification into the form of Outcome.Text.
func template(message string) string {
	message = strings.Replace(message, "<mrk key ARN>", keystore.ARNMark, 1)
	return originWord.ReplaceAllString(message, "origin is "+keystore.OriginMark+" which")
}

func TestKeyStateTableEqualsSpecification(t *testing.T) {
	rows := specRows(t, "key-states.csv")
	require.Len(t, rows, 46*8)
	seen := map[string]bool{}
	for _, row := range rows {
		name := row["operation"] + "/" + row["state"]
		t.Run(name, func(t *testing.T) {
			require.False(t, seen[name], "the specification has this cell twice")
			seen[name] = true
			got := keystore.Permit(keystore.Action(row["operation"]), keystore.State(row["state"]))
			assert.Equal(t, row["result"], got.Verdict.String(), "result")
			assert.Equal(t, row["footnote"], got.Footnote, "footnote")
			assert.Equal(t, regexp.MustCompile(`\[\d+\]`).FindAllString(row["footnote"], -1), got.Notes, "numbers of the footnote")
			if row["result"] == "n/a" && row["error"] == "" {
				assert.NotEmpty(t, got.Kind, "a cell that no key can reach refuses all the same")
				return
			}
			assert.Equal(t, strings.TrimSuffix(row["error"], "Exception"), string(got.Kind), "error")
			assert.Equal(t, template(row["message"]), got.Text, "message")
		})
	}
	// Nothing is missing and nothing is extra.
	for _, a := range keystore.KeyActions() {
		for _, s := range keystore.States() {
			assert.True(t, seen[string(a)+"/"+string(s)], "%s in %s is not in the specification", a, s)
		}
	}
	assert.Len(t, keystore.KeyActions(), 46)
	assert.Len(t, keystore.States(), 8)
}

func TestPermitDeniesWhatItDoesNotKnow(t *testing.T) {
	assert.Equal(t, keystore.Outcome{}, keystore.Permit("Unlock", keystore.Enabled))
	assert.Equal(t, keystore.Outcome{}, keystore.Permit(keystore.ActionEncrypt, "Melted"))
	assert.Equal(t, keystore.Deny, keystore.Permit(keystore.ActionCreateKey, keystore.Enabled).Verdict)
}

func TestFootnotesExplainTheTable(t *testing.T) {
	explained := map[string]keystore.Footnote{}
	for _, n := range keystore.Footnotes() {
		require.NotContains(t, explained, n.Number)
		require.NotEmpty(t, n.About)
		explained[n.Number] = n
	}
	used := map[string]bool{}
	for _, a := range keystore.KeyActions() {
		for _, s := range keystore.States() {
			out := keystore.Permit(a, s)
			matches := len(out.Notes) == 0 || out.Kind == ""
			for _, number := range out.Notes {
				require.Contains(t, explained, number, "%s in %s", a, s)
				used[number] = true
				matches = matches || explained[number].Kind == out.Kind || strings.Contains(out.Footnote, "(old)")
			}
			assert.True(t, matches, "%s in %s: no footnote of %s is a %s", a, s, out.Footnote, out.Kind)
		}
	}
	assert.Len(t, used, len(explained), "every footnote is used")
}

func TestEffectiveState(t *testing.T) {
	for _, c := range keystore.ConnStates() {
		for _, s := range keystore.States() {
			if s == keystore.Unavailable {
				continue // never stored
			}
			own := &keystore.Key{State: s, StoreID: "cks-1"}
			assert.Equal(t, s, keystore.EffectiveState(&keystore.Key{State: s}, c), "a key of no custom store is as stored")
			want := s
			if c != keystore.Connected && (s == keystore.Enabled || s == keystore.Disabled) {
				want = keystore.Unavailable
			}
			assert.Equal(t, want, keystore.EffectiveState(own, c), "%s in a %s store", s, c)
		}
	}
	assert.Equal(t, keystore.Unavailable, keystore.EffectiveState(&keystore.Key{State: keystore.Enabled, StoreID: "cks-1"}, ""),
		"an unknown connection is no connection")
}

func TestActions(t *testing.T) {
	all := keystore.Actions()
	assert.Len(t, all, 56)
	assert.True(t, slices.IsSorted(all))
	assert.Len(t, slices.Compact(slices.Clone(all)), 56)
	for _, a := range all {
		assert.True(t, a.Known(), a)
	}
	assert.False(t, keystore.Action("encrypt").Known())
	assert.False(t, keystore.Action("").Known())
	for _, s := range keystore.StoreActions() {
		assert.Contains(t, all, s)
	}
}
