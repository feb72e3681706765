package xksstore

// What tests of the sealed form look at.
var (
	AppendSealed = appendSealed
	ParseSealed  = parseSealed
	OuterAAD     = outerAAD
)

const MaxOverhead = maxOverhead
