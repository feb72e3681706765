package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/keystore/audit"
)

// auditFilter says which records are exported; what is empty lets all through.
type auditFilter struct {
	since, until moment
	event, key   string
}

// moment is a flag: a date, or a time in RFC 3339.
type moment struct{ time.Time }

// Set implements pflag.Value.
func (m *moment) Set(text string) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			m.Time = t
			return nil
		}
	}
	return errors.New("want a time as 2026-01-31T12:00:00Z, or a date as 2026-01-31")
}

// String implements pflag.Value.
func (m *moment) String() string {
	if m.IsZero() {
		return ""
	}
	return m.Format(time.RFC3339)
}

// Type implements pflag.Value.
func (m *moment) Type() string { return "time" }

func newAuditExport() *cobra.Command {
	var l logDir
	var f auditFilter
	cmd := &cobra.Command{
		Use:   "export [--since TIME] [--until TIME] [--event NAME] [--key ARN]",
		Short: "Write records as they are, one JSON line each, oldest first",
		Long: "Write records of the audit log as they stand in its files, one JSON line each, oldest first. It does not follow the\n" +
			"hash chain; strongroom audit verify does.",
		Args: cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			dir, err := l.find(cmd)
			if err != nil {
				return err
			}
			out := bufio.NewWriter(cmd.OutOrStdout())
			err = audit.Records(dir, 0, func(_ int64, line []byte) error {
				if err := cmd.Context().Err(); err != nil {
					return err
				}
				if wanted, err := f.wants(line); err != nil || !wanted {
					return err
				}
				_, _ = out.Write(line)
				return out.WriteByte('\n')
			})
			return errors.Join(err, out.Flush())
		}),
	}
	l.flags(cmd)
	must(cmd.Flags().MarkHidden("json")) // it prints nothing else
	fl := cmd.Flags()
	fl.Var(&f.since, "since", "records of this time and later")
	fl.Var(&f.until, "until", "records before this time")
	fl.StringVar(&f.event, "event", "", "records of this event only, as Decrypt")
	fl.StringVar(&f.key, "key", "", "records about this key ARN only")
	return cmd
}

func (f *auditFilter) wants(line []byte) (bool, error) {
	var e struct {
		EventTime time.Time `json:"eventTime"`
		EventName string    `json:"eventName"`
		Resources []struct {
			ARN string `json:"ARN"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return false, err
	}
	about := f.key == ""
	for _, r := range e.Resources {
		about = about || r.ARN == f.key
	}
	return about && (f.event == "" || e.EventName == f.event) &&
		(f.since.IsZero() || !e.EventTime.Before(f.since.Time)) && (f.until.IsZero() || e.EventTime.Before(f.until.Time)), nil
}
