package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
)

// orphan is a row of the ledger as the appliance sends it.
type orphan struct {
	ID           string    `json:"id"`
	State        string    `json:"state"`
	KeyID        string    `json:"key_id"`
	KeyARN       string    `json:"key_arn"`
	Region       string    `json:"region"`
	StoreID      string    `json:"store_id"`
	ClusterID    string    `json:"cluster_id"`
	TokenLabel   string    `json:"token_label"`
	TokenSerial  string    `json:"token_serial"`
	Manufacturer string    `json:"token_manufacturer"`
	Model        string    `json:"token_model"`
	CKAID        string    `json:"cka_id"`
	Label        string    `json:"label"`
	Classes      []string  `json:"object_classes"`
	KeyType      string    `json:"key_type"`
	CheckValue   string    `json:"check_value"`
	CreatedAt    time.Time `json:"created_at"`
	ScheduledAt  time.Time `json:"scheduled_at"`
	DeletedAt    time.Time `json:"deleted_at"`
	Reason       string    `json:"reason"`
	Attempts     int       `json:"attempts"`
	Note         string    `json:"note"`
}

func newOrphans() *cobra.Command {
	return group("orphans", "Key material that could not be destroyed with its key",
		newOrphansList(), newOrphansShow(), newOrphansDestroy(), newOrphansResolve(), newOrphansScan())
}

func newOrphansList() *cobra.Command {
	var r remote
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List key material that a person must see to",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			path := admin.PathOrphans
			if all {
				path += "?resolved=true"
			}
			var raw json.RawMessage
			if err := r.call(cmd, http.MethodGet, path, nil, &raw); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), raw)
			}
			var list []orphan
			if err := json.Unmarshal(raw, &list); err != nil {
				return err
			}
			if len(list) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "There are no orphans.")
				return nil
			}
			rows := [][]string{{"ID", "STATE", "KEY", "STORE", "TOKEN", "DELETED", "REASON"}}
			for _, o := range list {
				rows = append(rows, []string{o.ID, o.State, o.KeyARN, o.StoreID, o.TokenLabel, stamp(o.DeletedAt), o.Reason})
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "list resolved ones too")
	return cmd
}

func newOrphansShow() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show all that is known of an orphan, and what to do",
		Args:  cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			return r.orphan(cmd, http.MethodGet, "/"+url.PathEscape(args[0]), nil, describeOrphan)
		}),
	}
	r.flags(cmd)
	return cmd
}

func newOrphansDestroy() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "destroy ID",
		Short: "Destroy an orphan on its token; the store must be connected",
		Args:  cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			return r.orphan(cmd, http.MethodPost, "/"+url.PathEscape(args[0])+"/destroy", admin.Empty{}, func(cmd *cobra.Command, o *orphan) error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "Destroyed %s of %s on token %s.\n", o.ID, o.KeyARN, o.TokenLabel)
				return err
			})
		}),
	}
	r.flags(cmd)
	return cmd
}

func newOrphansResolve() *cobra.Command {
	var r remote
	var note string
	cmd := &cobra.Command{
		Use:   "resolve ID --note TEXT",
		Short: "Record that a person removed an orphan",
		Args:  cobra.ExactArgs(1),
		RunE: doing(func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(note) == "" {
				return mistaken("say with --note who removed the object, where and how")
			}
			return r.orphan(cmd, http.MethodPost, "/"+url.PathEscape(args[0])+"/resolve", admin.Resolution{Note: note}, func(cmd *cobra.Command, o *orphan) error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "Resolved %s of %s.\n", o.ID, o.KeyARN)
				return err
			})
		}),
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&note, "note", "", "who removed the object, where and how")
	return cmd
}

// orphan makes a call whose answer is one orphan, and shows it.
func (r *remote) orphan(cmd *cobra.Command, method, path string, in any, show func(*cobra.Command, *orphan) error) error {
	var raw json.RawMessage
	if err := r.call(cmd, method, admin.PathOrphans+path, in, &raw); err != nil {
		return err
	}
	if r.json {
		return printJSON(cmd.OutOrStdout(), raw)
	}
	var o orphan
	if err := json.Unmarshal(raw, &o); err != nil {
		return err
	}
	return show(cmd, &o)
}

