package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/xks/proxy"
)

func newXKS() *cobra.Command {
	return group("xks", "The proxy for external key stores: its realms and keys; tests for any proxy",
		group("keys", "External keys: AES-256 objects on the tokens of the proxy's realms",
			newXKSKeysCreate(), newXKSKeysList(), newXKSKeysUsage(), newXKSKeysDelete(),
			xksKeyCommand("enable ID", "Let an external key be used again", "/enable", "Enabled"),
			xksKeyCommand("disable ID", "Refuse to use an external key, from the next request on", "/disable", "Disabled")),
		group("realms", "Realms of the proxy, and the credentials that KMS signs with",
			newRealmsList(), newRealmsAdd(), newRealmsRemove(), newRealmsFile()),
		newXKSCheck(), newXKSBench())
}

func realmPath(realm, rest string) string {
	return admin.PathRealms + "/" + url.PathEscape(realm) + rest
}

func newRealmsList() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List realms with their credentials and when KMS used them last",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			var list []admin.Realm
			if err := r.call(cmd, http.MethodGet, admin.PathRealms, nil, &list); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), list)
			}
			rows := [][]string{{"REALM", "URI PATH", "TOKEN", "HEALTH", "KEYS", "ACCESS KEY ID", "SOURCE", "LAST USED"}}
			for i := range list {
				rows = append(rows, realmRows(&list[i])...)
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	r.flags(cmd)
	return cmd
}

// realmRows has a row for each credential of a realm; what they have in common stands in the first.
func realmRows(v *admin.Realm) [][]string {
	keys := "all"
	if !v.AllKeys {
		keys = strings.Join(v.Keys, ",")
	}
	health := v.Health
	if v.Blocked {
		health = "blocked"
	}
	row := []string{v.Name, v.URIPath, v.Token, health, keys + " by " + v.Addressing}
	if len(v.Credentials) == 0 {
		return [][]string{append(row, "none: not served", "", "")}
	}
	var rows [][]string
	for _, c := range v.Credentials {
		used := "never"
		if c.LastUsed != nil {
			used = stamp(*c.LastUsed)
		}
		rows = append(rows, append(row, c.AccessKeyID, c.Source, used))
		row = []string{"", "", "", "", ""}
	}
	return rows
}

func newRealmsAdd() *cobra.Command {
	var r remote
	var id, secretFile string
	cmd := &cobra.Command{
		Use:   "add-credential REALM",
		Short: "Let KMS sign with a further credential, at once",
		Long: "Make a credential for a realm, or import one, and accept it at once. A realm has at most two, so that KMS can change\n" +
			"from one to the other without an interruption:\n\n" +
			"  strongroom xks realms add-credential payments\n" +
			"  strongroom xks realms credential-file payments new.json\n" +
			"  aws kms update-custom-key-store …          # with the credential in new.json\n" +
			"  strongroom xks realms list                  # until the new one has been used\n" +
			"  strongroom xks realms remove-credential payments OLD-ACCESS-KEY-ID\n\n" +
			"The secret is sealed by the appliance's token and is not printed: credential-file writes it.",
		Args: cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			var in admin.NewRealmCredential
			if secretFile != "" {
				secret, err := config.SecretRef("file:" + secretFile).Resolve()
				if err != nil {
					return err
				}
				in = admin.NewRealmCredential{AccessKeyID: id, Secret: secret}
			}
			var made admin.RealmSecret
			if err := r.call(cmd, http.MethodPost, realmPath(args[0], "/credentials"), in, &made); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"realm": made.Realm, "uri_path": made.URIPath, "access_key_id": made.AccessKeyID})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Realm %s accepts %s. Its secret: strongroom xks realms credential-file %s FILE\n", made.Realm, made.AccessKeyID, made.Realm)
			return err
		}),
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&id, "access-key-id", "", "import a credential with this id: 20 to 30 of A-Z and 2-7")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file with its secret, mode 0600")
	cmd.MarkFlagsRequiredTogether("access-key-id", "secret-file")
	return cmd
}

