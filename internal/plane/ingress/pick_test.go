// SPDX-License-Identifier: MPL-2.0

package ingress

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

const (
	idOld = "11111111-0000-4000-8000-000000000001"
	idNew = "22222222-0000-4000-8000-000000000002"
)

// split is a route with idNew, the newest, at percentage and idOld at the rest.
func split(percentage float64) *entry {
	return newEntry(Route{WorkerID: "w1", WorkerName: "api", Shares: []Share{
		{Target: NewTarget("api", "w1", idNew, "/nowhere"), Percentage: percentage},
		{Target: NewTarget("api", "w1", idOld, "/nowhere"), Percentage: 100 - percentage},
	}}, 1)
}

func header(kv ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(kv); i += 2 {
		h.Add(kv[i], kv[i+1])
	}
	return h
}

func TestAKeyNeverFlipsBackWhileTheNewVersionGrows(t *testing.T) {
	t.Parallel()
	const keys = 1500
	moved := make([]bool, keys)
	for _, percentage := range []float64{10, 20, 50, 100} {
		e := split(percentage)
		n := 0
		for k := range keys {
			h := header(versionKeyHeader, fmt.Sprintf("user-%d", k))
			onNew := picked(e, h).versionID == idNew
			if again := picked(e, h).versionID == idNew; again != onNew {
				t.Fatalf("key %d is answered by two versions at %v%%", k, percentage)
			}
			if moved[k] && !onNew {
				t.Errorf("key %d went back to the old version at %v%%", k, percentage)
			}
			moved[k] = onNew
			if onNew {
				n++
			}
		}
		// Five standard deviations of a fair draw.
		want, slack := keys*percentage/100, 5*math.Sqrt(keys*percentage/100*(1-percentage/100))
		if math.Abs(float64(n)-want) > slack {
			t.Errorf("at %v%%: %d of %d keys are on the new version, want about %v", percentage, n, keys, want)
		}
	}
}

func TestKeysSpreadDifferentlyForEachWorker(t *testing.T) {
	t.Parallel()
	same := 0
	for k := range 1000 {
		key := fmt.Sprintf("user-%d", k)
		if (keyPosition("w1", key) < 50) == (keyPosition("w2", key) < 50) {
			same++
		}
	}
	if same < 400 || same > 600 {
		t.Errorf("two Workers agree on %d of 1000 keys: the same users would always be first", same)
	}
}

func TestChanceFollowsTheWeights(t *testing.T) {
	t.Parallel()
	for _, percentage := range []float64{0, 10, 90, 100} {
		e := split(percentage)
		n := 0
		for range 5000 {
			if picked(e, nil).versionID == idNew {
				n++
			}
		}
		want, slack := 50*percentage, 6*math.Sqrt(5000*percentage/100*(1-percentage/100))
		if math.Abs(float64(n)-want) > slack {
			t.Errorf("at %v%%: %d of 5000 requests, want about %v", percentage, n, want)
		}
	}
}

func TestPercentagesThatDoNotQuiteSumTo100StillAnswer(t *testing.T) {
	t.Parallel()
	e := split(10)
	e.Shares[1].Percentage = 89.9
	if got := e.at(99.95); got == nil || got.versionID != idOld {
		t.Errorf("position 99.95 is nobody's: %v", got)
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		values []string
		want   string // the version; split has the new one at 0 %
	}{
		"a 0 % version":             {[]string{`api="` + idNew + `"`}, idNew},
		"upper-case id":             {[]string{`api="` + strings.ToUpper(idNew) + `"`}, idNew},
		"among other Workers":       {[]string{`web="x", api="` + idNew + `", db="y"`}, idNew},
		"over two header lines":     {[]string{`web="x"`, `api="` + idNew + `"`}, idNew},
		"with a parameter":          {[]string{`api="` + idNew + `";a=1`}, idNew},
		"the last of two wins":      {[]string{`api="` + idOld + `", api="` + idNew + `"`}, idNew},
		"another Worker":            {[]string{`web="` + idNew + `"`}, idOld},
		"a version not deployed":    {[]string{`api="33333333-0000-4000-8000-000000000003"`}, idOld},
		"a token instead of string": {[]string{`api=` + "a" + idNew}, idOld},
		"an inner list":             {[]string{`api=("` + idNew + `")`}, idOld},
		"no value":                  {[]string{`api`}, idOld},
		"unclosed quote":            {[]string{`api="` + idNew}, idOld},
		"bare id":                   {[]string{idNew}, idOld},
		"trailing comma":            {[]string{`api="` + idNew + `",`}, idOld},
		"empty":                     {[]string{""}, idOld},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{versionOverridesHeader: tt.values}
			if got := picked(split(0), h).versionID; got != tt.want {
				t.Errorf("%q: got %s, want %s", tt.values, got, tt.want)
			}
		})
	}
}

