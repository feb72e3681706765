package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/keystore/access"
)

func newAccess() *cobra.Command {
	return group("access", "Who may do what on a key, and why", newAccessExplain(), newAccessWho())
}

func newAccessExplain() *cobra.Command {
	var r remote
	var q admin.AccessQuestion
	var pairs, conditions []string
	cmd := &cobra.Command{
		Use:   "explain --principal ARN --action ACTION [--key KEY]",
		Short: "Tell whether a request would be allowed, by what, and why everything else does not count",
		Long: "Tell whether a request would be allowed, and of every statement and grant that was looked at why it counts or not.\n" +
			"Nothing is done and nothing is recorded.",
		Args: cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) (err error) {
			if q.EncryptionContext, err = pairsOf("--context", pairs); err != nil {
				return err
			}
			q.Conditions = map[string][]string{}
			for _, c := range conditions {
				name, value, ok := strings.Cut(c, "=")
				if !ok {
					return mistaken("--condition %s: want NAME=VALUE", c)
				}
				q.Conditions[name] = append(q.Conditions[name], value)
			}
			var answer admin.AccessAnswer
			if err := r.call(cmd, http.MethodPost, admin.PathExplain, q, &answer); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), answer)
			}
			return showAccess(cmd.OutOrStdout(), &answer)
		}),
	}
	r.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&q.Principal, "principal", "", "ARN or name of a user or role, or root")
	f.StringVar(&q.Action, "action", "", "what the request is, as Encrypt")
	f.StringVar(&q.Key, "key", "", "key id, key ARN, alias name or alias ARN")
	f.StringVar(&q.Region, "region", "", "Region of the request (default: that of the key's ARN, or the first one)")
	f.StringArrayVar(&pairs, "context", nil, "a pair of the encryption context: NAME=VALUE (repeatable)")
	f.StringArrayVar(&q.GrantTokens, "grant-token", nil, "a grant token of the request (repeatable)")
	f.StringVar(&q.SourceIP, "source-ip", "", "address that the request comes from")
	f.StringArrayVar(&conditions, "condition", nil, "another condition key of the request: NAME=VALUE, as kms:GrantOperations=Decrypt (repeatable)")
	must(cmd.MarkFlagRequired("principal"))
	must(cmd.MarkFlagRequired("action"))
	return cmd
}

// pairsOf reads NAME=VALUE pairs, each name once.
func pairsOf(flag string, pairs []string) (map[string]string, error) {
	m := map[string]string{}
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if _, twice := m[name]; !ok || twice {
			return nil, mistaken("%s %s: want NAME=VALUE, each name once", flag, p)
		}
		m[name] = value
	}
	return m, nil
}

func showAccess(out io.Writer, a *admin.AccessAnswer) error {
	verdict := "DENIED"
	switch {
	case a.Disabled:
		verdict = "REFUSED: the principal is disabled. Were it not:"
	case a.Allowed && a.Exception != "":
		verdict = "ALLOWED, but the key is in no state for it"
	case a.Allowed:
		verdict = "ALLOWED"
	}
	fmt.Fprintf(out, "%s\n\n", verdict)
	err := fields(out, "principal", a.Principal, "permission", a.Permission, "resource", a.Resource, "reason", a.Reason,
		"answer", strings.TrimSuffix(a.Exception+": "+a.Message, ": "))
	if err != nil {
		return err
	}
	if a.Verdict == access.AllowedIf || a.Verdict == access.AllowedUnless {
		fmt.Fprintln(out, "\nRequests that differ in what conditions ask about may be decided otherwise.")
	}
	fmt.Fprintln(out)
	rows := [][]string{{"WHERE", "WHAT", "EFFECT", "COUNTS", "WHY"}}
	for _, s := range a.Steps {
		counts := "no"
		if s.Taken {
			counts = "yes"
		}
		rows = append(rows, []string{s.Where, s.What, string(s.Effect), counts, s.Why})
	}
	return table(out, rows...)
}

func newAccessWho() *cobra.Command {
	var r remote
	var q admin.WhoQuestion
	cmd := &cobra.Command{
		Use:   "who --key KEY [--action ACTION …]",
		Short: "List who may do what on a key, by policies and grants",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			var answer admin.WhoAnswer
			if err := r.call(cmd, http.MethodPost, admin.PathWho, q, &answer); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), answer)
			}
			return showWho(cmd.OutOrStdout(), &answer)
		}),
	}
	r.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&q.Key, "key", "", "key id, key ARN, alias name or alias ARN")
	f.StringVar(&q.Region, "region", "", "Region of the key (default: that of its ARN, or the first one)")
	f.StringSliceVar(&q.Actions, "action", nil, "ask about these actions only")
	must(cmd.MarkFlagRequired("key"))
	return cmd
}

func showWho(out io.Writer, a *admin.WhoAnswer) error {
	rows := [][]string{{"PRINCIPAL", "STATE", "MAY", "MAY ON CONDITIONS"}}
	for i := range a.Principals {
		e := &a.Principals[i]
		var may, onConditions []string
		for _, p := range e.Permissions {
			name := strings.TrimPrefix(p.Permission, "kms:")
			switch p.Verdict {
			case access.Allowed:
				may = append(may, name)
			case access.AllowedIf, access.AllowedUnless:
				onConditions = append(onConditions, name)
			}
		}
		rows = append(rows, []string{e.Principal, enabled(e.Disabled), summary(may, len(e.Permissions)), summary(onConditions, len(e.Permissions))})
	}
	fmt.Fprintf(out, "%s\n\n", a.Key)
	return table(out, rows...)
}

// summary lists permissions, or says that there are all of them.
func summary(names []string, all int) string {
	if len(names) == all && all > 1 {
		return fmt.Sprintf("all %d", all)
	}
	return strings.Join(names, ", ")
}
