package winpe

import "muster/internal/job"

// oneWord makes a name from a file fit for a line to a person.
func oneWord(s string) string { return job.Printable(s, 80) }
