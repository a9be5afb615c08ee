// Package rundir holds every file of a run directory: names, formats, atomic
// writes, journals, and how the state of a run is recomputed from them. It also
// publishes outputs, because what is published and what is recorded have to
// agree after any crash.
//
// A run directory may be on a shared file system with weak promises, so one
// process writes each file, files that are written once appear whole under
// their name, and files that grow consist of checksummed lines whose last one
// may be torn. Locks are used as hints only.
package rundir
