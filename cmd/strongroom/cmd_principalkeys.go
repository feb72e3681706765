package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
)

func newCreateKey() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "create-key PRINCIPAL",
		Short: "Give a principal a second access key, to replace the first; its secret is shown once",
		Args:  cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			var p admin.Principal
			if err := r.call(cmd, http.MethodPost, admin.PathPrincipals+"/"+url.PathEscape(args[0])+"/keys", nil, &p); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), p)
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "# %s; the secret is not shown again\n", p.ARN)
			for _, k := range p.AccessKeys {
				if k.Secret != "" {
					fmt.Fprintf(out, "export AWS_ACCESS_KEY_ID='%s'\nexport AWS_SECRET_ACCESS_KEY='%s'\n", k.AccessKeyID, k.Secret)
				}
			}
			return nil
		}),
	}
	r.flags(cmd)
	return cmd
}

// keyCommand makes a command that does one thing to an access key.
func keyCommand(use, short, method, suffix, done string) *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(2),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			return r.principal(cmd, method, args[0], "/keys/"+url.PathEscape(args[1])+suffix, nil, say(done))
		}),
	}
	r.flags(cmd)
	return cmd
}
