package slurm

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"muster/internal/engine"
	"muster/internal/job"
)

func TestParseConfig(t *testing.T) {
	out, err := os.ReadFile("testdata/config.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseConfig(string(out))
	want := config{version: "22.05.8", cluster: "muster", maxArray: 1000, killWait: 5 * time.Second}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if _, err := parseConfig(strings.Replace(string(out), "1001", "0", 1)); !errors.Is(err, engine.ErrRefused) {
		t.Errorf("without arrays: %v", err)
	}
	if _, err := parseConfig(""); err == nil {
		t.Error("nothing is taken for a configuration")
	}
}

func TestParsePartition(t *testing.T) {
	const out = `main*|1-00:00:00|4|16|64000|idle|(null)
main*|1-00:00:00|2|16|64000|mixed-|(null)
main*|1-00:00:00|1|128|512000|allocated|gpu:a100:4(S:0-1),gpu:t4:2,nvme:1
main*|1-00:00:00|1|16|64000|idle*|(null)
main*|1-00:00:00|2|256|512000|drained|(null)
short|2:00|3|4|1000|down*|(null)
`
	p, err := parsePartition(out, "")
	want := partition{name: "main", nodes: 1, down: 3, cpus: 128, memory: 512000 << 20, maxTime: 24 * time.Hour, largestCPUs: 256, largestMemory: 512000 << 20, gpus: map[string]int{"": 6, "a100": 4, "t4": 2}}
	if err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, %v; want %+v", p, err, want)
	}
	// Nothing is up: what there would be.
	p, err = parsePartition("short|2:00|3|4|1000|down*|(null)\n", "short")
	want = partition{name: "short", nodes: 3, down: 3, cpus: 4, memory: 1000 << 20, maxTime: 2 * time.Minute, largestCPUs: 4, largestMemory: 1000 << 20, gpus: map[string]int{}}
	if err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, %v; want %+v", p, err, want)
	}
	for name, out := range map[string]string{"nope": "", "": "short|2:00|3|4|1000|idle|(null)\n"} {
		if _, err := parsePartition(out, name); !errors.Is(err, engine.ErrRefused) {
			t.Errorf("partition %q: %v", name, err)
		}
	}
}

func TestParseLimit(t *testing.T) {
	for word, want := range map[string]time.Duration{
		"infinite": 0, "n/a": 0, "2:00": 2 * time.Minute, "30": 30 * time.Second, "1:00:00": time.Hour, "7-00:00:00": 7 * 24 * time.Hour,
	} {
		if got, err := parseLimit(word); err != nil || got != want {
			t.Errorf("%s: %v, %v", word, got, err)
		}
	}
	for _, word := range []string{"", "x", "1-x", "x-1:00"} {
		if got, err := parseLimit(word); err == nil {
			t.Errorf("%q is taken for %v", word, got)
		}
	}
}

func TestUsable(t *testing.T) {
	for state, want := range map[string]bool{
		"idle": true, "mixed": true, "allocated": true, "completing": true, "idle~": true, "mixed-": true, "allocated+": true,
		"idle*": false, "down": false, "drained": false, "draining": false, "unknown": false, "inval": false, "fail": false,
	} {
		if usable(state) != want {
			t.Errorf("%s: %v", state, !want)
		}
	}
}

func TestFits(t *testing.T) {
	p := partition{name: "short", largestCPUs: 4, largestMemory: 1 << 30, maxTime: 2 * time.Minute, gpus: map[string]int{"": 2, "toy": 2}}
	for want, a := range map[string]job.Array{
		"gpu:toy:3, and no node of partition short has more than 2":  {Resource: job.Resource{GPUs: "toy,3"}},
		"gpu:nope:1, and no node of partition short has more than 0": {Resource: job.Resource{GPUs: "nope"}},
		"": {CPUs: 4, Mem: 1 << 30, Time: 2 * time.Minute, Resource: job.Resource{GPUs: "2"}},
		"5 CPUs, and the largest node of partition short has 4":                {CPUs: 5},
		"2048 MiB of memory, and the largest node of partition short has 1024": {Mem: 2 << 30},
		"3m0s, and partition short gives 2m0s at most":                         {Time: 3 * time.Minute},
	} {
		err := p.fits(a)
		if (want == "") != (err == nil) || (err != nil && (!errors.Is(err, engine.ErrRefused) || !strings.Contains(err.Error(), want))) {
			t.Errorf("%+v: %v; want %s", a, err, want)
		}
	}
}
