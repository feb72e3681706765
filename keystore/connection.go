package keystore

import "slices"

// ConnEvent is what moves a custom key store between connection states.
type ConnEvent string

// The events: two that callers ask for, three that the connection itself reports.
const (
	ConnectAsked    ConnEvent = "ConnectAsked"
	Opened          ConnEvent = "Opened"
	OpenFailed      ConnEvent = "OpenFailed"
	DisconnectAsked ConnEvent = "DisconnectAsked"
	Closed          ConnEvent = "Closed"
)

// ConnEvents lists the events in the order of a connection's life.
func ConnEvents() []ConnEvent {
	return []ConnEvent{ConnectAsked, Opened, OpenFailed, DisconnectAsked, Closed}
}

// ConnStates lists the connection states.
func ConnStates() []ConnState {
	return []ConnState{Disconnected, Connecting, Connected, Disconnecting, Failed}
}

// connSteps is the connection state machine (custom-key-stores.md section 3). A pair that is missing is no step: asked for by
// a caller it is CustomKeyStoreInvalidState, reported by a connection it comes too late and is dropped.
var connSteps = map[ConnState]map[ConnEvent]ConnState{
	Disconnected:  {ConnectAsked: Connecting},
	Connecting:    {ConnectAsked: Connecting, Opened: Connected, OpenFailed: Failed, DisconnectAsked: Disconnecting},
	Connected:     {ConnectAsked: Connected, DisconnectAsked: Disconnecting},
	Disconnecting: {Closed: Disconnected},
	Failed:        {DisconnectAsked: Disconnected},
}

// NextConn gives the connection state after an event; false, and the state unchanged, where there is no such step. A
// connection that is lost causes no event: CONNECTED means that the last connect succeeded and nobody disconnected since.
func NextConn(event ConnEvent, c ConnState) (ConnState, bool) {
	next, found := connSteps[c][event]
	if !found {
		return c, false
	}
	return next, true
}

// storeRule says in which connection states an action on a custom key store is allowed.
type storeRule struct {
	in    []ConnState
	types []StoreType // none: every type; else others are UnsupportedOperation
	cure  string      // what to do about the refusal, for callers
}

// storeTable: actions that name a custom key store (custom-key-stores.md sections 3, 6, 8 and 9).
var storeTable = map[Action]storeRule{
	ActionConnectCustomKeyStore: {in: []ConnState{Disconnected, Connecting, Connected},
		cure: "Disconnect the custom key store, wait until it is DISCONNECTED, and try the request again."},
	ActionDisconnectCustomKeyStore: {in: []ConnState{Connecting, Connected, Failed},
		cure: "The custom key store is disconnected or about to be."},
	ActionUpdateCustomKeyStore: {in: []ConnState{Disconnected, Connected},
		cure: "The custom key store must be CONNECTED or DISCONNECTED."},
	ActionDeleteCustomKeyStore: {in: []ConnState{Disconnected},
		cure: "Disconnect the custom key store and try the request again."},
	ActionDescribeCustomKeyStores: {in: ConnStates()},
	ActionCreateKey: {in: []ConnState{Connected},
		cure: "Connect the custom key store and try the request again."},
	ActionGenerateRandom: {in: []ConnState{Connected}, types: []StoreType{StoreCloudHSM},
		cure: "Connect the custom key store and try the request again."},
}

// StoreActions lists the actions that name a custom key store, by name.
func StoreActions() []Action {
	var all []Action
	for _, a := range keylessActions {
		if _, found := storeTable[a]; found {
			all = append(all, a)
		}
	}
	return all
}

// PermitStore tells whether an action may be done with a custom key store of that type in that connection state: nil, or a
// *Fault (CustomKeyStoreInvalidState; UnsupportedOperation where the type cannot). The keys in the store are not asked:
// CustomKeyStoreHasCMKs is the service's. An action that names no custom key store is refused with KindInternal.
func PermitStore(a Action, t StoreType, c ConnState) error {
	rule, found := storeTable[a]
	switch {
	case !found:
		return Faultf(KindInternal, "no custom key store rule for %q", string(a))
	case len(rule.types) > 0 && !slices.Contains(rule.types, t):
		return Faultf(KindUnsupportedOperation, "%s is not supported for a custom key store of type %s.", string(a), string(t))
	case slices.Contains(rule.in, c):
		return nil
	case a == ActionCreateKey && t == StoreXKS:
		return Faultf(KindCustomKeyStoreInvalidState, textXksUnavailable)
	default:
		// AWS's words are not recorded; these name the state and the way out.
		return Faultf(KindCustomKeyStoreInvalidState, "%s is not valid while the connection state of the custom key store is %s. %s",
			string(a), string(c), rule.cure)
	}
}

// The parameters of UpdateCustomKeyStore, by their names on the wire.
const (
	ParamNewCustomKeyStoreName           = "NewCustomKeyStoreName"
	ParamKeyStorePassword                = "KeyStorePassword"
	ParamCloudHsmClusterID               = "CloudHsmClusterId"
	ParamXksProxyAuthCredential          = "XksProxyAuthenticationCredential"
	ParamXksProxyURIPath                 = "XksProxyUriPath"
	ParamXksProxyURIEndpoint             = "XksProxyUriEndpoint"
	ParamXksProxyConnectivity            = "XksProxyConnectivity"
	ParamXksProxyVpcEndpointServiceName  = "XksProxyVpcEndpointServiceName"
	ParamXksProxyVpcEndpointServiceOwner = "XksProxyVpcEndpointServiceOwner"
)

// UpdateRule says for which type of store and in which connection states a parameter of UpdateCustomKeyStore may be changed.
type UpdateRule struct {
	Parameter string
	Types     []StoreType
	In        []ConnState
}

// UpdateRules is the table of custom-key-stores.md section 4. Where AWS's pages differ it follows the operation's own page.
func UpdateRules() []UpdateRule {
	both := []StoreType{StoreCloudHSM, StoreXKS}
	hsm, xks := both[:1:1], both[1:]
	still, live := []ConnState{Disconnected}, []ConnState{Connected, Disconnected}
	return []UpdateRule{
		{ParamNewCustomKeyStoreName, both, live},
		{ParamKeyStorePassword, hsm, still},
		{ParamCloudHsmClusterID, hsm, still},
		{ParamXksProxyAuthCredential, xks, live},
		{ParamXksProxyURIPath, xks, live},
		{ParamXksProxyURIEndpoint, xks, still},
		{ParamXksProxyConnectivity, xks, still},
		{ParamXksProxyVpcEndpointServiceName, xks, still},
		{ParamXksProxyVpcEndpointServiceOwner, xks, still},
	}
}

// UpdatableIn tells whether UpdateCustomKeyStore may change a parameter of a store of that type in that connection state.
// UpdatableBy tells the two reasons for a refusal apart.
func UpdatableIn(parameter string, t StoreType, c ConnState) bool {
	for _, r := range UpdateRules() {
		if r.Parameter == parameter {
			return slices.Contains(r.Types, t) && slices.Contains(r.In, c)
		}
	}
	return false
}

// UpdatableBy tells whether a parameter of UpdateCustomKeyStore exists for a type of store at all.
func UpdatableBy(parameter string, t StoreType) bool {
	for _, r := range UpdateRules() {
		if r.Parameter == parameter {
			return slices.Contains(r.Types, t)
		}
	}
	return false
}
