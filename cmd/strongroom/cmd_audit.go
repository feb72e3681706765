package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/cmd/strongroom/config"
	"github.com/strongroom/strongroom/keystore/audit"
)

func newAudit() *cobra.Command {
	return group("audit", "The audit log", newAuditVerify(), newAuditTail(), newAuditExport())
}

// logDir is the flags that say where an audit log is. The log is read from its files: it can be read without an appliance.
type logDir struct {
	remote
	log string
}

func (l *logDir) flags(cmd *cobra.Command) {
	l.remote.flags(cmd)
	cmd.Flags().StringVar(&l.log, "log", "", "directory of the audit log, as an archived one")
	cmd.MarkFlagsMutuallyExclusive("log", "dir", "socket", "config")
}

func (l *logDir) find(cmd *cobra.Command) (string, error) {
	switch {
	case l.log != "":
		return l.log, nil
	case l.dir != "":
		return filepath.Join(l.dir, "audit"), nil
	case l.config != "":
		c, err := config.Load(l.config)
		if err != nil {
			return "", err
		}
		return c.Audit.Dir, nil
	}
	var s admin.Status
	if err := l.call(cmd, http.MethodGet, admin.PathStatus, nil, &s); err != nil {
		return "", fmt.Errorf("%w; or name the log with --log", err)
	}
	return s.AuditDir, nil
}

func newAuditVerify() *cobra.Command {
	var l logDir
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Follow the hash chain through the whole log",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			dir, err := l.find(cmd)
			if err != nil {
				return err
			}
			r, err := audit.Verify(dir)
			if err != nil {
				return err
			}
			if r.Segments == 0 && l.log != "" {
				return fmt.Errorf("audit log: there is none in %s", l.log)
			}
			out := cmd.OutOrStdout()
			if l.json {
				if err := printJSON(out, r); err != nil {
					return err
				}
			} else {
				fmt.Fprintf(out, "%d records in %d files", r.Records, r.Segments)
				if r.Records > 0 {
					fmt.Fprintf(out, ", %d to %d; the last has SHA-256 %s", r.First, r.Last, r.LastHash)
				}
				fmt.Fprintln(out)
				for _, b := range r.Breaks {
					fmt.Fprintf(out, "%s line %d: %s\n", b.Segment, b.Line, b.What)
				}
			}
			if !r.OK() {
				return fmt.Errorf("the chain is broken in %d places: records were changed, removed or added", len(r.Breaks))
			}
			return nil
		}),
	}
	l.flags(cmd)
	return cmd
}

func newAuditTail() *cobra.Command {
	var l logDir
	var n int
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show the last records",
		Args:  cobra.NoArgs,
		RunE: doing(func(cmd *cobra.Command, _ []string) error {
			if n < 1 {
				return mistaken("-n must be at least 1")
			}
			dir, err := l.find(cmd)
			if err != nil {
				return err
			}
			records, err := audit.Tail(dir, n)
			if err != nil {
				return err
			}
			if l.json {
				return printJSON(cmd.OutOrStdout(), append([]json.RawMessage{}, records...))
			}
			rows := [][]string{{"TIME", "EVENT", "CALLER", "ERROR", "RESOURCES"}}
			for _, raw := range records {
				row, err := auditRow(raw)
				if err != nil {
					return err
				}
				rows = append(rows, row)
			}
			return table(cmd.OutOrStdout(), rows...)
		}),
	}
	l.flags(cmd)
	cmd.Flags().IntVarP(&n, "lines", "n", 20, "how many records")
	return cmd
}

func auditRow(raw json.RawMessage) ([]string, error) {
	var e struct {
		EventTime    string `json:"eventTime"`
		EventName    string `json:"eventName"`
		ErrorCode    string `json:"errorCode"`
		UserIdentity struct {
			ARN string `json:"arn"`
		} `json:"userIdentity"`
		Resources []struct {
			ARN string `json:"ARN"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	var arns []string
	for _, r := range e.Resources {
		arns = append(arns, r.ARN)
	}
	return []string{e.EventTime, e.EventName, e.UserIdentity.ARN, e.ErrorCode, strings.Join(arns, " ")}, nil
}
