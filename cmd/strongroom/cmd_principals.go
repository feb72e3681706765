package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/keystore"
)

func newPrincipals() *cobra.Command {
	return group("principals", "Users and roles of the appliance, their access keys and policies",
		newPrincipalsCreate(), newPrincipalsList(),
		principalCommand("show NAME", "Show a principal", http.MethodGet, "", nil),
		principalCommand("disable NAME", "Refuse all access keys of a principal", http.MethodPost, "/disable", say("Disabled")),
		principalCommand("enable NAME", "Accept the access keys of a principal again", http.MethodPost, "/enable", say("Enabled")),
		principalCommand("delete NAME", "Delete a principal with its access keys", http.MethodDelete, "", say("Deleted")),
		newAttachPolicy(), newDetachPolicy(), newCreateKey(),
		keyCommand("delete-key PRINCIPAL ACCESS-KEY-ID", "Delete an access key", http.MethodDelete, "", "Deleted an access key of"),
		keyCommand("disable-key PRINCIPAL ACCESS-KEY-ID", "Refuse an access key", http.MethodPost, "/disable", "Disabled an access key of"),
		keyCommand("enable-key PRINCIPAL ACCESS-KEY-ID", "Accept an access key again", http.MethodPost, "/enable", "Enabled an access key of"))
}

func newPrincipalsCreate() *cobra.Command {
	var r remote
	var kind string
	var policies []string
	cmd := &cobra.Command{
		Use:   "create NAME [--policy NAME=FILE]",
		Short: "Create a user or role with an access key; its secret is shown once",
		Args:  cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			if kind != string(keystore.PrincipalUser) && kind != string(keystore.PrincipalRole) {
				return mistaken("--kind %s: say user or role", kind)
			}
			in := admin.NewPrincipal{Kind: kind, Name: args[0]}
			for _, p := range policies {
				name, file, ok := strings.Cut(p, "=")
				if !ok {
					return mistaken("--policy %s: want NAME=FILE", p)
				}
				doc, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				in.Policies = append(in.Policies, admin.Policy{Name: name, Document: string(doc)})
			}
			var p admin.Principal
			if err := r.call(cmd, http.MethodPost, admin.PathPrincipals, in, &p); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), p)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "# %s; the secret is not shown again\n", p.ARN)
			for _, k := range p.AccessKeys {
				fmt.Fprintf(out, "export AWS_ACCESS_KEY_ID='%s'\nexport AWS_SECRET_ACCESS_KEY='%s'\n", k.AccessKeyID, k.Secret)
			}
			return nil
		}),
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&kind, "kind", "user", "user or role")
	cmd.Flags().StringArrayVar(&policies, "policy", nil, "attach a policy document: NAME=FILE (repeatable)")
	return cmd
}

func newPrincipalsList() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List principals",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			var list []admin.Principal
			if err := r.call(cmd, http.MethodGet, admin.PathPrincipals, nil, &list); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), list)
			}
			rows := [][]string{{"ARN", "KIND", "STATE", "ACCESS KEYS", "POLICIES", "CREATED"}}
			for i := range list {
				p := &list[i]
				rows = append(rows, []string{p.ARN, p.Kind, enabled(p.Disabled), keyIDs(p), policyNames(p), stamp(p.Created)})
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	r.flags(cmd)
	return cmd
}

// principalCommand is a command about one principal that takes nothing but its name. Without done it shows the principal.
func principalCommand(use, short, method, suffix string, done func(*cobra.Command, *admin.Principal) error) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			return r.principal(cmd, method, args[0], suffix, nil, done)
		}),
	}
	r.flags(cmd)
	return cmd
}

func newAttachPolicy() *cobra.Command {
	var r remote
	var name, file string
	cmd := &cobra.Command{
		Use:   "attach-policy PRINCIPAL --name NAME --file FILE",
		Short: "Attach a policy document to a principal, or replace it",
		Args:  cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			doc, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			return r.principal(cmd, http.MethodPut, args[0], "/policies/"+url.PathEscape(name), admin.Policy{Name: name, Document: string(doc)}, say("Attached "+name+" to"))
		}),
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name of the policy")
	cmd.Flags().StringVar(&file, "file", "", "JSON policy document")
	must(cmd.MarkFlagRequired("name"))
	must(cmd.MarkFlagRequired("file"))
	return cmd
}

func newDetachPolicy() *cobra.Command {
	var r remote
	var name string
	cmd := &cobra.Command{
		Use:   "detach-policy PRINCIPAL --name NAME",
		Short: "Detach a policy from a principal",
		Args:  cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			return r.principal(cmd, http.MethodDelete, args[0], "/policies/"+url.PathEscape(name), nil, say("Detached "+name+" from"))
		}),
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name of the policy")
	must(cmd.MarkFlagRequired("name"))
	return cmd
}

func (r *remote) principal(cmd *cobra.Command, method, name, suffix string, in any, done func(*cobra.Command, *admin.Principal) error) error {
	var raw json.RawMessage
	if err := r.call(cmd, method, admin.PathPrincipals+"/"+url.PathEscape(name)+suffix, in, &raw); err != nil {
		return err
	}
	if r.json {
		return printJSON(cmd.OutOrStdout(), raw)
	}
	var p admin.Principal
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	if done != nil {
		return done(cmd, &p)
	}
	out := cmd.OutOrStdout()
	if err := fields(out, "arn", p.ARN, "kind", p.Kind, "state", enabled(p.Disabled), "created", stamp(p.Created), "access keys", keyIDs(&p)); err != nil {
		return err
	}
	for _, pol := range p.Policies {
		fmt.Fprintf(out, "\npolicy %s:\n%s\n", pol.Name, strings.TrimSpace(pol.Document))
	}
	return nil
}

// say makes a function that tells what was done to a principal.
func say(what string) func(*cobra.Command, *admin.Principal) error {
	return func(cmd *cobra.Command, p *admin.Principal) error {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s.\n", what, p.ARN)
		return err
	}
}

func enabled(disabled bool) string {
	if disabled {
		return "disabled"
	}
	return "enabled"
}

func keyIDs(p *admin.Principal) string {
	var ids []string
	for _, k := range p.AccessKeys {
		ids = append(ids, k.AccessKeyID)
	}
	return strings.Join(ids, ", ")
}

func policyNames(p *admin.Principal) string {
	var out []string
	for _, pol := range p.Policies {
		out = append(out, pol.Name)
	}
	return strings.Join(out, ", ")
}

// must is for what can only fail by a mistake in this program.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
