// SPDX-License-Identifier: MPL-2.0

package alert

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var delays = map[string]Delays{ConnectorDown: {time.Minute, 30 * time.Second}, CrashLoop: {0, 2 * time.Minute}}

// told plays looks, one each second: a letter for each, "x" wrong, "." right, and returns
// what is told with its second.
func told(kind, looks string, confirm bool) (out []string) {
	at := time.Now()
	t := NewTracker(delays, nil, at)
	for second, look := range looks {
		var problems []Problem
		if look == 'x' {
			problems = []Problem{{Kind: kind, Subject: "a"}}
		}
		raise, resolve := t.Look(at.Add(time.Duration(second)*time.Second), problems)
		for _, p := range raise {
			out = append(out, fmt.Sprint("raise ", second))
			if confirm {
				t.Raised(p.key())
			}
		}
		for _, k := range resolve {
			out = append(out, fmt.Sprint("resolve ", second))
			if confirm {
				t.Resolved(k)
			}
		}
	}
	return out
}

func seconds(n int, look string) (out string) {
	for range n {
		out += look
	}
	return out
}

func TestAlertsAreToldOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind, looks string
		want        []string
	}{
		"a short outage":       {ConnectorDown, seconds(59, "x") + seconds(90, "."), nil},
		"a long one":           {ConnectorDown, seconds(300, "x") + seconds(90, "."), []string{"raise 60", "resolve 330"}},
		"a flapping connector": {ConnectorDown, seconds(70, "x") + seconds(9, ".....x") + seconds(40, "."), []string{"raise 60", "resolve 154"}},
		"a crash loop":         {CrashLoop, "x" + seconds(60, ".") + "x" + seconds(130, "."), []string{"raise 0", "resolve 182"}},
		"twice":                {CrashLoop, "x" + seconds(130, ".") + "x", []string{"raise 0", "resolve 121", "raise 131"}},
	} {
		if diff := cmp.Diff(c.want, told(c.kind, c.looks, true)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	// What could not be told comes again.
	if got := told(CrashLoop, "xxx", false); len(got) != 3 {
		t.Errorf("unconfirmed: %v", got)
	}
	// What stood before a restart is not told again, and its end is.
	now := time.Now()
	tr := NewTracker(delays, []Key{{CrashLoop, "a"}, {CrashLoop, "b"}}, now)
	raise, resolve := tr.Look(now, []Problem{{Kind: CrashLoop, Subject: "a"}})
	if len(raise)+len(resolve) > 0 {
		t.Errorf("at once: %v %v", raise, resolve)
	}
	if _, resolve = tr.Look(now.Add(3*time.Minute), nil); len(resolve) != 1 || resolve[0].Subject != "b" {
		t.Errorf("later: %v", resolve)
	}
}

// Whatever happens, what is told of one thing alternates and begins with a raise.
func TestRaiseAndResolveAlternate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		looks := rapid.StringMatching(`([x.]{1,200}){1,5}`).Draw(t, "looks")
		kind := rapid.SampledFrom([]string{ConnectorDown, CrashLoop}).Draw(t, "kind")
		got := told(kind, looks, true)
		for i, what := range got {
			if want := []string{"raise", "resolve"}[i%2]; !slices.Contains([]string{want}, what[:len(want)]) {
				t.Fatalf("%v", got)
			}
		}
	})
}
