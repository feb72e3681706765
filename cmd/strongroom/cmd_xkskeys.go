package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/xks/tokenkeys"
)

// keyFlags are the flags of the commands about external keys.
type keyFlags struct {
	remote
	realm string
}

func (f *keyFlags) flags(cmd *cobra.Command) {
	f.remote.flags(cmd)
	cmd.Flags().StringVar(&f.realm, "realm", "", "realm of the proxy (default: the only one)")
}

// path is the place of one key on the admin socket.
func (f *keyFlags) path(cmd *cobra.Command, id, action string) (string, error) {
	realm, err := f.oneRealm(cmd, f.realm)
	if err != nil {
		return "", err
	}
	return realmPath(realm, "/keys/"+url.PathEscape(id)+action), nil
}

// usageArg makes a check of arguments whose last is a usage.
func usageArg(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := cobra.ExactArgs(n)(cmd, args); err != nil {
			return err
		}
		_, err := tokenkeys.ParseUsage(args[n-1])
		return err
	}
}

func newXKSKeysCreate() *cobra.Command {
	var f keyFlags
	usage := tokenkeys.UseBoth.String()
	cmd := &cobra.Command{
		Use:   "create [ID]",
		Short: "Make an AES-256 key on a realm's token",
		Long: "Make an AES-256 key on a realm's token, which never leaves it. Where the realm addresses keys by label, ID is the\n" +
			"external key id (XksKeyId) and the CKA_LABEL; where it addresses them by id, the CKA_ID is drawn and is the external\n" +
			"key id, and ID, if it is given, is the label. An id that an object on the token answers to already is refused.",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.MaximumNArgs(1)(cmd, args); err != nil {
				return err
			}
			_, err := tokenkeys.ParseUsage(usage)
			return err
		},
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			realm, err := f.oneRealm(cmd, f.realm)
			if err != nil {
				return err
			}
			in := admin.NewExternalKey{Usage: usage}
			if len(args) == 1 {
				in.ID = args[0]
			}
			var raw json.RawMessage
			if err := f.call(cmd, http.MethodPost, realmPath(realm, "/keys"), in, &raw); err != nil {
				return err
			}
			return f.showKey(cmd, raw, "Made")
		}),
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&usage, "usage", usage, "what it may be used for: encrypt, decrypt, both, none")
	return cmd
}

func newXKSKeysList() *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys on the tokens of all realms, or of one",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			realms, err := f.chosenRealms(cmd, f.realm)
			if err != nil {
				return err
			}
			all := []admin.ExternalKey{}
			for _, realm := range realms {
				var list []admin.ExternalKey
				if err := f.call(cmd, http.MethodGet, realmPath(realm, "/keys"), nil, &list); err != nil {
					return err
				}
				all = append(all, list...)
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), all)
			}
			rows := [][]string{{"REALM", "EXTERNAL KEY ID", "STATE", "USAGE", "SPEC", "CKA_ID", "LABEL", "CREATED"}}
			for i := range all {
				k := &all[i]
				rows = append(rows, []string{k.Realm, k.ID, keyState(k), k.Usage, k.Spec, k.CKAID, k.Label, stampOf(k.Created)})
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	f.flags(cmd)
	return cmd
}

// keyState says whether a realm's key can be used, and why not.
func keyState(k *admin.ExternalKey) string {
	switch {
	case k.Problem != "":
		return k.Problem
	case !k.Served:
		return "not served"
	}
	return enabled(!k.Enabled)
}

// xksKeyCommand is a command that takes nothing but a key's id.
func xksKeyCommand(use, short, action, done string) *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			path, err := f.path(cmd, args[0], action)
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := f.call(cmd, http.MethodPost, path, nil, &raw); err != nil {
				return err
			}
			return f.showKey(cmd, raw, done)
		}),
	}
	f.flags(cmd)
	return cmd
}

func newXKSKeysUsage() *cobra.Command {
	var f keyFlags
	cmd := &cobra.Command{
		Use:   "set-usage ID USAGE",
		Short: "Change what an external key may be used for: encrypt, decrypt, both, none",
		Args:  usageArg(2),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			path, err := f.path(cmd, args[0], "/usage")
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := f.call(cmd, http.MethodPost, path, admin.KeyUsage{Usage: args[1]}, &raw); err != nil {
				return err
			}
			return f.showKey(cmd, raw, "Changed")
		}),
	}
	f.flags(cmd)
	return cmd
}

func newXKSKeysDelete() *cobra.Command {
	var f keyFlags
	var force bool
	cmd := &cobra.Command{
		Use:   "delete ID",
		Short: "Destroy an external key, and all that was ever encrypted under it",
		Long: "Destroy an external key on its token. Nothing that was encrypted under it can ever be decrypted again. An enabled key,\n" +
			"and one that a KMS key of this appliance rests on, is refused; other KMS installations may use it unseen.",
		Args: cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			path, err := f.path(cmd, args[0], "")
			if err != nil {
				return err
			}
			if force {
				path += "?force=true"
			}
			if err := f.call(cmd, http.MethodDelete, path, nil, nil); err != nil {
				return err
			}
			if f.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"deleted": args[0]})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Destroyed external key %s.\n", args[0])
			return err
		}),
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "even if it is enabled or a KMS key rests on it")
	return cmd
}
