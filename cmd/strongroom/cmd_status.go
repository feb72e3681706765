package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
)

func newStatus() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show listeners, tokens, stores, keys by state and orphans",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			var s admin.Status
			if err := r.call(cmd, http.MethodGet, admin.PathStatus, nil, &s); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return showStatus(cmd, &s)
		}),
	}
	r.flags(cmd)
	return cmd
}

func showStatus(cmd *cobra.Command, s *admin.Status) error {
	out := cmd.OutOrStdout()
	state := "ready"
	if !s.Ready {
		state = "not ready"
	}
	var listeners []string
	for _, l := range s.Listeners {
		listeners = append(listeners, l.Name+" "+l.Address)
	}
	next := ""
	if s.NextDeletion != nil {
		next = stamp(*s.NextDeletion)
	}
	err := fields(out,
		"state", state, "version", s.Version, "account", s.Account, "regions", strings.Join(s.Regions, ", "),
		"listeners", strings.Join(listeners, ", "), "data directory", s.DataDir, "clock", stamp(s.Clock),
		"keys", counts(s.Keys), "orphans", strconv.Itoa(s.Orphans), "next deletion", next)
	if err != nil {
		return err
	}
	for _, p := range s.Problems {
		fmt.Fprintln(out, "problem: "+p)
	}
	fmt.Fprintln(out)
	rows := [][]string{{"TOKEN", "LABEL", "SERIAL", "HEALTHY", "SESSIONS", "USED AS"}}
	for _, t := range s.Tokens {
		rows = append(rows, []string{t.Name, t.Label, t.Serial, wellness(&t), fmt.Sprintf("%d (%d in use)", t.Sessions, t.InUse), strings.Join(t.Use, ", ")})
	}
	if err := table(out, rows...); err != nil {
		return err
	}
	if len(s.Stores) == 0 {
		return nil
	}
	fmt.Fprintln(out)
	rows = [][]string{{"STORE", "NAME", "REGION", "STATE", "CLUSTER", "KEYS", "CAUSE"}}
	for _, st := range s.Stores {
		cause := strings.Trim(st.ErrorCode+": "+st.Cause, ": ")
		rows = append(rows, []string{st.ID, st.Name, st.Region, st.State, st.Cluster, strconv.Itoa(st.Keys), cause})
	}
	return table(out, rows...)
}

func counts(m map[string]int) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if m[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// wellness shows whether a token is well; of one that nothing is open on there is nothing to say.
func wellness(t *admin.Token) string {
	switch {
	case t.Healthy:
		return "yes"
	case t.Manufacturer == "" && t.Model == "":
		return "not in use"
	case t.Error != "":
		return "no: " + t.Error
	}
	return "no"
}
