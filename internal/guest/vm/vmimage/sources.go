package vmimage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"muster/internal/guest"
)

// repository is a place that apt installs packages from.
type repository struct {
	uri       string
	release   string // bookworm, bookworm-updates
	component string
	origin    string // Debian
}

// aptFormat makes `apt-get indextargets` tell what parseTargets reads.
const aptFormat = "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(ORIGIN)"

// parseTargets reads what `apt-get indextargets --format aptFormat` tells.
func parseTargets(text string) []repository {
	var out []repository
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) < 3 {
			continue
		}
		r := repository{uri: f[0], release: f[1], component: f[2]}
		if len(f) > 3 {
			r.origin = f[3]
		}
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// sourcesFor are the lines of a sources.list for a suite: what this host's own apt uses for it; else this
// host's mirror of the distribution, if it has one of another suite. Nothing: mmdebstrap knows Debian's own mirror.
func sourcesFor(suite string, have []repository) []string {
	byPlace := map[string][]string{} // components by "uri release"
	var places []string
	for _, r := range have {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(r.release, "-updates"), "-security"), "/updates")
		// Packages of others, for the host, are no part of the distribution.
		if base != suite || r.origin != "" && r.origin != "Debian" {
			continue
		}
		place := r.uri + " " + r.release
		if byPlace[place] == nil {
			places = append(places, place)
		}
		byPlace[place] = append(byPlace[place], r.component)
	}
	var lines []string
	for _, p := range places {
		lines = append(lines, "deb "+p+" "+strings.Join(byPlace[p], " "))
	}
	slices.Sort(lines)
	if len(lines) > 0 {
		return lines
	}
	for _, r := range have {
		if r.origin == "Debian" && r.component == "main" && !strings.ContainsAny(r.release, "-/") {
			return []string{"deb " + r.uri + " " + suite + " main"}
		}
	}
	return nil
}

// hostSources asks this host's apt for its sources of a suite.
func (b *Builder) hostSources(ctx context.Context, suite string) ([]string, error) {
	apt, err := b.tool("apt-get", "apt")
	if err != nil {
		return nil, err
	}
	out, err := b.run(ctx, "", apt, "indextargets", "--format", aptFormat, "Created-By: Packages")
	if err != nil {
		return nil, fmt.Errorf("%w: asking apt for its sources: %w", guest.ErrLacking, err)
	}
	return sourcesFor(suite, parseTargets(out)), nil
}
