package api

import (
	"context"
	"strings"

	"github.com/strongroom/strongroom/api/shape"
	"github.com/strongroom/strongroom/keystore"
	"github.com/strongroom/strongroom/keystore/audit"
)

// maxErrorMessage is where CloudTrail cuts an error message.
const maxErrorMessage = 1024

// record writes the call's audit record: on disk before a change is answered, in order for all else. A call that cannot
// be recorded is answered as failed, whatever came of it. It gives back the error to answer.
func (c *call) record(r response, failed error) error {
	e := audit.Event{
		Time: c.caller.Time, Name: string(c.row.name), Region: c.caller.Region, Account: c.caller.Account,
		Caller: c.caller, ReadOnly: c.row.readOnly, AdditionalEventData: c.extra,
	}
	if c.decoded {
		c.params = c.members.AppendParameters(c.params[:0])
		e.RequestParameters = bounded(c.params, "requestParameters")
	}
	e.Resources = c.allResources()
	if failed != nil {
		c.recordFailure(&e, failed)
	} else if !c.row.readOnly {
		c.recordElements(&e, r)
	}
	use := failed == nil && keystore.CountsAsUse(c.row.name)
	if use {
		e.ID = c.s.requestID() // chosen here, to be shown by GetKeyLastUsage
	}
	// The record is owed even to a client that went away.
	err := c.s.Audit.Append(context.WithoutCancel(c.r.Context()), &e, failed == nil && !c.row.readOnly)
	if err != nil {
		return &unrecorded{err}
	}
	if use {
		c.used(e.ID)
	}
	return failed
}

// maxObject is how large requestParameters or responseElements may be; CloudTrail leaves them out beyond 100 KB.
const maxObject = 100 << 10

func bounded(text []byte, name string) audit.Object {
	if len(text) > maxObject {
		return audit.Object{}.String("reason", name+" too large").Int("originalSize", int64(len(text))).Bool("omitted", true)
	}
	return audit.WrittenObject(text)
}

func (c *call) recordFailure(e *audit.Event, failed error) {
	exception, message, _ := wire(failed, c.id)
	e.ErrorCode, e.ErrorMessage = exception.Name, message
	if len(message) > maxErrorMessage {
		e.ErrorMessage = strings.ToValidUTF8(message[:maxErrorMessage], "")
	}
	if exception.Name == "KMSInvalidStateException" && strings.HasSuffix(message, " is pending deletion.") {
		c.s.Observer.PendingDeletionUse()
	}
}

// recordElements writes responseElements. Of a change without an answer CloudTrail shows the key's ARN.
func (c *call) recordElements(e *audit.Event, r response) {
	if _, empty := r.(shape.Empty); !empty {
		c.elements = shape.AppendElements(c.elements[:0], r)
		e.ResponseElements = bounded(c.elements, "responseElements")
		return
	}
	for i := range e.Resources {
		if e.Resources[i].Type == keyType {
			e.ResponseElements = audit.Object{}.String("keyId", e.Resources[i].ARN)
			return
		}
	}
}

const (
	keyType   = "AWS::KMS::Key"
	aliasType = "AWS::KMS::Alias"
)

// about notes the ARN of a key that the call turned out to be about.
func (c *call) about(keyARN string) {
	if keyARN != "" {
		c.resources = append(c.resources, audit.Resource{ARN: keyARN, Account: c.caller.Account, Type: keyType})
	}
}

// named are the members that name resources.
var named = [...]string{"AliasName", "KeyId", "TargetKeyId", "DestinationKeyId", "SourceKeyId"}

// allResources gives what the operation noted, or else what the request names by itself: an alias, or a key by its id or
// ARN, there or not.
func (c *call) allResources() []audit.Resource {
	if len(c.resources) > 0 || !c.decoded {
		return c.resources
	}
	for _, member := range named {
		given := c.members.Text(member)
		if given == "" {
			continue
		}
		if member == "AliasName" {
			c.resources = append(c.resources, audit.Resource{ARN: keystore.AliasARN(c.caller.Region, c.caller.Account, given),
				Account: c.caller.Account, Type: aliasType})
			continue
		}
		ref, err := keystore.ParseRef(given, c.caller.Region, c.caller.Account, keystore.RefKeyOrAlias)
		if err == nil && ref.ID != "" {
			c.about(keystore.KeyARN(c.caller.Region, c.caller.Account, ref.ID))
		}
	}
	return c.resources
}

// backingKey notes the material of a new key in a custom key store, as CloudTrail does: its CKA_ID, or the external key.
func (c *call) backingKey(k *keystore.Key) {
	if current := k.Current(); current != nil && k.Origin == keystore.OriginCloudHSM {
		c.extra = c.extra.String("backingKey", `{"backingKeyId":"`+current.ID.String()+`"}`)
	}
	if k.XksKeyID != "" {
		c.extra = c.extra.String("customKeyStoreId", string(k.StoreID)).String("xksKeyId", k.XksKeyID)
	}
}

// aboutStore notes the name and cluster of a custom key store, as CloudTrail shows them beside its operations.
func (c *call) aboutStore(ctx context.Context, id string) {
	store, err := c.s.Directory.LookupStore(ctx, c.caller.Region, keystore.StoreID(id))
	if err != nil {
		return // the operation will say so
	}
	c.extra = c.extra.String("customKeyStoreName", store.Name)
	if store.ClusterID != "" {
		c.extra = c.extra.String("clusterId", store.ClusterID)
	}
}
