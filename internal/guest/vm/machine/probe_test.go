package machine

import (
	"os"
	"testing"
	"time"
)

// TestRecall: an answer is believed as long as it counts, and what is no answer is not.
func TestRecall(t *testing.T) {
	dir := t.TempDir()
	name := dir + "/below/answer"
	for _, a := range []Answer{{Accel: KVM, Reason: "it works"}, {Accel: TCG, Reason: "it does not"}} {
		now := time.Now()
		if err := remember(name, a, now); err != nil {
			t.Fatal(err)
		}
		want := a
		want.Remembered = true
		if got, ok := recall(name, now.Add(stale)); !ok || got != want {
			t.Errorf("got %+v, %v", got, ok)
		}
		if _, ok := recall(name, now.Add(stale+1)); ok != (a.Accel == KVM) {
			t.Errorf("%v is believed after %v: %v", a.Accel, stale, ok)
		}
		if _, ok := recall(name, now.Add(-1)); ok != (a.Accel == KVM) {
			t.Errorf("%v is believed when it comes from the future: %v", a.Accel, ok)
		}
	}
	for _, text := range []string{"", "{", "{}", `{"version":1,"accel":"xen"}`, `{"version":99,"accel":"kvm"}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := recall(name, time.Now()); ok {
			t.Errorf("%q is taken for %+v", text, got)
		}
	}
}
