package appliance

import (
	"context"
	"fmt"
	"strings"

	"github.com/strongroom/strongroom/cmd/strongroom/admin"
	"github.com/strongroom/strongroom/keystore/audit"
)

// Names of the service events of what is done through the admin socket. What is done to orphans has events of its own.
const (
	eventPrincipalCreated  = "PrincipalCreated"
	eventPrincipalDeleted  = "PrincipalDeleted"
	eventPrincipalDisabled = "PrincipalDisabled"
	eventPrincipalEnabled  = "PrincipalEnabled"
	eventPolicyAttached    = "PrincipalPolicyAttached"
	eventPolicyDetached    = "PrincipalPolicyDetached"
	eventAccessKeyCreated  = "AccessKeyCreated"
	eventAccessKeyDeleted  = "AccessKeyDeleted"
	eventAccessKeyDisabled = "AccessKeyDisabled"
	eventAccessKeyEnabled  = "AccessKeyEnabled"
	eventBackedUp          = "DatabaseBackedUp"
)

// changed does a change of a principal and records it before it is answered; subject is the access key or policy that it was
// about. Without an event nothing is recorded. Where the log cannot be written nothing is done.
func (a *Appliance) changed(ctx context.Context, event, subject string, do func() (admin.Principal, error)) (admin.Principal, error) {
	if event == "" {
		return do()
	}
	if err := a.audit.Healthy(); err != nil {
		return admin.Principal{}, unrecordable(err)
	}
	p, err := do()
	if err != nil {
		return p, err
	}
	d := audit.Object{}.String("principal", p.ARN)
	switch {
	case strings.HasPrefix(event, "AccessKey") && subject == "", event == eventPrincipalCreated:
		for _, k := range p.AccessKeys {
			if k.Secret != "" {
				d = d.String("accessKeyId", k.AccessKeyID)
			}
		}
	case strings.HasPrefix(event, "AccessKey"):
		d = d.String("accessKeyId", subject)
	case subject != "":
		d = d.String("policyName", subject)
	}
	if err := a.recordAdmin(ctx, event, d); err != nil {
		return admin.Principal{}, err
	}
	return p, nil
}

// recordAdmin writes the event of something that was done; it is on disk when it returns.
func (a *Appliance) recordAdmin(ctx context.Context, event string, details audit.Object) error {
	err := a.audit.Append(context.WithoutCancel(ctx), &audit.Event{
		Type: audit.ServiceEvent, Time: a.clock.Now(), Name: event, Region: a.cfg.Regions[0], Account: a.cfg.Account, ServiceEventDetails: details,
	}, true)
	if err != nil {
		a.metrics.AuditError()
		return fmt.Errorf("it is done, but could not be recorded in the audit log: %w", err)
	}
	return nil
}

func unrecordable(err error) error {
	return admin.Conflict(fmt.Errorf("nothing was done, because it could not be recorded in the audit log: %w", err))
}
