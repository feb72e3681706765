package audit

import (
	"strings"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// eventVersion is the version of CloudTrail's record format that these records follow.
const eventVersion = "1.11"

// appendRecord appends an event as JSON without its closing brace, behind which the chain's members go. id is the event id
// of an event that has none of its own.
func appendRecord(b []byte, e *Event, id *[36]byte) []byte {
	b = append(b, `{"eventVersion":"`+eventVersion+`","userIdentity":`...)
	b = appendIdentity(b, e)
	b = append(b, `,"eventTime":"`...)
	b = appendTime(b, e.Time)
	b = append(b, `","eventSource":"kms.amazonaws.com"`...)
	b = appendMember(b, "eventName", e.Name)
	b = appendMember(b, "awsRegion", e.Region)
	ip, agent, request := e.SourceIP, e.UserAgent, e.RequestID
	if c := e.Caller; c != nil {
		ip, agent = c.SourceIP, c.UserAgent
		if request == "" {
			request = c.RequestID
		}
	}
	if e.Type == ServiceEvent && ip == "" {
		ip, agent = "AWS Internal", "AWS Internal"
	}
	b = appendMember(b, "sourceIPAddress", ip)
	b = appendMember(b, "userAgent", agent)
	if e.ErrorCode != "" {
		b = appendMember(b, "errorCode", e.ErrorCode)
		if e.ErrorMessage != "" {
			b = appendMember(b, "errorMessage", e.ErrorMessage)
		}
	}
	b = e.RequestParameters.appendTo(append(b, `,"requestParameters":`...))
	b = e.ResponseElements.appendTo(append(b, `,"responseElements":`...))
	if !e.AdditionalEventData.IsZero() {
		b = e.AdditionalEventData.appendTo(append(b, `,"additionalEventData":`...))
	}
	if request != "" {
		b = appendMember(b, "requestID", request)
	}
	if e.ID != "" {
		b = appendMember(b, "eventID", e.ID)
	} else {
		b = append(b, `,"eventID":"`...)
		b = append(b, id[:]...)
		b = append(b, '"')
	}
	if e.ReadOnly {
		b = append(b, `,"readOnly":true`...)
	} else {
		b = append(b, `,"readOnly":false`...)
	}
	b = appendResources(b, e.Resources)
	if e.Type == ServiceEvent {
		b = append(b, `,"eventType":"AwsServiceEvent"`...)
	} else {
		b = append(b, `,"eventType":"AwsApiCall"`...)
	}
	b = append(b, `,"managementEvent":true`...)
	b = appendMember(b, "recipientAccountId", e.Account)
	if !e.ServiceEventDetails.IsZero() {
		b = e.ServiceEventDetails.appendTo(append(b, `,"serviceEventDetails":`...))
	}
	return append(b, `,"eventCategory":"Management"`...)
}

// appendMember appends a member whose name needs no escapes.
func appendMember(b []byte, name, value string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendString(b, value)
}

// appendTime appends a time in UTC to the second, as CloudTrail has it: "2026-11-22T05:06:19Z".
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = appendDigits(appendDigits(b, year/100), year%100)
	b = appendDigits(append(b, '-'), int(month))
	b = appendDigits(append(b, '-'), day)
	b = appendDigits(append(b, 'T'), hour)
	b = appendDigits(append(b, ':'), minute)
	b = appendDigits(append(b, ':'), second)
	return append(b, 'Z')
}

// appendDigits appends a number below 100 with two digits.
func appendDigits(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// appendIdentity appends userIdentity. The principal's kind is read from its ARN.
func appendIdentity(b []byte, e *Event) []byte {
	c := e.Caller
	if c == nil {
		if e.Type == ServiceEvent {
			b = append(b, `{"accountId":`...)
			b = appendString(b, e.Account)
			return append(b, `,"invokedBy":"AWS Internal"}`...)
		}
		return append(b, `{"type":"Unknown"}`...)
	}
	kind, name := identityKind(c)
	b = append(b, `{"type":"`...)
	b = append(b, kind...)
	b = append(b, `","principalId":`...)
	switch {
	case name == "":
		b = appendString(b, c.Account)
	case c.PrincipalID != "":
		b = appendString(b, c.PrincipalID)
	default: // a principal of before there were ids
		b = appendString(b, name)
	}
	b = appendMember(b, "arn", c.Principal)
	b = appendMember(b, "accountId", c.Account)
	if c.AccessKeyID != "" {
		b = appendMember(b, "accessKeyId", c.AccessKeyID)
	}
	if name != "" {
		b = appendMember(b, "userName", name)
	}
	return append(b, '}')
}

// identityKind gives userIdentity.type, and the name of a user or role.
func identityKind(c *keystore.Caller) (kind, name string) {
	i := strings.LastIndexByte(c.Principal, ':')
	rest := c.Principal[i+1:]
	if n, ok := strings.CutPrefix(rest, "user/"); ok {
		return "IAMUser", n
	}
	if n, ok := strings.CutPrefix(rest, "role/"); ok {
		return "Role", n
	}
	if c.Root || rest == "root" {
		return "Root", ""
	}
	return "Unknown", rest
}

func appendResources(b []byte, rs []Resource) []byte {
	if len(rs) == 0 {
		return b
	}
	b = append(b, `,"resources":[`...)
	for i := range rs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"accountId":`...)
		b = appendString(b, rs[i].Account)
		if rs[i].Type != "" {
			b = appendMember(b, "type", rs[i].Type)
		}
		b = appendMember(b, "ARN", rs[i].ARN)
		b = append(b, '}')
	}
	return append(b, ']')
}
