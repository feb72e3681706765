package lifecycle

// Names of the places between two steps of what happens to multi-Region keys where Config.Hook is called.
const (
	// StepReplicaPlanned: the replica is there and Creating, and has no material.
	StepReplicaPlanned = "replica.planned"
	// StepCarryPlanned: the rows of a transfer are committed, no token was touched.
	StepCarryPlanned = "carry.planned"
	// StepCarryPaired: the receiving token has the key pair to wrap to.
	StepCarryPaired = "carry.paired"
	// StepCarrySent: the sending token has wrapped, the receiving one has nothing of it.
	StepCarrySent = "carry.sent"
	// StepCarryReceived: the object is on the receiving token, its key does not know it.
	StepCarryReceived = "carry.received"
	// StepReplicaCommitted: the replica has its material; what served the transfer is on the tokens yet.
	StepReplicaCommitted = "replica.committed"
	// StepPrimaryPlanned: both keys are Updating.
	StepPrimaryPlanned = "primary.planned"
	// StepPrimaryCommitted: the primary is in its new Region.
	StepPrimaryCommitted = "primary.committed"
)

// ReplicaSteps lists the names of the steps of multi-Region keys.
func ReplicaSteps() []string {
	return []string{StepReplicaPlanned, StepCarryPlanned, StepCarryPaired, StepCarrySent, StepCarryReceived, StepReplicaCommitted,
		StepPrimaryPlanned, StepPrimaryCommitted}
}
