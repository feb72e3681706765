package main

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/appliance"
	"github.com/strongroom/strongroom/cmd/strongroom/dev"
)

// readyRealms makes the external keys that a dev appliance has, and gives a credential of each realm.
func readyRealms(ctx context.Context, a *appliance.Appliance, s *dev.Setup) (map[string]dev.Credential, error) {
	credentials := map[string]dev.Credential{}
	for _, r := range s.Realms() {
		if err := a.EnsureXKSKeys(ctx, r.Name, r.Keys); err != nil {
			return nil, err
		}
		_, c, err := a.XKSCredential(r.Name, "")
		if err != nil {
			return nil, err
		}
		credentials[r.Name] = dev.Credential{AccessKeyID: c.AccessKeyID, SecretKey: string(c.Secret)}
	}
	return credentials, nil
}

func newDevXKSFault() *cobra.Command {
	var r remote
	var realm string
	cmd := &cobra.Command{
		Use:   "xks-fault [FAULT]",
		Short: "Make the XKS proxy slow, failing, malformed or gone; without FAULT, tell what it is",
		Long: "Make the XKS proxy of a dev appliance misbehave, until it is told to stop:\n\n" +
			"  slow=300ms      answer that much later; KMS waits 250 ms\n" +
			"  failing         answer InternalException\n" +
			"  failing=NAME    answer another error of the protocol, such as ThrottlingException\n" +
			"  malformed       answer what is no JSON\n" +
			"  gone            hang up without an answer\n" +
			"  off             be a good proxy again",
		Args: cobra.MaximumNArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			method, in := http.MethodGet, any(nil)
			if len(args) == 1 {
				method, in = http.MethodPost, admin.XKSFault{Realm: realm, Fault: args[0]}
			}
			var now admin.XKSFaults
			if err := r.call(cmd, method, admin.PathXKSFault, in, &now); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), now)
			}
			rows := [][]string{{"REALM", "FAULT"}}
			for _, name := range slices.Sorted(maps.Keys(now.Faults)) {
				rows = append(rows, []string{name, now.Faults[name]})
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&realm, "realm", "", "this realm only (default: all)")
	return cmd
}
