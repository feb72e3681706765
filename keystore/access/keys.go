package access

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongroom/strongroom/keystore"
)

// condKey is the name of a condition key, looked up once. Names are compared without regard to case, as in AWS, and so are
// the names of tags and of encryption context members in them.
type condKey struct {
	name   string // as written
	source source
	member string // of a tag or of the encryption context
}

// source says where the value of a condition key comes from.
type source uint8

const (
	fromRequest source = iota // Request.Conditions
	fromContextMember
	fromContextKeys
	fromResourceTag
	fromAliases
	fromPrincipalARN
	fromPrincipalAccount
	fromPrincipalType
	fromUsername
	fromUserID
	fromSourceIP
	fromUserAgent
	fromNow
	fromEpoch
	fromTransport
	fromRegion
	fromResourceAccount
	fromViaAWS
	fromKeySpec
	fromKeyUsage
	fromKeyOrigin
	fromMultiRegion
	fromMultiRegionType
)

// condKeys are the condition keys whose values the appliance knows itself. All others ("kms:RequestAlias", "kms:ViaService",
// "aws:RequestTag/…", …) have the values that the request brings, or none.
var condKeys = map[string]source{
	"kms:encryptioncontextkeys":  fromContextKeys,
	"kms:resourcealiases":        fromAliases,
	"kms:calleraccount":          fromPrincipalAccount,
	"kms:keyspec":                fromKeySpec,
	"kms:customermasterkeyspec":  fromKeySpec,
	"kms:keyusage":               fromKeyUsage,
	"kms:customermasterkeyusage": fromKeyUsage,
	"kms:keyorigin":              fromKeyOrigin,
	"kms:multiregion":            fromMultiRegion,
	"kms:multiregionkeytype":     fromMultiRegionType,
	"aws:principalarn":           fromPrincipalARN,
	"aws:principalaccount":       fromPrincipalAccount,
	"aws:principaltype":          fromPrincipalType,
	"aws:username":               fromUsername,
	"aws:userid":                 fromUserID,
	"aws:sourceip":               fromSourceIP,
	"aws:useragent":              fromUserAgent,
	"aws:currenttime":            fromNow,
	"aws:epochtime":              fromEpoch,
	"aws:securetransport":        fromTransport,
	"aws:requestedregion":        fromRegion,
	"aws:resourceaccount":        fromResourceAccount,
	"aws:viaawsservice":          fromViaAWS,
	"aws:principalisawsservice":  fromViaAWS,
}

const (
	contextPrefix = "kms:encryptioncontext:"
	tagPrefix     = "aws:resourcetag/"
)

func lookupCondKey(name string) condKey {
	low := strings.ToLower(name)
	k := condKey{name: name, source: condKeys[low]}
	switch {
	case strings.HasPrefix(low, contextPrefix):
		k.source, k.member = fromContextMember, name[len(contextPrefix):]
	case strings.HasPrefix(low, tagPrefix):
		k.source, k.member = fromResourceTag, name[len(tagPrefix):]
	}
	return k
}

// values appends the values of a condition key to room. What the appliance knows itself comes before what the request
// brings; an empty answer means that the key is not in the request's context.
func (e *evaluation) values(k *condKey, room []string) []string {
	var out []string
	switch k.source {
	case fromRequest:
		return e.brought(k.name, room)
	case fromContextMember, fromContextKeys:
		out = e.contextValues(k, room)
	case fromKeySpec, fromKeyUsage, fromKeyOrigin, fromMultiRegion, fromMultiRegionType, fromResourceTag, fromAliases:
		out = e.keyValues(k, room)
	default:
		out = e.callerValues(k, room)
	}
	if len(out) == len(room) {
		return e.brought(k.name, room)
	}
	return out
}

