package access

import (
	"maps"
	"slices"
)

// KnownConditionKeys lists the condition keys whose values the appliance knows itself, in lower case.
func KnownConditionKeys() []string {
	return append(slices.Sorted(maps.Keys(condKeys)), contextPrefix, tagPrefix)
}
