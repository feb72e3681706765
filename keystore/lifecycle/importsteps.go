package lifecycle

// Names of the places between two steps of importing material where Config.Hook is called, as Steps has them for keys that
// the appliance makes itself.
const (
	// StepWrapPlanned: the ledger row of a wrapping key is committed, the token was not touched.
	StepWrapPlanned = "wrap.planned"
	// StepWrapGenerated: the wrapping key is on the token, nobody can use it.
	StepWrapGenerated = "wrap.generated"
	// StepWrapCommitted: the wrapping key is live, the caller has no answer.
	StepWrapCommitted = "wrap.committed"
	// StepImportPlanned: the ledger row of the material is committed, the token was not touched.
	StepImportPlanned = "import.planned"
	// StepImportUnwrapped: the object is on the token, its key does not know it.
	StepImportUnwrapped = "import.unwrapped"
	// StepImportCommitted: the material is the key's, the wrapping key is condemned and was not touched.
	StepImportCommitted = "import.committed"
	// StepMaterialCondemned: the key has lost imported material, its object was not touched.
	StepMaterialCondemned = "material.condemned"
)

// ImportSteps lists the names of the steps of imports.
func ImportSteps() []string {
	return []string{StepWrapPlanned, StepWrapGenerated, StepWrapCommitted, StepImportPlanned, StepImportUnwrapped,
		StepImportCommitted, StepMaterialCondemned}
}
