package bench

// A Reference is a launch that others have published.
type Reference struct {
	Name      string  `json:"name"`
	Source    string  `json:"source"`
	Instances int     `json:"instances"`
	Nodes     int     `json:"nodes"`
	Cores     int     `json:"cores_per_node"`
	Seconds   float64 `json:"launch_s"`
}

// Rate is how many came up per second.
func (r Reference) Rate() float64 { return float64(r.Instances) / r.Seconds }

// Published is the published launch of Windows programs: about five minutes. Of its
// times of copying no numbers are at hand, so they stand beside nothing here.
func Published() Reference {
	return Reference{
		Name:      "published: 256 nodes",
		Source:    "Interactive launch of 16,000 Microsoft Windows instances on a supercomputer, MIT Lincoln Laboratory, 2018",
		Instances: 16_384, Nodes: 256, Cores: 64, Seconds: 300,
	}
}
