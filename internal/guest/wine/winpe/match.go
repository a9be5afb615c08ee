package winpe

// matcher finds many words at once in bytes that arrive piece by piece (Aho and
// Corasick's automaton). Upper-case ASCII letters are taken for lower-case ones. It is
// never changed once made.
type matcher struct {
	next  [][256]uint16
	found [][]int // by state: the words that end there
}

// newMatcher makes a matcher for lower-case words.
func newMatcher(words []string) *matcher {
	m := &matcher{next: make([][256]uint16, 1), found: make([][]int, 1)}
	for i, w := range words {
		state := uint16(0)
		for _, c := range []byte(w) {
			if m.next[state][c] == 0 {
				m.next = append(m.next, [256]uint16{})
				m.found = append(m.found, nil)
				m.next[state][c] = uint16(len(m.next) - 1)
			}
			state = m.next[state][c]
		}
		m.found[state] = append(m.found[state], i)
	}
	// Breadth first: where a state has no way on, it takes that of the longest
	// proper suffix.
	suffix := make([]uint16, len(m.next))
	var queue []uint16
	for _, s := range m.next[0] {
		if s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		m.found[s] = append(m.found[s], m.found[suffix[s]]...)
		for c, t := range m.next[s] {
			if t == 0 {
				m.next[s][c] = m.next[suffix[s]][c]
				continue
			}
			suffix[t] = m.next[suffix[s]][c]
			queue = append(queue, t)
		}
	}
	for s := range m.next {
		for c := 'A'; c <= 'Z'; c++ {
			m.next[s][c] = m.next[s][c-'A'+'a']
		}
	}
	return m
}
