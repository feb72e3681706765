package keystore_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/strongroom/strongroom/keystore"
)

var update = flag.Bool("update", false, "write docs/key-states.md anew")

// TestKeyStatesPage keeps docs/key-states.md equal to the tables. To write it anew:
//
//	go test ./keystore -run TestKeyStatesPage -update
func TestKeyStatesPage(t *testing.T) {
	page := filepath.Join("..", "docs", "key-states.md")
	want := renderPage()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(page), 0o755))
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "docs/key-states.md differs from the tables: write it anew with -update")
}

const pageHead = `<!-- Written by "go test ./keystore -run TestKeyStatesPage -update" from the tables in package keystore. Do not edit. -->

# Key states and store connections

What each operation comes to in each state of a key, and what can be done with a custom key store in each state of its
connection. These tables are the ones that the appliance decides by; tests compare them with the specification cell by
cell.

## Operations on a key, by its state

| symbol | meaning |
|---|---|
| ✓ | succeeds, as far as the state is concerned |
| ✗ | fails |
| ? | succeeds for the keys that the operation is for (see [conditions](#conditions)), fails for others |
| – | does not arise: no key that the operation is for can be in this state; refused all the same |

Numbers in brackets are [footnotes](#footnotes). Every check of the kind of key (key usage, key type) comes before the
state: a wrong key usage is InvalidKeyUsageException in every state.

`

const stateNotes = `
A key reports one state. ` + "`Unavailable`" + ` is not stored: it is what an enabled or disabled key of a custom key store reports
while that store's connection state is anything but CONNECTED. The other states win over it, so a key whose deletion is
scheduled stays PendingDeletion while its store is disconnected, and its deletion can be cancelled. A token or proxy that
is lost without a disconnect changes no state: operations fail until it is back.

`

func renderPage() string {
	var b strings.Builder
	b.WriteString(pageHead)
	renderStates(&b)
	b.WriteString(stateNotes)
	renderConditions(&b)
	renderFootnotes(&b)
	renderTransitions(&b)
	renderConnections(&b)
	renderUpdates(&b)
	return b.String()
}

func header(b *strings.Builder, first string, names []string) {
	fmt.Fprintf(b, "| %s | %s |\n|---|%s\n", first, strings.Join(names, " | "), strings.Repeat("---|", len(names)))
}

func words[T ~string](all []T) []string {
	out := make([]string, len(all))
	for i, v := range all {
		out[i] = string(v)
	}
	return out
}

var symbols = map[keystore.Verdict]string{keystore.Allow: "✓", keystore.Deny: "✗", keystore.Conditional: "?", keystore.NotApplicable: "–"}

