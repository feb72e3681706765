package lifecycle

// Names of the places between two steps of making and deleting keys where Config.Hook is called. Whatever happens to the
// appliance at any of them, the ledger names every object on the tokens, and a start with the Reconciler settles the rest.
const (
	// StepCreatePlanned: the ledger row is committed, the token was not touched.
	StepCreatePlanned = "create.planned"
	// StepCreateGenerated: the object is on the token, its key is not in the database.
	StepCreateGenerated = "create.generated"
	// StepCreateCommitted: the key is in the database, the caller has no answer.
	StepCreateCommitted = "create.committed"
	// StepAbandonCondemned: a create failed, its row is condemned, the object was not touched.
	StepAbandonCondemned = "abandon.condemned"
	// StepDeleteCondemned: the key is gone from the database, its object was not touched.
	StepDeleteCondemned = "delete.condemned"
	// StepDestroyed: the token did, or refused, what it was told; nothing of it is recorded.
	StepDestroyed = "destroy.done"
	// StepDestroyAudited: the outcome is in the audit log, not in the ledger.
	StepDestroyAudited = "destroy.audited"
	// StepDestroySettled: the outcome is in the ledger.
	StepDestroySettled = "destroy.settled"
	// StepRotatePlanned: the ledger row of new material is committed, the token was not touched.
	StepRotatePlanned = "rotate.planned"
	// StepRotateGenerated: the new object is on the token, its key does not know it.
	StepRotateGenerated = "rotate.generated"
	// StepRotateCommitted: the new material is current, the caller has no answer.
	StepRotateCommitted = "rotate.committed"
)

// Steps lists the names that Config.Hook is called with.
func Steps() []string {
	return []string{
		StepCreatePlanned, StepCreateGenerated, StepCreateCommitted, StepAbandonCondemned,
		StepDeleteCondemned, StepDestroyed, StepDestroyAudited, StepDestroySettled,
		StepRotatePlanned, StepRotateGenerated, StepRotateCommitted,
	}
}