func newRealmsRemove() *cobra.Command {
	var r remote
	var force bool
	cmd := &cobra.Command{
		Use:   "remove-credential REALM ACCESS-KEY-ID",
		Short: "Refuse a credential from the next request on",
		Long: "Refuse a credential from the next request on. Refused itself for a realm's only credential, and while KMS has not used\n" +
			"another one after this one: then it may still sign with this one.",
		Args: cobra.ExactArgs(2),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			path := realmPath(args[0], "/credentials/"+url.PathEscape(args[1]))
			if force {
				path += "?force=true"
			}
			if err := r.call(cmd, http.MethodDelete, path, nil, nil); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"realm": args[0], "removed": args[1]})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "Realm %s refuses %s.\n", args[0], args[1])
			return err
		}),
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "even if KMS has not used another credential yet")
	return cmd
}

func newRealmsFile() *cobra.Command {
	var r remote
	var id string
	cmd := &cobra.Command{
		Use:   "credential-file REALM FILE",
		Short: "Write the proxy configuration file that the KMS console takes",
		Long: "Write a realm's URI path and a credential with its secret as AWS's proxy configuration file (JSON, mode 0600). A file\n" +
			"that is there is not overwritten. strongroom xks check and bench read such files as well.",
		Args: cobra.ExactArgs(2),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			path := realmPath(args[0], "/credential")
			if id != "" {
				path += "?access_key_id=" + url.QueryEscape(id)
			}
			var s admin.RealmSecret
			if err := r.call(cmd, http.MethodGet, path, nil, &s); err != nil {
				return err
			}
			text := proxy.ConfigurationFile(s.URIPath, proxy.Credential{AccessKeyID: s.AccessKeyID, Secret: []byte(s.Secret)})
			if err := writeNew(args[1], text); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"realm": args[0], "access_key_id": s.AccessKeyID, "file": args[1]})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s holds %s with its secret; delete it once KMS has it.\n", args[1], s.AccessKeyID)
			return err
		}),
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&id, "access-key-id", "", "write this credential (default: the newest)")
	return cmd
}

// writeNew writes a file with a secret, for its owner only. What could not be written whole is taken away again.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already, and is not overwritten", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// chosenRealms gives the realm that was named, or all of them.
func (r *remote) chosenRealms(cmd *cobra.Command, realm string) ([]string, error) {
	if realm != "" {
		return []string{realm}, nil
	}
	var list []admin.Realm
	if err := r.call(cmd, http.MethodGet, admin.PathRealms, nil, &list); err != nil {
		return nil, err
	}
	var names []string
	for _, v := range list {
		names = append(names, v.Name)
	}
	if len(names) == 0 {
		return nil, errors.New("the appliance has no realms; add one under xks.realms in its configuration")
	}
	return names, nil
}

// oneRealm gives the realm that was named, or the only one.
func (r *remote) oneRealm(cmd *cobra.Command, realm string) (string, error) {
	names, err := r.chosenRealms(cmd, realm)
	if err != nil {
		return "", err
	}
	if len(names) > 1 {
		return "", fmt.Errorf("there are several realms (%s); name one with --realm", strings.Join(names, ", "))
	}
	return names[0], nil
}

// showKey prints what the appliance answered about a key.
func (r *remote) showKey(cmd *cobra.Command, raw json.RawMessage, done string) error {
	if r.json {
		return printJSON(cmd.OutOrStdout(), raw)
	}
	var k admin.ExternalKey
	if err := json.Unmarshal(raw, &k); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s external key %s: %s, for %s, %s. CKA_ID %s.\n", done, k.ID, k.Spec, k.Usage, enabled(!k.Enabled), k.CKAID)
	if !k.Served {
		fmt.Fprintf(out, "Realm %s does not serve it: add it to the realm's keys in the configuration, and restart.\n", k.Realm)
	}
	return nil
}

func stampOf(t *time.Time) string {
	if t == nil {
		return ""
	}
	return stamp(*t)
}
