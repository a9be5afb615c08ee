package vm

import (
	"os"
	"testing"
	"time"
)

// What one machine sends all others of its segment get, and nobody else.
func TestSegment(t *testing.T) {
	var s segments
	card := map[string]*os.File{}
	ports := map[string]*port{}
	for _, m := range []struct{ name, group string }{{"a", "lane0"}, {"b", "lane0"}, {"c", "lane0"}, {"other", "lane1"}} {
		p, theirs, err := s.join(m.group)
		if err != nil {
			t.Fatal(err)
		}
		defer theirs.Close()
		ports[m.name], card[m.name] = p, theirs
	}
	if _, err := card["a"].Write([]byte("frame")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxFrame)
	for _, name := range []string{"b", "c"} {
		if err := card[name].SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if n, err := card[name].Read(buf); err != nil || string(buf[:n]) != "frame" {
			t.Errorf("%s got %q, %v", name, buf[:n], err)
		}
	}
	// By now it has been passed on to everybody that it is passed on to.
	for _, name := range []string{"a", "other"} {
		if err := card[name].SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := card[name].Read(buf); err == nil {
			t.Errorf("%s got %q", name, buf[:n])
		}
	}
	// Nobody reads b's: a goes on all the same.
	for range 1000 {
		if _, err := card["a"].Write(buf[:1500]); err != nil {
			time.Sleep(time.Millisecond) // its own queue is full until the segment has taken some
		}
	}
	for _, p := range ports {
		if err := p.leave(); err != nil {
			t.Error(err)
		}
	}
	if len(s.all) > 0 {
		t.Errorf("%d segments are left", len(s.all))
	}
}
