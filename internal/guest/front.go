package guest

import (
	"context"
	"time"
)

// Front is the submitting half of a driver: what must be known of a program
// and its names before anything is submitted. cmd hands the fronts to run; run
// imports no driver.
type Front interface {
	// Name is the driver's name: native, wine, vm.
	Name() string

	// Recognise reports whether this guest is the one to run the program in, for
	// --guest auto, and says why in a few words ("PE32+ console program").
	Recognise(program string) (yes bool, why string, err error)

	// Check examines the program thoroughly against the image of the request.
	// The error is ErrUnfit or ErrLacking, in one clear line, when it must be refused.
	Check(ctx context.Context, r Request) (Verdict, error)

	// Aliases returns a function that answers, for each base name that will stand
	// in one folder of the guest, "" when the guest and the program can express it,
	// or else a safe and distinct name. Deterministic.
	Aliases(program string) func(names []string) []string

	// Image finds the image for the request, and builds it first where it is
	// missing or damaged; it waits while another process builds the same one.
	// progress is told a line at a time what is being done. Guests without
	// images return a zero Image.
	Image(ctx context.Context, r Request, progress func(string)) (Image, error)
}

// Request is what the user asked of a guest.
type Request struct {
	Program string   // host path; may be "" for Image
	Dirs    []string // further folders in which the program finds its libraries
	Image   string   // --image NAME, or "" for the default one
	Boot    string   // --boot: auto, or one of the driver's own words
	Wine    string   // --wine DIR|TAR, or ""
	Force   bool     // --force: do not refuse
	Mem     int64    // --mem in bytes; 0: not said
	// Options are the driver's own settings, such as --net, by the names of their flags. Image.Options of an
	// earlier answer for the same run will do as well.
	Options map[string]string
}

// Verdict is what Check found.
type Verdict struct {
	Line    string   // one line: "sim.exe: 64-bit console program, all 7 imported DLLs found, boot lean"
	Details []string // further lines for `muster check`
	Boot    string   // settled: one of the driver's own words; "" where the guest has no such thing
	Why     string   // why that boot was chosen
	OK      bool
	Waits   bool // the program can open windows, and one of them may wait for an answer that nobody gives
}

// Image is a prepared environment, built once and never changed.
type Image struct {
	Dir     string            // its folder
	Key     string            // what it must be; verified by the node half
	Built   time.Duration     // how long building took just now; 0: it was there
	Damage  string            // why what was there had to be built again, or ""
	Options map[string]string // the driver's settings for the node half (Spec.GuestOpts)
}