func TestAnOverrideBeatsAKey(t *testing.T) {
	t.Parallel()
	h := header(versionKeyHeader, "user-1", versionOverridesHeader, `api="`+idOld+`"`)
	if got := picked(split(100), h).versionID; got != idOld {
		t.Errorf("got %s", got)
	}
}

func TestPickRefusesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	r := New(hclog.NewNullLogger())
	if _, _, err := r.Pick("w1", nil); err != ErrUnknownWorker {
		t.Errorf("unknown Worker: %v", err)
	}
	r.Set(Route{WorkerID: "w1", WorkerName: "api"})
	if _, _, err := r.Pick("w1", nil); err != ErrNotDeployed {
		t.Errorf("nothing deployed: %v", err)
	}
	retired := NewTarget("api", "w1", idNew, "/nowhere")
	r.Set(Route{WorkerID: "w1", WorkerName: "api", Shares: []Share{{retired, 100}}})
	retired.Retire()
	if _, _, err := r.Pick("w1", nil); err != ErrNotDeployed {
		t.Errorf("everything retired: %v", err)
	}
}

func TestNormaliseHost(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"API.Acme.localhost":       "api.acme.localhost",
		"api.acme.localhost:8787":  "api.acme.localhost",
		"api.acme.localhost.:8787": "api.acme.localhost",
		"api.acme.localhost.":      "api.acme.localhost",
		"[::1]:8787":               "::1",
		"[::1]":                    "::1",
		"":                         "",
		":80":                      "",
	} {
		if got := normaliseHost(in); got != want {
			t.Errorf("normaliseHost(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLookupFindsDeploymentsAndPreviews(t *testing.T) {
	t.Parallel()
	r := New(hclog.NewNullLogger())
	r.Set(Route{WorkerID: "w1", WorkerName: "api", Hosts: []string{"API.acme.localhost"}, PreviewSuffix: "-api.acme.localhost"})
	r.Set(Route{WorkerID: "w2", WorkerName: "deadbeef-api", Hosts: []string{"deadbeef-api.acme.localhost"}})
	tests := map[string]struct{ worker, prefix string }{
		"api.acme.localhost":           {"w1", ""},
		"0123abcd-api.acme.localhost":  {"w1", "0123abcd"},
		"deadbeef-api.acme.localhost":  {"w2", ""}, // a Worker of that name comes before a preview
		"0123abcg-api.acme.localhost":  {"", ""},
		"0123abc-api.acme.localhost":   {"", ""},
		"0123abcd-web.acme.localhost":  {"", "0123abcd"},
		"x.api.acme.localhost":         {"", ""},
		"0123abcd-deadbeef-api.a.test": {"", "0123abcd"},
	}
	for host, want := range tests {
		e, prefix := r.table.Load().lookup(host)
		worker := ""
		if e != nil {
			worker = e.WorkerID
		}
		if worker != want.worker || prefix != want.prefix {
			t.Errorf("%s: got %q %q, want %q %q", host, worker, prefix, want.worker, want.prefix)
		}
	}
}

func TestAHostBelongsToTheWorkerThatWasSetLast(t *testing.T) {
	t.Parallel()
	r := New(hclog.NewNullLogger())
	for range 20 { // map order must not decide
		for _, id := range []string{"w1", "w2", "w3"} {
			r.Set(Route{WorkerID: id, WorkerName: "api", Hosts: []string{"api.test"}})
			if e, _ := r.table.Load().lookup("api.test"); e.WorkerID != id {
				t.Fatalf("set %s, got %s", id, e.WorkerID)
			}
		}
	}
	r.Remove("w3")
	if e, _ := r.table.Load().lookup("api.test"); e.WorkerID != "w2" {
		t.Errorf("after removal: %s", e.WorkerID)
	}
}

func FuzzOverridesNeverReachOutsideTheDeployment(f *testing.F) {
	for _, s := range []string{`api="` + idNew + `"`, `api=1`, `api`, `a,b;c=?0`, `api=("x" "y")`, "\x00", `api="\"`, `api=:AA==:`} {
		f.Add(s, "key")
	}
	f.Fuzz(func(t *testing.T, overrides, key string) {
		e := split(50)
		h := http.Header{versionOverridesHeader: {overrides}, versionKeyHeader: {key}}
		got := picked(e, h)
		if got == nil || got.versionID != idOld && got.versionID != idNew {
			t.Fatalf("%q: picked %v", overrides, got)
		}
		if p := keyPosition(key, overrides); p < 0 || p >= 100 {
			t.Fatalf("position %v", p)
		}
	})
}

func FuzzHostsNeverPanicAndAreStable(f *testing.F) {
	for _, s := range []string{"a.b:80", "[::1]:1", "[", "]:", "a..", "0123abcd-x", "0123ABCD-x.localhost."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		n := normaliseHost(host)
		if prefix, suffix, ok := splitPreviewHost(n); ok && prefix+suffix != n {
			t.Fatalf("%q: %q + %q", n, prefix, suffix)
		}
	})
}

func picked(e *entry, h http.Header) *Target {
	t, _ := e.pick(h)
	return t
}
