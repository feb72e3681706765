package keystore

import "time"

// LastUse is the last successful cryptographic operation with a key (API reference, KeyLastUsageData). The zero value is a key
// that was not used since its uses are noted.
type LastUse struct {
	Region    string
	KeyID     KeyID
	Action    Action
	Time      time.Time
	EventID   string // of the audit record
	RequestID string
}

// CountsAsUse tells whether an action is one of the cryptographic operations that GetKeyLastUsage reports: those that need a
// KeyUsage (API reference, KeyLastUsageTrackingOperation). GetPublicKey and DescribeKey are none.
func CountsAsUse(a Action) bool { return usageTable[a].usage != "" }