func renderStates(b *strings.Builder) {
	header(b, "operation", words(keystore.States()))
	for _, a := range keystore.KeyActions() {
		fmt.Fprintf(b, "| %s |", a)
		for _, s := range keystore.States() {
			out := keystore.Permit(a, s)
			fmt.Fprintf(b, " %s |", strings.TrimSpace(symbols[out.Verdict]+" "+out.Footnote))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nOperations that use no existing key are not in the table: ")
	var rest []string
	for _, a := range keystore.Actions() {
		if !slices.Contains(keystore.KeyActions(), a) {
			rest = append(rest, string(a))
		}
	}
	b.WriteString(strings.Join(rest, ", ") + ".\n")
}

func renderConditions(b *strings.Builder) {
	b.WriteString("### Conditions\n\n| operation | is for | key usage |\n|---|---|---|\n")
	for _, a := range keystore.KeyActions() {
		about, usage := keystore.FitFor(a), string(keystore.RequiredUsage(a))
		if about == "" && usage == "" {
			continue
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", a, about, usage)
	}
	b.WriteString("\nThe data key operations need a symmetric encryption key, GetPublicKey one with a public key.\n\n")
}

func renderFootnotes(b *strings.Builder) {
	b.WriteString("### Footnotes\n\n| | exception | message | |\n|---|---|---|---|\n")
	for _, n := range keystore.Footnotes() {
		kind, message := "", ""
		if n.Kind != "" {
			kind = string(n.Kind) + "Exception"
		}
		if n.Text != "" {
			message = "`" + n.Text + "`"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", n.Number, kind, message, n.About)
	}
	b.WriteString("\nOne table of AWS prints N/A for keys that cannot have imported material; since asymmetric and HMAC keys can, " +
		"their cells read \"[5] (table: N/A)\".\n\n")
}

// renderTransitions tries every action on a key of each sort in each stored state.
func renderTransitions(b *strings.Builder) {
	b.WriteString("## How operations change the state\n\n| operation | from | to |\n|---|---|---|\n")
	sorts := []struct {
		name string
		key  keystore.Key
	}{
		{"", keystore.Key{Origin: keystore.OriginKMS}},
		{"primary with replicas", keystore.Key{Origin: keystore.OriginKMS,
			MultiRegion: &keystore.MultiRegion{Primary: true, ReplicaRegions: []string{"eu-west-1"}}}},
		{"imported material complete", keystore.Key{Origin: keystore.OriginExternal,
			Materials: []keystore.KeyMaterial{{State: keystore.MaterialCurrent, Imported: true}}}},
		{"imported material missing", keystore.Key{Origin: keystore.OriginExternal}},
	}
	for _, a := range keystore.KeyActions() {
		for _, from := range keystore.States() {
			said := ""
			for _, sort := range sorts {
				k := sort.key
				k.State = from
				to, changed := keystore.Next(a, &k)
				if !changed || to == from || string(to) == said {
					continue
				}
				if sort.name == "" {
					said = string(to)
				}
				fmt.Fprintf(b, "| %s | %s | %s |\n", a, from, strings.TrimSuffix(string(to)+" ("+sort.name+")", " ()"))
			}
		}
	}
	b.WriteString("\nEnableKey and DisableKey on an unavailable key change the state that it has again after the next connect. " +
		"A replica in Creating becomes Enabled or PendingImport, keys in Updating become Enabled, and a primary in " +
		"PendingReplicaDeletion becomes PendingDeletion when its last replica is gone. Imported material that expires makes " +
		"its key PendingImport.\n\n")
}

func renderConnections(b *strings.Builder) {
	b.WriteString("## Custom key stores, by connection state\n\n✗ is CustomKeyStoreInvalidStateException.\n\n")
	header(b, "operation", words(keystore.ConnStates()))
	for _, a := range keystore.StoreActions() {
		fmt.Fprintf(b, "| %s |", a)
		for _, c := range keystore.ConnStates() {
			symbol := "✓"
			if keystore.PermitStore(a, keystore.StoreCloudHSM, c) != nil {
				symbol = "✗"
			}
			fmt.Fprintf(b, " %s |", symbol)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nGenerateRandom on an external key store is UnsupportedOperationException in every state. " +
		"DeleteCustomKeyStore also needs a store without keys.\n\n### How the connection state changes\n\n")
	header(b, "event", words(keystore.ConnStates()))
	for _, e := range keystore.ConnEvents() {
		fmt.Fprintf(b, "| %s |", e)
		for _, c := range keystore.ConnStates() {
			next, isStep := keystore.NextConn(e, c)
			if !isStep {
				next = ""
			}
			fmt.Fprintf(b, " %s |", next)
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nConnectAsked and DisconnectAsked are ConnectCustomKeyStore and DisconnectCustomKeyStore; the others are the " +
		"connection's own. Only a connect that fails leads to FAILED: disconnect, mend the cause, connect again.\n\n")
}

func renderUpdates(b *strings.Builder) {
	b.WriteString("### What UpdateCustomKeyStore may change\n\n| parameter | store types | connection states |\n|---|---|---|\n")
	for _, r := range keystore.UpdateRules() {
		fmt.Fprintf(b, "| %s | %s | %s |\n", r.Parameter, strings.Join(words(r.Types), ", "), strings.Join(words(r.In), ", "))
	}
}
