package wine

import "context"

// Installed is the Wine that programs run in here when no other is asked for.
// The error is guest.ErrLacking when there is none.
func (f *Front) Installed(ctx context.Context) (Install, error) {
	return findSystem(ctx, f.table, f.getenv)
}
