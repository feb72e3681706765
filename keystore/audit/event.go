// Package audit is the appliance's record of what was asked and what became of it: typed events in CloudTrail's shape,
// one JSON line each, chained by hash in files that only grow. It never sees plaintext or secrets: whoever builds an
// event puts in what may be read by an auditor.
package audit

import (
	"context"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// Type is CloudTrail's eventType.
type Type string

// The types of event.
const (
	// APICall is a request that a caller made.
	APICall Type = "AwsApiCall"
	// ServiceEvent is something that the appliance did by itself.
	ServiceEvent Type = "AwsServiceEvent"
)

// Event is one record. Zero members are left out of the line or are null, as CloudTrail has it.
type Event struct {
	Type   Type   // "" is APICall
	ID     string // eventID; "" lets the log choose one
	Time   time.Time
	Name   string // eventName: the operation, or the name of the service event
	Region string
	// Account is recipientAccountId.
	Account string

	// Caller is who made the request; nil for a service event and for a request that was refused before it was known who
	// made it.
	Caller    *keystore.Caller
	SourceIP  string // where Caller is nil
	UserAgent string // where Caller is nil
	RequestID string // "" takes the caller's

	ErrorCode    string // exception with its suffix, as on the wire
	ErrorMessage string

	RequestParameters   Object
	ResponseElements    Object
	AdditionalEventData Object
	ServiceEventDetails Object

	ReadOnly  bool
	Resources []Resource
}

// Resource is one resource that an event is about.
type Resource struct {
	ARN     string
	Account string
	Type    string // "AWS::KMS::Key" or "AWS::KMS::Alias"; "" is left out
}

// KeyResource is the resource entry of a key.
func KeyResource(k *keystore.Key) Resource {
	return Resource{ARN: k.ARN(), Account: k.Account, Type: "AWS::KMS::Key"}
}

// Log takes events. Append with durable true returns when the record is on disk; with false the record is in order behind
// everything appended before, and on disk within 100 ms. After an error the record is not known to be on disk, and what
// it was to record must be refused. The event is not kept.
type Log interface {
	Append(ctx context.Context, e *Event, durable bool) error
}
