// SPDX-License-Identifier: MPL-2.0

package audit

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAReportTellsHowAChangeEnded(t *testing.T) {
	t.Parallel()
	r := Report{From: time.Unix(50, 0), To: time.Unix(150, 0)}
	add := func(id string, at int64, d Data) {
		entry, err := Redactor{}.Redact(Event{ID: id, Time: time.Unix(at, 0), Data: d})
		if err != nil {
			t.Fatal(err)
		}
		l, err := ParseLeaf(entry.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		r.Add(l)
	}
	target := Target{Plane: "paris", Kind: KindDeployment, Name: "api"}
	run := Run{System: "github", ID: "7"}
	add("early", 10, ChangeIntent{Action: "create", Target: target})
	add("one", 100, ChangeIntent{Action: "update", Target: target, After: "sha256:bb", Run: run})
	add("gate", 101, RolloutGate{Target: target, Gate: "errors", Passed: true, Version: "v", Run: run})
	add("other", 101, RolloutGate{Target: target, Gate: "latency", Version: "v", Run: Run{ID: "8"}})
	add("two", 102, ChangeIntent{Action: "delete", Target: Target{Plane: "paris", Kind: KindWorker, Name: "web"}})
	add("result", 200, ChangeResult{Intent: "one", Action: "update", Target: target, Outcome: OutcomeSuccess, Before: "sha256:aa"})
	add("stray", 201, ChangeResult{Intent: "nobody", Action: "update", Target: target, Outcome: OutcomeSuccess})
	want := []Change{
		{Time: time.Unix(100, 0).UTC(), ID: "one", Plane: "paris", Kind: "deployment", Name: "api", Action: "update", Before: "sha256:aa", After: "sha256:bb", Outcome: OutcomeSuccess, RunSystem: "github", Run: "7", Gates: []string{"errors:passed"}},
		{Time: time.Unix(102, 0).UTC(), ID: "two", Plane: "paris", Kind: "worker", Name: "web", Action: "delete", Outcome: OutcomeUnfinished, Gates: []string{}},
	}
	if diff := cmp.Diff(want, r.Changes()); diff != "" {
		t.Error(diff)
	}
	if len(want[0].Row()) != len(ChangeColumns) {
		t.Error("a row has not as many cells as there are columns")
	}
}