func describeOrphan(cmd *cobra.Command, o *orphan) error {
	out := cmd.OutOrStdout()
	err := fields(out,
		"id", o.ID, "state", o.State, "key", o.KeyARN, "region", o.Region, "store", o.StoreID, "cluster", o.ClusterID,
		"token", o.TokenLabel, "token serial", o.TokenSerial, "token maker", strings.TrimSpace(o.Manufacturer+" "+o.Model),
		"CKA_ID", o.CKAID, "CKA_LABEL", o.Label, "objects", strings.Join(o.Classes, ", "), "key type", o.KeyType,
		"check value", o.CheckValue, "created", stamp(o.CreatedAt), "scheduled", stamp(o.ScheduledAt), "deleted", stamp(o.DeletedAt),
		"reason", o.Reason, "attempts", strconv.Itoa(o.Attempts), "note", o.Note)
	if err != nil || o.State != "orphaned" {
		return err
	}
	_, err = fmt.Fprintf(out, "\nThe key is gone; this material is not. Copies of it may be in any backup of the token taken between %s and the day it is destroyed.\n"+
		"With the store connected:   strongroom orphans destroy %s\n"+
		"After removing it by hand:  strongroom orphans resolve %s --note \"who, where, how\"\n", stamp(o.CreatedAt), o.ID, o.ID)
	return err
}

// scanReport is what a scan found, each entry as the appliance sends it.
type scanReport struct {
	Unknown  []json.RawMessage `json:"unknown"`
	Missing  []json.RawMessage `json:"missing"`
	Orphaned []json.RawMessage `json:"orphaned"`
	Gone     []json.RawMessage `json:"gone"`
	Skipped  []json.RawMessage `json:"skipped"`
}

func newOrphansScan() *cobra.Command {
	var r remote
	var store string
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Compare tokens with the ledger both ways; changes nothing",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			path := admin.PathScan
			if store != "" {
				path += "?store=" + url.QueryEscape(store)
			}
			var raw json.RawMessage
			if err := r.call(cmd, http.MethodPost, path, admin.Empty{}, &raw); err != nil {
				return err
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), raw)
			}
			var s scanReport
			if err := json.Unmarshal(raw, &s); err != nil {
				return err
			}
			return showScan(cmd, &s)
		}),
	}
	r.flags(cmd)
	cmd.Flags().StringVar(&store, "store", "", "scan the token of this custom key store only")
	return cmd
}

func showScan(cmd *cobra.Command, s *scanReport) error {
	out := cmd.OutOrStdout()
	for _, part := range []struct {
		entries []json.RawMessage
		meaning string
	}{
		{s.Unknown, "on a token, and no row of the ledger names them"},
		{s.Missing, "of live keys, and not on their token: these keys cannot be used"},
		{s.Orphaned, "orphaned, and still on their token: strongroom orphans destroy"},
		{s.Gone, "orphaned, and no longer on their token: strongroom orphans resolve"},
		{s.Skipped, "not looked at, because their token could not be reached"},
	} {
		fmt.Fprintf(out, "%d %s\n", len(part.entries), part.meaning)
		for _, e := range part.entries {
			var o struct {
				ID    string `json:"id"`
				CKAID string `json:"cka_id"`
				Label string `json:"label"`
				Token string `json:"token_label"`
				Store string `json:"store_id"`
				Why   string `json:"why"`
				Cause string `json:"reason"`
			}
			if err := json.Unmarshal(e, &o); err != nil {
				return err
			}
			if o.ID == "" {
				o.ID = o.CKAID
			}
			parts := slices.DeleteFunc([]string{o.ID, o.Label, o.Token, o.Store, o.Why, o.Cause}, func(s string) bool { return s == "" })
			fmt.Fprintln(out, "  "+strings.Join(parts, "  "))
		}
	}
	return nil
}
