package keystore

// admission is all that decides an action on a key, in one place, so that Admit looks an action up once.
type admission struct {
	usage usageRule
	fit   fit
	cells row
}

// admissions joins the three tables. It is made once and never changed.
var admissions = func() map[Action]*admission {
	all := make(map[Action]*admission, len(keyTable))
	for a, cells := range keyTable {
		all[a] = &admission{usage: usageTable[a], fit: fitTable[a], cells: cells}
	}
	return all
}()

// Admit tells whether an action may be done on a key whose custom key store has connection state conn (ignored for keys
// outside custom key stores): nil, or the *Fault that AWS answers. Usage and type of the key are checked before its state,
// and origin before state where AWS's table says so. For UpdateAlias k is the new target; the key that the alias leaves is
// not asked. It allocates nothing where it answers nil. An action without a row, or a state that the API does not have, is
// refused with KindInternal.
func Admit(a Action, k *Key, conn ConnState) error {
	adm := admissions[a]
	if adm == nil {
		return Faultf(KindInternal, "no key state rule for %q", string(a))
	}
	if f := adm.usage.check(a, k); f != nil {
		return f
	}
	state := EffectiveState(k, conn)
	col := state.column()
	if col < 0 {
		return Faultf(KindInternal, "%s has the unknown state %q", k.ARN(), string(state))
	}
	out := &adm.cells[col]
	if out.FitFirst || out.Verdict == Allow || out.Verdict == Conditional {
		if f := adm.fit.check(k); f != nil {
			return f
		}
	}
	if out.Verdict == Allow || out.Verdict == Conditional {
		return nil
	}
	if out.Text == textUnavailable && k.Origin == OriginXKS {
		return &Fault{Kind: out.Kind, Text: textXksUnavailable}
	}
	return out.Fault(k)
}
