// SPDX-License-Identifier: MPL-2.0

package analytics

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Queries whose answer, or whose checking, would grow out of all proportion.
func TestHostileQueriesCostLittle(t *testing.T) {
	t.Parallel()
	src := history(t)
	doubling := func(body string, n int) string {
		var b strings.Builder
		fmt.Fprintf(&b, "{viewer{...F0}}")
		for i := range n {
			fmt.Fprintf(&b, "fragment F%d on viewer{%s}", i, strings.ReplaceAll(body, "NEXT", fmt.Sprint(i+1)))
		}
		return b.String() + fmt.Sprintf("fragment F%d on viewer{__typename}", n)
	}
	for name, query := range map[string]string{
		"fragments that double":            doubling("...FNEXT ...FNEXT", 90),
		"fragments that double, inline":    doubling("...{...FNEXT}...{...FNEXT}", 60),
		"the same field over and over":     "{viewer{" + strings.Repeat("__typename ", 900) + "}}",
		"the same dataset over and over":   `{viewer{accounts(filter:{accountTag:"` + account + `"}){` + strings.Repeat("workersInvocationsAdaptive(limit:1){sum{requests}}", 60) + "}}}",
		"deep inline fragments":            "{viewer" + strings.Repeat("{...", 300) + "{__typename" + strings.Repeat("}", 301) + "}",
		"deep filters":                     `{viewer{accounts(filter:{accountTag:"` + account + `"}){workersInvocationsAdaptive(limit:1,filter:` + strings.Repeat("{AND:[", 150) + strings.Repeat("]}", 150) + "){sum{requests}}}}}",
		"many names that are almost known": "{viewer{" + strings.Repeat("accouns ", 900) + "}}",
	} {
		began := time.Now()
		answer, status := ask(t, src, query, nil)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s: it took %v", name, took)
		}
		if len(answer) > 1<<20 {
			t.Errorf("%s: %d bytes", name, len(answer))
		}
		if status != http.StatusOK && status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, status)
		}
	}
}