// brought gives what the service put into the request: of names that differ in case alone, as tags' may, all values.
func (e *evaluation) brought(name string, room []string) []string {
	if v, found := e.req.Conditions[name]; found {
		return append(room, v...)
	}
	for known, v := range e.req.Conditions {
		if strings.EqualFold(known, name) {
			room = append(room, v...)
		}
	}
	return room
}

func (e *evaluation) contextValues(k *condKey, room []string) []string {
	ctx := e.req.EncryptionContext
	if k.source == fromContextKeys {
		return append(room, slices.Sorted(maps.Keys(ctx))...)
	}
	if v, found := ctx[k.member]; found {
		return append(room, v)
	}
	for name, v := range ctx {
		if strings.EqualFold(name, k.member) {
			room = append(room, v)
		}
	}
	return room
}

func (e *evaluation) keyValues(k *condKey, room []string) []string {
	key := e.req.Key
	if key == nil {
		return room
	}
	switch k.source {
	case fromKeySpec:
		return append(room, string(key.Spec))
	case fromKeyUsage:
		return append(room, string(key.Usage))
	case fromKeyOrigin:
		return append(room, string(key.Origin))
	case fromMultiRegion:
		return append(room, strconv.FormatBool(key.MultiRegion != nil))
	case fromMultiRegionType:
		switch {
		case key.MultiRegion == nil:
			return room
		case key.MultiRegion.Primary:
			return append(room, "PRIMARY")
		default:
			return append(room, "REPLICA")
		}
	case fromAliases:
		return append(room, e.aliases(key)...)
	default:
		for i := range key.Tags {
			if strings.EqualFold(key.Tags[i].Key, k.member) {
				room = append(room, key.Tags[i].Value)
			}
		}
		return room
	}
}

func (e *evaluation) callerValues(k *condKey, room []string) []string {
	c := e.req.Caller
	switch k.source {
	case fromPrincipalARN:
		return appendText(room, c.Principal)
	case fromPrincipalAccount:
		return appendText(room, c.Account)
	case fromPrincipalType:
		return appendText(room, principalType(c))
	case fromUsername:
		return appendText(room, userName(c))
	case fromUserID:
		if c.Root {
			return appendText(room, c.Account)
		}
		return appendText(room, c.PrincipalID)
	case fromSourceIP:
		return appendText(room, c.SourceIP)
	case fromUserAgent:
		return appendText(room, c.UserAgent)
	case fromNow, fromEpoch:
		return e.times(k.source, room)
	case fromTransport:
		return append(room, strconv.FormatBool(c.Secure))
	case fromRegion:
		return appendText(room, c.Region)
	case fromResourceAccount:
		if e.req.Key != nil {
			return appendText(room, e.req.Key.Account)
		}
		return appendText(room, c.Account)
	case fromViaAWS:
		return append(room, "false")
	default:
		return room
	}
}

func (e *evaluation) times(s source, room []string) []string {
	switch now := e.now(); {
	case now.IsZero():
		return room
	case s == fromEpoch:
		return append(room, strconv.FormatInt(now.Unix(), 10))
	default:
		return append(room, now.UTC().Format(time.RFC3339))
	}
}

func (e *evaluation) now() time.Time {
	if e.req.Now.IsZero() {
		return e.req.Caller.Time
	}
	return e.req.Now
}

func appendText(room []string, v string) []string {
	if v == "" {
		return room
	}
	return append(room, v)
}

// principalType is aws:PrincipalType: "Account" for the root, "User", and "AssumedRole" for roles.
func principalType(c *keystore.Caller) string {
	switch {
	case c.Root:
		return "Account"
	case strings.Contains(c.Principal, ":user/"):
		return "User"
	case strings.Contains(c.Principal, "role/"):
		return "AssumedRole"
	default:
		return ""
	}
}

// userName is aws:username, which only users have: the name behind the path.
func userName(c *keystore.Caller) string {
	_, path, isUser := strings.Cut(c.Principal, ":user/")
	if !isUser {
		return ""
	}
	return path[strings.LastIndexByte(path, '/')+1:]
}
