package shape

// Described is what a member of a request is, for tests that compare with the service's model.
type Described struct {
	Name     string
	Required bool
	At       any
	Rule     Rule
	Bounded  bool
	Inner    *Rule
	Nested   []Described
}

// Describe lists the members of a request, those of structures and lists of structures in it too.
func Describe(r Request) []Described {
	var m Members
	r.Members(&m)
	all := make([]Described, len(m.list))
	for i, f := range m.list {
		all[i] = Described{Name: f.name, Required: bool(f.need), At: f.at, Inner: f.inner}
		if f.rule != nil {
			all[i].Rule, all[i].Bounded = *f.rule, f.rule.bounded
		}
		if nested, ok := f.at.(Structure); ok {
			all[i].Nested = Describe(nested)
		}
	}
	return all
}

// InnerBounded tells whether the elements of a list have a length constraint.
func (d *Described) InnerBounded() bool { return d.Inner != nil && d.Inner.bounded }

// TagMembers describes the members of a tag.
func TagMembers() []Described { return Describe(new(tag)) }
