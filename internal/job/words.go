package job

// ParseAppType reads the value of --apptype. The error is ErrBadInput.
func ParseAppType(s string) (AppType, error) {
	return parseWord("--apptype", s, SISO, MIMO)
}

// ParseDistribution reads the value of --distribution. The error is ErrBadInput.
func ParseDistribution(s string) (Distribution, error) {
	return parseWord("--distribution", s, Block, Cyclic, Dynamic)
}

// ParseExisting reads the value of --existing. The error is ErrBadInput.
func ParseExisting(s string) (Existing, error) {
	return parseWord("--existing", s, ExistingRefuse, ExistingSkip, ExistingReplace)
}

// ParseIsolation reads the value of --isolation. The error is ErrBadInput.
func ParseIsolation(s string) (Isolation, error) {
	return parseWord("--isolation", s, IsolateTask, IsolateLane, IsolateNode)
}

func parseWord[T ~string](what, s string, all ...T) (T, error) {
	known := make([]string, len(all))
	for i, w := range all {
		known[i] = string(w)
	}
	w, err := OneOf(what, s, known...)
	return T(w), err
}
